"""Whether devices compute the same: nothing is timed before that is known."""

from __future__ import annotations

from typing import Any

from ..backend import get_backend

# Largest difference allowed, relative to the largest number of an array, by precision. Sums in another order differ by
# float32 rounding (1e-6); the losses of a second training step by more (1e-4), because Adam divides a gradient by its
# size, so that the sign of a gradient near zero decides a whole step. TF32 keeps 10 bits of every factor.
TOLERANCES = {"float32": 1e-3, "tf32": 5e-2}


class ParityError(ArithmeticError):
    """A device computes something else than the one it is held against."""


def difference(values: Any, expected: Any) -> float:
    """max |values - expected| / max |expected|; infinite where shapes differ or a number is not finite."""
    xp = get_backend("cpu").xp
    if values.shape != expected.shape or not (xp.isfinite(values).all() and xp.isfinite(expected).all()):
        return float("inf")
    scale = float(xp.abs(expected).max(initial=0.0)) or 1.0
    return float(xp.abs(values.astype("float64") - expected).max(initial=0.0)) / scale


def check(
    values: dict[str, Any], expected: dict[str, Any], tolerance: float, *, what: str, device: str, against: str
) -> float:
    """The largest difference between two sets of named host arrays; raises ParityError above the tolerance."""
    worst = 0.0
    for name, array in expected.items():
        found = difference(values[name], array)
        if not found <= tolerance:
            raise ParityError(
                f"{what}: {name} on {device} differs from that of {against} by {found:.1e} of its largest number, "
                f"where {tolerance:.0e} is allowed: {device} computes something else, so nothing is timed"
            )
        worst = max(worst, found)
    return worst
