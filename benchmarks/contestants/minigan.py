"""minigan: its own training algorithm on networks built from the tables, fed with the given latents.

Steps are taken as `minigan train` takes them: those of dense networks as a recorded list of array operations. On a GPU
also as a CUDA graph, as with `minigan train --cuda-graph`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import minigan as mg
from contestants import Unavailable, workloads
from contestants.workloads import Workload
from minigan import nn
from minigan.backend import DeviceError, configure_cpu
from minigan.gan import presets
from minigan.gan.algorithm import GAN
from minigan.gan.batch import Batch
from minigan.gan.captured import CapturedStep
from minigan.gan.config import Config
from minigan.gan.recorded import RecordedStep
from minigan.gan.report import Report
from minigan.rng import Generator

Prepared = tuple[Batch, list[Any]]  # real samples, and the arrays of latents that a step draws


def network(layers: tuple[workloads.Layer, ...], streams: presets.Streams) -> nn.Sequential:
    return nn.Sequential(*(_module(layer, streams) for layer in layers))


def _module(layer: workloads.Layer, streams: presets.Streams) -> nn.Module:
    match layer:
        case workloads.Linear(inputs, outputs, bias):
            return nn.Linear(inputs, outputs, bias, rng=streams["init"])
        case workloads.Conv(inputs, outputs, kernel, stride, padding, bias):
            return nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=bias, rng=streams["init"])
        case workloads.ConvTranspose(inputs, outputs, kernel, stride, padding, output_padding, bias):
            sizes = (inputs, outputs, kernel, stride, padding, output_padding)
            return nn.ConvTranspose2d(*sizes, bias=bias, rng=streams["init"])
        case workloads.BatchNorm(features, dimensions):
            kind = nn.BatchNorm1d if dimensions == 1 else nn.BatchNorm2d
            return kind(features, workloads.BATCH_NORM_EPS, workloads.BATCH_NORM_MOMENTUM)
        case workloads.LeakyReLU(slope):
            return nn.LeakyReLU(slope)
        case workloads.Dropout(probability):
            return nn.Dropout(probability, rng=streams["dropout"])
        case workloads.Unflatten(shape):
            return nn.Unflatten(1, shape)
        case workloads.Flatten():
            return nn.Flatten()
        case workloads.Tanh():
            return nn.Tanh()
    raise TypeError(f"no minigan layer for {layer}")


class GivenLatents(Generator):
    """A random stream that draws the arrays which it was given, in turn."""

    given: list[Any]

    def normal(self, shape: Any, std: float = 1.0, dtype: Any = "float32") -> Any:
        self.counter += 1
        return self.given[(self.counter - 1) % len(self.given)]


class Minigan:
    def __init__(self, workload: Workload, update: str, *, threads: int, device: str, graph: bool = False) -> None:
        configure_cpu(threads=threads)
        self.workload, self.device, self.graph = workload, device, graph

        def build(_: Config, streams: presets.Streams) -> presets.Players:
            return {name: network(layers, streams) for name, layers in workload.players().items()}

        presets.PRESETS[workload.name] = presets.Preset(workload.name, "", workload.image, build, {})
        config = Config(
            preset=workload.name,
            objective="non_saturating",
            batch_size=workload.batch,
            latent_size=workloads.LATENT,
            lr_generator=workloads.LEARNING_RATE,
            lr_discriminator=workloads.LEARNING_RATE,
            beta1=workloads.BETA1,
            beta2=workloads.BETA2,
            adam_eps=workloads.ADAM_EPS,
            update=update,
            fresh_latents=workload.fresh_latents and update == "alternating",
        )
        try:
            self.gan = GAN(config, device)
        except DeviceError as error:
            raise Unavailable(str(error)) from error
        self.latents = self.gan.streams["latents"] = GivenLatents(0, self.gan.backend)
        self._begin()

    def _begin(self) -> None:
        """Steps as the trainer takes them. A graph reads the latents from where its recording found them."""
        self.take_step: Callable[[Batch], Report] = RecordedStep(self.gan)
        if self.graph:
            (arrays,) = workloads.batches(self.workload, 1)
            batch, self.latents.given = self.prepare(*arrays)
            self.take_step = captured = CapturedStep(self.gan)
            captured(batch)
            if captured.problem is not None:
                raise Unavailable(captured.problem)

    def load(self, state: dict[str, np.ndarray]) -> None:
        for player, module in self.gan.modules.items():
            prefix = f"{player}."
            given = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
            running = module.state_dict().keys() - dict(module.named_parameters()).keys()
            module.load_state_dict({name: module.state_dict()[name] for name in running} | given)
        for optimizer in self.gan.optimizers.values():
            fresh = {slot: np.zeros(optimizer.flat.shape, np.float32) for slot in optimizer.slots}
            optimizer.load_state_dict({"steps": 0, "lr": workloads.LEARNING_RATE, **fresh})

    def use_dropout(self, active: bool) -> None:
        for _, module in self.gan.discriminator.named_modules():
            if isinstance(module, nn.Dropout):
                module.train(active)
        if self.graph:
            self._begin()

    def prepare(self, real: np.ndarray, latents: np.ndarray, fresh_latents: np.ndarray) -> Prepared:
        images, *both = (mg.tensor(array, device=self.device) for array in (real, latents, fresh_latents))
        needed = both if self.gan.config.fresh_latents else both[:1]
        return Batch(images), [t.data for t in needed]

    def step(self, prepared: Prepared) -> Report:
        batch, latents = prepared
        if self.graph:
            for given, new in zip(self.latents.given, latents, strict=True):
                given[...] = new
        else:
            self.latents.given = latents
        return self.take_step(batch)

    def read(self, report: Report) -> tuple[float, float]:
        return report.discriminator_loss.item(), report.generator_loss.item()

    def details(self) -> dict[str, str]:
        return {"minigan": mg.__version__, "numpy": np.__version__}
