"""Batch normalisation over channels (axis 1), and its derivatives as Functions of their own.

With xhat = (x - mean) s, s = 1 / sqrt(var + eps), all means over one channel, and the projection

    P(g) = g - mean(g) - xhat mean(g xhat)

    y      = gamma xhat + beta
    dgamma = sum(g xhat),  dbeta = sum(g)
    dx     = gamma s P(g)                              for the cotangent g of y

(Ioffe and Szegedy 2015). mean and s are kept from the forward pass as caches; every rule below reads Tensors alone.
"""

from __future__ import annotations

from typing import Any

from ..autograd import Function, ShapeError, Tensor
from .reduce import mean, sum
from .shape import reshape


class Statistics:
    """Mean, biased variance and s = 1 / sqrt(var + eps) of every channel of one array: a cache, shape (C,) each."""

    def __init__(self, kernels: Any, x: Any, eps: float):
        self.eps = eps
        self.mean, self.var = kernels.batch_statistics(x)
        self.inv_std = (self.var + eps) ** -0.5


class BatchNorm(Function):
    """y = gamma xhat + beta. `statistics` is kept for the running averages."""

    reads = (0, 1)

    def __init__(self, eps: float):
        self.eps = eps

    def forward(self, x, gamma, beta):
        self.statistics = s = Statistics(self.kernels, x, self.eps)
        return self.kernels.batch_norm(x, gamma, beta, s.mean, s.inv_std)

    def backward(self, cotangent, needs):
        x, gamma, _ = self.inputs
        sum_cotangent = sum(cotangent, _others(x))
        sum_product = BatchNormScaleGrad(self.statistics)(cotangent, x)
        sums = (sum_cotangent.data, sum_product.data)
        dx = BatchNormInputGrad(self.statistics, sums)(cotangent, x, gamma) if needs[0] else None
        return dx, sum_product, sum_cotangent


class BatchNormScaleGrad(Function):
    """h = sum(g xhat) over each channel;  dh/dg = xhat, dh/dx = s P(g)."""

    def __init__(self, statistics: Statistics):
        self.statistics = statistics

    def forward(self, g, x):
        return self.kernels.batch_norm_scale_grad(g, x, self.statistics.mean, self.statistics.inv_std)

    def backward(self, cotangent, needs):
        g, x = self.inputs
        xhat, s = standardize(x, self.statistics.eps)
        c = _channels(cotangent, x)
        return (
            c * xhat if needs[0] else None,
            c * s * _project(g, xhat) if needs[1] else None,
        )


class BatchNormInputGrad(Function):
    """h = gamma s P(g);  for a cotangent v of h:

    dg = gamma s P(v)        (P is symmetric)
    dx = -gamma s^2 (xhat c + b P(v) + a P(g)),  a = mean(v xhat), b = mean(g xhat), c = mean(v P(g))
    dgamma = sum(v s P(g))
    """

    def __init__(self, statistics: Statistics, sums: tuple[Any, Any]):
        self.statistics, self.sums = statistics, sums

    def forward(self, g, x, gamma):
        s = self.statistics
        return self.kernels.batch_norm_input_grad(g, x, gamma, s.mean, s.inv_std, *self.sums)

    def backward(self, cotangent, needs):
        g, x, gamma = self.inputs
        v, axes = cotangent, _others(x)
        xhat, s = standardize(x, self.statistics.eps)
        scale = _channels(gamma, x) * s
        projected_v, projected_g = _project(v, xhat), _project(g, xhat)
        a, b, c = (mean(t, axes, keepdims=True) for t in (v * xhat, g * xhat, v * projected_g))
        return (
            scale * projected_v if needs[0] else None,
            -scale * s * (xhat * c + b * projected_v + a * projected_g) if needs[1] else None,
            sum(v * s * projected_g, axes) if needs[2] else None,
        )


def standardize(x: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """xhat and s of every channel, in plain Tensor operations."""
    axes = _others(x)
    centred = x - mean(x, axes, keepdims=True)
    s = (mean(centred * centred, axes, keepdims=True) + eps) ** -0.5
    return centred * s, s


def _project(g: Tensor, xhat: Tensor) -> Tensor:
    axes = _others(xhat)
    return g - mean(g, axes, keepdims=True) - xhat * mean(g * xhat, axes, keepdims=True)


def _others(x: Tensor) -> tuple[int, ...]:
    return (0, *range(2, x.ndim))


def _channels(v: Tensor, x: Tensor) -> Tensor:
    """(C,) shaped to broadcast against x (N, C, ...)."""
    return reshape(v, (1, -1) + (1,) * (x.ndim - 2))


# -------------------------------------------------------------------- the functions that users call


def batch_norm(
    x: Tensor,
    gamma: Tensor,
    beta: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    training: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Batch normalisation of x (N, C, ...) as in PyTorch.

    training: by the statistics of the batch, and running = (1 - momentum) running + momentum * batch (variance with
    n - 1) is written into the running Tensors; otherwise by the running statistics.
    """
    if x.ndim < 2 or gamma.shape != x.shape[1:2] or beta.shape != gamma.shape:
        raise ShapeError(
            f"batch_norm expects x (N, C, ...), gamma (C,) and beta (C,), got {x.shape}, {gamma.shape} and {beta.shape}"
        )
    if not training:
        if running_mean is None or running_var is None:
            raise ValueError("batch_norm outside training needs running_mean and running_var")
        scale = gamma * (running_var + eps) ** -0.5
        return x * _channels(scale, x) + _channels(beta - running_mean * scale, x)
    count = x.size // x.shape[1]
    if count < 2:
        raise ShapeError(f"batch_norm in training needs more than one value a channel, got shape {x.shape}")
    function = BatchNorm(float(eps))
    y = function(x, gamma, beta)
    if running_mean is not None and running_var is not None:
        unbiased = function.statistics.var * (count / (count - 1))
        for running, batch in ((running_mean, function.statistics.mean), (running_var, unbiased)):
            function.kernels.average_step(running.data, batch, momentum)
            running.version.bump("batch_norm in training")
    return y
