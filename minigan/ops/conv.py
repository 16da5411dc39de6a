"""Convolution: one trilinear form in (input, weight, output).

    T(x, w, y) = sum over n, o, c, i, j, k, l of  x[n, c, i*s + k*d - p, j*s + l*d - p] * w[o, c, k, l] * y[n, o, i, j]

    conv2d             = dT/dy   (x, w) -> y
    conv_transpose2d   = dT/dx   (y, w) -> x
    conv2d_weight_grad = dT/dw   (x, y) -> w

Each is linear in both of its arguments, so the rule of each one is the other two. What the kernels keep of an array
goes with it from rule to rule: `kept` is a dictionary for each of the two arguments.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from numbers import Integral

from ..autograd import Function, ShapeError, Tensor
from ..kernels.geometry import Geometry, Kept, KeptPair, Pair
from .reduce import broadcast_to, max, mean, sum
from .shape import pad, reshape

Padding = int | Pair | str


class Conv2d(Function):
    """y = dT/dy (x, w) + b: (N, C, H, W) x (O, C, KH, KW) -> (N, O, OH, OW)."""

    reads = (0, 1)

    def __init__(self, geometry: Geometry, kept: KeptPair = None):
        self.geometry, self.given = geometry, kept

    def forward(self, x, w, b=None):
        self.kept = self.given or ({}, {})
        return self.kernels.conv2d(x, w, b, self.geometry, self.kept)

    def backward(self, cotangent, needs):
        x, w, *bias = self.inputs
        g, (kept_x, kept_w) = self.geometry, self.kept
        kept_y: Kept = {}
        gradients = (
            ConvTranspose2d(g, (kept_y, kept_w))(cotangent, w) if needs[0] else None,
            Conv2dWeightGrad(g, (kept_x, kept_y))(x, cotangent) if needs[1] else None,
        )
        return (*gradients, sum(cotangent, (0, 2, 3)) if needs[2] else None) if bias else gradients


class ConvTranspose2d(Function):
    """x = dT/dx (y, w) + b: (N, O, OH, OW) x (O, C, KH, KW) -> (N, C, H, W)."""

    reads = (0, 1)

    def __init__(self, geometry: Geometry, kept: KeptPair = None):
        self.geometry, self.given = geometry, kept

    def forward(self, y, w, b=None):
        self.kept = self.given or ({}, {})
        return self.kernels.conv_transpose2d(y, w, b, self.geometry, self.kept)

    def backward(self, cotangent, needs):
        y, w, *bias = self.inputs
        g, (kept_y, kept_w) = self.geometry, self.kept
        kept_x: Kept = {}
        gradients = (
            Conv2d(g, (kept_x, kept_w))(cotangent, w) if needs[0] else None,
            Conv2dWeightGrad(g, (kept_x, kept_y))(cotangent, y) if needs[1] else None,
        )
        return (*gradients, sum(cotangent, (0, 2, 3)) if needs[2] else None) if bias else gradients


class Conv2dWeightGrad(Function):
    """w = dT/dw (x, y): (N, C, H, W) x (N, O, OH, OW) -> (O, C, KH, KW)."""

    def __init__(self, geometry: Geometry, kept: KeptPair = None):
        self.geometry, self.given = geometry, kept

    def forward(self, x, y):
        self.kept = self.given or ({}, {})
        return self.kernels.conv2d_weight_grad(x, y, self.geometry, self.kept)

    def backward(self, cotangent, needs):
        x, y = self.inputs
        g, (kept_x, kept_y) = self.geometry, self.kept
        kept_w: Kept = {}
        return (
            ConvTranspose2d(g, (kept_y, kept_w))(y, cotangent) if needs[0] else None,
            Conv2d(g, (kept_x, kept_w))(x, cotangent) if needs[1] else None,
        )


class Patches(Function):
    """(N, C, H, W) -> (N, OH, OW, KH, KW, C): what each output pixel sees. Patches and Unpatch are adjoint."""

    reads = ()

    def __init__(self, geometry: Geometry):
        self.geometry = geometry

    def forward(self, x):
        return self.kernels.im2col(x, self.geometry)

    def backward(self, cotangent, needs):
        return (Unpatch(self.geometry)(cotangent),)


class Unpatch(Function):
    """(N, OH, OW, KH, KW, C) -> (N, C, H, W): every patch added back to where it was read."""

    reads = ()

    def __init__(self, geometry: Geometry):
        self.geometry = geometry

    def forward(self, columns):
        return self.kernels.col2im(columns, self.geometry)

    def backward(self, cotangent, needs):
        return (Patches(self.geometry)(cotangent),)


# -------------------------------------------------------------------- the functions that users call


def conv2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Pair = 1,
    padding: Padding = 0,
    dilation: int | Pair = 1,
) -> Tensor:
    """Cross-correlation of x (N, C, H, W) with weight (O, C, KH, KW), plus bias (O,).

    Output size: floor((size + padding - dilation (kernel - 1) - 1) / stride) + 1. padding: a number, a pair (rows,
    columns), or "same" as in TensorFlow: output size ceil(size / stride), the odd row of zeros at the bottom or right.
    """
    _check(x, weight, bias, channels_axis=1, bias_axis=0, what="conv2d")
    geometry = conv_geometry(x.shape[2:], weight.shape[2:], as_pair(stride), _padding(padding), as_pair(dilation))
    inputs = (x, weight) if bias is None else (x, weight, bias)
    return Conv2d(geometry)(*inputs)


def conv_transpose2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Pair = 1,
    padding: Padding = 0,
    output_padding: int | Pair = 0,
    dilation: int | Pair = 1,
) -> Tensor:
    """The adjoint of conv2d: x (N, I, H, W) with weight (I, O, KH, KW), plus bias (O,).

    Output size: (size - 1) stride - 2 padding + dilation (kernel - 1) + output_padding + 1; with padding "same":
    size * stride.
    """
    _check(x, weight, bias, channels_axis=0, bias_axis=1, what="conv_transpose2d")
    geometry = transposed_geometry(
        x.shape[2:],
        weight.shape[2:],
        as_pair(stride),
        _padding(padding),
        as_pair(output_padding, 0),
        as_pair(dilation),
    )
    inputs = (x, weight) if bias is None else (x, weight, bias)
    return ConvTranspose2d(geometry)(*inputs)


def avg_pool2d(x: Tensor, kernel_size: int | Pair, stride: int | Pair | None = None, padding: int | Pair = 0) -> Tensor:
    """Mean of each window (the zeros of the padding count, as in PyTorch)."""
    patches = Patches(_pool_geometry(x, kernel_size, stride, padding))(x)
    return mean(patches, (3, 4)).permute(0, 3, 1, 2)


def max_pool2d(x: Tensor, kernel_size: int | Pair, stride: int | Pair | None = None, padding: int | Pair = 0) -> Tensor:
    """Greatest element of each window; where several are equal they share the gradient."""
    rows, columns = as_pair(padding, 0)
    kernel = as_pair(kernel_size)
    if 2 * rows > kernel[0] or 2 * columns > kernel[1]:
        raise ShapeError(f"max_pool2d: padding {padding} must be at most half the kernel {kernel}")
    padded = pad(x, ((0, 0), (0, 0), (rows, rows), (columns, columns)), -math.inf) if rows or columns else x
    patches = Patches(_pool_geometry(padded, kernel, stride, 0))(padded)
    return max(patches, (3, 4)).permute(0, 3, 1, 2)


def upsample_nearest(x: Tensor, scale_factor: int | Pair) -> Tensor:
    """Every pixel of x (N, C, H, W) repeated scale_factor times along rows and columns."""
    if x.ndim != 4:
        raise ShapeError(f"upsampling takes (N, C, H, W), got a Tensor of shape {x.shape}")
    rows, columns = as_pair(scale_factor)
    n, c, h, w = x.shape
    repeated = broadcast_to(reshape(x, (n, c, h, 1, w, 1)), (n, c, h, rows, w, columns))
    return reshape(repeated, (n, c, h * rows, w * columns))


def _pool_geometry(x: Tensor, kernel_size, stride, padding) -> Geometry:
    if x.ndim != 4:
        raise ShapeError(f"pooling takes (N, C, H, W), got a Tensor of shape {x.shape}")
    kernel = as_pair(kernel_size)
    return conv_geometry(
        x.shape[2:], kernel, kernel if stride is None else as_pair(stride), as_pair(padding, 0), (1, 1)
    )


# --------------------------------------------------------------------------------------- geometry


@lru_cache(maxsize=512)
def conv_geometry(size: Pair, kernel: Pair, stride: Pair, padding: Pair | str, dilation: Pair) -> Geometry:
    """The Geometry of a convolution of an input of `size`."""
    spans = tuple([d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)])
    output: tuple[int, ...]
    corner: tuple[int, ...]
    if isinstance(padding, str):
        output = tuple([-(-n // s) for n, s in zip(size, stride, strict=True)])
        total = [(o - 1) * s + r - n for n, o, s, r in zip(size, output, stride, spans, strict=True)]
        corner = tuple([t // 2 if t > 0 else 0 for t in total])
    else:
        corner = padding
        output = tuple([(n + 2 * p - r) // s + 1 for n, p, r, s in zip(size, corner, spans, stride, strict=True)])
    if min(output) < 1:
        raise ShapeError(
            f"conv2d: a kernel {kernel} with dilation {dilation} does not fit into {size} with padding {padding}"
        )
    return Geometry(size, kernel, (output[0], output[1]), stride, (corner[0], corner[1]), dilation)


@lru_cache(maxsize=512)
def transposed_geometry(
    size: Pair, kernel: Pair, stride: Pair, padding: Pair | str, output_padding: Pair, dilation: Pair
) -> Geometry:
    """The Geometry of the convolution whose adjoint takes an input of `size`."""
    result: tuple[int, ...]
    if isinstance(padding, str):
        if any(output_padding):
            raise ShapeError(f"padding 'same' fixes the output's size: leave output_padding {output_padding} out")
        result = tuple([n * s for n, s in zip(size, stride, strict=True)])
        return conv_geometry(result, kernel, stride, "same", dilation)
    if any(o >= max_ for o, max_ in zip(output_padding, map(_greater, stride, dilation), strict=True)):
        raise ShapeError(f"output_padding {output_padding} must be less than stride {stride} or dilation {dilation}")
    result = tuple(
        [
            (n - 1) * s - 2 * p + d * (k - 1) + o + 1
            for n, s, p, d, k, o in zip(size, stride, padding, dilation, kernel, output_padding, strict=True)
        ]
    )
    if min(result) < 1:
        raise ShapeError(f"conv_transpose2d: padding {padding} leaves nothing of the output for an input of {size}")
    return Geometry((result[0], result[1]), kernel, size, stride, padding, dilation)


def _greater(a: int, b: int) -> int:
    return a if a > b else b


def as_pair(value: int | Pair, least: int = 1) -> Pair:
    """(rows, columns), from a number for both or a pair, each `least` or more."""
    pair: Sequence[int] = (value, value) if isinstance(value, int | Integral) else value
    whole = isinstance(pair, Sequence) and len(pair) == 2 and all(isinstance(n, Integral) for n in pair)
    if not whole or min(pair) < least:
        raise ValueError(f"expected a whole number or a pair of them, {least} or more, got {value!r}")
    return int(pair[0]), int(pair[1])


def _padding(padding: Padding) -> Pair | str:
    if isinstance(padding, str):
        if padding != "same":
            raise ValueError(f'padding is a number, a pair, or "same", got {padding!r}')
        return padding
    return as_pair(padding, 0)


def _check(x: Tensor, weight: Tensor, bias: Tensor | None, channels_axis: int, bias_axis: int, what: str) -> None:
    if x.ndim != 4 or weight.ndim != 4 or x.shape[1] != weight.shape[channels_axis]:
        channels = weight.shape[channels_axis] if weight.ndim == 4 else "C"
        raise ShapeError(
            f"{what} expects an input of shape (N, {channels}, H, W) for weight {weight.shape}, got {x.shape}"
        )
    if bias is not None and bias.shape != (weight.shape[bias_axis],):
        raise ShapeError(f"{what}: bias must have shape ({weight.shape[bias_axis]},), got {bias.shape}")
