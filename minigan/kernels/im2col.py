"""Convolution as a matrix product over patches, a few images at a time so that the patches stay in the cache."""

from __future__ import annotations

import math

import numpy as np
from numpy.lib.stride_tricks import as_strided

from .buffers import BufferPool
from .geometry import Geometry, KeptPair
from .layout import channels_first, channels_last, shares, slices
from .threads import ThreadTeam

PATCHES = 1 << 18  # elements of the patch matrix of a chunk of images, about
CHUNKS = 8  # chunks that may be smaller
SUMS = 8  # partial sums of a weight gradient


class Im2col:
    """Takes every shape. Activations are channels-last in memory; results always are."""

    def __init__(self, team: ThreadTeam, pool: BufferPool):
        self.team = team
        self.pool = pool

    def conv2d(self, x, weight, bias, geometry: Geometry, kept: KeptPair = None):
        x = channels_last(x)
        rows = weight_rows(weight).T  # (KH KW C, O)
        y = self.pool.empty((len(x), *geometry.output_size, len(weight)), x.dtype)

        def run(images: slice) -> None:
            out = y[images].reshape(-1, len(weight))
            np.matmul(self.patches(x[images], geometry), rows, out=out)
            if bias is not None:
                np.add(out, bias, out=out)

        self.team.run(run, self.chunks(len(x), geometry, weight.shape[1]))
        return channels_first(y)

    def conv_transpose2d(self, y, weight, bias, geometry: Geometry, kept: KeptPair = None):
        y = channels_last(y)
        outputs, channels = weight.shape[:2]
        rows = weight_rows(weight)  # (O, KH KW C)
        x = self.pool.empty((len(y), *geometry.input_size, channels), y.dtype)

        def run(images: slice) -> None:
            count = len(x[images])
            patches = self.pool.empty((count * math.prod(geometry.output_size), rows.shape[1]), y.dtype)
            np.matmul(y[images].reshape(-1, outputs), rows, out=patches)
            shape = (count, *geometry.output_size, *geometry.kernel_size, channels)
            self.add_patches(patches.reshape(shape), x[images], geometry)
            if bias is not None:
                np.add(x[images], bias, out=x[images])

        self.team.run(run, self.chunks(len(y), geometry, channels))
        return channels_first(x)

    def conv2d_weight_grad(self, x, y, geometry: Geometry, kept: KeptPair = None):
        channels, outputs = x.shape[1], y.shape[1]
        x, y = channels_last(x), channels_last(y)
        chunks = self.chunks(len(x), geometry, channels)

        def run(part: slice):
            total = None
            for images in chunks[part]:
                rows = y[images].reshape(-1, outputs)
                product = self.pool.empty((outputs, math.prod(geometry.kernel_size) * channels), x.dtype)
                np.matmul(rows.T, self.patches(x[images], geometry), out=product)
                total = product if total is None else np.add(total, product, out=total)
            return total

        sums = self.team.run(run, slices(len(chunks), -(-len(chunks) // SUMS)))
        total = sums[0]
        for other in sums[1:]:
            np.add(total, other, out=total)
        return channels_first(total.reshape(outputs, *geometry.kernel_size, channels))

    def chunks(self, images: int, geometry: Geometry, channels: int) -> list[slice]:
        one = math.prod(geometry.output_size) * math.prod(geometry.kernel_size) * channels
        return shares(images, images * one / PATCHES, CHUNKS)

    def patches(self, x: np.ndarray, geometry: Geometry) -> np.ndarray:
        """(n, H, W, C) -> (n OH OW, KH KW C): under every output pixel the patch of input that it sees."""
        padded = self.padded(x, geometry)
        n, rows, columns, channel = padded.strides
        (stride_down, stride_across), (down, across) = geometry.stride, geometry.dilation
        windows = as_strided(
            padded,
            (len(x), *geometry.output_size, *geometry.kernel_size, x.shape[3]),
            (n, rows * stride_down, columns * stride_across, rows * down, columns * across, channel),
        )
        shape = (len(x) * math.prod(geometry.output_size), math.prod(geometry.kernel_size) * x.shape[3])
        if windows.flags.c_contiguous:
            return windows.reshape(shape)
        patches = self.pool.empty(windows.shape, x.dtype)
        np.copyto(patches, windows)
        return patches.reshape(shape)

    def padded(self, x: np.ndarray, geometry: Geometry) -> np.ndarray:
        """x with the zeros around it that the geometry asks for."""
        top, bottom, left, right = geometry.padding
        height, width = geometry.input_size
        if max(top, bottom, left, right) <= 0 and x.flags.c_contiguous:
            return x
        rows, columns = geometry.reach
        padded = self.pool.empty((len(x), rows, columns, x.shape[3]), x.dtype)
        inside = slice(top, min(top + height, rows)), slice(left, min(left + width, columns))
        padded.fill(0)
        padded[:, inside[0], inside[1]] = x[:, : inside[0].stop - top, : inside[1].stop - left]
        return padded

    def add_patches(self, patches: np.ndarray, x: np.ndarray, geometry: Geometry) -> None:
        """(n, OH, OW, KH, KW, C) -> (n, H, W, C), the adjoint: every patch is added back to where it was read."""
        top, _, left, _ = geometry.padding
        height, width = geometry.input_size
        rows, columns = max(geometry.reach[0], top + height), max(geometry.reach[1], left + width)
        padded = self.pool.empty((len(x), rows, columns, x.shape[3]), x.dtype)
        padded.fill(0)
        for k, l, down, across in geometry.taps():
            place = padded[:, down, across]
            np.add(place, patches[:, :, :, k, l], out=place)
        x[...] = padded[:, top : top + height, left : left + width]


def weight_rows(weight: np.ndarray) -> np.ndarray:
    """(O, C, KH, KW) -> (O, KH KW C): a copy, unless the memory is channels-last already."""
    return channels_last(weight).reshape(len(weight), -1)
