"""Whole training steps of the presets: both players, as `minigan train` runs them."""

from __future__ import annotations

from ..autograd import Tensor
from ..backend import Backend, get_backend
from ..gan import Batch, create, presets
from ..gan.algorithm import GAN
from ..rng import Generator
from .workload import Arrays, Trial, Workload

INSIDE = (
    "the whole call: of a training step, latents and dropout masks, forward and backward passes, the updates of both "
    "players. Not inside: the batch of real samples, which is on the device before"
)
COMPARED_STEPS = 2  # whose losses are held against those of another device


def prepare(name: str, backend: Backend, batch_size: int) -> tuple[GAN, Batch]:
    """A preset's algorithm at its start, and a batch of noise in place of real samples, on the device."""
    config = presets.configure(name, batch_size=batch_size)
    algorithm = create(config, backend)
    host = Generator(0, get_backend("cpu"))
    shape = (config.images_per_step, *presets.get(name).shape)
    samples = Tensor(backend.asarray(host.uniform(shape, -1.0, 1.0)), backend)
    if not config.classes:
        return algorithm, Batch(samples)
    labels = (host.uniform(shape[:1]) * config.classes).astype("int64")
    return algorithm, Batch(samples, Tensor(backend.asarray(labels), backend))


def _trial(name: str, backend: Backend, batch_size: int) -> Trial:
    algorithm, batch = prepare(name, backend, batch_size)

    def evidence() -> Arrays:
        host = get_backend("cpu")
        losses: Arrays = {}
        for number in range(1, COMPARED_STEPS + 1):
            for loss, value in algorithm.step(batch).losses.items():
                losses[f"{loss} of step {number}"] = host.asarray([value.item()])
        return losses

    return Trial({"step": lambda: algorithm.step(batch)}, evidence)


def _workload(preset: presets.Preset) -> Workload:
    return Workload(
        preset.name,
        f"a training step: {preset.summary}",
        lambda backend, batch: _trial(preset.name, backend, batch),
        training=True,
    )


TRAINING = [_workload(preset) for preset in presets.PRESETS.values()]
