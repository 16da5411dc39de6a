"""CuPy itself on a machine without a GPU: `pip install cupy-cuda12x` needs none."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys

import pytest
import tiny

from minigan.backend import cuda_problem

STEP = """
import sys
from minigan.cli import main
import tiny
from minigan.gan.presets import PRESETS
PRESETS["tiny"] = tiny.TINY
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
def run(tmp_path):
    """Runs a command in a process of its own: exit code, standard output, standard error."""
    if importlib.util.find_spec("cupy") is None:
        pytest.skip("CuPy is not installed")
    if cuda_problem() is None:
        pytest.skip("there is a GPU")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}

    def run(*words):
        command = [sys.executable, "-c", STEP, *words]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout, done.stderr

    return run


def test_cupy_without_a_gpu(run, tmp_path):
    tiny.save_images(tmp_path / "images.npz")
    code, text, errors = run("info")
    assert (code, errors) == (0, "")
    assert "CuPy finds no usable GPU" in text and "(cupy-cuda" in text
    train = ("train", "--preset", "tiny", "--data", "images.npz", "--steps", "1")
    code, text, _ = run(*train, "--device", "auto")
    assert code == 0
    assert "device cpu: no GPU: CuPy finds no usable GPU" in text
    code, _, errors = run(*train, "--device", "cuda")
    assert code == 2
    assert errors.startswith("minigan train: device 'cuda:0' cannot be used: CuPy finds no usable GPU")
    assert errors.count("\n") == 1
