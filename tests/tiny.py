"""A GAN that trains in milliseconds, for tests of everything around it; it has batch norm and dropout."""

import numpy as np

from minigan import nn
from minigan.gan.presets import PRESETS
from minigan.gan.presets.preset import Preset


def build(config, streams):
    rng = streams["init"]
    generator = nn.Sequential(
        nn.Linear(config.latent_size, 2 * 4 * 4, bias=False, rng=rng),
        nn.Unflatten(1, (2, 4, 4)),
        nn.BatchNorm2d(2),
        nn.LeakyReLU(0.2),
        nn.ConvTranspose2d(2, 1, 4, stride=2, padding=1, rng=rng),
        nn.Tanh(),
    )
    discriminator = nn.Sequential(
        nn.Conv2d(1, 2, 4, stride=2, padding=1, rng=rng),
        nn.LeakyReLU(0.2),
        nn.Dropout(0.3, rng=streams["dropout"]),
        nn.Flatten(),
        nn.Linear(2 * 4 * 4, 1, rng=rng),
    )
    return {"generator": generator, "discriminator": discriminator}


SETTINGS = {"batch_size": 4, "latent_size": 3, "steps": 8, "log_every": 2, "sample_every": 3, "checkpoint_every": 3}
TINY = Preset("tiny", "for tests", (1, 8, 8), build, SETTINGS)


def register(monkeypatch, preset=TINY):
    """Make the preset known to the command line."""
    monkeypatch.setitem(PRESETS, preset.name, preset)


def save_images(path, count=20, size=8):
    """An .npz of random images."""
    np.savez(path, images=np.random.default_rng(0).integers(0, 256, (count, size, size), np.uint8))
    return path
