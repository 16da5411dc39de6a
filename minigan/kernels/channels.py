"""An array (N, C, ...) as blocks of memory, for work that sums over everything but the channels."""

from __future__ import annotations

import numpy as np

from .layout import channels_last, long_rows, slices


class ChannelView:
    """How to look at x and arrays like it: as long rows that repeat the channels, or as (N, C, pixels)."""

    def __init__(self, x: np.ndarray):
        self.channels = x.shape[1]
        self.last = channels_last(x).flags.c_contiguous
        self.shape = self.of(x).shape

    def of(self, x: np.ndarray) -> np.ndarray:
        """The view of x; a copy where its memory order is another one."""
        if self.last:
            return long_rows(np.ascontiguousarray(channels_last(x)).reshape(-1, self.channels))
        return np.ascontiguousarray(x).reshape(len(x), self.channels, -1)

    def parts(self, block: int) -> list[slice]:
        """Slices of the view's first axis, about `block` elements each."""
        return slices(self.shape[0], max(1, block // int(np.prod(self.shape[1:]))))

    def spread(self, vector: np.ndarray) -> np.ndarray:
        """(C,) as an array that broadcasts against the view."""
        return np.tile(vector, self.shape[1] // self.channels) if self.last else vector[:, None]

    def sum(self, block: np.ndarray) -> np.ndarray:
        """The sum over every channel of a part of the view: (C,)."""
        if self.last:
            return (np.ones(len(block), block.dtype) @ block).reshape(-1, self.channels).sum(axis=0)
        return block.sum(axis=(0, 2))
