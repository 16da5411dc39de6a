"""minigan: a GAN engine from scratch on NumPy and CuPy that one person can read from end to end."""

import importlib
from typing import Any

from . import nn, ops, optim
from .autograd import Function, GraphError, ShapeError, Tensor, grad, no_grad, tensor
from .backend import DeviceError, get_backend, seed
from .ops import *  # noqa: F403

__version__ = "0.1.0"
__all__ = [
    "DeviceError", "Function", "GraphError", "ShapeError", "Tensor", "get_backend", "grad", "nn", "no_grad", "optim",
    "seed", "tensor",
    *ops.__all__,
]  # fmt: skip

_ON_DEMAND = ("data", "gan", "metrics", "observe", "testing")  # imported when first asked for


def __getattr__(name: str) -> Any:
    if name in _ON_DEMAND:
        return importlib.import_module(f".{name}", __name__)
    raise AttributeError(f"module 'minigan' has no attribute {name!r}")
