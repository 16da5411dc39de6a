"""Whether devices compute the same: nothing is timed before that is known."""

from __future__ import annotations

from typing import Any

from ..backend import get_backend

# Difference allowed by precision, in operations and in training steps. Sums in another order differ by float32 rounding
# (1e-6), TF32 keeps 10 bits of every factor. In a whole step that is enough to put a number near zero on the other side
# of a ReLU, where the gradient jumps.
TOLERANCES = {"float32": (1e-4, 5e-3), "tf32": (5e-3, 1e-1)}


class ParityError(ArithmeticError):
    """A device computes something else than the one it is held against."""


def difference(values: Any, expected: Any) -> float:
    """|values - expected| / |expected|, Euclidean norms; infinite where shapes differ or a number is not finite."""
    xp = get_backend("cpu").xp
    if values.shape != expected.shape or not (xp.isfinite(values).all() and xp.isfinite(expected).all()):
        return float("inf")
    distance, length = (_norm(array) for array in (values.astype("float64") - expected, expected.astype("float64")))
    return distance / (length or 1.0)


def _norm(array: Any) -> float:
    return float((array * array).sum()) ** 0.5


def check(
    values: dict[str, Any], expected: dict[str, Any], tolerance: float, *, what: str, device: str, against: str
) -> float:
    """The largest difference between two sets of named host arrays; raises ParityError above the tolerance."""
    worst = 0.0
    for name, array in expected.items():
        found = difference(values[name], array)
        if not found <= tolerance:
            raise ParityError(
                f"{what}: {name} on {device} differs from that of {against} by {found:.1e} of its norm, where "
                f"{tolerance:.0e} is allowed: {device} computes something else, so nothing is timed"
            )
        worst = max(worst, found)
    return worst
