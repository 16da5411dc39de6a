"""Derivatives from values alone: five-point differences that notice kinks, and the complex step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Evaluate = Callable[[Sequence[np.ndarray]], np.ndarray]  # all arguments to all outputs, in one flat vector

STEPS = (1e-3, 1e-4, 1e-5, 1e-6)  # of the size of the argument
PROBE = 1e-8  # so close that a smooth function is a parabola to all digits
ROUGHEST = 1e-12
POINTS = (-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0)
OFF_PARABOLA = np.eye(len(POINTS)) - np.vander(POINTS, 3) @ np.linalg.pinv(np.vander(POINTS, 3))  # least squares
COMPLEX_STEP = 1e-20  # no difference is taken, so nothing cancels however small it is
ROUNDING = 16  # an evaluation is taken to be right to this many units in the last place


class Kink(ArithmeticError):
    """The difference quotients do not settle: a kink or a jump is near, or the derivative drowns in rounding."""


@dataclass
class Line:
    """evaluate along one line: weights @ evaluate(..., x + t size(x) direction, ...), a vector for every t.

    here: its value at the arrays themselves; reach: how much its value is, or what its arguments change in it.
    """

    evaluate: Evaluate
    arrays: Sequence[np.ndarray]
    here: np.ndarray
    reach: float
    argument: int
    direction: np.ndarray
    weights: np.ndarray

    def at(self, t: complex) -> np.ndarray:
        shifted = [x.astype(complex) for x in self.arrays] if isinstance(t, complex) else list(self.arrays)
        shifted[self.argument] = shifted[self.argument] + t * self.unit * self.direction
        return self.weights @ self.evaluate(shifted)

    @property
    def unit(self) -> float:
        return size(self.arrays[self.argument])

    def rounding(self) -> np.ndarray:
        """How far rounding moves the value, at least: what a value as large as the greatest output cannot resolve."""
        weights, here = np.abs(self.weights), np.abs(self.here)
        return ROUNDING * np.finfo(self.here.dtype).eps * np.maximum(weights @ here, weights.max(1) * here.max())

    def roughness(self) -> np.ndarray:
        """How far rounding moves the value, measured: what a parabola through close points leaves over.

        At most what the loss of four digits explains: more is no rounding.
        """
        values = np.stack([self.at(t * PROBE) for t in POINTS])
        deviation = np.sqrt(np.square(OFF_PARABOLA @ values).sum(0) / (len(POINTS) - 3))
        return np.maximum(self.rounding(), ROUNDING * np.minimum(deviation, ROUGHEST * self.reach))


def five_point(line: Line, scale: float, rtol: float) -> tuple[np.ndarray, float]:
    """The derivative (one number a row of weights) by central differences, and the step h they settled at.

    Two step sizes, h and h / 2, must agree to a tenth of rtol * max(scale, |derivative|), and so must both sides of
    the point; otherwise h shrinks. Where that never happens, rounding is measured. Raises Kink when that is no excuse.
    """
    values: dict[float, dict[float, np.ndarray]] = {}
    for rounding in (line.rounding, line.roughness):
        allowed = rounding()
        for h in STEPS:
            if h not in values:
                values[h] = {t: line.at(t * h) for t in POINTS}
            derivative = _settled(h * line.unit, values[h], scale, rtol, allowed)
            if derivative is not None:
                return derivative, h * line.unit
    raise Kink


def _settled(h: float, values: dict[float, np.ndarray], scale: float, rtol: float, rounding: np.ndarray) -> Any:
    """The derivative, where the differences of step h can be trusted; else None."""
    if not all(np.isfinite(value).all() for value in values.values()):
        return None  # over the edge of the domain
    coarse, fine = (
        (8 * (values[t] - values[-t]) - (values[2 * t] - values[-2 * t])) / (12 * t * h) for t in (1.0, 0.5)
    )
    bend = (values[2.0] + values[-2.0] - 4 * (values[1.0] + values[-1.0]) + 6 * values[0.0]) / (2 * h)
    allowed = 0.1 * rtol * np.maximum(scale, np.abs(fine).max()) + rounding / h
    return fine if (np.maximum(np.abs(coarse - fine), np.abs(bend)) <= allowed).all() else None


def complex_step(line: Line) -> tuple[np.ndarray, float]:
    """The derivative Im f(x + i h direction) / h of an analytic function (Squire and Trapp 1998).

    No difference is taken: the rounding of values acts on it as if the step were as large as the argument, the second
    result.
    """
    return line.at(1j * COMPLEX_STEP).imag / (COMPLEX_STEP * line.unit), line.unit


def size(x: np.ndarray) -> float:
    """The root mean square of an argument; 1 where it is all zeros or empty."""
    return float(np.sqrt(np.mean(np.square(x)))) or 1.0 if x.size else 1.0


def signs_apart_from_zero(rng: np.random.Generator, shape: Any) -> np.ndarray:
    """Random numbers of both signs from 0.1 to about 2: a direction or cotangent in which no element counts little."""
    return np.where(rng.random(shape) < 0.5, -1.0, 1.0) * (0.1 + np.abs(rng.standard_normal(shape)) / 1.5)
