"""Convolution by a bilinear algorithm: transform tiles of both operands, multiply point by point, transform back."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from .buffers import BufferPool
from .geometry import Geometry, Kept, KeptPair
from .layout import channels_first, channels_last, shares, slices
from .schemes import Scheme
from .threads import ThreadTeam
from .tiles import Tiles

TILES = 256  # tiles that are transformed and multiplied at a time: their matrices should stay in the cache
SMALL_PRODUCT = 10**6  # multiplications: up to here BLAS multiplies without copying the operands first
SHARES = 8  # pieces of work in a stage
TRANSFORMED = 1 << 19  # elements that are transformed at a time, about: the tiles between should stay in the cache
APART = 16  # elements between the matrices of two points


class Plan(NamedTuple):
    """How a geometry is cut into tiles, and the scheme for one tile. Strides become phases, which stand as channels."""

    x: Tiles
    w: Tiles
    y: Tiles
    scheme: Scheme


class Bilinear:
    """The three partial derivatives of  sum_p <U_p, V_p W_p>:  U = X x, W = W w, V = Y y, a matrix for every point p.

    U_p (T, K), W_p (O, K), V_p (T, O), with T tiles, O output channels and K input channels times phases.
    """

    def __init__(
        self,
        team: ThreadTeam,
        pool: BufferPool,
        plan: Callable[[Geometry], Plan],
        plan_weight_grad: Callable[[Geometry], Plan] | None = None,
    ):
        self.team = team
        self.pool = pool
        self.plan = plan
        self.plan_weight_grad = plan_weight_grad or plan

    def conv2d(self, x, weight, bias, geometry: Geometry, kept: KeptPair = None):
        plan, (kept_x, kept_w) = self.plan(geometry), kept or ({}, {})
        x, kept_x = channels_last(x), self.useful(kept_x, geometry)
        y = self.pool.empty((len(x), *geometry.output_size, len(weight)), x.dtype)
        w = self.analyze(plan.scheme.w, plan.w, channels_last(weight), SHARES, kept_w).transpose(0, 2, 1)

        def some(images: slice, shares: int) -> None:
            u = self.analyze(plan.scheme.x, plan.x, x[images], shares, kept_x)
            self.synthesize(plan.scheme.y, plan.y, self.products(u, w, shares), y[images], bias, shares)

        self.over_images(some, plan, len(x))
        return channels_first(y)

    def conv_transpose2d(self, y, weight, bias, geometry: Geometry, kept: KeptPair = None):
        plan, (kept_y, kept_w) = self.plan(geometry), kept or ({}, {})
        y, kept_y = channels_last(y), self.useful(kept_y, geometry)
        x = self.pool.empty((len(y), *geometry.input_size, weight.shape[1]), y.dtype)
        w = self.analyze(plan.scheme.w, plan.w, channels_last(weight), SHARES, kept_w)

        def some(images: slice, shares: int) -> None:
            v = self.analyze(plan.scheme.y, plan.y, y[images], shares, kept_y)
            self.synthesize(plan.scheme.x, plan.x, self.products(v, w, shares), x[images], bias, shares)

        self.over_images(some, plan, len(y))
        return channels_first(x)

    def conv2d_weight_grad(self, x, y, geometry: Geometry, kept: KeptPair = None):
        plan, (kept_x, kept_y) = self.plan_weight_grad(geometry), kept or ({}, {})
        x, kept_x = channels_last(x), self.useful(kept_x, geometry)
        y, kept_y = channels_last(y), self.useful(kept_y, geometry)

        def some(images: slice, shares: int) -> np.ndarray:
            u = self.analyze(plan.scheme.x, plan.x, x[images], shares, kept_x)
            v = self.analyze(plan.scheme.y, plan.y, y[images], shares, kept_y)
            return self.products(v.transpose(0, 2, 1), u, shares)

        total = self.added(self.over_images(some, plan, len(x)))
        w = self.pool.empty((y.shape[3], *geometry.kernel_size, x.shape[3]), x.dtype)
        self.synthesize(plan.scheme.w, plan.w, total, w, None, SHARES)
        return channels_first(w)

    def useful(self, kept: Kept, geometry: Geometry) -> Kept:
        """Where to keep the transform of images: nowhere, if the weight gradient cuts them into other tiles."""
        return kept if self.plan(geometry) is self.plan_weight_grad(geometry) else {}

    def over_images(self, function: Callable, plan: Plan, images: int) -> list:
        """function(images, shares) over all images: many chunks, a thread each; or one, whose stages are shared out."""
        chunks = slices(images, chunk_size(plan))
        if len(chunks) == 1:
            return [function(chunks[0], SHARES)]
        return self.team.run(lambda chunk: function(chunk, 1), chunks)

    def added(self, chunks: list[np.ndarray]) -> np.ndarray:
        """The sum of the (P, O, K) of all chunks, point by point, into that of the first."""
        total, *others = chunks

        def add(point: slice) -> None:
            for other in others:
                np.add(total[point], other[point], out=total[point])

        self.team.run(add, slices(len(total), 1) if others else [])
        return total

    def analyze(self, matrix: np.ndarray, tiles: Tiles, array: np.ndarray, count: int, kept: Kept) -> np.ndarray:
        """(n, H, W, C) -> (P, T, K): every tile times the matrix, or as it was kept; in `count` shares (chunks: 1)."""
        if count > 1 and (self, tiles) in kept:
            return kept[self, tiles]
        matrix = matrix.astype(array.dtype)
        each = math.prod(tiles.count)
        points = self.points(len(matrix), len(array) * each, tiles.depth(array), array.dtype)

        def run(images: slice) -> None:
            part = points[:, images.start * each : images.stop * each]
            read = tiles.read(array[images], self.pool)
            np.matmul(matrix, pieces(read, matrix), out=tile_major(part, read, matrix))

        self.team.run(run, shares(len(array), max(count, points.size / TRANSFORMED)))
        if count > 1:  # a chunk's transform had better stay in the cache
            kept[self, tiles] = points
        return points

    def synthesize(self, matrix: np.ndarray, tiles: Tiles, points: np.ndarray, array: np.ndarray, bias, count) -> None:
        """The adjoint: (P, T, K) -> (n, H, W, C), plus a bias (C,) or None."""
        matrix = np.ascontiguousarray(matrix.T, array.dtype)
        each = math.prod(tiles.count)

        def run(images: slice) -> None:
            part = points[:, images.start * each : images.stop * each]
            written = self.pool.empty(tiles.read_shape(array[images]), array.dtype)
            np.matmul(matrix, tile_major(part, written, matrix), out=pieces(written, matrix))
            tiles.add_back(written, array[images], self.pool)
            if bias is not None:
                np.add(array[images], bias, out=array[images])

        self.team.run(run, shares(len(array), max(count, points.size / TRANSFORMED)))

    def products(self, a: np.ndarray, b: np.ndarray, count: int) -> np.ndarray:
        """(P, M, K) x (P, K, N) -> (P, M, N)."""
        out = self.points(len(a), a.shape[1], b.shape[2], a.dtype)
        parts = shares(len(a), count) if len(a) > 2 * count else slices(len(a), 1)
        self.team.run(lambda some: np.matmul(a[some], b[some], out=out[some]), parts)
        return out

    def points(self, points: int, rows: int, columns: int, dtype) -> np.ndarray:
        """An empty (P, rows, columns), with matrices a little apart: at a power of two they would share cache lines."""
        size = rows * columns
        return self.pool.empty((points, size + APART), dtype)[:, :size].reshape(points, rows, columns)


def chunk_size(plan: Plan) -> int:
    """Images that are transformed and multiplied at a time."""
    return max(1, TILES // math.prod(plan.x.count))


def pieces(tiles: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """(T, rows of phases, positions, k) -> (T, rows of phases, pieces, positions, k of a piece): small products."""
    count, phases, positions, k = tiles.shape
    return tiles.reshape(count, phases, positions, -1, columns(matrix, k)).transpose(0, 1, 3, 2, 4)


def tile_major(points: np.ndarray, tiles: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """(P, T, K) -> (T, rows of phases, pieces, P, k of a piece), to go with the pieces of `tiles`."""
    count, phases, _, k = tiles.shape
    return points.reshape(len(points), count, phases, -1, columns(matrix, k)).transpose(1, 2, 3, 0, 4)


def columns(matrix: np.ndarray, depth: int) -> int:
    """The largest divisor of `depth` for which a product with this many columns is a small one."""
    limit = max(1, SMALL_PRODUCT // matrix.size)
    return next(d for d in range(min(depth, limit), 0, -1) if depth % d == 0)
