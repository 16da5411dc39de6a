"""The four training steps that are raced, as tables that every contestant builds its networks from.

The position of a layer in its table is its index in the network, so that the parameters have PyTorch's
names ("generator.0.weight") and shapes in every contestant. A layer followed by batch norm has no bias,
nor has the last layer of dcgan28's generator; all others have one.

| what | value |
|---|---|
| batch norm | eps 1e-5, momentum 0.1, statistics of the batch, running statistics kept up to date |
| Adam, both players | learning rate 2e-4, betas 0.5 and 0.999, eps 1e-8 (added to the root of the corrected moment) |
| discriminator's loss | mean BCE(D(real), 1) + mean BCE(D(fake), 0), on logits |
| generator's loss | mean BCE(D(fake), 1), on logits (non-saturating) |
| alternating | a step of D, then a step of G through the updated D; no gradient of D's weights in the latter |
| simultaneous | the gradients of both players from one forward pass, then both steps |
| padding | symmetric; stride 2 with 5x5 kernels: padding 2 and, transposed, output padding 1 |
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

LEARNING_RATE, BETA1, BETA2, ADAM_EPS = 2e-4, 0.5, 0.999, 1e-8
BATCH_NORM_EPS, BATCH_NORM_MOMENTUM = 1e-5, 0.1
LATENT = 100


class Linear(NamedTuple):
    inputs: int
    outputs: int
    bias: bool = True


class Conv(NamedTuple):
    inputs: int
    outputs: int
    kernel: int
    stride: int
    padding: int
    bias: bool = True


class ConvTranspose(NamedTuple):
    inputs: int
    outputs: int
    kernel: int
    stride: int
    padding: int
    output_padding: int = 0
    bias: bool = True


class BatchNorm(NamedTuple):
    features: int
    dimensions: int  # 1: after a linear layer, 2: after a convolution


class LeakyReLU(NamedTuple):
    slope: float


class Dropout(NamedTuple):
    probability: float


class Unflatten(NamedTuple):
    shape: tuple[int, int, int]  # (C, H, W) of the result


class Flatten(NamedTuple):
    shape: tuple[int, int, int]  # (C, H, W) of the input


class Tanh(NamedTuple):
    pass


Layer = Linear | Conv | ConvTranspose | BatchNorm | LeakyReLU | Dropout | Unflatten | Flatten | Tanh


@dataclass(frozen=True)
class Workload:
    name: str
    batch: int
    image: tuple[int, ...]  # shape of one sample
    fresh_latents: bool  # whether the generator's alternating step draws new latents or reuses the fakes
    generator: tuple[Layer, ...]
    discriminator: tuple[Layer, ...]

    @property
    def convolutional(self) -> bool:
        return len(self.image) == 3

    @property
    def tolerances(self) -> tuple[float, ...]:
        """Relative difference allowed between two contestants' losses, at the first, second and third step.

        Adam divides a gradient by its size: what float32 rounds away in a tiny one returns as a full-length step.
        """
        return (3e-5, 5e-4, 5e-4) if self.convolutional else (2e-6, 2e-6, 2e-6)

    def players(self) -> dict[str, tuple[Layer, ...]]:
        return {"generator": self.generator, "discriminator": self.discriminator}


def _mlp(widths: tuple[int, ...]) -> tuple[Layer, ...]:
    layers: list[Layer] = []
    for inputs, outputs in itertools.pairwise(widths):
        layers += [Linear(inputs, outputs), LeakyReLU(0.2)]
    return tuple(layers[:-1])


def _mlp_workload(batch: int) -> Workload:
    return Workload(
        name=f"mlp-{batch}",
        batch=batch,
        image=(784,),
        fresh_latents=True,
        generator=(*_mlp((LATENT, 128, 256, 512, 784)), Tanh()),
        discriminator=_mlp((784, 512, 256, 128, 1)),
    )


_DCGAN28 = Workload(
    name="dcgan28-128",
    batch=128,
    image=(1, 28, 28),
    fresh_latents=False,
    generator=(
        Linear(LATENT, 256 * 7 * 7, bias=False),
        BatchNorm(256 * 7 * 7, 1),
        LeakyReLU(0.3),
        Unflatten((256, 7, 7)),
        ConvTranspose(256, 128, 5, 1, 2, 0, bias=False),
        BatchNorm(128, 2),
        LeakyReLU(0.3),
        ConvTranspose(128, 64, 5, 2, 2, 1, bias=False),
        BatchNorm(64, 2),
        LeakyReLU(0.3),
        ConvTranspose(64, 1, 5, 2, 2, 1, bias=False),
        Tanh(),
    ),
    discriminator=(
        Conv(1, 64, 5, 2, 2),
        LeakyReLU(0.3),
        Dropout(0.3),
        Conv(64, 128, 5, 2, 2),
        LeakyReLU(0.3),
        Dropout(0.3),
        Flatten((128, 7, 7)),
        Linear(128 * 7 * 7, 1),
    ),
)

_DCGAN64 = Workload(
    name="dcgan64-32",
    batch=32,
    image=(3, 64, 64),
    fresh_latents=False,
    generator=(
        Linear(LATENT, 4 * 8 * 8),
        Unflatten((4, 8, 8)),
        ConvTranspose(4, 128, 4, 2, 1, bias=False),
        BatchNorm(128, 2),
        LeakyReLU(0.2),
        ConvTranspose(128, 64, 4, 2, 1, bias=False),
        BatchNorm(64, 2),
        LeakyReLU(0.2),
        ConvTranspose(64, 3, 4, 2, 1),
        Tanh(),
    ),
    discriminator=(
        Conv(3, 64, 4, 2, 1),
        LeakyReLU(0.2),
        Conv(64, 128, 4, 2, 1, bias=False),
        BatchNorm(128, 2),
        LeakyReLU(0.2),
        Conv(128, 256, 4, 2, 1, bias=False),
        BatchNorm(256, 2),
        LeakyReLU(0.2),
        Flatten((256, 8, 8)),
        Linear(256 * 8 * 8, 1),
    ),
)

WORKLOADS = {w.name: w for w in (_mlp_workload(16), _mlp_workload(128), _DCGAN28, _DCGAN64)}


def initial_state(workload: Workload, seed: int = 0) -> dict[str, np.ndarray]:
    """Float32 parameters under PyTorch's names: uniform in +-1/sqrt(fan in); batch norm 1 and 0."""
    rng = np.random.default_rng(seed)
    state: dict[str, np.ndarray] = {}

    def draw(shape: tuple[int, ...], fan_in: int) -> np.ndarray:
        return rng.uniform(-1, 1, shape).astype(np.float32) / np.float32(math.sqrt(fan_in))

    for player, layers in workload.players().items():
        for index, layer in enumerate(layers):
            name = f"{player}.{index}"
            if isinstance(layer, BatchNorm):
                state[f"{name}.weight"] = np.ones(layer.features, np.float32)
                state[f"{name}.bias"] = np.zeros(layer.features, np.float32)
            elif isinstance(layer, Linear | Conv | ConvTranspose):
                if isinstance(layer, Linear):
                    shape, fan_in = (layer.outputs, layer.inputs), layer.inputs
                elif isinstance(layer, Conv):
                    shape = (layer.outputs, layer.inputs, layer.kernel, layer.kernel)
                    fan_in = layer.inputs * layer.kernel**2
                else:  # each output pixel sees kernel**2 / stride**2 input pixels
                    shape = (layer.inputs, layer.outputs, layer.kernel, layer.kernel)
                    fan_in = layer.inputs * layer.kernel**2 // layer.stride**2
                state[f"{name}.weight"] = draw(shape, fan_in)
                if layer.bias:
                    state[f"{name}.bias"] = draw((layer.outputs,), fan_in)
    return state


def batches(workload: Workload, count: int, seed: int = 1) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """`count` triples, float32: images in [-1, 1], latents, and the latents of a fresh generator's step."""
    rng = np.random.default_rng(seed)
    size = (workload.batch, *workload.image)
    return [
        (
            rng.uniform(-1, 1, size).astype(np.float32),
            rng.standard_normal((workload.batch, LATENT), np.float32),
            rng.standard_normal((workload.batch, LATENT), np.float32),
        )
        for _ in range(count)
    ]
