"""minigan: its own training algorithm on networks built from the tables, fed with the given latents.

On a GPU also with the step recorded as a CUDA graph, as `minigan train --cuda-graph` does it.
"""

from __future__ import annotations

import numpy as np

import minigan as mg
from contestants import Unavailable, workloads
from contestants.workloads import Workload
from minigan import nn
from minigan.backend import DeviceError, configure_cpu
from minigan.gan import presets
from minigan.gan.algorithm import GAN, Report
from minigan.gan.batch import Batch
from minigan.gan.captured import CapturedStep
from minigan.gan.config import Config

Prepared = tuple[Batch, list[mg.Tensor]]


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


class GivenLatents(GAN):
    """The algorithm, taking the latents of every step from a list instead of drawing them."""

    given: list[mg.Tensor]

    def step(self, batch: Batch) -> Report:
        self.not_taken = iter(self.given)
        return super().step(batch)

    def latents(self, count: int, rng: object = None) -> mg.Tensor:
        return next(self.not_taken)


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
            self.gan = GivenLatents(config, device)
        except DeviceError as error:
            raise Unavailable(str(error)) from error
        if graph:
            self._record()

    def _record(self) -> None:
        """Record a step as a graph, which reads the latents from where the recording found them."""
        (arrays,) = workloads.batches(self.workload, 1)
        batch, self.gan.given = self.prepare(*arrays)
        self.captured = CapturedStep(self.gan)
        self.captured(batch)
        if self.captured.problem is not None:
            raise Unavailable(self.captured.problem)

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
            self._record()

    def prepare(self, real: np.ndarray, latents: np.ndarray, fresh_latents: np.ndarray) -> Prepared:
        images, *both = (mg.tensor(array, device=self.device) for array in (real, latents, fresh_latents))
        return Batch(images), both

    def step(self, prepared: Prepared) -> Report:
        batch, latents = prepared
        if self.graph:
            for given, new in zip(self.gan.given, latents, strict=True):
                given.data[...] = new.data
            return self.captured(batch)
        self.gan.given = latents
        return self.gan.step(batch)

    def read(self, report: Report) -> tuple[float, float]:
        return report.discriminator_loss.item(), report.generator_loss.item()

    def details(self) -> dict[str, str]:
        return {"minigan": mg.__version__, "numpy": np.__version__}
