"""Values by other means: scalar arithmetic from `math`, and nested loops that follow the definition."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from ...kernels.geometry import Geometry


def each(function: Callable[..., float]) -> Callable[..., np.ndarray]:
    """A function of Python numbers, applied element by element, with broadcasting."""

    def oracle(*arrays: np.ndarray) -> np.ndarray:
        broadcast = np.broadcast_arrays(*arrays)
        values = [function(*[float(x) for x in numbers]) for numbers in zip(*(a.flat for a in broadcast), strict=True)]
        return np.array(values, dtype=float).reshape(broadcast[0].shape)

    return oracle


def _terms(geometry: Geometry):
    """Every (input row, input column, kernel row, kernel column, output row, output column) that meet."""
    g = geometry
    for i, j, k, l in itertools.product(*map(range, (*g.output_size, *g.kernel_size))):
        row = i * g.stride[0] + k * g.dilation[0] - g.corner[0]
        column = j * g.stride[1] + l * g.dilation[1] - g.corner[1]
        if 0 <= row < g.input_size[0] and 0 <= column < g.input_size[1]:
            yield row, column, k, l, i, j


def conv2d(x: np.ndarray, w: np.ndarray, b: Any, geometry: Geometry) -> np.ndarray:
    y = np.zeros((x.shape[0], w.shape[0], *geometry.output_size))
    for n, o, c in np.ndindex(x.shape[0], w.shape[0], x.shape[1]):
        for row, column, k, l, i, j in _terms(geometry):
            y[n, o, i, j] += x[n, c, row, column] * w[o, c, k, l]
    return y if b is None else y + b[:, None, None]


def conv_transpose2d(y: np.ndarray, w: np.ndarray, b: Any, geometry: Geometry) -> np.ndarray:
    x = np.zeros((y.shape[0], w.shape[1], *geometry.input_size))
    for n, o, c in np.ndindex(y.shape[0], w.shape[0], w.shape[1]):
        for row, column, k, l, i, j in _terms(geometry):
            x[n, c, row, column] += y[n, o, i, j] * w[o, c, k, l]
    return x if b is None else x + b[:, None, None]


def conv2d_weight_grad(x: np.ndarray, y: np.ndarray, geometry: Geometry) -> np.ndarray:
    w = np.zeros((y.shape[1], x.shape[1], *geometry.kernel_size))
    for n, o, c in np.ndindex(x.shape[0], y.shape[1], x.shape[1]):
        for row, column, k, l, i, j in _terms(geometry):
            w[o, c, k, l] += x[n, c, row, column] * y[n, o, i, j]
    return w


def patches(x: np.ndarray, geometry: Geometry) -> np.ndarray:
    columns = np.zeros((x.shape[0], *geometry.output_size, *geometry.kernel_size, x.shape[1]))
    for row, column, k, l, i, j in _terms(geometry):
        columns[:, i, j, k, l] = x[:, :, row, column]
    return columns


def unpatch(columns: np.ndarray, geometry: Geometry) -> np.ndarray:
    x = np.zeros((columns.shape[0], columns.shape[-1], *geometry.input_size))
    for row, column, k, l, i, j in _terms(geometry):
        x[:, :, row, column] += columns[:, i, j, k, l]
    return x


def pool(x: np.ndarray, geometry: Geometry, reduce: Callable[[list[np.ndarray]], np.ndarray]) -> np.ndarray:
    """reduce over the (unpadded) elements of each window."""
    y = np.zeros((*x.shape[:2], *geometry.output_size))
    for i, j in np.ndindex(*geometry.output_size):
        y[:, :, i, j] = reduce([x[:, :, r, c] for r, c, _, _, a, b in _terms(geometry) if (a, b) == (i, j)])
    return y


def standardized(x: np.ndarray, eps: float) -> tuple[np.ndarray, np.ndarray]:
    """xhat and 1 / sqrt(var + eps), channel by channel (axis 1)."""
    xhat, scale = np.empty_like(x), np.empty(x.shape[1])
    for c in range(x.shape[1]):
        values = x[:, c]
        scale[c] = 1 / np.sqrt(np.mean((values - values.mean()) ** 2) + eps)
        xhat[:, c] = (values - values.mean()) * scale[c]
    return xhat, scale


def channels(v: np.ndarray, x: np.ndarray) -> np.ndarray:
    """(C,) against x (N, C, ...)."""
    return v.reshape(1, -1, *[1] * (x.ndim - 2))
