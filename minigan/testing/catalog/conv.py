"""Catalog of ops/conv.py: random geometries against nested loops."""

from __future__ import annotations

import numpy as np

from ... import ops
from ...kernels.geometry import Geometry, Pair
from ...ops import conv as c
from ..draw import Draw
from . import oracles
from .entry import Entry, Sample


def _counts(draw: Draw) -> tuple[int, int, int]:
    """Batch, input channels, output channels."""
    return draw.integer(1, 2), draw.integer(1, 2), draw.integer(1, 3)


def _conv2d(draw: Draw) -> Sample:
    g = draw.geometry()
    n, i, o = _counts(draw)
    arrays = [draw.real((n, i, *g.input_size)), draw.real((o, i, *g.kernel_size))]
    if draw.integer(0, 2):
        arrays.append(draw.real((o,)))
    return Sample(lambda *xs: c.Conv2d(g)(*xs), arrays, lambda x, w, b=None: oracles.conv2d(x, w, b, g))


def _conv_transpose2d(draw: Draw) -> Sample:
    g = draw.geometry()
    n, i, o = _counts(draw)
    arrays = [draw.real((n, o, *g.output_size)), draw.real((o, i, *g.kernel_size))]
    if draw.integer(0, 2):
        arrays.append(draw.real((i,)))
    return Sample(
        lambda *xs: c.ConvTranspose2d(g)(*xs), arrays, lambda y, w, b=None: oracles.conv_transpose2d(y, w, b, g)
    )


def _conv2d_weight_grad(draw: Draw) -> Sample:
    g = draw.geometry()
    n, i, o = _counts(draw)
    arrays = [draw.real((n, i, *g.input_size)), draw.real((n, o, *g.output_size))]
    return Sample(lambda x, y: c.Conv2dWeightGrad(g)(x, y), arrays, lambda x, y: oracles.conv2d_weight_grad(x, y, g))


def _patches(draw: Draw) -> Sample:
    g = draw.geometry()
    n, i, _ = _counts(draw)
    return Sample(lambda x: c.Patches(g)(x), [draw.real((n, i, *g.input_size))], lambda x: oracles.patches(x, g))


def _unpatch(draw: Draw) -> Sample:
    g = draw.geometry()
    n, i, _ = _counts(draw)
    columns = draw.real((n, *g.output_size, *g.kernel_size, i))
    return Sample(lambda x: c.Unpatch(g)(x), [columns], lambda x: oracles.unpatch(x, g))


def _size(draw: Draw, kernel: Pair, dilation: Pair) -> Pair:
    """An input size into which the kernel fits."""
    rows, columns = (d * (k - 1) + 1 + draw.integer(0, 3) for k, d in zip(kernel, dilation, strict=True))
    return rows, columns


def _pair(draw: Draw, low: int, high: int) -> Pair:
    return draw.integer(low, high), draw.integer(low, high)


def _public_conv2d(draw: Draw) -> Sample:
    """conv2d as users call it: numbers, pairs, or "same"."""
    kernel, stride, dilation = _pair(draw, 1, 3), _pair(draw, 1, 3), _pair(draw, 1, 2)
    size = _size(draw, kernel, dilation)
    options: tuple[str | Pair, ...] = ("same", _pair(draw, 0, 2))
    padding = draw.choice(options)
    n, i, o = _counts(draw)
    output, corner = [], []
    for axis in range(2):
        span = dilation[axis] * (kernel[axis] - 1) + 1
        if isinstance(padding, str):  # TensorFlow: output size ceil(size / stride), the odd zero after
            output.append((size[axis] + stride[axis] - 1) // stride[axis])
            corner.append(max((output[axis] - 1) * stride[axis] + span - size[axis], 0) // 2)
        else:
            corner.append(padding[axis])
            output.append(len(range(0, size[axis] + 2 * corner[axis] - span + 1, stride[axis])))
    g = Geometry(size, kernel, (output[0], output[1]), stride, (corner[0], corner[1]), dilation)
    return Sample(
        lambda x, w, b: ops.conv2d(x, w, b, stride, padding, dilation),
        [draw.real((n, i, *size)), draw.real((o, i, *kernel)), draw.real((o,))],
        lambda x, w, b: oracles.conv2d(x, w, b, g),
    )


def _public_conv_transpose2d(draw: Draw) -> Sample:
    """conv_transpose2d as users call it, against zero insertion, a flipped kernel and a plain convolution."""
    kernel, stride, dilation = _pair(draw, 1, 3), _pair(draw, 1, 3), _pair(draw, 1, 2)
    size = _pair(draw, 1, 3)
    spans = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    extra = (draw.integer(0, max(stride[0], dilation[0]) - 1), draw.integer(0, max(stride[1], dilation[1]) - 1))
    full = [(m - 1) * s + r + e for m, s, r, e in zip(size, stride, spans, extra, strict=True)]
    corner = (draw.integer(0, min(1, (full[0] - 1) // 2)), draw.integer(0, min(1, (full[1] - 1) // 2)))
    n, i, o = _counts(draw)

    def oracle(y: np.ndarray, w: np.ndarray, b: np.ndarray) -> np.ndarray:
        spread = np.zeros((n, o, *full))
        spread[:, :, : (size[0] - 1) * stride[0] + 1 : stride[0], : (size[1] - 1) * stride[1] + 1 : stride[1]] = y
        flipped = w.transpose(1, 0, 2, 3)[:, :, ::-1, ::-1]
        outputs = (full[0], full[1])
        plain = Geometry(outputs, kernel, outputs, (1, 1), (spans[0] - 1, spans[1] - 1), dilation)
        x = oracles.conv2d(spread, flipped, b, plain)
        return x[:, :, corner[0] : full[0] - corner[0], corner[1] : full[1] - corner[1]]

    return Sample(
        lambda y, w, b: ops.conv_transpose2d(y, w, b, stride, corner, extra, dilation),
        [draw.real((n, o, *size)), draw.real((o, i, *kernel)), draw.real((i,))],
        oracle,
    )


def _same_transpose(draw: Draw) -> Sample:
    """padding="same": the adjoint of the convolution that takes size * stride to size."""
    kernel, stride, size = _pair(draw, 1, 3), _pair(draw, 1, 3), _pair(draw, 1, 3)
    n, i, o = _counts(draw)
    result = (size[0] * stride[0], size[1] * stride[1])
    corner = [max(k - s, 0) // 2 for k, s in zip(kernel, stride, strict=True)]
    g = Geometry(result, kernel, size, stride, (corner[0], corner[1]))
    return Sample(
        lambda y, w: ops.conv_transpose2d(y, w, None, stride, "same"),
        [draw.real((n, o, *size)), draw.real((o, i, *kernel))],
        lambda y, w: oracles.conv_transpose2d(y, w, None, g),
    )


def _pool(name: str, reduce, values: str):
    def sample(draw: Draw) -> Sample:
        kernel = _pair(draw, 1, 3)
        stride = draw.choice((None, _pair(draw, 1, 3)))
        padding = (draw.integer(0, kernel[0] // 2), draw.integer(0, kernel[1] // 2))
        size = _size(draw, kernel, (1, 1))
        n, i, _ = _counts(draw)
        step = stride or kernel
        output = [(m + 2 * p - k) // s + 1 for m, p, k, s in zip(size, padding, kernel, step, strict=True)]
        g = Geometry(size, kernel, (output[0], output[1]), step, padding)
        call = getattr(ops, name)
        return Sample(
            lambda x: call(x, kernel, stride, padding),
            [getattr(draw, values)((n, i, *size))],
            lambda x: oracles.pool(x, g, lambda window: reduce(window, kernel[0] * kernel[1])),
        )

    return sample


def _upsample(draw: Draw) -> Sample:
    n, i, _ = _counts(draw)
    rows, columns = _pair(draw, 1, 3)
    size = _pair(draw, 1, 3)

    def oracle(x: np.ndarray) -> np.ndarray:
        y = np.empty((n, i, size[0] * rows, size[1] * columns))
        for row, column in np.ndindex(*y.shape[2:]):
            y[:, :, row, column] = x[:, :, row // rows, column // columns]
        return y

    return Sample(lambda x: ops.upsample_nearest(x, (rows, columns)), [draw.real((n, i, *size))], oracle)


ENTRIES = [
    Entry("Conv2d", c.Conv2d, _conv2d, linear=((0, 2), (1, 2))),
    Entry("ConvTranspose2d", c.ConvTranspose2d, _conv_transpose2d, linear=((0, 2), (1, 2))),
    Entry("Conv2dWeightGrad", c.Conv2dWeightGrad, _conv2d_weight_grad, linear=((0,), (1,))),
    Entry("Patches", c.Patches, _patches, linear=((0,),)),
    Entry("Unpatch", c.Unpatch, _unpatch, linear=((0,),)),
    Entry("conv2d", None, _public_conv2d, linear=((0, 2), (1, 2)), public=("conv2d",)),
    Entry("conv_transpose2d", None, _public_conv_transpose2d, linear=((0, 2), (1, 2)), public=("conv_transpose2d",)),
    Entry("conv_transpose2d_same", None, _same_transpose, linear=((0,), (1,))),
    Entry(
        "avg_pool2d",
        None,
        _pool("avg_pool2d", lambda window, size: np.sum(window, axis=0) / size, "real"),
        linear=((0,),),
        public=("avg_pool2d",),
    ),
    Entry(
        "max_pool2d",
        None,
        _pool("max_pool2d", lambda window, size: np.max(window, axis=0), "distinct"),
        "no ties",
        analytic=False,
        public=("max_pool2d",),
    ),
    Entry("upsample_nearest", None, _upsample, linear=((0,),), public=("upsample_nearest",)),
]
