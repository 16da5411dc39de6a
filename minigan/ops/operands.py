"""What may stand beside a Tensor in an operation, and the types that meet there: a Python number never promotes."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from typing import Any

from ..autograd import Tensor
from ..backend import DeviceError

Operand = Any  # a Tensor, a number, a sequence of numbers, or an array of the Tensor's device


def is_number(value: Operand) -> bool:
    return isinstance(value, Real) or (getattr(value, "shape", None) == () and not isinstance(value, Tensor))


def with_number(x: Tensor, number: Operand) -> tuple[Tensor, float | int]:
    """x and a plain Python number (a NumPy scalar would promote float32); integers that meet a float become floats."""
    if x.dtype.kind == "f":
        return x, float(number)
    number = number.item() if hasattr(number, "item") else number
    return (floating(x) if isinstance(number, float) else x), number


def floating(x: Tensor) -> Tensor:
    """x, which becomes float32 where it holds integers or booleans."""
    if isinstance(x, Tensor) and x.dtype.kind not in "fc":
        return Tensor(x.data.astype("float32"), x.backend)
    return x  # what is no Tensor the operation refuses


def pair(a: Operand, b: Operand) -> tuple[Tensor, Tensor]:
    """Both as Tensors that may meet; at least one must be a Tensor already."""
    if isinstance(a, Tensor):
        b = tensor_like(b, a)
        return (tensor_like(a, b), b) if a.dtype != b.dtype else (a, b)
    if not isinstance(b, Tensor):
        raise TypeError(f"expected at least one Tensor, got {type(a).__name__} and {type(b).__name__}")
    return tensor_like(a, b), b


def tensor_like(value: Operand, like: Tensor) -> Tensor:
    """`value` as a Tensor that may meet `like`: an integer or boolean Tensor takes the floating-point type."""
    if not isinstance(value, Tensor):
        value = Tensor(_array(value, like), like.backend)
    if value.dtype != like.dtype and value.dtype.kind in "iub" and like.dtype.kind == "f":
        value = Tensor(value.data.astype(like.dtype), value.backend)
    return value


def _array(value: Operand, like: Tensor) -> Any:
    """What is no Tensor as an array of the device: numbers take the floating-point type of `like`, or float32."""
    if hasattr(value, "dtype"):
        if hasattr(value, "get") != hasattr(like.data, "get"):
            raise DeviceError(
                f"an array that is not on {like.device} met a Tensor that is: use mg.tensor(..., device=)"
            )
        return value
    if isinstance(value, str) or not isinstance(value, Real | Sequence):
        raise TypeError(f"expected a Tensor, a number or an array, got {type(value).__name__}")
    if like.dtype.kind in "fc":
        return like.backend.asarray(value, dtype=like.dtype)
    array = like.backend.asarray(value)
    return array.astype("float32") if array.dtype.kind == "f" else array
