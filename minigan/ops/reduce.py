"""Reductions over axes, and broadcasting, which is the adjoint of a sum."""

from __future__ import annotations

import math

from ..autograd import Function, ShapeError, Tensor
from .operands import floating
from .shape import axes_of, reshape

Axes = int | tuple[int, ...] | None


class Sum(Function):
    """y = sum of x over axes; Sum and BroadcastTo are each other's adjoint."""

    reads = ()

    def __init__(self, axes: tuple[int, ...], keepdims: bool = False):
        self.axes, self.keepdims = axes, keepdims

    def forward(self, x):
        return self.kernels.sum(x, self.axes, self.keepdims)

    def backward(self, cotangent, needs):
        shape = self.inputs[0].shape
        return (broadcast_to(reshape(cotangent, _kept(shape, self.axes)), shape),)


class BroadcastTo(Function):
    """x repeated along new axes and along axes of length one, without copying it."""

    reads = ()
    view = True

    def __init__(self, shape: tuple[int, ...]):
        self.shape = shape

    def forward(self, x):
        return self.backend.xp.broadcast_to(x, self.shape)

    def backward(self, cotangent, needs):
        return (sum_to(cotangent, self.inputs[0].shape),)


class Max(Function):
    """y = max of x over axes: the gradient goes to the greatest, in equal shares where there are several."""

    def __init__(self, axes: tuple[int, ...], keepdims: bool):
        self.axes, self.keepdims = axes, keepdims

    def forward(self, x):
        return self.kernels.max(x, self.axes, self.keepdims)

    def backward(self, cotangent, needs):
        x = self.inputs[0].data
        kept = _kept(x.shape, self.axes)
        greatest = (x == self.kernels.max(x, self.axes, True)).astype(x.dtype)
        share = self.constant(greatest / self.kernels.sum(greatest, self.axes, True))
        return (reshape(cotangent, kept) * share,)


class LogSoftmax(Function):
    """y = x - log sum exp(x) over one axis;  dy_i/dx_j = [i = j] - softmax(x)_j."""

    reads = ()

    def __init__(self, axis: int):
        self.axis = axis

    def forward(self, x):
        xp, axes = self.backend.xp, (self.axis,)
        shifted = x - self.kernels.max(x.real, axes, True)
        return shifted - xp.log(self.kernels.sum(xp.exp(shifted), axes, True))

    def backward(self, cotangent, needs):
        return (cotangent - self.output.exp() * sum(cotangent, self.axis, keepdims=True),)


# -------------------------------------------------------------------- the functions that users call


def sum(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """Sum over the given axes (all by default)."""
    return Sum(_axes(x, axis), keepdims)(x)


def mean(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """Mean over the given axes (all by default)."""
    axes = _axes(x, axis)
    size = math.prod([x.shape[a] for a in axes])
    if size == 0:
        raise ShapeError(f"mean over axes {axes} of shape {x.shape}: there is nothing to average")
    return Sum(axes, keepdims)(x) / size


def var(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """Variance over the given axes: the mean of the squared distance to the mean (as NumPy; not n - 1)."""
    centred = x - mean(x, axis, keepdims=True)
    return mean(centred * centred, axis, keepdims)


def max(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """Greatest element over the given axes (all by default)."""
    return Max(_axes(x, axis), keepdims)(x)


def min(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """Smallest element over the given axes (all by default)."""
    if x.dtype.kind in "fc":
        return -max(-x, axis, keepdims)
    return Tensor(x.backend.kernels.min(x.data, _axes(x, axis), keepdims), x.backend)  # integers may have no negative


def log_softmax(x: Tensor, axis: int = -1) -> Tensor:
    """log of softmax(x) over one axis, without overflow."""
    axes = _axes(x, axis)
    if len(axes) != 1:
        raise ShapeError(f"softmax is over one axis, got {axis} for shape {x.shape}")
    return LogSoftmax(axes[0])(floating(x))


def softmax(x: Tensor, axis: int = -1) -> Tensor:
    """exp(x) / sum exp(x) over one axis."""
    return log_softmax(x, axis).exp()


def broadcast_to(x: Tensor, shape: tuple[int, ...]) -> Tensor:
    """x broadcast to shape, as numpy.broadcast_to."""
    return x if x.data.shape == shape else BroadcastTo(tuple(shape))(x)


def sum_to(x: Tensor, shape: tuple[int, ...]) -> Tensor:
    """x summed over the axes along which `shape` would have been broadcast to x's shape."""
    if x.data.shape == shape:
        return x
    lead = x.ndim - len(shape)
    if lead < 0 or any(n not in (1, m) for n, m in zip(shape, x.shape[lead:], strict=True)):
        raise ShapeError(f"sum_to: shape {shape} does not broadcast to {x.shape}")
    stretched = tuple([lead + i for i, n in enumerate(shape) if n == 1 and x.shape[lead + i] != 1])
    if not stretched:
        return Sum(tuple(range(lead)))(x)
    total = Sum((*range(lead), *stretched), keepdims=True)(x)
    return reshape(total, shape) if lead else total


def _axes(x: Tensor, axis: Axes) -> tuple[int, ...]:
    """Axes as a tuple of numbers from 0 to ndim - 1."""
    if axis is None:
        return tuple(range(x.ndim))
    return axes_of(x.shape, axis)


def _kept(shape: tuple[int, ...], axes: tuple[int, ...]) -> tuple[int, ...]:
    """The shape with 1 for the axes that were reduced."""
    return tuple([1 if i in axes else n for i, n in enumerate(shape)])
