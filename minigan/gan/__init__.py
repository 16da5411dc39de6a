"""What trains a GAN: objectives, models as presets, the training algorithm, the trainer and what listens to it."""

from . import objectives, penalties, presets
from .acgan import ACGAN
from .algorithm import GAN
from .algorithms import create
from .base import Algorithm
from .batch import Batch
from .config import Config
from .contradictions import ConfigWarning
from .report import Report
from .run import Run
from .trainer import Diverged, Reporter, Trainer

__all__ = [
    "ACGAN", "GAN", "Algorithm", "Batch", "Config", "ConfigWarning", "Diverged", "Report", "Reporter", "Run", "Trainer",
    "create", "objectives", "penalties", "presets",
]  # fmt: skip
