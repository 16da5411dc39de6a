"""Models as presets: the networks, and every number their training uses.

Numbers that all presets share unless they say otherwise: batch norm eps 1e-5 and momentum 0.1 (the running statistics
move by a tenth of the way), Adam eps 1e-8, no weight decay, biases 0 at first, latents N(0, I), images in [-1, 1].
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .. import nn
from ..rng import Generator
from .config import Config

Streams = dict[str, Generator]
Players = dict[str, nn.Module]


@dataclass(frozen=True)
class Preset:
    """A pair of networks under a name, and the settings they are trained with.

    build(config, streams) makes the modules; shape is that of an image; settings override Config's defaults.
    """

    name: str
    summary: str
    shape: tuple[int, int, int]
    build: Callable[[Config, Streams], Players]
    settings: dict[str, Any]


def mlp(config: Config, streams: Streams) -> Players:
    """Dense 100-128-256-512-784 tanh against 784-512-256-128-1, LeakyReLU 0.2; all U(+-1/sqrt(fan in))."""
    rng = streams["init"]
    generator = nn.Sequential(
        nn.Linear(config.latent_size, 128, rng=rng),
        nn.LeakyReLU(0.2),
        nn.Linear(128, 256, rng=rng),
        nn.LeakyReLU(0.2),
        nn.Linear(256, 512, rng=rng),
        nn.LeakyReLU(0.2),
        nn.Linear(512, 784, rng=rng),
        nn.Tanh(),
        nn.Unflatten(1, (1, 28, 28)),
    )
    discriminator = nn.Sequential(
        nn.Flatten(),
        nn.Linear(784, 512, rng=rng),
        nn.LeakyReLU(0.2),
        nn.Linear(512, 256, rng=rng),
        nn.LeakyReLU(0.2),
        nn.Linear(256, 128, rng=rng),
        nn.LeakyReLU(0.2),
        nn.Linear(128, 1, rng=rng),
    )
    return {"generator": generator, "discriminator": discriminator}


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
        nn.Conv2d(1, 64, 5, stride=2, padding=2, rng=rng),
        nn.LeakyReLU(0.3),
        nn.Dropout(0.3, rng=streams["dropout"]),
        nn.Conv2d(64, 128, 5, stride=2, padding=2, rng=rng),
        nn.LeakyReLU(0.3),
        nn.Dropout(0.3, rng=streams["dropout"]),
        nn.Flatten(),
        nn.Linear(7 * 7 * 128, 1, rng=rng),
    )
    return _initialised({"generator": generator, "discriminator": discriminator}, nn.init.xavier_uniform_, rng)


def dcgan(config: Config, streams: Streams) -> Players:
    """A compact pair of 4x4 convolutions of stride 2, weights N(0, 0.02^2), no bias before a batch norm."""
    rng = streams["init"]
    generator = nn.Sequential(
        nn.Linear(config.latent_size, 7 * 7 * 128, bias=False, rng=rng),
        nn.Unflatten(1, (128, 7, 7)),
        nn.BatchNorm2d(128),
        nn.ReLU(),
        nn.ConvTranspose2d(128, 64, 4, stride=2, padding=1, bias=False, rng=rng),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.ConvTranspose2d(64, 1, 4, stride=2, padding=1, rng=rng),
        nn.Tanh(),
    )
    discriminator = nn.Sequential(
        nn.Conv2d(1, 64, 4, stride=2, padding=1, rng=rng),
        nn.LeakyReLU(0.2),
        nn.Conv2d(64, 128, 4, stride=2, padding=1, bias=False, rng=rng),
        nn.BatchNorm2d(128),
        nn.LeakyReLU(0.2),
        nn.Flatten(),
        nn.Linear(7 * 7 * 128, 1, rng=rng),
    )

    def normal(weight: Any, *, rng: Generator) -> None:
        nn.init.normal_(weight, std=0.02, rng=rng)

    return _initialised({"generator": generator, "discriminator": discriminator}, normal, rng)


def _initialised(players: Players, initialise: Callable[..., Any], rng: Generator) -> Players:
    """All weights by one initialiser, all biases 0 (batch norm keeps 1 and 0)."""
    for player in players.values():
        for _, module in player.named_modules():
            if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
                initialise(module.weight, rng=rng)
                if module.bias is not None:
                    nn.init.constant_(module.bias, 0.0)
    return players


PRESETS = {
    preset.name: preset
    for preset in (
        Preset(
            "dcgan",
            "compact convolutional pair, the default: clear digits within minutes",
            (1, 28, 28),
            dcgan,
            {"steps": 3000, "batch_size": 64, "latent_size": 32, "lr_generator": 1e-3, "lr_discriminator": 1e-3},
        ),
        Preset(
            "dcgan28",
            "the tutorial's convolutional pair, 5x5 kernels and dropout",
            (1, 28, 28),
            dcgan28,
            {"steps": 2340, "batch_size": 128},
        ),
        Preset(
            "mlp",
            "dense pair; collapses easily, which is worth seeing",
            (1, 28, 28),
            mlp,
            {"steps": 20000, "batch_size": 16, "fresh_latents": True, "log_every": 100, "sample_every": 1000},
        ),
    )
}


def get(name: str) -> Preset:
    """The preset of that name."""
    if name not in PRESETS:
        raise ValueError(f"unknown preset {name!r}; known: {', '.join(PRESETS)}")
    return PRESETS[name]


def configure(preset: str = "dcgan", **changes: Any) -> Config:
    """The configuration of a preset, with changes."""
    return Config(preset=preset, **{**get(preset).settings, **changes})
