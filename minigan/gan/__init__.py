"""The products: objectives, models as presets, the training algorithm, the trainer and what listens to it."""

from . import objectives, presets
from .algorithm import GAN, Report
from .config import Config
from .run import Run
from .trainer import Diverged, Reporter, Trainer

__all__ = ["GAN", "Config", "Diverged", "Report", "Reporter", "Run", "Trainer", "objectives", "presets"]
