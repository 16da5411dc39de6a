"""Learning-rate schedules: each gives the factor by which the first learning rate is multiplied at a step."""

from __future__ import annotations

import math
from collections.abc import Callable


def constant(step: int, steps: int, *, decay: float, every: int) -> float:
    """1."""
    return 1.0


def linear(step: int, steps: int, *, decay: float, every: int) -> float:
    """1 - step / steps: to 0 at the end of the run."""
    return 1.0 - _progress(step, steps)


def cosine(step: int, steps: int, *, decay: float, every: int) -> float:
    """(1 + cos(pi step / steps)) / 2: to 0 at the end of the run (Loshchilov and Hutter 2017, without restarts)."""
    return (1.0 + math.cos(math.pi * _progress(step, steps))) / 2.0


def step(step: int, steps: int, *, decay: float, every: int) -> float:
    """decay^(step // every): multiplied by `decay` after every `every` steps."""
    return decay ** (step // every)


def _progress(step: int, steps: int) -> float:
    return min(step / steps, 1.0)


ALL: dict[str, Callable[..., float]] = {"constant": constant, "linear": linear, "cosine": cosine, "step": step}
