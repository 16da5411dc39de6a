"""Random test inputs, drawn through one primitive: an integer between two bounds.

The command draws integers from NumPy, the Hypothesis strategies from Hypothesis, which can then shrink shapes,
geometries and memory layouts. Array values come from a NumPy stream whose seed is one such integer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from ..kernels.geometry import Geometry

T = TypeVar("T")
Shape = tuple[int, ...]


class Draw:
    """Random shapes, arrays and geometries. `integer(low, high)` returns one of low, ..., high."""

    def __init__(self, integer: Callable[[int, int], int]):
        self.integer = integer
        self._streams = 0

    @classmethod
    def seeded(cls, seed: int | Sequence[int]) -> Draw:
        rng = np.random.default_rng(seed)
        return cls(lambda low, high: int(rng.integers(low, high + 1)))

    def rng(self) -> np.random.Generator:
        self._streams += 1  # equal seeds, which Hypothesis likes, still give different arrays
        return np.random.default_rng([self._streams, self.integer(0, 2**32 - 1)])

    def choice(self, options: Sequence[T]) -> T:
        return options[self.integer(0, len(options) - 1)]

    # ------------------------------------------------------------------ shapes

    def shape(self, low: int = 0, high: int = 4, side: int = 4) -> Shape:
        """A shape of `low` to `high` axes, each 1 to `side` long."""
        return tuple([self.integer(1, side) for _ in range(self.integer(low, high))])

    def broadcastable(self, count: int = 2, high: int = 3) -> list[Shape]:
        """Shapes that broadcast together: leading axes dropped and lengths replaced by one, at random."""
        whole = self.shape(0, high)
        shapes = []
        for _ in range(count):
            kept = whole[self.integer(0, len(whole)) :] if self.choice((False, True)) else whole
            shapes.append(tuple([1 if self.integer(0, 3) == 0 else n for n in kept]))
        return shapes

    def axes(self, shape: Shape, low: int = 0) -> tuple[int, ...]:
        """Some axes of the shape (at least `low`), in order."""
        chosen = self.permutation(len(shape))[: self.integer(low, len(shape))]
        return tuple(sorted(chosen))

    def permutation(self, count: int) -> tuple[int, ...]:
        rest = list(range(count))
        return tuple([rest.pop(self.integer(0, len(rest) - 1)) for _ in range(count)])

    # ------------------------------------------------------------------ arrays

    def real(self, shape: Shape) -> np.ndarray:
        """Standard normal numbers."""
        return self.rng().standard_normal(shape)

    def uniform(self, shape: Shape, low: float, high: float) -> np.ndarray:
        return self.rng().uniform(low, high, shape)

    def positive(self, shape: Shape) -> np.ndarray:
        """Numbers from 0.3 to 3."""
        return self.uniform(shape, 0.3, 3.0)

    def nonzero(self, shape: Shape) -> np.ndarray:
        """Numbers of both signs, 0.3 to 3 in size."""
        return self.positive(shape) * np.where(self.mask(shape), 1.0, -1.0)

    def distinct(self, shape: Shape) -> np.ndarray:
        """Numbers around 0, any two of them at least 0.05 apart, and all that far from 0."""
        count = int(np.prod(shape, dtype=int))
        rng = self.rng()
        ranks = rng.permutation(count) - count // 2
        return ((ranks + 0.5) * 0.1 + rng.uniform(-0.02, 0.02, count)).reshape(shape)

    def mask(self, shape: Shape) -> np.ndarray:
        return self.rng().random(shape) < 0.5

    def layout(self, array: np.ndarray) -> np.ndarray:
        """The same values in another memory order: C, Fortran, axes permuted, a step of two, or backwards."""
        kind = self.choice(("c", "permuted", "fortran", "strided", "reversed")) if array.ndim else "c"
        if kind == "fortran":
            return np.asfortranarray(array)
        if kind == "permuted":
            order = self.permutation(array.ndim)
            return array.transpose(order).copy().transpose(np.argsort(order))
        if kind == "strided":
            return np.repeat(array, 2, axis=-1)[..., ::2]
        if kind == "reversed":
            backwards = (slice(None, None, -1),) * array.ndim
            return array[backwards].copy()[backwards]
        return np.array(array, order="C")

    # ---------------------------------------------------------------- geometry

    def geometry(self) -> Geometry:
        """A small convolution: rectangular, with stride, dilation, and any (asymmetric) padding that fits it."""
        kernel, stride, dilation, corner, size, output = ([0, 0] for _ in range(6))
        for axis in range(2):
            kernel[axis], stride[axis], dilation[axis] = self.integer(1, 3), self.integer(1, 3), self.integer(1, 2)
            output[axis] = self.integer(1, 3)
            span = dilation[axis] * (kernel[axis] - 1) + 1
            reach = (output[axis] - 1) * stride[axis] + span
            corner[axis] = self.integer(0, min(2, reach - 1))
            after = self.integer(-min(stride[axis] - 1, 2), min(2, max(reach - corner[axis] - 1, 0)))
            size[axis] = reach - corner[axis] - after
        pairs: list[Any] = [tuple(pair) for pair in (size, kernel, output, stride, corner, dilation)]
        return Geometry(*pairs)
