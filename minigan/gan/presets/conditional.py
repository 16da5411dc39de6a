"""Pairs that learn from labels, and draw what they are asked for."""

from __future__ import annotations

from ... import nn
from ...autograd import Tensor
from ...ops import concatenate
from ...rng import Generator
from ..config import Config
from .convolutional import compact_discriminator, compact_generator
from .preset import Players, Preset, Streams, initialised, normal_002

# Numbers that stand for a class beside the latent vector. Few: 50 of them beside 32 or 100 latents drown the latents,
# and every class collapses to one image.
EMBEDDING = 10


class ConditionalGenerator(nn.Module):
    """G(z, y): an embedding of the label y is appended to z (N, latent_size)."""

    def __init__(self, config: Config, rng: Generator):
        super().__init__()
        self.embedding = nn.Embedding(config.classes, EMBEDDING, rng=rng)
        self.network = compact_generator(config.latent_size + EMBEDDING, 1, rng)

    def forward(self, latents: Tensor, labels: Tensor) -> Tensor:
        return self.network(concatenate([latents, self.embedding(labels)], axis=1))


class ConditionalDiscriminator(nn.Module):
    """C(x, y): an embedding of the label y is another channel of the image x (N, 1, 28, 28)."""

    def __init__(self, config: Config, rng: Generator):
        super().__init__()
        self.embedding = nn.Embedding(config.classes, 28 * 28, rng=rng)
        self.network = compact_discriminator(2, rng)

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        plane = self.embedding(labels).reshape(-1, 1, 28, 28)
        return self.network(concatenate([images, plane], axis=1))


def cgan(config: Config, streams: Streams) -> Players:
    """Both players see the label (Mirza and Osindero 2014), on the compact convolutional pair."""
    rng = streams["init"]
    players: Players = {
        "generator": ConditionalGenerator(config, rng),
        "discriminator": ConditionalDiscriminator(config, rng),
    }
    return initialised(players, normal_002, rng)


def acgan(config: Config, streams: Streams) -> Players:
    """The generator sees the label; the discriminator's outputs are its logit and one of every class."""
    rng = streams["init"]
    players: Players = {
        "generator": ConditionalGenerator(config, rng),
        "discriminator": compact_discriminator(1, rng, outputs=1 + config.classes),
    }
    return initialised(players, normal_002, rng)


CGAN = Preset(
    "cgan",
    "the default: dcgan with both players told the label, clear digits in minutes (minigan sample RUN --label 7)",
    (1, 28, 28),
    cgan,
    {
        "steps": 2000,
        "sample_every": 100,
        "batch_size": 64,
        "latent_size": 64,
        "lr_generator": 1e-3,
        "lr_discriminator": 1e-3,
        "ema": 0.99,
        "classes": 10,
    },
)
ACGAN = Preset(
    "acgan",
    "conditional: the discriminator also tells the class (Odena et al. 2017: Adam 2e-4 (0.5, 0.999), dropout 0.5)",
    (1, 28, 28),
    acgan,
    {
        "steps": 5000,
        "batch_size": 100,
        "latent_size": 100,
        "lr_generator": 2e-4,
        "lr_discriminator": 2e-4,
        "beta1": 0.5,
        "beta2": 0.999,
        "dropout": 0.5,
        "classes": 10,
    },
    algorithm="acgan",
)
