"""Convolutional pairs for images of 28x28 and 64x64."""

from __future__ import annotations

from ... import nn
from ...autograd import Tensor
from ...ops import clip, log
from ...rng import Generator
from ..config import Config
from .preset import Players, Preset, Streams, initialised, normal_002


def compact_generator(
    inputs: int, channels: int, rng: Generator, squash: type[nn.Module] = nn.Tanh, width: int = 64
) -> nn.Sequential:
    """(N, inputs) -> (N, channels, 28, 28): dense to 2 width of 7x7, then stride 2 to width and the image."""
    return nn.Sequential(
        nn.Linear(inputs, 7 * 7 * 2 * width, bias=False, rng=rng),
        nn.Unflatten(1, (2 * width, 7, 7)),
        nn.BatchNorm2d(2 * width),
        nn.ReLU(),
        nn.ConvTranspose2d(2 * width, width, 4, stride=2, padding=1, bias=False, rng=rng),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.ConvTranspose2d(width, channels, 4, stride=2, padding=1, rng=rng),
        squash(),
    )


def compact_discriminator(
    channels: int, rng: Generator, *, outputs: int = 1, batch_norm: bool = True, slope: float = 0.2, width: int = 64
) -> nn.Sequential:
    """(N, channels, 28, 28) -> (N, outputs): 4x4 kernels of stride 2 to width and 2 width, LeakyReLU, dense."""
    return nn.Sequential(
        nn.Conv2d(channels, width, 4, stride=2, padding=1, rng=rng),
        nn.LeakyReLU(slope),
        nn.Conv2d(width, 2 * width, 4, stride=2, padding=1, bias=not batch_norm, rng=rng),
        *([nn.BatchNorm2d(2 * width)] if batch_norm else []),
        nn.LeakyReLU(slope),
        nn.Flatten(),
        nn.Linear(7 * 7 * 2 * width, outputs, rng=rng),
    )


def dcgan(config: Config, streams: Streams) -> Players:
    """A compact pair of 4x4 convolutions of stride 2, weights N(0, 0.02^2), no bias before a batch norm."""
    rng = streams["init"]
    generator = compact_generator(config.latent_size, 1, rng)
    discriminator = compact_discriminator(config.packing, rng)
    return initialised({"generator": generator, "discriminator": discriminator}, normal_002, rng)


def dcgan28(config: Config, streams: Streams) -> Players:
    """The convolutional pair of the well-known 28x28 tutorial; weights Glorot uniform, no bias before a batch norm."""
    rng = streams["init"]
    generator = nn.Sequential(
        nn.Linear(config.latent_size, 7 * 7 * 256, bias=False, rng=rng),
        nn.BatchNorm1d(7 * 7 * 256),
        nn.LeakyReLU(0.3),
        nn.Unflatten(1, (256, 7, 7)),
        nn.ConvTranspose2d(256, 128, 5, stride=1, padding=2, bias=False, rng=rng),
        nn.BatchNorm2d(128),
        nn.LeakyReLU(0.3),
        nn.ConvTranspose2d(128, 64, 5, stride=2, padding=2, output_padding=1, bias=False, rng=rng),
        nn.BatchNorm2d(64),
        nn.LeakyReLU(0.3),
        nn.ConvTranspose2d(64, 1, 5, stride=2, padding=2, output_padding=1, bias=False, rng=rng),
        nn.Tanh(),
    )
    discriminator = nn.Sequential(
        nn.Conv2d(config.packing, 64, 5, stride=2, padding=2, rng=rng),
        nn.LeakyReLU(0.3),
        nn.Dropout(config.dropout, rng=streams["dropout"]),
        nn.Conv2d(64, 128, 5, stride=2, padding=2, rng=rng),
        nn.LeakyReLU(0.3),
        nn.Dropout(config.dropout, rng=streams["dropout"]),
        nn.Flatten(),
        nn.Linear(7 * 7 * 128, 1, rng=rng),
    )
    return initialised({"generator": generator, "discriminator": discriminator}, nn.init.xavier_uniform_, rng)


def dcgan28_rgb(config: Config, streams: Streams) -> Players:
    """The compact pair for images of three colours."""
    rng = streams["init"]
    generator = compact_generator(config.latent_size, 3, rng)
    discriminator = compact_discriminator(3 * config.packing, rng)
    return initialised({"generator": generator, "discriminator": discriminator}, normal_002, rng)


def dcgan64(config: Config, streams: Streams) -> Players:
    """Dense z-256, 8x8x4, ConvT 4x4 of stride 2 to 128, 64, 3, against Conv 4x4 of stride 2 to 64, 128, 256, dense."""
    rng = streams["init"]
    generator = nn.Sequential(
        nn.Linear(config.latent_size, 4 * 8 * 8, rng=rng),
        nn.Unflatten(1, (4, 8, 8)),
        nn.ConvTranspose2d(4, 128, 4, stride=2, padding=1, bias=False, rng=rng),
        nn.BatchNorm2d(128),
        nn.LeakyReLU(0.2),
        nn.ConvTranspose2d(128, 64, 4, stride=2, padding=1, bias=False, rng=rng),
        nn.BatchNorm2d(64),
        nn.LeakyReLU(0.2),
        nn.ConvTranspose2d(64, 3, 4, stride=2, padding=1, rng=rng),
        nn.Tanh(),
    )
    discriminator = nn.Sequential(
        nn.Conv2d(3 * config.packing, 64, 4, stride=2, padding=1, rng=rng),
        nn.LeakyReLU(0.2),
        nn.Conv2d(64, 128, 4, stride=2, padding=1, bias=False, rng=rng),
        nn.BatchNorm2d(128),
        nn.LeakyReLU(0.2),
        nn.Conv2d(128, 256, 4, stride=2, padding=1, bias=False, rng=rng),
        nn.BatchNorm2d(256),
        nn.LeakyReLU(0.2),
        nn.Flatten(),
        nn.Linear(256 * 8 * 8, 1, rng=rng),
    )
    return initialised({"generator": generator, "discriminator": discriminator}, normal_002, rng)


class Rescale(nn.Module):
    """factor x + offset."""

    def __init__(self, factor: float, offset: float):
        super().__init__()
        self.factor, self.offset = factor, offset

    def forward(self, x: Tensor) -> Tensor:
        return self.factor * x + self.offset


class LogitOfProbability(nn.Module):
    """log p - log(1 - p), p clipped to [1e-7, 1 - 1e-7]: the logit behind a sigmoid's output.

    What a discriminator with a probability for its output needs before an objective of logits; to hand the
    probability itself over would squash it twice. Beyond |logit| 16 its gradient is 0, which plain logits never have.
    """

    def forward(self, p: Tensor) -> Tensor:
        p = clip(p, 1e-7, 1 - 1e-7)
        return log(p) - log(1 - p)


def conv_sigmoid(config: Config, streams: Streams) -> Players:
    """Networks of pixels in [0, 1] and of a probability: both end in a sigmoid. Outside, images are in [-1, 1]."""
    rng = streams["init"]
    generator = nn.Sequential(compact_generator(config.latent_size, 1, rng, nn.Sigmoid), Rescale(2, -1))
    network = compact_discriminator(config.packing, rng, batch_norm=False)
    discriminator = nn.Sequential(Rescale(0.5, 0.5), network, nn.Sigmoid(), LogitOfProbability())
    return initialised({"generator": generator, "discriminator": discriminator}, normal_002, rng)


DCGAN = Preset(
    "dcgan",
    "compact convolutional pair: digits within minutes, without labels",
    (1, 28, 28),
    dcgan,
    {
        "steps": 2000,
        "sample_every": 100,
        "batch_size": 64,
        "latent_size": 32,
        "lr_generator": 1e-3,
        "lr_discriminator": 1e-3,
    },
)
DCGAN28 = Preset(
    "dcgan28",
    "the tutorial's convolutional pair, 5x5 kernels and dropout",
    (1, 28, 28),
    dcgan28,
    {"steps": 2340, "batch_size": 128, "dropout": 0.3},
)
DCGAN28_RGB = Preset(
    "dcgan28-rgb",
    "the compact pair in colour",
    (3, 28, 28),
    dcgan28_rgb,
    {
        "data": "coloured-mnist",
        "steps": 3000,
        "batch_size": 64,
        "latent_size": 64,
        "lr_generator": 1e-3,
        "lr_discriminator": 1e-3,
    },
)
DCGAN64 = Preset(
    "dcgan64",
    "images of 64x64 in colour",
    (3, 64, 64),
    dcgan64,
    {
        "data": "coloured-mnist",
        "steps": 3000,
        "batch_size": 32,
        "latent_size": 100,
        "lr_generator": 1e-3,
        "lr_discriminator": 2e-4,
    },
)
CONV_SIGMOID = Preset(
    "conv-sigmoid",
    "both networks end in a sigmoid: pixels in [0, 1], and a probability",
    (1, 28, 28),
    conv_sigmoid,
    {
        "steps": 3000,
        "batch_size": 64,
        "latent_size": 64,
        "lr_generator": 1e-3,
        "lr_discriminator": 1e-3,
        "dropout": 0.3,
    },
)
