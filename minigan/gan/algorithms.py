"""The training algorithms by name, and the one that a configuration asks for."""

from __future__ import annotations

from ..backend import Backend
from . import presets
from .acgan import ACGAN
from .algorithm import GAN
from .config import Config

ALGORITHMS: dict[str, type[GAN]] = {"gan": GAN, "acgan": ACGAN}


def create(config: Config, device: str | Backend = "cpu") -> GAN:
    """The training algorithm of a configuration's preset, at its start."""
    return ALGORITHMS[presets.get(config.preset).algorithm](config, device)
