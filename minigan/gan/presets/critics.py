"""The pairs whose critic is kept Lipschitz, each with the settings of its paper."""

from __future__ import annotations

from ..config import Config
from .convolutional import compact_discriminator, compact_generator
from .preset import Players, Preset, Streams, initialised, normal_002


def wgan(config: Config, streams: Streams) -> Players:
    """The compact pair of a DCGAN, batch norm in both players.

    Five critic steps throughout, as the paper's algorithm has it; its code takes 100 in the first 25 steps and in every
    500th.
    """
    return _pair(config, streams, batch_norm=True, slope=0.2)


def wgan_gp(config: Config, streams: Streams) -> Players:
    """The same without batch norm in the critic: the penalty is on every image's own gradient."""
    return _pair(config, streams, batch_norm=False, slope=0.2)


def sngan(config: Config, streams: Streams) -> Players:
    """The same with LeakyReLU 0.1; the setting `spectral_norm` wraps the discriminator's layers."""
    return _pair(config, streams, batch_norm=False, slope=0.1)


def _pair(config: Config, streams: Streams, *, batch_norm: bool, slope: float) -> Players:
    rng = streams["init"]
    players: Players = {
        "generator": compact_generator(config.latent_size, 1, rng),
        "discriminator": compact_discriminator(config.packing, rng, batch_norm=batch_norm, slope=slope),
    }
    return initialised(players, normal_002, rng)


WGAN = Preset(
    "wgan",
    "Wasserstein critic with clipped weights (Arjovsky et al. 2017, algorithm 1)",
    (1, 28, 28),
    wgan,
    {
        "objective": "wasserstein",
        "steps": 3000,
        "batch_size": 64,
        "latent_size": 100,
        "discriminator_steps": 5,
        "fresh_latents": True,
        "optimizer": "rmsprop",
        "lr_generator": 5e-5,
        "lr_discriminator": 5e-5,
        "weight_clip": 0.01,
    },
)
WGAN_GP = Preset(
    "wgan-gp",
    "Wasserstein critic with a gradient penalty (Gulrajani et al. 2017; betas as in the authors' code)",
    (1, 28, 28),
    wgan_gp,
    {
        "objective": "wasserstein",
        "steps": 3000,
        "batch_size": 64,
        "latent_size": 128,
        "discriminator_steps": 5,
        "fresh_latents": True,
        "lr_generator": 1e-4,
        "lr_discriminator": 1e-4,
        "beta1": 0.5,
        "beta2": 0.9,
        "penalty": "wgan_gp",
        "penalty_weight": 10.0,
    },
)
SNGAN = Preset(
    "sngan",
    "hinge objective, spectral norm in every layer of the discriminator (Miyato et al. 2018)",
    (1, 28, 28),
    sngan,
    {
        "objective": "hinge",
        "steps": 3000,
        "batch_size": 64,
        "latent_size": 128,
        "discriminator_steps": 5,
        "fresh_latents": True,
        "lr_generator": 2e-4,
        "lr_discriminator": 2e-4,
        "beta1": 0.0,
        "beta2": 0.9,
        "spectral_norm": True,
    },
)
