"""Matrix products."""

from __future__ import annotations

import math
from typing import Any

from ..autograd import Function, ShapeError, Tensor
from .reduce import sum_to
from .shape import reshape, transpose


class MatMul(Function):
    """Y = A B over the last two axes, the others broadcast;  dA = dY B', dB = A' dY."""

    def forward(self, a, b):
        return self.kernels.matmul(a, b)

    def backward(self, cotangent, needs):
        a, b = self.inputs
        return (
            sum_to(MatMul()(cotangent, transpose(b)), a.shape) if needs[0] else None,
            sum_to(MatMul()(transpose(a), cotangent), b.shape) if needs[1] else None,
        )


class Linear(Function):
    """Y = X W' + b: (N, I) x (O, I) -> (N, O);  dX = dY W, dW = dY' X, db = column sums of dY."""

    reads = (0, 1)

    def forward(self, x, w, b=None):
        return self.kernels.linear(x, w, b)

    def backward(self, cotangent, needs):
        x, w, *bias = self.inputs
        gradients = (
            MatMul()(cotangent, w) if needs[0] else None,
            LinearWeightGrad()(x, cotangent) if needs[1] else None,
        )
        return (*gradients, sum_to(cotangent, bias[0].shape) if needs[2] else None) if bias else gradients


class LinearWeightGrad(Function):
    """W = Y' X: (N, I) x (N, O) -> (O, I);  dX = Y dW, dY = X dW'. With Linear and MatMul one trilinear form."""

    def forward(self, x, y):
        return self.kernels.linear_weight_grad(x, y)

    def backward(self, cotangent, needs):
        x, y = self.inputs
        return (
            MatMul()(y, cotangent) if needs[0] else None,
            Linear()(x, cotangent) if needs[1] else None,
        )


def matmul(a: Tensor, b: Any) -> Tensor:
    """Matrix product as numpy.matmul: vectors are rows on the left and columns on the right, leading axes broadcast."""
    if not (isinstance(a, Tensor) and isinstance(b, Tensor)):
        raise TypeError(f"matmul takes two Tensors, got {type(a).__name__} and {type(b).__name__}")
    left = reshape(a, (1, -1)) if a.ndim == 1 else a
    right = reshape(b, (-1, 1)) if b.ndim == 1 else b
    if min(a.ndim, b.ndim) == 0 or left.shape[-1] != right.shape[-2]:
        raise ShapeError(f"matmul: shapes {a.shape} and {b.shape} do not fit: the inner sizes must be equal")
    product = MatMul()(left, right)
    if a.ndim > 1 and b.ndim > 1:
        return product
    shape = product.shape[:-2] + product.shape[-2:][a.ndim == 1 : 1 if b.ndim == 1 else 2]
    return reshape(product, shape)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x weight' + bias: (..., in) x (out, in) -> (..., out)."""
    if weight.ndim != 2:
        raise ShapeError(f"linear expects a weight of shape (out, in), got {weight.shape}")
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ShapeError(f"linear expects a bias of shape {weight.shape[:1]}, got {bias.shape}")
    if x.ndim == 0 or x.shape[-1] != weight.shape[1]:
        raise ShapeError(
            f"linear expects input of shape (..., {weight.shape[1]}) for weight {weight.shape}, got {x.shape}"
        )
    rows = x if x.ndim == 2 else reshape(x, (math.prod(x.shape[:-1]), x.shape[-1]))
    y = Linear()(rows, weight) if bias is None else Linear()(rows, weight, bias)
    return y if x.ndim == 2 else reshape(y, (*x.shape[:-1], weight.shape[0]))
