"""Whole training steps of the presets: both players, as `minigan train` runs them."""

from __future__ import annotations

from typing import Any

from ..autograd import Tensor
from ..backend import Backend, get_backend
from ..gan import Batch, create, presets
from ..gan.algorithm import GAN
from ..gan.captured import CapturedStep
from ..gan.recorded import RecordedStep
from ..rng import Generator
from .workload import Arrays, Call, Trial, Workload

INSIDE = (
    "the whole call: of a training step, latents and dropout masks, forward and backward passes, the updates of both "
    "players. Not inside: the batch of real samples, which is on the device before"
)


def prepare(name: str, backend: Backend, batch_size: int, **changes: Any) -> tuple[GAN, Batch]:
    """A preset's algorithm at its start, with changed settings, and a batch of noise as real samples, on the device."""
    config = presets.configure(name, batch_size=batch_size, **changes)
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
    take_step = RecordedStep(algorithm)  # as the trainer does
    phases: dict[str, Call] = {"step": lambda: take_step(batch)}
    if backend.index is not None:
        captured = CapturedStep(prepare(name, backend, batch_size)[0])
        captured(batch)  # a ConfigWarning says why where there is no graph
        if captured.problem is None:
            phases["graph"] = lambda: captured(batch)
    return Trial(phases, lambda: _evidence(name, backend, batch_size))


def _evidence(name: str, backend: Backend, batch_size: int) -> Arrays:
    """Losses, logits and both players' gradients of the first step.

    The discriminator stays as it is: Adam divides a gradient by its size, so its update hangs on the sign of gradients
    near zero, and thus on rounding, and the generator's gradient would hang on that.
    """
    host = get_backend("cpu").xp
    algorithm, batch = prepare(name, backend, batch_size, lr_discriminator=0.0)
    report = algorithm.step(batch)
    evidence = {loss: host.asarray([value.item()]) for loss, value in report.losses.items()}
    evidence |= {"real logits": report.real_logits.numpy(), "fake logits": report.fake_logits.numpy()}
    for player, optimizer in algorithm.optimizers.items():
        gradients = [p.grad.numpy().reshape(-1) for p in optimizer.parameters if p.grad is not None]
        evidence[f"the {player}'s gradient"] = host.concatenate(gradients)
    return evidence


def _workload(preset: presets.Preset) -> Workload:
    return Workload(
        preset.name,
        f"a training step: {preset.summary}",
        lambda backend, batch: _trial(preset.name, backend, batch),
        training=True,
    )


TRAINING = [_workload(preset) for preset in presets.PRESETS.values()]
