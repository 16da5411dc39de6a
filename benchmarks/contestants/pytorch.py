"""PyTorch: eager, in either memory layout, through torch.compile, or with the step recorded as a CUDA graph.

On a GPU in float32, without TF32, like minigan, and with the fastest of cuDNN's algorithms for each shape.

Choices that measured fastest: the fused Adam everywhere, channels-last images for torch.compile, and real and
fake images through a dense discriminator as one batch (convolutions gain nothing from that, and batch norm
forbids it).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from contestants import Unavailable, workloads
from contestants.workloads import Workload

Batch = tuple[Tensor, Tensor, Tensor]


def network(layers: tuple[workloads.Layer, ...]) -> nn.Sequential:
    return nn.Sequential(*map(_module, layers))


def _module(layer: workloads.Layer) -> nn.Module:
    match layer:
        case workloads.Linear(inputs, outputs, bias):
            return nn.Linear(inputs, outputs, bias)
        case workloads.Conv(inputs, outputs, kernel, stride, padding, bias):
            return nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=bias)
        case workloads.ConvTranspose(inputs, outputs, kernel, stride, padding, output_padding, bias):
            return nn.ConvTranspose2d(inputs, outputs, kernel, stride, padding, output_padding, bias=bias)
        case workloads.BatchNorm(features, dimensions):
            kind = nn.BatchNorm1d if dimensions == 1 else nn.BatchNorm2d
            return kind(features, workloads.BATCH_NORM_EPS, workloads.BATCH_NORM_MOMENTUM)
        case workloads.LeakyReLU(slope):
            return nn.LeakyReLU(slope)
        case workloads.Dropout(probability):
            return nn.Dropout(probability)
        case workloads.Unflatten(shape):
            return nn.Unflatten(1, shape)
        case workloads.Flatten():
            return nn.Flatten()
        case workloads.Tanh():
            return nn.Tanh()
    raise TypeError(f"no PyTorch module for {layer}")


def require_compiler() -> None:
    try:
        torch.compile(torch.neg)(torch.zeros(2))
    except Exception as error:
        raise Unavailable(str(error).strip().splitlines()[0]) from error


class PyTorch:
    def __init__(
        self,
        workload: Workload,
        update: str,
        *,
        threads: int,
        device: str,
        channels_last: bool = False,
        compiled: bool = False,
        graph: bool = False,
    ) -> None:
        if device == "cuda" and not torch.cuda.is_available():
            raise Unavailable(f"PyTorch {torch.__version__} finds no GPU")
        if graph and device != "cuda":
            raise Unavailable("graphs are of GPUs")
        if channels_last and not workload.convolutional:
            raise Unavailable("has no images, so only one memory layout")
        if compiled and update == "simultaneous":
            raise Unavailable("a compiled backward pass computes the gradients of both players twice")
        torch.set_num_threads(threads)
        torch.backends.cudnn.benchmark = True
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
        self.workload, self.device = workload, device
        channels_last |= compiled and workload.convolutional
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format
        self.players = nn.ModuleDict({name: network(layers) for name, layers in workload.players().items()})
        self.players.to(device, memory_format=self.memory_format)
        self.generator, self.discriminator = self.players["generator"], self.players["discriminator"]
        self.optimizers = {
            name: torch.optim.Adam(
                player.parameters(),
                workloads.LEARNING_RATE,
                (workloads.BETA1, workloads.BETA2),
                workloads.ADAM_EPS,
                fused=True,
                capturable=graph,
            )
            for name, player in self.players.items()
        }
        self.ones = torch.ones(workload.batch, 1, device=device)
        self.zeros = torch.zeros_like(self.ones)
        self.step = self.eager_step = self._alternating if update == "alternating" else self._simultaneous
        self.graph = graph
        if compiled:
            require_compiler()
            self.generator = torch.compile(self.generator)
            self.discriminator = torch.compile(self.discriminator)

    def load(self, state: dict[str, np.ndarray]) -> None:
        parameters = dict(self.players.named_parameters())
        if parameters.keys() != state.keys():
            raise ValueError(f"parameters {sorted(parameters)}, given {sorted(state)}")
        with torch.no_grad():
            for name, parameter in parameters.items():
                parameter.copy_(torch.from_numpy(state[name]))
        for optimizer in self.optimizers.values():
            for moments in optimizer.state.values():
                for moment in moments.values():  # step count included
                    moment.zero_()

    def use_dropout(self, active: bool) -> None:
        for module in self.players.modules():
            if isinstance(module, nn.Dropout):
                module.train(active)
        if self.graph:
            self._record()

    def _record(self) -> None:
        """Record a step, as PyTorch's notes on CUDA graphs have it: a few steps on a stream of their own, then one.

        Its memory stays where it is, so what changes is copied in, and the losses are always the same two tensors.
        """
        (arrays,) = workloads.batches(self.workload, 1)
        batch: Batch = self.prepare(*arrays)
        warm_up = torch.cuda.Stream()
        warm_up.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(warm_up):
            for _ in range(3):
                self.eager_step(batch)
        torch.cuda.current_stream().wait_stream(warm_up)
        recorded = torch.cuda.CUDAGraph()
        with torch.cuda.graph(recorded):
            losses = self.eager_step(batch)

        def step(new: Batch) -> tuple[Tensor, Tensor]:
            for target, source in zip(batch, new, strict=True):
                target.copy_(source)
            recorded.replay()
            return losses

        self.step = step

    def prepare(self, real: np.ndarray, latents: np.ndarray, fresh_latents: np.ndarray) -> Batch:
        images = torch.from_numpy(real).to(self.device)
        if self.workload.convolutional:
            images = images.contiguous(memory_format=self.memory_format)
        return images, torch.from_numpy(latents).to(self.device), torch.from_numpy(fresh_latents).to(self.device)

    def _discriminator_loss(self, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
        """The loss, and the logits of the fakes."""
        if self.workload.convolutional:
            fake_logits = self.discriminator(fake)
            real_loss = binary_cross_entropy_with_logits(self.discriminator(real), self.ones)
        else:
            logits = self.discriminator(torch.cat([real, fake]))
            real_logits, fake_logits = logits.chunk(2)
            real_loss = binary_cross_entropy_with_logits(real_logits, self.ones)
        return real_loss + binary_cross_entropy_with_logits(fake_logits, self.zeros), fake_logits

    def _alternating(self, batch: Batch) -> tuple[Tensor, Tensor]:
        real, latents, fresh_latents = batch
        with torch.set_grad_enabled(not self.workload.fresh_latents):
            fake = self.generator(latents)
        discriminator_loss, _ = self._discriminator_loss(real, fake.detach())
        self.optimizers["discriminator"].zero_grad()
        discriminator_loss.backward()
        self.optimizers["discriminator"].step()

        if self.workload.fresh_latents:
            fake = self.generator(fresh_latents)
        self.discriminator.requires_grad_(False)  # its weight gradients would be computed for nothing
        generator_loss = binary_cross_entropy_with_logits(self.discriminator(fake), self.ones)
        self.optimizers["generator"].zero_grad()
        generator_loss.backward()
        self.optimizers["generator"].step()
        self.discriminator.requires_grad_(True)
        return discriminator_loss, generator_loss

    def _simultaneous(self, batch: Batch) -> tuple[Tensor, Tensor]:
        real, latents, _ = batch
        fake = self.generator(latents)
        discriminator_loss, fake_logits = self._discriminator_loss(real, fake)
        generator_loss = binary_cross_entropy_with_logits(fake_logits, self.ones)
        for optimizer in self.optimizers.values():
            optimizer.zero_grad()
        discriminator_loss.backward(inputs=list(self.discriminator.parameters()), retain_graph=True)
        generator_loss.backward(inputs=list(self.generator.parameters()))
        for optimizer in self.optimizers.values():
            optimizer.step()
        return discriminator_loss, generator_loss

    def read(self, losses: tuple[Tensor, Tensor]) -> tuple[float, float]:
        return losses[0].item(), losses[1].item()

    def details(self) -> dict[str, str]:
        return {"torch": torch.__version__}
