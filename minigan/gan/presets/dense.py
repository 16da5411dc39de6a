"""Dense pairs: for digits, and for points of the plane."""

from __future__ import annotations

from functools import partial

from ... import nn
from ..config import Config
from .preset import Players, Preset, Streams, initialised


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
        nn.Linear(784 * config.packing, 512, rng=rng),
        nn.LeakyReLU(0.2),
        nn.Linear(512, 256, rng=rng),
        nn.LeakyReLU(0.2),
        nn.Linear(256, 128, rng=rng),
        nn.LeakyReLU(0.2),
        nn.Linear(128, 1, rng=rng),
    )
    return {"generator": generator, "discriminator": discriminator}


def mlp_2d(config: Config, streams: Streams) -> Players:
    """256-128-128-2 against 2-128-128-1, tanh inside, linear outputs, weights orthogonal with gain 1.4.

    The networks of the Unrolled GAN's mixture of Gaussians (Metz et al. 2017), which its successors kept. Their
    discriminator learns at 1e-4; at 1e-3, as here, the points take shape in a fraction of the steps.
    """
    rng = streams["init"]
    generator = nn.Sequential(
        nn.Linear(config.latent_size, 128, rng=rng),
        nn.Tanh(),
        nn.Linear(128, 128, rng=rng),
        nn.Tanh(),
        nn.Linear(128, 2, rng=rng),
    )
    discriminator = nn.Sequential(
        nn.Linear(2 * config.packing, 128, rng=rng),
        nn.Tanh(),
        nn.Linear(128, 128, rng=rng),
        nn.Tanh(),
        nn.Linear(128, 1, rng=rng),
    )
    orthogonal = partial(nn.init.orthogonal_, gain=1.4)
    return initialised({"generator": generator, "discriminator": discriminator}, orthogonal, rng)


MLP = Preset(
    "mlp",
    "dense pair; collapses easily, which is worth seeing",
    (1, 28, 28),
    mlp,
    {"steps": 20000, "batch_size": 16, "fresh_latents": True, "log_every": 100, "sample_every": 1000},
)
MLP_2D = Preset(
    "mlp-2d",
    "dense pair for points of the plane: ring, grid, swiss-roll",
    (2,),
    mlp_2d,
    {
        "data": "ring",
        "steps": 25000,
        "batch_size": 512,
        "latent_size": 256,
        "lr_generator": 1e-3,
        "lr_discriminator": 1e-3,
        "log_every": 250,
        "sample_every": 1000,
        "checkpoint_every": 5000,
    },
)
