"""Optimizers, each the owner of one player's parameters; schedules, clipping, and the average of weights."""

from . import schedules
from .averaging import averaging_rate, update_average
from .clipping import clip_gradient_norm, clip_gradient_value, clip_weights
from .optimizer import Optimizer
from .optimizers import SGD, Adam, AdamW, RMSprop

__all__ = [
    "SGD", "Adam", "AdamW", "Optimizer", "RMSprop", "averaging_rate", "clip_gradient_norm", "clip_gradient_value",
    "clip_weights", "schedules", "update_average",
]  # fmt: skip
