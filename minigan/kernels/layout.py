"""Which axis order an array's memory has, and its values as a plain run of that memory."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

Order = tuple[int, ...]

ROW = 1 << 14  # elements: NumPy is quicker where a broadcast row has more than 8,192


def memory_order(x: np.ndarray) -> Order | None:
    """The axes from the slowest to the fastest, so that x.transpose(order) is C-contiguous; None if x has gaps."""
    order = tuple(range(x.ndim))
    if x.flags.c_contiguous:
        return order
    order = tuple(sorted(order, key=lambda axis: (x.shape[axis] != 1, -x.strides[axis])))
    return order if x.transpose(order).flags.c_contiguous else None


def inverse(order: Order) -> Order:
    """The axes that undo x.transpose(order)."""
    return tuple(sorted(range(len(order)), key=order.__getitem__))


def channels_last(x: np.ndarray) -> np.ndarray:
    """The view (N, ..., C) of (N, C, ...)."""
    return x.transpose(0, *range(2, x.ndim), 1)


def channels_first(x: np.ndarray) -> np.ndarray:
    """The view (N, C, ...) of (N, ..., C)."""
    return x.transpose(0, x.ndim - 1, *range(1, x.ndim - 1))


def slices(length: int, step: int) -> list[slice]:
    """0 to length in pieces of `step`."""
    return [slice(start, min(start + step, length)) for start in range(0, length, step)]


def shares(length: int, count: float, few: int = 1) -> list[slice]:
    """0 to length in equal pieces: a power of two of them, at most `count` (but one), so that threads end together.

    Where that does not divide the length, the last pieces are shorter or missing.
    Up to `few` may be smaller, down to a quarter.
    """
    pieces = 1 << max(0, math.floor(math.log2(max(count, min(few, 4 * count), 1))))
    return slices(length, -(-length // pieces)) if length else []


def long_rows(x: np.ndarray) -> np.ndarray:
    """The contiguous (R, C) as fewer and longer rows, up to about ROW elements each: NumPy's loops like them long."""
    repeats = divisor(len(x), ROW // max(1, x.shape[1]))
    return x.reshape(-1, repeats * x.shape[1])


def divisor(n: int, limit: int) -> int:
    """The largest divisor of n up to `limit`, or 1."""
    return next((d for d in range(min(n, limit), 1, -1) if n % d == 0), 1)


def neighbours(pieces: list[tuple[slice, Any]], fits: Callable[[list, tuple], bool]) -> list[list[tuple[slice, Any]]]:
    """Pieces of a flat array as runs that follow one another without a gap; fits(run, piece): may it grow by that?"""
    runs: list[list[tuple[slice, Any]]] = []
    for piece in pieces:
        if runs and runs[-1][-1][0].stop == piece[0].start and fits(runs[-1], piece):
            runs[-1].append(piece)
        else:
            runs.append([piece])
    return runs
