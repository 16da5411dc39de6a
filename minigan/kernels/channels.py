"""An array (N, C, ...) as blocks of memory, for work that sums over everything but the channels."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import product

import numpy as np

from .layout import ROW, channels_last, long_rows, shares, slices
from .threads import ThreadTeam

Part = tuple[slice, slice]


class ChannelView:
    """How to look at x and arrays like it: as long rows that repeat the channels, or as (N, C, pixels)."""

    def __init__(self, x: np.ndarray):
        self.channels = x.shape[1]
        self.last = channels_last(x).flags.c_contiguous
        self.shape = self.of(x).shape
        self.repeats = self.shape[1] // self.channels

    def of(self, x: np.ndarray) -> np.ndarray:
        """The view of x; a copy where its memory order is another one."""
        if self.last:
            return long_rows(np.ascontiguousarray(channels_last(x)).reshape(-1, self.channels))
        return np.ascontiguousarray(x).reshape(len(x), self.channels, -1)

    def spread(self, vector: np.ndarray) -> np.ndarray:
        """A vector of channels as an array that broadcasts against the view, or a part with these channels."""
        return np.tile(vector, self.repeats) if self.last else vector[:, None]

    def sum(self, block: np.ndarray) -> np.ndarray:
        """The sum over every channel of a part of the view."""
        if self.last:
            return (np.ones(len(block), block.dtype) @ block).reshape(self.repeats, -1).sum(axis=0)
        return block.sum(axis=(0, 2))

    def run(self, team: ThreadTeam, block: int, function: Callable[[Part], np.ndarray]) -> np.ndarray:
        """function(part) for parts of about `block` elements; it gives arrays (..., channels of the part).

        Result: (parts along the first axis, ..., C).
        """
        width = ROW if self.last and self.channels > ROW else self.shape[1]
        rows = shares(self.shape[0], self.shape[0] * width * math.prod(self.shape[2:]) / block, 2)
        columns = slices(self.shape[1], width)
        found = team.run(function, product(rows, columns))
        lines = [found[start : start + len(columns)] for start in range(0, len(found), len(columns))]
        return np.stack([np.concatenate(line, axis=-1) for line in lines])
