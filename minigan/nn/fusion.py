"""Neighbouring layers that start fewer operations together than one after another."""

from __future__ import annotations

from itertools import pairwise

from ..autograd import Tensor
from ..ops import leaky_relu
from ..ops.fused import bias_leaky_relu
from .layers import Conv2d, LeakyReLU, Linear, Sequential
from .module import Module


class BiasLeakyReLU(Module):
    """The bias of the layer before, which itself no longer adds it, and a leaky ReLU."""

    def __init__(self, layer: Linear | Conv2d, negative_slope: float):
        super().__init__()
        self.before = (layer,)  # in a tuple it is no submodule: its parameters stay where they are
        self.negative_slope = negative_slope
        layer.adds_bias = False

    def forward(self, x: Tensor) -> Tensor:
        (layer,) = self.before
        assert layer.bias is not None
        if isinstance(layer, Linear) and x.ndim != 2:  # its features are the last axis, and not axis 1
            return leaky_relu(x + layer.bias, self.negative_slope)
        return bias_leaky_relu(x, layer.bias, self.negative_slope)

    def extra_repr(self) -> str:
        return f"{self.negative_slope}"


def fuse(network: Module) -> None:
    """Let every leaky ReLU behind a layer with a bias add that bias, in place; parameters keep their names.

    A transposed convolution adds its bias in an operation that it needs anyway, and is left as it is; so is a layer
    that stands in several places.
    """
    modules = [module for _, module in network.named_modules()]
    for module in modules:
        if isinstance(module, Sequential):
            for (_, layer), (name, activation) in pairwise(list(module.children())):
                if not isinstance(layer, Linear | Conv2d) or layer.bias is None or modules.count(layer) > 1:
                    continue
                if isinstance(activation, LeakyReLU) and activation.negative_slope >= 0:
                    setattr(module, name, BiasLeakyReLU(layer, activation.negative_slope))
