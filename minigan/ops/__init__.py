"""Differentiable functions, one class an operation: `forward` on arrays, the rule on Tensors.

This file attaches the operations to Tensor as operators and methods.
"""

from __future__ import annotations

from ..autograd import Tensor
from ..backend import get_backend
from .conv import avg_pool2d, conv2d, conv_transpose2d, max_pool2d, upsample_nearest
from .elementwise import (
    abs,
    add,
    astype,
    binary_cross_entropy,
    clip,
    divide,
    equal,
    exp,
    greater,
    greater_equal,
    leaky_relu,
    less,
    less_equal,
    log,
    maximum,
    minimum,
    multiply,
    negative,
    not_equal,
    power,
    relu,
    sigmoid,
    softplus,
    sqrt,
    subtract,
    tanh,
    where,
)
from .linalg import linear, matmul
from .norm import batch_norm
from .reduce import broadcast_to, log_softmax, max, mean, min, softmax, sum, sum_to, var
from .shape import concatenate, flip, get_item, pad, permute, reshape, squeeze, stack, transpose, unsqueeze

__all__ = [
    "abs", "add", "astype", "avg_pool2d", "batch_norm", "binary_cross_entropy", "broadcast_to", "clip",
    "concatenate", "conv2d", "conv_transpose2d", "divide", "equal", "exp", "flip", "get_item", "greater",
    "greater_equal", "leaky_relu", "less", "less_equal", "linear", "log", "log_softmax", "matmul", "max",
    "max_pool2d", "maximum", "mean", "min", "minimum", "multiply", "negative", "not_equal", "pad", "permute",
    "power", "relu", "reshape", "sigmoid", "softmax", "softplus", "sqrt", "squeeze", "stack", "subtract", "sum",
    "sum_to", "tanh", "transpose", "unsqueeze", "upsample_nearest", "var", "where",
]  # fmt: skip


def to(x: Tensor, device: str) -> Tensor:
    """x on another device: a leaf copy (itself where it is there already)."""
    backend = get_backend(device)
    if backend is x.backend:
        return x
    return Tensor(backend.asarray(x.numpy()), backend, x.requires_grad and x.creator is None)


def _iterate(x: Tensor):
    return (x[i] for i in range(len(x)))


_OPERATORS = {
    "add": add, "sub": subtract, "mul": multiply, "truediv": divide, "pow": power, "matmul": matmul,
}  # fmt: skip
_COMPARISONS = {
    "eq": equal, "ne": not_equal, "lt": less, "le": less_equal, "gt": greater, "ge": greater_equal,
}  # fmt: skip
_METHODS = [
    exp, log, sqrt, abs, tanh, sigmoid, softplus, relu, leaky_relu, clip, astype,
    sum, mean, var, max, min, softmax, log_softmax, broadcast_to,
    reshape, permute, transpose, squeeze, unsqueeze, flip, matmul, to,
]  # fmt: skip


def _attach() -> None:
    for name, function in _OPERATORS.items():
        setattr(Tensor, f"__{name}__", function)
        setattr(Tensor, f"__r{name}__", lambda self, other, f=function: f(other, self))
    for name, function in _COMPARISONS.items():
        setattr(Tensor, f"__{name}__", function)
    for method in _METHODS:
        setattr(Tensor, method.__name__, method)
    Tensor.__neg__ = negative  # type: ignore[method-assign]
    Tensor.__abs__ = abs  # type: ignore[method-assign]
    Tensor.__getitem__ = get_item  # type: ignore[method-assign]
    Tensor.__iter__ = _iterate  # type: ignore[method-assign]
    Tensor.T = property(transpose)  # type: ignore[assignment, method-assign]


_attach()
