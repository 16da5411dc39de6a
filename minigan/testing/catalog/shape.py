"""Catalog of ops/shape.py. The oracles look up every element by its index."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ... import ops
from ...autograd import Tensor
from ...ops import shape as s
from ..draw import Draw, Shape
from .entry import Entry, Sample


def _factorized(draw: Draw, size: int) -> Shape:
    """Some shape of that size."""
    factors: list[int] = []
    while size > 1 and len(factors) < 3:
        divisors = [d for d in range(1, size + 1) if size % d == 0]
        factors.append(draw.choice(divisors))
        size //= factors[-1]
    return (*factors, size)


def _reshape(draw: Draw) -> Sample:
    shape = draw.shape(1)
    target = _factorized(draw, math.prod(shape))

    def oracle(x: np.ndarray) -> np.ndarray:
        y = np.empty(target)
        for source, goal in zip(np.ndindex(shape), np.ndindex(target), strict=True):
            y[goal] = x[source]
        return y

    return Sample(lambda x: s.Reshape(target)(x), [draw.real(shape)], oracle)


def _permute(draw: Draw) -> Sample:
    shape = draw.shape(1)
    order = draw.permutation(len(shape))

    def oracle(x: np.ndarray) -> np.ndarray:
        y = np.empty([shape[a] for a in order])
        for index in np.ndindex(shape):
            y[tuple([index[a] for a in order])] = x[index]
        return y

    return Sample(lambda x: ops.permute(x, order), [draw.real(shape)], oracle)


def _transpose(draw: Draw) -> Sample:
    shape = draw.shape(2)
    a, b = draw.permutation(len(shape))[:2]
    return Sample(lambda x: ops.transpose(x, a, b - len(shape)), [draw.real(shape)], lambda x: np.swapaxes(x, a, b))


def _margins(draw: Draw, shape: Shape) -> tuple[tuple[int, int], ...]:
    return tuple([(draw.integer(0, 2), draw.integer(0, 2)) for _ in shape])


def _filled(x: np.ndarray, widths: Any, value: float) -> np.ndarray:
    y = np.full([n + before + after for n, (before, after) in zip(x.shape, widths, strict=True)], value)
    for index in np.ndindex(x.shape):
        y[tuple([i + before for i, (before, _) in zip(index, widths, strict=True)])] = x[index]
    return y


def _pad(draw: Draw) -> Sample:
    shape = draw.shape(1)
    widths = _margins(draw, shape)
    return Sample(lambda x: s.Pad(widths)(x), [draw.real(shape)], lambda x: _filled(x, widths, 0.0))


def _pad_value(draw: Draw) -> Sample:
    shape = draw.shape(1)
    widths = _margins(draw, shape)
    return Sample(lambda x: ops.pad(x, widths, 1.5), [draw.real(shape)], lambda x: _filled(x, widths, 1.5))


def _crop(draw: Draw) -> Sample:
    inner = draw.shape(1)
    widths = _margins(draw, inner)
    outer = tuple([n + before + after for n, (before, after) in zip(inner, widths, strict=True)])

    def oracle(x: np.ndarray) -> np.ndarray:
        y = np.empty(inner)
        for index in np.ndindex(inner):
            y[index] = x[tuple([i + before for i, (before, _) in zip(index, widths, strict=True)])]
        return y

    return Sample(lambda x: s.Crop(widths)(x), [draw.real(outer)], oracle)


def _index(draw: Draw, shape: Shape) -> tuple[Any, ...]:
    """Slices with steps, integers, None and ...; or arrays of integers (with repetitions); or a mask."""
    kind = draw.choice(("basic", "basic", "arrays", "mask"))
    if kind == "mask":
        return (draw.mask(shape) | (np.arange(math.prod(shape)).reshape(shape) == 0),)
    if kind == "arrays":
        length = draw.integer(1, 4)
        axes = draw.axes(shape, 1)
        return tuple([draw.rng().integers(-n, n, length) if a in axes else slice(None) for a, n in enumerate(shape)])
    parts: list[Any] = []
    for n in shape[: draw.integer(0, len(shape))]:
        start, step = draw.integer(0, n - 1), draw.choice((1, 2, -1, -2))
        parts.append(draw.choice((slice(None), start, start - n, slice(start, None, step), slice(None, None, step))))
    parts.insert(draw.integer(0, len(parts)), None)
    return (*parts, Ellipsis)


def _on_device(index: tuple[Any, ...], x: Tensor) -> tuple[Any, ...]:
    return tuple([x.backend.asarray(part) if isinstance(part, np.ndarray) else part for part in index])


def _get_item(draw: Draw) -> Sample:
    shape = draw.shape(1, 3)
    index = _index(draw, shape)

    def oracle(x: np.ndarray) -> np.ndarray:
        return x.ravel()[np.arange(x.size).reshape(shape)[index]]

    return Sample(lambda x: ops.get_item(x, _on_device(index, x)), [draw.real(shape)], oracle)


def _scatter(draw: Draw) -> Sample:
    shape = draw.shape(1, 3)
    index = _index(draw, shape)
    named = np.arange(math.prod(shape)).reshape(shape)[index]

    def oracle(x: np.ndarray) -> np.ndarray:
        y = np.zeros(math.prod(shape))
        for position, value in zip(named.ravel(), x.ravel(), strict=True):
            y[position] += value
        return y.reshape(shape)

    return Sample(lambda x: s.Scatter(_on_device(index, x), shape)(x), [draw.real(named.shape)], oracle)


def _parts(draw: Draw) -> tuple[int, list[Shape]]:
    shape = draw.shape(1)
    axis = draw.integer(0, len(shape) - 1)
    return axis, [(*shape[:axis], draw.integer(1, 3), *shape[axis + 1 :]) for _ in range(draw.integer(1, 3))]


def _concatenate(draw: Draw) -> Sample:
    axis, shapes = _parts(draw)

    def oracle(*arrays: np.ndarray) -> np.ndarray:
        slabs = [slab for x in arrays for slab in np.moveaxis(x, axis, 0)]
        return np.stack(slabs, axis)

    return Sample(
        lambda *xs: ops.concatenate(xs, axis - len(shapes[0])), [draw.real(shape) for shape in shapes], oracle
    )


def _stack(draw: Draw) -> Sample:
    shape = draw.shape(0, 3)
    axis = draw.integer(0, len(shape))
    arrays = [draw.real(shape) for _ in range(draw.integer(1, 3))]
    return Sample(lambda *xs: ops.stack(xs, axis), arrays, lambda *xs: np.moveaxis(np.array(xs), 0, axis))


def _flip(draw: Draw) -> Sample:
    shape = draw.shape(1)
    axes = draw.axes(shape, 1)

    def oracle(x: np.ndarray) -> np.ndarray:
        y = np.empty(shape)
        for index in np.ndindex(shape):
            y[tuple([shape[a] - 1 - i if a in axes else i for a, i in enumerate(index)])] = x[index]
        return y

    return Sample(lambda x: ops.flip(x, axes), [draw.real(shape)], oracle)


def _squeeze(draw: Draw) -> Sample:
    shape = draw.shape(0, 3)
    axis = draw.integer(0, len(shape))
    longer = (*shape[:axis], 1, *shape[axis:])
    return Sample(lambda x: ops.squeeze(x, axis), [draw.real(longer)], lambda x: x.reshape(shape))


def _unsqueeze(draw: Draw) -> Sample:
    shape = draw.shape(0, 3)
    axis = draw.integer(0, len(shape))
    return Sample(lambda x: ops.unsqueeze(x, axis), [draw.real(shape)], lambda x: np.expand_dims(x, axis))


ENTRIES = [
    Entry("Reshape", s.Reshape, _reshape, linear=((0,),), public=("reshape",)),
    Entry("Permute", s.Permute, _permute, linear=((0,),), public=("permute",)),
    Entry("Pad", s.Pad, _pad, linear=((0,),)),
    Entry("Crop", s.Crop, _crop, linear=((0,),)),
    Entry("GetItem", s.GetItem, _get_item, linear=((0,),), public=("get_item",)),
    Entry("Scatter", s.Scatter, _scatter, linear=((0,),)),
    Entry("Concatenate", s.Concatenate, _concatenate, linear=((0, 1, 2),), public=("concatenate",)),
    Entry("pad", None, _pad_value, public=("pad",)),
    Entry("transpose", None, _transpose, linear=((0,),), public=("transpose",)),
    Entry("stack", None, _stack, linear=((0, 1, 2),), public=("stack",)),
    Entry("flip", None, _flip, linear=((0,),), public=("flip",)),
    Entry("squeeze", None, _squeeze, linear=((0,),), public=("squeeze",)),
    Entry("unsqueeze", None, _unsqueeze, linear=((0,),), public=("unsqueeze",)),
]
