"""Modules, layers, initialisers, and the same as functions."""

from . import functional, init, spectral
from .embedding import Embedding
from .fusion import fuse
from .layers import (
    AvgPool2d,
    BatchNorm1d,
    BatchNorm2d,
    Conv2d,
    ConvTranspose2d,
    Dropout,
    Flatten,
    LeakyReLU,
    Linear,
    MaxPool2d,
    ReLU,
    Sequential,
    Sigmoid,
    Softmax,
    Softplus,
    Tanh,
    Unflatten,
    Upsample,
)
from .module import Module, Parameter
from .spectral import SpectralNorm

__all__ = [
    "AvgPool2d", "BatchNorm1d", "BatchNorm2d", "Conv2d", "ConvTranspose2d", "Dropout", "Embedding", "Flatten",
    "LeakyReLU", "Linear", "MaxPool2d", "Module", "Parameter", "ReLU", "Sequential", "Sigmoid", "Softmax",
    "Softplus", "SpectralNorm", "Tanh", "Unflatten", "Upsample", "functional", "fuse", "init", "spectral",
]  # fmt: skip
