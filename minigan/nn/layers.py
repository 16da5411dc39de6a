"""Layers: names, defaults and weight shapes are PyTorch's, so weights can be carried over and compared."""

from __future__ import annotations

import math
from typing import Any

from ..autograd import ShapeError, Tensor
from ..backend import get_backend
from ..kernels.geometry import Pair
from ..ops.conv import as_pair
from ..rng import Generator
from . import functional, init
from .module import Module, Parameter


def _parameter(shape: tuple[int, ...], channels_last: bool = False) -> Parameter:
    xp = get_backend("cpu").xp
    if channels_last:  # memory order (out, rows, columns, in): the rows of a matrix for im2col
        a, b, kh, kw = shape
        return Parameter(xp.zeros((a, kh, kw, b), "float32").transpose(0, 3, 1, 2))
    return Parameter(xp.zeros(shape, "float32"))


def _initialise(weight: Parameter, bias: Parameter | None, rng: Generator | None) -> None:
    """PyTorch's default: weight and bias uniform in +- 1 / sqrt(fan in)."""
    if min(weight.shape) < 1:
        raise ValueError(f"a layer needs one input and one output at least, got a weight of shape {weight.shape}")
    bound = 1 / math.sqrt(init.fans(weight)[0])
    init.uniform_(weight, -bound, bound, rng=rng)
    if bias is not None:
        init.uniform_(bias, -bound, bound, rng=rng)


class Sequential(Module):
    """Modules one after another, named "0", "1", ..."""

    def __init__(self, *modules: Module):
        super().__init__()
        for index, module in enumerate(modules):
            if not isinstance(module, Module):
                raise TypeError(f"Sequential takes Modules, such as nn.Tanh(), but its argument {index} is {module!r}")
            setattr(self, str(index), module)

    def forward(self, x: Tensor) -> Tensor:
        for _, module in self.children():
            x = module(x)
        return x

    def __len__(self) -> int:
        return len(list(self.children()))

    def __getitem__(self, index: int) -> Module:
        return [module for _, module in self.children()][index]


class Linear(Module):
    """The dense layer: y = x weight' + bias, weight (out, in)."""

    adds_bias = True  # unless the layer behind does (fusion.py)

    def __init__(self, in_features: int, out_features: int, bias: bool = True, *, rng: Generator | None = None):
        super().__init__()
        self.weight = _parameter((out_features, in_features))
        self.bias = _parameter((out_features,)) if bias else None
        _initialise(self.weight, self.bias, rng)

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(x, self.weight, self.bias if self.adds_bias else None)

    def extra_repr(self) -> str:
        out_features, in_features = self.weight.shape
        return f"{in_features}, {out_features}, bias={self.bias is not None}"


class Conv2d(Module):
    """Convolution, weight (out, in, kernel rows, kernel columns); see functional.conv2d."""

    adds_bias = True  # unless the layer behind does (fusion.py)

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Pair,
        stride: int | Pair = 1,
        padding: int | Pair | str = 0,
        *,
        dilation: int | Pair = 1,
        bias: bool = True,
        rng: Generator | None = None,
    ):
        super().__init__()
        self.stride, self.padding, self.dilation = as_pair(stride), padding, as_pair(dilation)
        self.weight = _parameter((out_channels, in_channels, *as_pair(kernel_size)), channels_last=True)
        self.bias = _parameter((out_channels,)) if bias else None
        _initialise(self.weight, self.bias, rng)

    def forward(self, x: Tensor) -> Tensor:
        bias = self.bias if self.adds_bias else None
        return functional.conv2d(x, self.weight, bias, self.stride, self.padding, self.dilation)

    def extra_repr(self) -> str:
        o, i, kh, kw = self.weight.shape
        return f"{i}, {o}, kernel_size={(kh, kw)}, stride={self.stride}, padding={self.padding!r}"


class ConvTranspose2d(Module):
    """The adjoint of a convolution, weight (in, out, kernel rows, kernel columns); see functional.conv_transpose2d."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Pair,
        stride: int | Pair = 1,
        padding: int | Pair | str = 0,
        output_padding: int | Pair = 0,
        *,
        bias: bool = True,
        dilation: int | Pair = 1,
        rng: Generator | None = None,
    ):
        super().__init__()
        self.stride, self.padding, self.dilation = as_pair(stride), padding, as_pair(dilation)
        self.output_padding = output_padding
        self.weight = _parameter((in_channels, out_channels, *as_pair(kernel_size)), channels_last=True)
        self.bias = _parameter((out_channels,)) if bias else None
        _initialise(self.weight, self.bias, rng)

    def forward(self, x: Tensor) -> Tensor:
        return functional.conv_transpose2d(
            x, self.weight, self.bias, self.stride, self.padding, self.output_padding, self.dilation
        )

    def extra_repr(self) -> str:
        i, o, kh, kw = self.weight.shape
        return f"{i}, {o}, kernel_size={(kh, kw)}, stride={self.stride}, padding={self.padding!r}"


class _BatchNorm(Module):
    axes: tuple[int, ...]

    def __init__(self, num_features: int, eps: float = 1e-5, momentum: float = 0.1):
        super().__init__()
        if num_features < 1:
            raise ValueError(f"batch norm needs one feature at least, got {num_features}")
        self.eps, self.momentum = eps, momentum
        self.weight, self.bias = _parameter((num_features,)), _parameter((num_features,))
        init.constant_(self.weight, 1.0)
        backend = get_backend("cpu")
        self.running_mean: Tensor
        self.running_var: Tensor
        self.num_batches_tracked: int
        self.register_buffer("running_mean", Tensor(backend.xp.zeros(num_features, "float32"), backend))
        self.register_buffer("running_var", Tensor(backend.xp.ones(num_features, "float32"), backend))
        self.register_buffer("num_batches_tracked", 0)

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim not in self.axes or x.shape[1] != self.weight.shape[0]:
            axes = " or ".join(str(n) for n in self.axes)
            raise ShapeError(
                f"{type(self).__name__} expects {axes} axes, {self.weight.shape[0]} channels on axis 1, got {x.shape}"
            )
        statistics = (self.running_mean, self.running_var)
        y = functional.batch_norm(x, self.weight, self.bias, *statistics, self.training, self.momentum, self.eps)
        if self.training:
            self.num_batches_tracked += 1
        return y

    def extra_repr(self) -> str:
        return f"{self.weight.shape[0]}, eps={self.eps}, momentum={self.momentum}"


class BatchNorm1d(_BatchNorm):
    """Batch normalisation of (N, C) or (N, C, L) over everything but C (Ioffe and Szegedy 2015)."""

    axes = (2, 3)


class BatchNorm2d(_BatchNorm):
    """Batch normalisation of (N, C, H, W) over everything but C (Ioffe and Szegedy 2015)."""

    axes = (4,)


class Dropout(Module):
    """Zeroes elements with probability p in training; `rng` is the stream it draws from."""

    def __init__(self, p: float = 0.5, *, rng: Generator | None = None):
        super().__init__()
        if not 0 <= p < 1:
            raise ValueError(f"dropout: p must be at least 0 and less than 1, got {p}")
        self.p, self.rng = p, rng

    def forward(self, x: Tensor) -> Tensor:
        return functional.dropout(x, self.p, self.training, rng=self.rng)

    def extra_repr(self) -> str:
        return f"p={self.p}"


class Flatten(Module):
    """(N, ...) -> (N, product of the rest)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(x.shape[0], math.prod(x.shape[1:]))


class Unflatten(Module):
    """Axis `dim` laid out as `unflattened_size`: Unflatten(1, (256, 7, 7))."""

    def __init__(self, dim: int, unflattened_size: tuple[int, ...]):
        super().__init__()
        self.dim, self.unflattened_size = dim, tuple(unflattened_size)

    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(*x.shape[: self.dim], *self.unflattened_size, *x.shape[self.dim :][1:])

    def extra_repr(self) -> str:
        return f"{self.dim}, {self.unflattened_size}"


class Upsample(Module):
    """Every pixel repeated scale_factor times along rows and columns (nearest neighbour)."""

    def __init__(self, scale_factor: int | Pair = 2):
        super().__init__()
        self.scale_factor = scale_factor

    def forward(self, x: Tensor) -> Tensor:
        return functional.upsample_nearest(x, self.scale_factor)

    def extra_repr(self) -> str:
        return f"scale_factor={self.scale_factor}"


class AvgPool2d(Module):
    """Mean of each window."""

    def __init__(self, kernel_size: int | Pair, stride: int | Pair | None = None, padding: int | Pair = 0):
        super().__init__()
        self.options = (kernel_size, stride, padding)

    def forward(self, x: Tensor) -> Tensor:
        return functional.avg_pool2d(x, *self.options)


class MaxPool2d(Module):
    """Greatest element of each window."""

    def __init__(self, kernel_size: int | Pair, stride: int | Pair | None = None, padding: int | Pair = 0):
        super().__init__()
        self.options = (kernel_size, stride, padding)

    def forward(self, x: Tensor) -> Tensor:
        return functional.max_pool2d(x, *self.options)


class LeakyReLU(Module):
    """x where x > 0, negative_slope * x elsewhere."""

    def __init__(self, negative_slope: float = 0.01):
        super().__init__()
        self.negative_slope = negative_slope

    def forward(self, x: Tensor) -> Tensor:
        return functional.leaky_relu(x, self.negative_slope)

    def extra_repr(self) -> str:
        return f"{self.negative_slope}"


class Softmax(Module):
    """exp(x) / sum exp(x) over axis `dim`."""

    def __init__(self, dim: int = -1):
        super().__init__()
        self.dim = dim

    def forward(self, x: Tensor) -> Tensor:
        return functional.softmax(x, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


def _activation(name: str, function: Any) -> type[Module]:
    def forward(self, x: Tensor) -> Tensor:
        return function(x)

    return type(name, (Module,), {"forward": forward, "__doc__": function.__doc__ or f"{name} of every element."})


ReLU = _activation("ReLU", functional.relu)
Tanh = _activation("Tanh", functional.tanh)
Sigmoid = _activation("Sigmoid", functional.sigmoid)
Softplus = _activation("Softplus", functional.softplus)
