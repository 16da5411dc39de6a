"""How the memory of arrays looks to a CUDA kernel: a common order of the axes, and (outer, channels, inner)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from .layout import Order, memory_order


def common_order(arrays: Sequence[Any]) -> Order:
    """The memory order of the first array that lies in another than C order without gaps, else C order.

    So an operation stays channels-last where one of its operands is.
    """
    for array in arrays:
        if not array.flags.c_contiguous:
            order = memory_order(array)
            if order is not None:
                return order
    return tuple(range(arrays[0].ndim)) if arrays else ()


def reordered(array: Any, order: Order) -> Any:
    """array.transpose(order), or the array itself where that changes nothing."""
    return array if order == tuple(range(len(order))) else array.transpose(order)


def channel_axis(shape: Sequence[int], order: Order) -> tuple[int, int]:
    """(channels, inner) of an array whose memory is (outer, channels, inner), the channels being axis 1.

    shape: that of the array transposed by the order.
    """
    place = order.index(1)
    return shape[place], math.prod(shape[place + 1 :])


def summed_channels(shape: Sequence[int], axes: Sequence[int], order: Order) -> tuple[int, int] | None:
    """(channels, inner) where a sum over axes is one over outer and inner of a memory (outer, channels, inner).

    None where it is not, or where nothing is summed on the outside.
    """
    long_axes = [axis for axis in order if shape[axis] != 1]
    summed = [axis in axes for axis in long_axes]
    if 0 in shape or not summed or not summed[0]:
        return None
    if all(summed):
        return 1, 1
    start = summed.index(False)
    stop = start + summed.count(False)
    if any(summed[start:stop]):
        return None
    sizes = [shape[axis] for axis in long_axes]
    return math.prod(sizes[start:stop]), math.prod(sizes[stop:])
