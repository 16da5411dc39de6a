"""The geometry of a two-dimensional convolution: everything about it that is not data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Pair = tuple[int, int]

# What convolution kernels made of an array, for the other kernels of the same geometry. They are given a dictionary for
# each of their two arrays, in order; whoever gives one again vouches that its array is still the same.
Kept = dict[Any, Any]
KeptPair = tuple[Kept, Kept] | None


@dataclass(frozen=True)
class Geometry:
    """Which input pixel meets which kernel tap under which output pixel.

    Output row i and kernel row k meet at input row `i * stride + k * dilation - top`, likewise for columns.
    All three sizes are explicit, because stride makes the map from input size to output size ambiguous.
    What lies outside the input counts as zero.
    """

    input_size: Pair
    kernel_size: Pair
    output_size: Pair
    stride: Pair = (1, 1)
    corner: Pair = (0, 0)  # padding at the top and at the left
    dilation: Pair = (1, 1)

    @property
    def reach(self) -> Pair:
        """Rows and columns of padded input that the outputs touch: (out - 1) * stride + dilation * (k - 1) + 1."""
        return (_reach(self, 0), _reach(self, 1))

    @property
    def padding(self) -> tuple[int, int, int, int]:
        """(top, bottom, left, right); negative at the bottom or right where rows or columns stay untouched."""
        top, left = self.corner
        rows, columns = self.reach
        return top, rows - top - self.input_size[0], left, columns - left - self.input_size[1]

    def taps(self):
        """Every kernel tap (k, l) with the slices of the padded input that it meets, one element an output."""
        for k in range(self.kernel_size[0]):
            for l in range(self.kernel_size[1]):
                yield k, l, _meets(self, 0, k), _meets(self, 1, l)


def _reach(geometry: Geometry, axis: int) -> int:
    return (
        (geometry.output_size[axis] - 1) * geometry.stride[axis]
        + geometry.dilation[axis] * (geometry.kernel_size[axis] - 1)
        + 1
    )


def _meets(geometry: Geometry, axis: int, tap: int) -> slice:
    start = tap * geometry.dilation[axis]
    return slice(
        start,
        start + (geometry.output_size[axis] - 1) * geometry.stride[axis] + 1,
        geometry.stride[axis],
    )
