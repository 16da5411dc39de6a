"""Catalog of ops/linalg.py. The oracles sum products one by one."""

from __future__ import annotations

import numpy as np

from ... import ops
from ...ops import linalg as l
from ..draw import Draw
from .entry import Entry, Sample


def _product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    lead = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    a, b = np.broadcast_to(a, lead + a.shape[-2:]), np.broadcast_to(b, lead + b.shape[-2:])
    y = np.zeros((*lead, a.shape[-2], b.shape[-1]))
    for *batch, i, j, k in np.ndindex(*y.shape, a.shape[-1]):
        y[(*batch, i, j)] += a[(*batch, i, k)] * b[(*batch, k, j)]
    return y


def _matmul(draw: Draw) -> Sample:
    rows, inner, columns = (draw.integer(1, 4) for _ in range(3))
    left, right = draw.broadcastable(2, 2)
    return Sample(ops.matmul, [draw.real((*left, rows, inner)), draw.real((*right, inner, columns))], _product)


def _vectors(draw: Draw) -> Sample:
    """A vector on the left, on the right, or on both sides."""
    n, m = draw.integer(1, 4), draw.integer(1, 4)
    left, right = draw.choice((((n,), (n, m)), ((m, n), (n,)), ((n,), (n,)), ((2, m, n), (n,))))

    def oracle(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        product = _product(np.atleast_2d(a), b if b.ndim > 1 else b[:, None])
        return product.reshape(left[:-1] + right[1:])

    return Sample(lambda a, b: a @ b, [draw.real(left), draw.real(right)], oracle)


def _linear(draw: Draw) -> Sample:
    shape, out = draw.shape(1), draw.integer(1, 4)
    arrays = [draw.real(shape), draw.real((out, shape[-1]))]
    if draw.integer(0, 2):
        arrays.append(draw.real((out,)))

    def oracle(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | float = 0.0) -> np.ndarray:
        y = np.zeros((*shape[:-1], out))
        for *row, o, i in np.ndindex(*y.shape, shape[-1]):
            y[(*row, o)] += x[(*row, i)] * weight[o, i]
        return y + bias

    return Sample(ops.linear, arrays, oracle)


def _linear_weight_grad(draw: Draw) -> Sample:
    rows, i, o = (draw.integer(1, 4) for _ in range(3))
    return Sample(
        lambda x, y: l.LinearWeightGrad()(x, y),
        [draw.real((rows, i)), draw.real((rows, o))],
        lambda x, y: _product(y.T, x),
    )


ENTRIES = [
    Entry("MatMul", l.MatMul, _matmul, linear=((0,), (1,)), public=("matmul",)),
    Entry("Linear", l.Linear, _linear, linear=((0, 2), (1, 2)), public=("linear",)),
    Entry("LinearWeightGrad", l.LinearWeightGrad, _linear_weight_grad, linear=((0,), (1,))),
    Entry("matmul", None, _vectors, linear=((0,), (1,))),
]
