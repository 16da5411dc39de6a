"""Models as presets: the networks, and every number their training uses.

Numbers that all presets share unless they say otherwise: batch norm eps 1e-5 and momentum 0.1 (the running statistics
move by a tenth of the way), Adam 2e-4 with betas 0.5 and 0.999 and eps 1e-8, RMSprop's alpha 0.99 and eps 1e-8, no
weight decay, biases 0 at first, latents N(0, I), images in [-1, 1], no stabiliser.
"""

from __future__ import annotations

from typing import Any

from ..config import DEFAULT_PRESET, Config
from .conditional import ACGAN, CGAN
from .convolutional import CONV_SIGMOID, DCGAN, DCGAN28, DCGAN28_RGB, DCGAN64
from .critics import SNGAN, WGAN, WGAN_GP
from .dense import MLP, MLP_2D
from .preset import Preset

PRESETS = {
    preset.name: preset
    for preset in (
        CGAN, DCGAN, DCGAN28, MLP, CONV_SIGMOID, DCGAN28_RGB, DCGAN64, MLP_2D, ACGAN, WGAN, WGAN_GP, SNGAN,
    )
}  # fmt: skip


def get(name: str) -> Preset:
    """The preset of that name."""
    if name not in PRESETS:
        raise ValueError(f"unknown preset {name!r}; known: {', '.join(PRESETS)}")
    return PRESETS[name]


def configure(preset: str = DEFAULT_PRESET, **changes: Any) -> Config:
    """The configuration of a preset, with changes."""
    return Config(preset=preset, **{**get(preset).settings, **changes})
