"""Operations that move elements without computing: adjoint pairs stand side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Integral
from typing import Any

from ..autograd import Function, ShapeError, Tensor


class Reshape(Function):
    """The same elements, in C order, under another shape: its inverse is its adjoint."""

    reads = ()
    view = True  # unless it has to copy

    def __init__(self, shape: tuple[int, ...]):
        self.shape = shape

    def forward(self, x):
        y = self.kernels.reshape(x, self.shape)
        self.view = x.flags.c_contiguous or self.backend.xp.may_share_memory(x, y)
        return y

    def backward(self, cotangent, needs):
        return (reshape(cotangent, self.inputs[0].shape),)


class Permute(Function):
    """Axes in another order: the inverse permutation is its adjoint."""

    reads = ()
    view = True

    def __init__(self, axes: tuple[int, ...]):
        self.axes = axes

    def forward(self, x):
        return x.transpose(self.axes)

    def backward(self, cotangent, needs):
        inverse = sorted(range(len(self.axes)), key=self.axes.__getitem__)
        return (Permute(tuple(inverse))(cotangent),)


class Pad(Function):
    """Zeros (or another value) around x: Pad and Crop are each other's adjoint."""

    reads = ()

    def __init__(self, widths: tuple[tuple[int, int], ...], value: float = 0.0):
        self.widths, self.value = widths, value

    def forward(self, x):
        if self.value:
            return self.backend.xp.pad(x, self.widths, constant_values=self.value)
        return self.kernels.pad(x, self.widths)

    def backward(self, cotangent, needs):
        return (Crop(self.widths)(cotangent),)


class Crop(Function):
    """x without its margins."""

    reads = ()
    view = True

    def __init__(self, widths: tuple[tuple[int, int], ...]):
        self.widths = widths

    def forward(self, x):
        return x[tuple([slice(before, n - after) for n, (before, after) in zip(x.shape, self.widths, strict=True)])]

    def backward(self, cotangent, needs):
        return (Pad(self.widths)(cotangent),)


class GetItem(Function):
    """y = x[index], slices, integers or arrays of integers: GetItem and Scatter are each other's adjoint."""

    reads = ()
    view = True  # of slices; what is gathered is a copy

    def __init__(self, index: Any):
        self.index = index
        self.view = not _gathers(index)

    def forward(self, x):
        open_ended = any(part is Ellipsis for part in self.index)
        return x[self.index if open_ended else (*self.index, ...)]  # so that a single element is a view, too

    def backward(self, cotangent, needs):
        return (Scatter(self.index, self.inputs[0].shape)(cotangent),)


class Scatter(Function):
    """Zeros of a shape, with x added in at the index (as often as an element is named)."""

    reads = ()

    def __init__(self, index: Any, shape: tuple[int, ...]):
        self.index, self.shape = index, shape

    def forward(self, x):
        if _gathers(self.index):
            return self.kernels.scatter_add(x, self.index, self.shape)
        out = self.backend.xp.zeros(self.shape, x.dtype)
        out[self.index] = x
        return out

    def backward(self, cotangent, needs):
        return (GetItem(self.index)(cotangent),)


class Concatenate(Function):
    """Tensors one after another along an axis; the cotangent is cut at the same places."""

    reads = ()

    def __init__(self, axis: int):
        self.axis = axis

    def forward(self, *arrays):
        return self.backend.xp.concatenate(arrays, axis=self.axis)

    def backward(self, cotangent, needs):
        gradients: list[Tensor | None] = []
        start = 0
        for t, needed in zip(self.inputs, needs, strict=True):
            stop = start + t.shape[self.axis]
            index = (slice(None),) * self.axis + (slice(start, stop),)
            gradients.append(GetItem(index)(cotangent) if needed else None)
            start = stop
        return tuple(gradients)


# -------------------------------------------------------------------- the functions that users call


def axes_of(shape: tuple[int, ...], axis: int | Sequence[int]) -> tuple[int, ...]:
    """Axes of a shape, counted from its start, each at most once."""
    ndim = len(shape)
    given = (axis,) if isinstance(axis, int | Integral) else tuple(axis)
    for a in given:
        if not -ndim <= a < ndim:
            raise ShapeError(f"axis {a} is out of range for shape {shape}")
    axes = tuple([a % ndim for a in given])
    if len(set(axes)) != len(axes):
        raise ShapeError(f"axis {axis} names an axis of shape {shape} twice")
    return axes


def reshape(x: Tensor, *shape: Any) -> Tensor:
    """x under another shape: reshape(x, (2, -1)) or x.reshape(2, -1). Where that is its shape already, x itself."""
    target = tuple(shape[0]) if len(shape) == 1 and isinstance(shape[0], Sequence) else shape
    if x.data.shape == target:
        return x
    if target.count(-1) > 1 or (-1 not in target and math.prod(target) != x.size):
        raise ShapeError(f"cannot reshape a Tensor of shape {x.shape} into {target}")
    if -1 in target:
        rest = -math.prod(target)
        if rest == 0 or x.size % rest:
            raise ShapeError(f"cannot reshape a Tensor of shape {x.shape} into {target}")
    return Reshape(target)(x)


def permute(x: Tensor, *axes: Any) -> Tensor:
    """Axes in the given order: x.permute(0, 2, 3, 1)."""
    order = tuple(axes[0]) if len(axes) == 1 and isinstance(axes[0], Sequence) else axes
    if len(order) != x.ndim:
        raise ShapeError(f"permute takes every axis of shape {x.shape} once, got {order}")
    return Permute(axes_of(x.shape, order))(x)


def transpose(x: Tensor, a: int = -2, b: int = -1) -> Tensor:
    """x with axes a and b swapped (the last two by default)."""
    axes = list(range(x.ndim))
    try:
        axes[a], axes[b] = axes[b], axes[a]
    except IndexError:
        raise ShapeError(f"transpose: no axes {a} and {b} in shape {x.shape}") from None
    return Permute(tuple(axes))(x)


def pad(x: Tensor, widths: Sequence[tuple[int, int]], value: float = 0.0) -> Tensor:
    """x with a margin: one (before, after) pair of widths for every axis."""
    pairs = tuple([(int(before), int(after)) for before, after in widths])
    if len(pairs) != x.ndim or any(w < 0 for pair in pairs for w in pair):
        raise ShapeError(f"pad takes one pair of widths, 0 or more, for each axis of shape {x.shape}, got {pairs}")
    return Pad(pairs, value)(x)


def get_item(x: Tensor, index: Any) -> Tensor:
    """x[index], with slices, integers, None, ..., and arrays or Tensors of integers or booleans."""
    parts = index if isinstance(index, tuple) else (index,)
    try:
        return GetItem(tuple([_part(x, part) for part in parts]))(x)
    except IndexError as error:
        raise IndexError(f"index {index} does not fit a Tensor of shape {x.shape}: {error}") from None


def _part(x: Tensor, part: Any) -> Any:
    """A part of an index as an array may take it; arrays are copied, for the backward pass."""
    part = part.data if isinstance(part, Tensor) else part
    if not isinstance(part, list | tuple | range | bool) and not hasattr(part, "dtype"):
        return part
    array = x.backend.xp.array(part)
    return array if array.size or hasattr(part, "dtype") else array.astype("int64")  # no numbers are whole numbers


def _gathers(index: Any) -> bool:
    return any(hasattr(part, "dtype") for part in index)


def concatenate(tensors: Sequence[Tensor], axis: int = 0) -> Tensor:
    """Tensors one after another along an existing axis."""
    if not tensors:
        raise ValueError("concatenate takes at least one Tensor")
    (axis,) = axes_of(tensors[0].shape, axis)
    rests = {t.shape[:axis] + t.shape[axis + 1 :] for t in tensors}
    if len(rests) > 1:
        raise ShapeError(f"concatenate along axis {axis}: shapes {[t.shape for t in tensors]} differ elsewhere")
    return Concatenate(axis)(*tensors)


def stack(tensors: Sequence[Tensor], axis: int = 0) -> Tensor:
    """Tensors of one shape along a new axis."""
    return concatenate([unsqueeze(t, axis) for t in tensors], axis)


def unsqueeze(x: Tensor, axis: int) -> Tensor:
    """x with a new axis of length one, which will be axis `axis` of the result."""
    (axis,) = axes_of((*x.shape, 1), axis)
    return reshape(x, (*x.shape[:axis], 1, *x.shape[axis:]))


def squeeze(x: Tensor, axis: int | None = None) -> Tensor:
    """x without one axis of length one, or without all of them."""
    if axis is None:
        return reshape(x, tuple([n for n in x.shape if n != 1]))
    (axis,) = axes_of(x.shape, axis)
    if x.shape[axis] != 1:
        raise ShapeError(f"squeeze: axis {axis} of shape {x.shape} is not of length one")
    return reshape(x, x.shape[:axis] + x.shape[axis + 1 :])


def flip(x: Tensor, axis: int | tuple[int, ...]) -> Tensor:
    """x with the order of elements reversed along the given axes."""
    axes = axes_of(x.shape, axis)
    return get_item(x, tuple([slice(None, None, -1 if i in axes else None) for i in range(x.ndim)]))
