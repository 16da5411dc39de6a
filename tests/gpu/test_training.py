"""`minigan train` on the stand-in for CuPy."""

from __future__ import annotations

import csv
import gc
import re

import fake_cublas
import fake_cupy
import numpy as np
import pytest
import tiny

from minigan import system
from minigan.backend import DeviceError, configure_cuda, get_backend
from minigan.bench import command
from minigan.cli import main
from minigan.data import dataset as datasets
from minigan.data import load_points
from minigan.gan import Run, Trainer, create, presets
from minigan.kernels import cublas
from minigan.memory import ExplainedMemory


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


def metrics(directory):
    """metrics.csv without the seconds."""
    with Run(directory).metrics_path.open(newline="") as file:
        return [{name: value for name, value in row.items() if name != "seconds"} for row in csv.DictReader(file)]


def test_a_run_by_a_cuda_graph_is_the_run_without(cuda, train, monkeypatch):
    monkeypatch.setattr(cublas, "_load", fake_cublas.library)
    code, text = train(*NEW, "--cuda-graph", "--steps", 4)
    assert code == 0 and "warning" not in text
    assert Run("out").config().cuda_graph
    assert train(*NEW, "--steps", 2, "--out", "eager")[0] == 0
    code, text = train("--resume", "--out", "eager", "--steps", 4, "--cuda-graph")
    assert code == 0 and "warning" not in text
    assert metrics("out") == metrics("eager")
    code, text = train("--resume", "--steps", 5, "--device", "cpu")
    assert code == 0
    assert "warning: training without a CUDA graph: graphs are of GPUs, and the device is cpu" in text


def test_precision_is_of_gpus_only():
    with pytest.raises(DeviceError, match="chosen for a GPU, got device 'cpu'"):
        configure_cuda("cpu", "tf32")


PIXELS = np.random.default_rng(0).integers(0, 256, (300, 1, 28, 28), np.uint8)
LABELS = np.arange(300) % 10
DATA = {
    "stored": lambda: datasets.stored("x", PIXELS, LABELS),
    "replicated": lambda: datasets.stored("x", PIXELS, LABELS, channels=3),
    "coloured": lambda: datasets.coloured(PIXELS, LABELS),
    "stacked": lambda: datasets.stacked(PIXELS, LABELS, length=500),
}


def trainer(dataset, device, preset="mlp", **settings):
    config = presets.configure(preset, **settings)
    return Trainer(config, create(config, device), dataset)


@pytest.mark.parametrize(("preset", "size", "launches"), [("mlp", 16, 95), ("dcgan28", 128, 145), ("cgan", 16, 220)])
def test_what_a_step_costs_with_the_making_of_its_batch(cuda, monkeypatch, preset, size, launches):
    """The data set is on the GPU: a step copies the indices of its samples alone, and waits for nothing."""
    training = trainer(DATA["stored"](), cuda, preset, batch_size=size, log_every=1000)
    monkeypatch.setattr(fake_cupy, "computing", False)
    training._step()
    with fake_cupy.counted() as counts:
        training._step()
    assert counts["launch"] <= launches
    assert counts.keys() == {"launch", "h2d"} and counts["h2d"] == 1


@pytest.mark.parametrize("name", DATA)
def test_batches_made_on_the_gpu_are_those_of_the_host(cuda, name):
    on_device, on_host = (DATA[name]().batches(20, 3, backend.asarray) for backend in (cuda, get_backend("cpu")))
    for step in (0, 1, 40):
        for made, expected in zip(on_device(step), on_host(step), strict=True):
            np.testing.assert_array_equal(made.get(), expected, strict=True)


def test_the_batch_of_a_step_has_the_bits_of_the_cpu(cuda):
    batches = [trainer(DATA["stored"](), device, "cgan", batch_size=20).batch(7) for device in (cuda, "cpu")]
    np.testing.assert_array_equal(batches[0].images.numpy(), batches[1].images.numpy(), strict=True)
    np.testing.assert_array_equal(batches[0].labels.numpy(), batches[1].labels.numpy(), strict=True)
    points = [trainer(load_points("ring"), device, "mlp-2d").batch(7).images for device in (cuda, "cpu")]
    np.testing.assert_array_equal(points[0].numpy(), points[1].numpy(), strict=True)


@pytest.fixture
def room(monkeypatch):
    """room(size): leave so many bytes on the GPU."""

    def room(size):
        gc.collect()
        monkeypatch.setattr(fake_cupy.memory, "capacity", fake_cupy.memory.used + size)

    return room


def test_a_batch_too_large_for_the_memory_is_explained(cuda, room):
    """One line that says what was asked for, what was in use, and a batch size that does fit."""
    training = trainer(DATA["stored"](), cuda, batch_size=256, steps=1)
    room(10_000_000)
    with pytest.raises(MemoryError) as caught:
        training.run()
    sizes = r"([\d.]+) MiB were asked for with ([\d.]+) MiB in use, of ([\d.]+) MiB in all"
    pattern = rf"cuda:0 is out of memory at batch size 256: {sizes}; by estimate, a batch size of (\d+) would fit"
    *texts, fitting = re.fullmatch(pattern, str(caught.value)).groups()
    asked, used, most = map(float, texts)
    assert used <= most < used + asked + 1  # temporaries of what failed are freed by now
    assert most == pytest.approx(fake_cupy.memory.capacity / 2**20, abs=0.1)
    assert 32 <= int(fitting) <= 128
    del training, caught
    gc.collect()
    trainer(DATA["stored"](), cuda, batch_size=int(fitting), steps=1).run()


def test_memory_without_room_for_anything(cuda, room):
    training = trainer(DATA["stored"](), cuda, batch_size=4)
    room(0)
    with pytest.raises(MemoryError, match="by estimate, no batch size would fit"):
        training.run()


def test_data_too_large_for_the_memory_are_refused(cuda, room):
    config = presets.configure("mlp")
    algorithm = create(config, cuda)
    room(PIXELS.nbytes - 1)
    with pytest.raises(MemoryError, match=r"images of mnist do not fit on cuda:0: Out of memory allocating 235,200"):
        Trainer(config, algorithm, DATA["stored"]())


def test_the_bench_explains_a_batch_too_large(cuda, monkeypatch, capsys, room):
    monkeypatch.setattr(command, "cuda_problem", lambda: None)
    monkeypatch.setattr(command, "cold_start", lambda *_: 1.0)
    monkeypatch.setattr(system, "gpu", lambda: "the stand-in")
    room(3_000_000)
    words = ["bench", "--device", "cuda", "--workloads", "dense", "--batch-sizes", "512", "--seconds", "0.001"]
    assert main([*words, "--threads", "1"]) == 2
    assert "cuda:0 is out of memory at batch size 512" in capsys.readouterr().err


def test_other_errors_of_memory_stay_as_they_are(cuda):
    for backend in (cuda, get_backend("cpu")):
        with pytest.raises(MemoryError, match=r"^of the host$"), ExplainedMemory(backend, 8):
            raise MemoryError("of the host")
