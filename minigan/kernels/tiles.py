"""An image as overlapping tiles, and tiles put back where they were read."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import as_strided

from .buffers import BufferPool
from .geometry import Pair


@dataclass(frozen=True)
class Tiles:
    """How (N, H, W, C) is read as (N tiles, length, channels of all phases).

    Pixels of one phase are `phases` apart, and the phases stand side by side as channels. Along each axis a tile has
    `length` pixels of a phase, the next tile begins `step` of them later, and the first one `start` pixels from the
    edge of the image (a negative number where it reaches into the padding).
    """

    size: Pair
    start: Pair
    count: Pair
    step: Pair
    length: Pair
    phases: Pair = (1, 1)

    @property
    def span(self) -> Pair:
        """Rows and columns of pixels from the beginning of the first tile to the end of the last."""
        rows, columns = (
            p * ((c - 1) * s + l) for p, c, s, l in zip(self.phases, self.count, self.step, self.length, strict=True)
        )
        return rows, columns

    def depth(self, x: np.ndarray) -> int:
        """Channels of all phases of (n, H, W, C)."""
        return math.prod(self.phases) * x.shape[3]

    def read_shape(self, x: np.ndarray) -> tuple[int, int, int, int]:
        """(tiles, rows of phases, positions, columns of phases and channels)."""
        tiles = len(x) * math.prod(self.count)
        return tiles, self.phases[0], math.prod(self.length), self.phases[1] * x.shape[3]

    def read(self, x: np.ndarray, pool: BufferPool) -> np.ndarray:
        """(n, H, W, C) -> `read_shape`, with zeros outside the image."""
        windows = self._windows(self.padded(x, pool), (0, 0), self.length)
        if not windows.flags.c_contiguous:
            copy = pool.empty(windows.shape, x.dtype)
            np.copyto(copy, windows)
            windows = copy
        return windows.reshape(self.read_shape(x))

    def add_back(self, tiles: np.ndarray, x: np.ndarray, pool: BufferPool) -> None:
        """The adjoint of read, into (n, H, W, C): what several tiles share is added up; what none has is zero."""
        padded = x if self._exact else pool.empty((len(x), *self.span, x.shape[3]), x.dtype)
        tiles = tiles.reshape(len(x), *self.count, self.phases[0], *self.length, self.phases[1], x.shape[3])
        rows, columns = (range(0, length, step) for length, step in zip(self.length, self.step, strict=True))
        if len(rows) > 1 or len(columns) > 1:
            padded[:, self.count[0] * self.step[0] * self.phases[0] :] = 0
            padded[:, :, self.count[1] * self.step[1] * self.phases[1] :] = 0
        for i in rows:  # the tiles in pieces of `step`: the same piece of different tiles never overlaps
            for j in columns:
                piece = tiles[:, :, :, :, i : i + self.step[0], j : j + self.step[1]]
                place = self._windows(padded, (i, j), piece.shape[4:6])
                if (i, j) == (0, 0):
                    np.copyto(place, piece)
                else:
                    np.add(place, piece, out=place)
        if not self._exact:
            self.crop(padded, x)

    def padded(self, x: np.ndarray, pool: BufferPool) -> np.ndarray:
        """(n, H, W, C) -> (n, *span, C): all that the tiles cover, with zeros outside the image."""
        if self._exact and x.flags.c_contiguous:
            return x
        inside, image = self._overlap()
        padded = pool.empty((len(x), *self.span, x.shape[3]), x.dtype)
        padded.fill(0)
        padded[inside] = x[image]
        return padded

    def crop(self, padded: np.ndarray, x: np.ndarray) -> None:
        """The adjoint of padded, into x."""
        inside, image = self._overlap()
        if x[image].shape != x.shape:
            x.fill(0)
        x[image] = padded[inside]

    @property
    def _exact(self) -> bool:
        return self.start == (0, 0) and self.span == self.size

    def _windows(self, x: np.ndarray, first: Pair, length: Pair) -> np.ndarray:
        """A view (n, tile rows, tile columns, phase rows, rows, columns, phase columns, C) of the tiles' pixels."""
        image, row, column, channel = x.strides
        (down, across), (rows, columns) = self.phases, self.step
        return as_strided(
            x[:, first[0] * down :, first[1] * across :],
            (len(x), *self.count, down, *length, across, x.shape[3]),
            (image, rows * down * row, columns * across * column, row, down * row, across * column, column, channel),
        )

    def _overlap(self):
        """What tiles and image have in common: as an index of the tiles' pixels, and of the image's."""
        inside, image = [slice(None)], [slice(None)]
        for size, start, span in zip(self.size, self.start, self.span, strict=True):
            begin, end = max(start, 0), min(start + span, size)
            inside.append(slice(begin - start, end - start))
            image.append(slice(begin, end))
        return tuple(inside), tuple(image)
