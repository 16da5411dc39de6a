"""Catalog of ops/reduce.py. The oracles walk over the elements that meet in one result."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from ... import ops
from ...ops import reduce as r
from ..draw import Draw, Shape
from .entry import Entry, Sample


def _reduced(reduce: Callable[[list[float]], float], axes: Sequence[int], keepdims: bool):
    """An oracle: `reduce` over the list of elements of every cell."""

    def oracle(x: np.ndarray) -> np.ndarray:
        cells: dict[Shape, list[float]] = {}
        for index in np.ndindex(x.shape):
            cell = tuple([0 if a in axes else i for a, i in enumerate(index)])
            cells.setdefault(cell, []).append(float(x[index]))
        y = np.empty([1 if a in axes else n for a, n in enumerate(x.shape)])
        for cell, values in cells.items():
            y[cell] = reduce(values)
        return y if keepdims else y.reshape([n for a, n in enumerate(x.shape) if a not in axes])

    return oracle


def _reduction(name: str, reduce: Callable[[list[float]], float], values: str = "real"):
    def sample(draw: Draw) -> Sample:
        shape = draw.shape(1)
        axes, keepdims = draw.axes(shape), draw.choice((False, True))
        axis = draw.choice((axes, axes[0])) if len(axes) == 1 else axes
        if len(axes) == len(shape):
            axis = draw.choice((axes, None))
        call = getattr(ops, name)
        return Sample(
            lambda x: call(x, axis, keepdims), [getattr(draw, values)(shape)], _reduced(reduce, axes, keepdims)
        )

    return sample


def _mean(values: list[float]) -> float:
    return math.fsum(values) / len(values)


def _variance(values: list[float]) -> float:
    return _mean([(v - _mean(values)) ** 2 for v in values])


def _broadcast_to(draw: Draw) -> Sample:
    small, _, _ = shapes = draw.broadcastable(3)
    shape = np.broadcast_shapes(*shapes)

    def oracle(x: np.ndarray) -> np.ndarray:
        y = np.empty(shape)
        for index in np.ndindex(shape):
            y[index] = x[tuple([min(i, n - 1) for i, n in zip(index[len(shape) - x.ndim :], x.shape, strict=True)])]
        return y

    return Sample(lambda x: r.BroadcastTo(shape)(x), [draw.real(small)], oracle)


def _sum_to(draw: Draw) -> Sample:
    small, _, _ = shapes = draw.broadcastable(3)
    shape = np.broadcast_shapes(*shapes)

    def oracle(x: np.ndarray) -> np.ndarray:
        y = np.zeros(small)
        for index in np.ndindex(shape):
            y[tuple([min(i, n - 1) for i, n in zip(index[len(shape) - y.ndim :], small, strict=True)])] += x[index]
        return y

    return Sample(lambda x: ops.sum_to(x, small), [draw.real(shape)], oracle)


def _log_softmax(x: np.ndarray, axis: int) -> np.ndarray:
    y = np.empty_like(x)
    for row, out in zip(np.moveaxis(x, axis, -1), np.moveaxis(y, axis, -1), strict=True):
        for index in np.ndindex(row.shape[:-1]):
            total = math.fsum([math.exp(v) for v in row[index]])
            out[index] = [v - math.log(total) for v in row[index]]
    return y


def _softmax(name: str, finish: Callable[[np.ndarray], np.ndarray]):
    def sample(draw: Draw) -> Sample:
        shape = draw.shape(2, 3)
        axis = draw.integer(1, len(shape) - 1)
        call = getattr(ops, name)
        arrays = [draw.distinct(shape)]  # for p (1 - p) (1 - 2p) float32 has few digits where two are all but equal
        return Sample(lambda x: call(x, axis - len(shape)), arrays, lambda x: finish(_log_softmax(x, axis)))

    return sample


ENTRIES = [
    Entry("Sum", r.Sum, _reduction("sum", math.fsum), linear=((0,),), public=("sum",)),
    Entry("BroadcastTo", r.BroadcastTo, _broadcast_to, linear=((0,),), public=("broadcast_to",)),
    Entry("Max", r.Max, _reduction("max", max, "distinct"), "no ties", analytic=False, public=("max",)),
    Entry("LogSoftmax", r.LogSoftmax, _softmax("log_softmax", lambda y: y), public=("log_softmax",)),
    Entry("mean", None, _reduction("mean", _mean), linear=((0,),), public=("mean",)),
    Entry("var", None, _reduction("var", _variance), public=("var",)),
    Entry("min", None, _reduction("min", min, "distinct"), "no ties", analytic=False, public=("min",)),
    Entry("sum_to", None, _sum_to, linear=((0,),), public=("sum_to",)),
    Entry("softmax", None, _softmax("softmax", np.exp), public=("softmax",)),
]
