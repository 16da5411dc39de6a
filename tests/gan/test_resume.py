"""Resume equals uninterrupted, bit for bit: a run that was killed and interrupted against one that was not."""

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tiny

import minigan as mg
from minigan import checkpoint
from minigan.cli import main
from minigan.gan import Batch, create, presets
from minigan.gan.presets import PRESETS

EVERY = ["--log-every", "3", "--sample-every", "4", "--checkpoint-every", "5"]


@pytest.fixture(autouse=True)
def surroundings(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    tiny.save_images(tmp_path / "images.npz", count=50, size=28)
    cpu = mg.get_backend("cpu")
    kernels = cpu.kernels
    yield
    cpu.kernels = kernels


def command(preset, out, *words):
    options = ["--preset", preset, "--data", "images.npz", "--batch-size", "4", *EVERY, "--device", "cpu"]
    return ["train", *options, "--threads", "2", "--out", out, *words]


def signalled(words, directory, checkpoints, number):
    """Runs a command in a process of its own, sends it a signal once it has made so many checkpoints, and waits."""
    environment = {**os.environ, "PYTHONPATH": str(Path(mg.__file__).parents[1])}
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "env": environment}
    process = subprocess.Popen([sys.executable, "-m", "minigan", *words], **options)
    try:
        while len(list((directory / "checkpoints").glob("step_*.npz"))) < checkpoints:
            assert process.poll() is None, process.communicate()[1]
            time.sleep(0.01)
        process.send_signal(number)
        output, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    return process.returncode, output, errors


def metrics(directory):
    with (directory / "metrics.csv").open(newline="") as file:
        return [{name: value for name, value in row.items() if name != "seconds"} for row in csv.DictReader(file)]


def same(one, other):
    """Equal in every bit."""
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()
    return one == other


@pytest.mark.parametrize("preset", ["mlp", "dcgan"])
def test_a_killed_and_an_interrupted_run_end_in_the_same_bits_as_one_that_was_not(tmp_path, preset, capsys):
    endless = ["--steps", "100000"]
    stopped = tmp_path / "stopped"
    code, _, _ = signalled(command(preset, "stopped", *endless), stopped, 2, signal.SIGKILL)
    assert code == -signal.SIGKILL
    killed_at = max(stopped.glob("checkpoints/step_*.npz"))

    resume = ["train", "--out", "stopped", "--resume", "--threads", "2"]
    already = len(list(stopped.glob("checkpoints/step_*.npz")))
    code, output, errors = signalled([*resume, *endless], stopped, already + 1, signal.SIGINT)
    assert code == 130, errors
    step = checkpoint.load(max(stopped.glob("checkpoints/step_*.npz")))["step"]
    assert f"stopped after step {step}; continue with: minigan train --out stopped --resume" in output
    assert step > int(killed_at.stem[5:])
    assert "from its beginning" not in output  # which would end in the same bits, too

    steps = str(step + 7)
    assert main([*resume, "--steps", steps]) == 0
    assert "from its beginning" not in capsys.readouterr().out
    assert main(command(preset, "whole", "--steps", steps)) == 0
    whole, last = tmp_path / "whole", f"checkpoints/step_{step + 7:08d}.npz"
    assert same(checkpoint.load(stopped / last), checkpoint.load(whole / last))
    assert metrics(stopped) == metrics(whole)
    pictures = {path.name: path.read_bytes() for path in whole.glob("samples/*.png")}
    assert len(pictures) > 3
    assert {path.name: path.read_bytes() for path in stopped.glob("samples/*.png")} == pictures
    assert (stopped / "progress.gif").read_bytes() == (whole / "progress.gif").read_bytes()
    assert (stopped / "config.json").read_bytes() == (whole / "config.json").read_bytes()


@pytest.mark.parametrize("preset", PRESETS)
def test_every_presets_state_goes_on_to_the_same_bits(tmp_path, preset):
    config = presets.configure(preset, batch_size=4, ema=0.9, steps=100)
    shape = PRESETS[preset].shape
    rng = np.random.default_rng(0)

    def batch():
        samples = mg.tensor(rng.uniform(-1, 1, (config.images_per_step, *shape)).astype("float32"))
        labels = mg.tensor(rng.integers(0, config.classes, config.images_per_step)) if config.classes else None
        return Batch(samples, labels)

    first, second = batch(), batch()
    uninterrupted = create(config)
    uninterrupted.step(first)
    checkpoint.save(tmp_path / "state.npz", uninterrupted.state_dict())
    uninterrupted.step(second)

    resumed = create(config)
    resumed.load_state_dict(checkpoint.load(tmp_path / "state.npz"))
    resumed.step(second)
    assert same(resumed.state_dict(), uninterrupted.state_dict())
    latents = resumed.fixed_latents(2)
    assert resumed.sample(latents).numpy().tobytes() == uninterrupted.sample(latents).numpy().tobytes()


def test_what_runs_between_two_steps_does_not_change_them():
    """A network of dense layers has the threads of BLAS, which convolutions elsewhere in the process may not take."""
    mg.backend.configure_cpu(threads=2)
    config = presets.configure("mlp", batch_size=16)
    images = mg.tensor(np.random.default_rng(0).uniform(-1, 1, (2, 16, 1, 28, 28)).astype("float32"))
    alone, beside = create(config, "cpu"), create(config, "cpu")
    for algorithm in (alone, beside):
        for batch in (images[0], images[1]):
            algorithm.step(Batch(batch))
            if algorithm is beside:
                mg.conv2d(batch, mg.tensor(np.ones((4, 1, 3, 3), "float32")))
    for name, module in alone.modules.items():
        for path, value in module.state_dict().items():
            np.testing.assert_array_equal(value, beside.modules[name].state_dict()[path], err_msg=f"{name}.{path}")
