"""The dot-product test: <A x, y> = <x, A' y>. No difference quotient, so it holds to machine precision."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..autograd import Tensor, grad
from .comparison import as_tuple, leaf
from .derivative import signs_apart_from_zero
from .report import GradientError

RTOL = {"float64": 1e-12, "float32": 1e-5}


def adjoint_check(
    linear_map: Callable[..., Tensor],
    adjoint_map: Callable[[Tensor], Any],
    inputs: Tensor | Sequence[Tensor],
    *,
    rng: int | np.random.Generator | None = None,
    rtol: float | None = None,
) -> float:
    """Check that <linear_map(x), y> = <x, adjoint_map(y)> for the given x and a random y; returns the relative error.

    inputs: x, one Tensor or several that the map takes together; adjoint_map then returns one for each. Products are
    accumulated exactly. rtol: 1e-12 (float64) or 1e-5 (float32), relative to the size of the sums.
    Raises GradientError where the two disagree or the shapes do not fit.
    """
    xs = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    draws = rng if isinstance(rng, np.random.Generator) else np.random.default_rng(0 if rng is None else rng)
    image = linear_map(*xs)
    y = Tensor(image.backend.asarray(signs_apart_from_zero(draws, image.shape).astype(image.dtype)), image.backend)
    back = as_tuple(adjoint_map(y))
    for index, (x, x_back) in enumerate(zip(xs, back, strict=True)):
        if x_back.shape != x.shape:
            raise GradientError(f"the adjoint returned shape {x_back.shape} for input {index} of shape {x.shape}")
    left = _products([image], [y])
    right = _products(xs, back)
    size = max(math.hypot(*left), math.hypot(*right), abs(math.fsum(left)), abs(math.fsum(right)))
    error = abs(math.fsum(left) - math.fsum(right))
    relative = error / size if error else 0.0
    rtol = rtol or RTOL[str(image.dtype)]
    if not relative <= rtol:
        raise GradientError(
            f"the maps are not adjoint: <A x, y> = {math.fsum(left):.12g}, <x, A' y> = {math.fsum(right):.12g}, "
            f"relative error {relative:.3g} (tolerance {rtol:.1g})"
        )
    return relative


def rule_adjoint_check(
    function: Callable[..., Tensor], inputs: Sequence[Tensor], linear: Sequence[int], **options: Any
):
    """adjoint_check of a function that is linear in the inputs `linear` together, against its own rule."""
    leaves = [leaf(t.data, t) for t in inputs]

    def linear_map(*moved: Tensor) -> Tensor:
        replaced = dict(zip(linear, moved, strict=True))
        return function(*[replaced.get(k, t) for k, t in enumerate(leaves)])

    def adjoint_map(y: Tensor) -> tuple[Tensor, ...]:
        return grad(function(*leaves), [leaves[k] for k in linear], y)

    return adjoint_check(linear_map, adjoint_map, [leaves[k] for k in linear])


def _products(a: Sequence[Tensor], b: Sequence[Tensor]) -> list[float]:
    """All elementwise products, in float64."""
    pairs = zip(a, b, strict=True)
    return np.concatenate([(s.numpy().astype(float) * t.numpy().astype(float)).ravel() for s, t in pairs]).tolist()
