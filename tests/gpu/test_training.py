"""`minigan train` on the stand-in for CuPy."""

from __future__ import annotations

import pytest
import tiny

from minigan.backend import DeviceError, configure_cuda, get_backend
from minigan.cli import main
from minigan.gan import Run


@pytest.fixture
def train(cuda, monkeypatch, tmp_path, capsys):
    """Trains the tiny preset on the GPU; returns the exit code, and what was printed."""
    tiny.register(monkeypatch)
    monkeypatch.chdir(tmp_path)
    tiny.save_images(tmp_path / "images.npz")
    kernels = get_backend("cpu").kernels

    def train(*words):
        code = main(["train", "--out", "out", *map(str, words)])
        return code, "".join(capsys.readouterr())

    yield train
    get_backend("cpu").kernels = kernels


NEW = ("--preset", "tiny", "--data", "images.npz", "--threads", 1, "--device", "cuda", "--steps", 2)


def test_precision_is_recorded_printed_and_used(cuda, train):
    code, text = train(*NEW, "--precision", "tf32")
    assert code == 0
    assert "device cuda: as asked; matrix products in tf32" in text
    assert cuda.kernels.precision == Run("out").config().precision == "tf32"
    code, text = train("--resume", "--steps", 3, "--device", "cpu")
    assert code == 2
    assert "--precision tf32 is for GPUs, and the device is cpu (as asked): use float32" in text
    assert train("--resume", "--steps", 3, "--device", "cpu", "--precision", "float32")[0] == 0
    code, text = train("--resume", "--steps", 4, "--device", "cuda")
    assert code == 0
    assert "matrix products in float32" in text
    assert cuda.kernels.precision == "float32"


def test_precision_is_of_gpus_only():
    with pytest.raises(DeviceError, match="chosen for a GPU, got device 'cpu'"):
        configure_cuda("cpu", "tf32")
