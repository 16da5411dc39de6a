"""Convolution where one side has few channels: these as planes, which a kernel tap shifts as one run of memory.

The rows of a patch matrix for few channels are short runs, and copying short runs is slow. Here input and output lie on
one grid (n, rows, columns), wide enough that a shift by a tap leaves an image only into zeros. Every row of the
transposed patch matrix is then a plane of the grid, read at an offset.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from .buffers import BufferPool
from .geometry import Geometry, KeptPair
from .layout import channels_first, channels_last, shares, slices
from .threads import ThreadTeam

ROWS = 1 << 17  # elements of the shifted planes of a chunk of images, about (two chunks may have fewer)
SUMS = 8  # partial sums of a weight gradient


Phase = tuple[int, tuple[slice, slice], tuple[slice, slice]]


class Side(NamedTuple):
    """Which side has few channels, the grid under both, and the shifts.

    The grid has a position for every output, and more for the taps of the last of them; on it the phases of the strided
    input stand as channels (phase, c). x, y: for every phase its number, where it lies on the grid, and its pixels.
    shifts: the planes that are read at each offset, in positions of the grid. taps: for every tap (k, l) the index of
    its shift, and its phase.
    """

    few_inputs: bool
    size: tuple[int, int]
    x: list[Phase]
    y: list[Phase]
    shifts: list[tuple[slice, int]]
    taps: list[tuple[int, int, int, int]]

    @property
    def few(self) -> list[Phase]:
        return self.x if self.few_inputs else self.y

    @property
    def many(self) -> list[Phase]:
        return self.y if self.few_inputs else self.x

    @property
    def margin(self) -> int:
        return max(offset for _, offset in self.shifts)

    def matrix(self, weight: np.ndarray) -> np.ndarray:
        """(O, KH, KW, C) -> (K, D)."""
        outputs, *_, channels = weight.shape
        if self.few_inputs:  # (KH KW C, O)
            return np.ascontiguousarray(weight.reshape(outputs, -1).T)
        matrix = np.zeros((len(self.shifts), outputs, len(self.x), channels), weight.dtype)
        for k, l, shift, phase in self.taps:
            matrix[shift, :, phase] = weight[:, k, l]
        return matrix.reshape(len(self.shifts) * outputs, -1)

    def weight(self, matrix: np.ndarray, shape: tuple[int, int, int, int]) -> np.ndarray:
        """The adjoint of matrix, with the shape (O, KH, KW, C)."""
        if self.few_inputs:
            return np.ascontiguousarray(matrix.T).reshape(shape)
        matrix = matrix.reshape(len(self.shifts), shape[0], len(self.x), shape[3])
        weight = np.empty(shape, matrix.dtype)
        for k, l, shift, phase in self.taps:
            weight[:, k, l] = matrix[shift, :, phase]
        return weight


@lru_cache(maxsize=256)
def side_of(geometry: Geometry, outputs: int, channels: int) -> Side:
    """The grid of a geometry; the input becomes the planes unless the output has fewer channels."""
    stride, dilation, kernel = geometry.stride, geometry.dilation, geometry.kernel_size
    reach = (d * (k - 1) // s for k, s, d in zip(kernel, stride, dilation, strict=True))
    rows, columns = (n + r for n, r in zip(geometry.output_size, reach, strict=True))
    few_inputs = channels <= outputs
    shifts: list[tuple[slice, int]] = []
    taps = []
    for k in range(kernel[0]):
        for l in range(kernel[1]):
            (i, a), (j, b) = divmod(k * dilation[0], stride[0]), divmod(l * dilation[1], stride[1])
            phase = a * stride[1] + b
            planes = slice(phase * channels, (phase + 1) * channels) if few_inputs else slice(0, outputs)
            shift = (planes, i * columns + j)
            if shift not in shifts:
                shifts.append(shift)
            taps.append((k, l, shifts.index(shift), phase))
    x = _phases((rows, columns), geometry.input_size, stride, geometry.corner)
    y = _phases((rows, columns), geometry.output_size, (1, 1), (0, 0))
    return Side(few_inputs, (rows, columns), x, y, shifts, taps)


def _phases(grid, size, stride, corner) -> list[Phase]:
    """Position p of the grid is pixel p * stride + phase - corner."""

    def along(axis: int, phase: int) -> tuple[slice, slice]:
        first = max(0, -((phase - corner[axis]) // stride[axis]))
        pixel = first * stride[axis] + phase - corner[axis]
        count = max(0, min(grid[axis] - first, -((pixel - size[axis]) // stride[axis])))
        return slice(first, first + count), slice(pixel, pixel + count * stride[axis], stride[axis])

    phases = []
    for a in range(stride[0]):
        for b in range(stride[1]):
            places, pixels = zip(along(0, a), along(1, b), strict=True)
            phases.append((a * stride[1] + b, places, pixels))
    return phases


class Planes:
    """Takes every shape; the side with fewer channels becomes the planes.

    rows (K, L): shifted planes, L positions of the grid.  many (L, D): the other side.  weight (K, D).

        many = rows' weight,  rows = weight many',  weight gradient = rows many
    """

    def __init__(self, team: ThreadTeam, pool: BufferPool):
        self.team = team
        self.pool = pool

    def conv2d(self, x, weight, bias, geometry: Geometry, kept: KeptPair = None):
        side = side_of(geometry, *weight.shape[:2])
        y = self.pool.empty((len(x), *geometry.output_size, len(weight)), x.dtype)
        self.run(side, channels_last(x), weight, bias, y, from_few=side.few_inputs)
        return channels_first(y)

    def conv_transpose2d(self, y, weight, bias, geometry: Geometry, kept: KeptPair = None):
        side = side_of(geometry, *weight.shape[:2])
        x = self.pool.empty((len(y), *geometry.input_size, weight.shape[1]), y.dtype)
        self.run(side, channels_last(y), weight, bias, x, from_few=not side.few_inputs)
        return channels_first(x)

    def conv2d_weight_grad(self, x, y, geometry: Geometry, kept: KeptPair = None):
        side = side_of(geometry, y.shape[1], x.shape[1])
        few, many = map(channels_last, (x, y) if side.few_inputs else (y, x))
        chunks = self.chunks(side, few)

        def sums(part: slice) -> np.ndarray:
            return sum(self.read_rows(side, few[n]) @ self.read_many(side, many[n]) for n in chunks[part])

        total = sum(self.team.run(sums, slices(len(chunks), -(-len(chunks) // SUMS))))
        return channels_first(side.weight(total, (y.shape[1], *geometry.kernel_size, x.shape[1])))

    def run(self, side: Side, given: np.ndarray, weight, bias, result: np.ndarray, *, from_few: bool) -> None:
        matrix = side.matrix(channels_last(weight))  # (K, D)

        def some(images: slice) -> None:
            if from_few:
                rows = self.read_rows(side, given[images])
                many = self.pool.empty((rows.shape[1], matrix.shape[1]), given.dtype)
                self.write_many(side, np.matmul(rows.T, matrix, out=many), result[images])
            else:
                many = self.read_many(side, given[images])
                rows = self.pool.empty((len(matrix), len(many)), given.dtype)
                self.write_rows(side, np.matmul(matrix, many.T, out=rows), result[images])
            if bias is not None:
                np.add(result[images], bias, out=result[images])

        self.team.run(some, self.chunks(side, given))

    def chunks(self, side: Side, images: np.ndarray) -> list[slice]:
        rows = sum(planes.stop - planes.start for planes, _ in side.shifts)
        return shares(len(images), len(images) * rows * math.prod(side.size) / ROWS, 2)

    def read_rows(self, side: Side, few: np.ndarray) -> np.ndarray:
        """(n, h, w, channels) -> (K, L)."""
        planes, body = self.empty_planes(side, few)
        for phase, (i, j), (rows, columns) in side.few:
            body[phase, :, :, i, j] = few[:, rows, columns].transpose(3, 0, 1, 2)
        length = len(few) * math.prod(side.size)
        parts = [planes[some, at : at + length] for some, at in places(side)]
        out = self.pool.empty((sum(map(len, parts)), length), few.dtype)
        return np.concatenate(parts, out=out)

    def write_rows(self, side: Side, rows: np.ndarray, few: np.ndarray) -> None:
        """The adjoint: every row is added back to the plane where it was read."""
        planes, body = self.empty_planes(side, few)
        start, length = 0, rows.shape[1]
        for some, at in places(side):
            place = planes[some, at : at + length]
            np.add(place, rows[start : start + len(place)], out=place)
            start += len(place)
        clear(few, side.few)
        for phase, (i, j), (down, across) in side.few:
            for channel in range(few.shape[3]):  # one at a time: runs along a row, not along the few channels
                few[:, down, across, channel] = body[phase, channel, :, i, j]

    def empty_planes(self, side: Side, few: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Planes of zeros, with a margin for the shifts; and the view (phases, channels, n, rows, columns) inside it.

        Outputs are read at positions less the shift, so the margin stands before them; for inputs it comes after.
        """
        shape = (len(side.few), few.shape[3], len(few), *side.size)
        planes = self.pool.empty((shape[0] * shape[1], math.prod(shape[2:]) + side.margin), few.dtype)
        planes.fill(0)
        start = 0 if side.few_inputs else side.margin
        return planes, planes[:, start : start + math.prod(shape[2:])].reshape(shape)

    def read_many(self, side: Side, many: np.ndarray) -> np.ndarray:
        """(n, h, w, channels) -> (L, D)."""
        read = self.pool.empty((len(many), *side.size, len(side.many), many.shape[3]), many.dtype)
        read.fill(0)
        for phase, (i, j), (rows, columns) in side.many:
            read[:, i, j, phase] = many[:, rows, columns]
        return read.reshape(len(many) * math.prod(side.size), -1)

    def write_many(self, side: Side, read: np.ndarray, many: np.ndarray) -> None:
        """The adjoint."""
        read = read.reshape(len(many), *side.size, len(side.many), many.shape[3])
        clear(many, side.many)
        for phase, (i, j), (rows, columns) in side.many:
            many[:, rows, columns] = read[:, i, j, phase]


def places(side: Side):
    """Which planes are read, and from where in their memory, for every shift."""
    for planes, shift in side.shifts:
        yield planes, shift if side.few_inputs else side.margin - shift


def clear(image: np.ndarray, phases: list[Phase]) -> None:
    """Zeros, where some pixels belong to no position of the grid."""
    covered = sum((i.stop - i.start) * (j.stop - j.start) for _, (i, j), _ in phases)
    if covered < image.shape[1] * image.shape[2]:
        image.fill(0)
