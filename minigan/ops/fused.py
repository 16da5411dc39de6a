"""Operations that are two in one: for a GPU, whose time goes into starting operations where arrays are small."""

from __future__ import annotations

from ..autograd import Function, ShapeError, Tensor
from .elementwise import LeakyReLUGrad
from .reduce import sum


class BiasLeakyReLU(Function):
    """y = z where z > 0, slope z elsewhere, for z = x + b and b of every channel (axis 1);  dx = g where y > 0, slope g
    elsewhere, db = its sum over each channel. y has the sign of z, because the slope is not negative.
    """

    reads = ()

    def __init__(self, slope: float):
        self.slope = slope

    def forward(self, x, b):
        return self.kernels.bias_leaky_relu(x, b, self.slope)

    def backward(self, cotangent, needs):
        dx = LeakyReLUGrad(self.slope)(cotangent, self.output)
        return dx, sum(dx, (0, *range(2, dx.ndim))) if needs[1] else None


def bias_leaky_relu(x: Tensor, bias: Tensor, slope: float) -> Tensor:
    """leaky_relu(x + bias, slope) of x (N, C, ...), bias (C,), and a slope of 0 or more."""
    if x.ndim < 2 or bias.shape != x.shape[1:2]:
        raise ShapeError(f"bias_leaky_relu expects x (N, C, ...) and a bias (C,), got {x.shape} and {bias.shape}")
    if slope < 0:
        raise ValueError(f"bias_leaky_relu needs a slope of 0 or more, got {slope}")
    return BiasLeakyReLU(slope)(x, bias)
