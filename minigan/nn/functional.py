"""Layers and losses as functions."""

from __future__ import annotations

from typing import Any

from ..autograd import ShapeError, Tensor
from ..ops import (
    avg_pool2d,
    batch_norm,
    conv2d,
    conv_transpose2d,
    leaky_relu,
    linear,
    log_softmax,
    max_pool2d,
    relu,
    sigmoid,
    softmax,
    softplus,
    tanh,
    upsample_nearest,
)
from ..ops.elementwise import MaskScale, binary_cross_entropy
from ..rng import Generator

__all__ = [
    "avg_pool2d", "batch_norm", "binary_cross_entropy_with_logits", "conv2d", "conv_transpose2d", "cross_entropy",
    "dropout", "l1_loss", "leaky_relu", "linear", "log_softmax", "max_pool2d", "mse_loss", "relu", "sigmoid",
    "softmax", "softplus", "tanh", "upsample_nearest",
]  # fmt: skip


def dropout(x: Tensor, p: float = 0.5, training: bool = True, *, rng: Generator | None = None) -> Tensor:
    """Each element is zeroed with probability p (to 16 bits), the others divided by 1 - p (Srivastava et al. 2014)."""
    if not 0 <= p < 1:
        raise ValueError(f"dropout: p must be at least 0 and less than 1, got {p}")
    if not training or p == 0:
        return x
    rng = x.backend.generator if rng is None else rng
    keep = rng.share(1 - p)
    return MaskScale(rng.mask(x.shape, keep), 1 / keep)(x)


def mse_loss(x: Tensor, target: Tensor) -> Tensor:
    """mean of (x - target)^2."""
    _same_shape("mse_loss", x, target)
    difference = x - target
    return (difference * difference).mean()


def l1_loss(x: Tensor, target: Tensor) -> Tensor:
    """mean of |x - target|."""
    _same_shape("l1_loss", x, target)
    return (x - target).abs().mean()


def binary_cross_entropy_with_logits(logits: Tensor, target: Tensor | float) -> Tensor:
    """mean of -target log s(x) - (1 - target) log(1 - s(x)), s the sigmoid: log s(x) = -softplus(-x)."""
    if not isinstance(target, Tensor):
        return binary_cross_entropy(logits, target)
    _same_shape("binary_cross_entropy_with_logits", logits, target)
    return (target * softplus(-logits) + (1.0 - target) * softplus(logits)).mean()


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """mean of -log softmax(logits)[label]: logits (N, C), labels integers (N,)."""
    _check_tensor("cross_entropy", labels)
    if logits.ndim != 2 or labels.shape != logits.shape[:1]:
        raise ShapeError(f"cross_entropy expects logits (N, C) and labels (N,), got {logits.shape} and {labels.shape}")
    check_labels("cross_entropy", labels, logits.shape[1])
    rows = logits.backend.xp.arange(logits.shape[0])
    return -log_softmax(logits, 1)[rows, labels].mean()


def _check_tensor(what: str, value: Any) -> None:
    if not isinstance(value, Tensor):
        raise TypeError(f"{what} takes Tensors, got {type(value).__name__}: wrap it with mg.tensor(...)")


def check_labels(what: str, labels: Tensor, count: int) -> None:
    """Raise unless labels are integers from 0 to count - 1 (on a GPU any integers: it would have to be waited for)."""
    _check_tensor(what, labels)
    if labels.dtype.kind not in "iu":
        raise TypeError(f"{what} expects integer labels, got {labels.dtype}")
    if labels.backend.index is None and labels.size:
        low, high = labels.data.min(), labels.data.max()
        if low < 0 or high >= count:
            raise ValueError(f"{what} expects labels from 0 to {count - 1}, got {low if low < 0 else high}")


def _same_shape(what: str, x: Tensor, target: Tensor) -> None:
    if x.shape != target.shape:
        raise ShapeError(f"{what} expects two Tensors of one shape, got {x.shape} and {target.shape}")
