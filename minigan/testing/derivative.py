"""Derivatives from values alone: five-point differences that notice kinks, and the complex step.

Both take `evaluate(arrays) -> vector`, a list of NumPy arrays to all outputs of a function in one flat vector, and
the derivative is along a direction of one argument: d/dt weights @ evaluate(..., x + t direction, ...) at t = 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

Evaluate = Callable[[Sequence[np.ndarray]], np.ndarray]

STEPS = (1e-3, 1e-4, 1e-5, 1e-6)  # of the size of the argument
COMPLEX_STEP = 1e-20  # no difference is taken, so nothing cancels however small it is
ROUNDING = 16  # an evaluation is taken to be right to this many units in the last place


class Kink(ArithmeticError):
    """The difference quotients do not settle: a kink or a jump is near, or the derivative drowns in rounding."""


def five_point(
    evaluate: Evaluate,
    arrays: Sequence[np.ndarray],
    argument: int,
    direction: np.ndarray,
    weights: np.ndarray,
    scale: float,
    rtol: float,
) -> tuple[np.ndarray, np.ndarray]:
    """The derivative (one number a row of weights) by central differences, and what rounding can do to it.

    Two step sizes, h and h / 2, must agree to a tenth of rtol * max(scale, |derivative|), and so must both sides of
    the point; otherwise h shrinks. Raises Kink when no h does.
    """

    def along(t: float) -> np.ndarray:
        moved = arrays[argument] + (t * h) * direction
        return weights @ evaluate([*arrays[:argument], moved, *arrays[argument + 1 :]])

    here = evaluate(arrays)
    epsilon = np.finfo(here.dtype).eps
    largest = np.abs(weights) @ np.abs(here)
    for step in STEPS:
        h = step * size(arrays[argument])
        values = {t: along(t) for t in (-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0)}
        if not all(np.isfinite(value).all() for value in values.values()):
            continue  # over the edge of the domain
        coarse, fine = (
            (8 * (values[t] - values[-t]) - (values[2 * t] - values[-2 * t])) / (12 * t * h) for t in (1.0, 0.5)
        )
        bend = (values[2.0] + values[-2.0] - 4 * (values[1.0] + values[-1.0]) + 6 * values[0.0]) / (2 * h)
        noise = ROUNDING * epsilon * largest / h
        allowed = 0.1 * rtol * np.maximum(scale, np.abs(fine).max()) + noise
        if (np.abs(coarse - fine) <= allowed).all() and (np.abs(bend) <= allowed).all():
            return fine, noise
    raise Kink


def complex_step(
    evaluate: Evaluate, arrays: Sequence[np.ndarray], argument: int, direction: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The derivative Im f(x + i h direction) / h of an analytic function (Squire and Trapp 1998), and its rounding."""
    shifted = [x.astype(complex) for x in arrays]
    shifted[argument] += 1j * COMPLEX_STEP * direction
    values = evaluate(shifted)
    largest = np.abs(weights) @ np.abs(values.real)
    rounding = ROUNDING * np.finfo(np.float64).eps * largest / size(arrays[argument])
    return weights @ values.imag / COMPLEX_STEP, rounding


def size(x: np.ndarray) -> float:
    """The root mean square of an argument; 1 where it is all zeros or empty."""
    return float(np.sqrt(np.mean(np.square(x)))) or 1.0 if x.size else 1.0


def signs_apart_from_zero(rng: np.random.Generator, shape: Any) -> np.ndarray:
    """Random numbers of both signs from 0.1 to about 2: a direction or cotangent in which no element counts little."""
    return np.where(rng.random(shape) < 0.5, -1.0, 1.0) * (0.1 + np.abs(rng.standard_normal(shape)) / 1.5)
