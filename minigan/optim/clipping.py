"""Bounds on gradients and on weights."""

from __future__ import annotations

from collections.abc import Iterable

from ..autograd import Tensor


def clip_gradient_norm(parameters: Iterable[Tensor], max_norm: float) -> Tensor:
    """Scale all gradients by min(1, max_norm / |g|), |g| the norm over all of them together; returns |g|.

    Pascanu et al. 2013. Nothing waits for the device.
    """
    _check_bound("clip_gradient_norm", max_norm)
    gradients = {p: p.grad.data for p in parameters if p.grad is not None}
    if not gradients:
        raise ValueError("clip_gradient_norm: no parameter has a gradient; call backward first")
    backend = next(iter(gradients)).backend
    norm = backend.xp.sqrt(sum((g * g).sum() for g in gradients.values()))
    scale = backend.xp.minimum(1.0, max_norm / (norm + 1e-12)).astype(norm.dtype)
    for p, g in gradients.items():
        p.grad = Tensor(g * scale, backend)
    return Tensor(norm, backend)


def clip_gradient_value(parameters: Iterable[Tensor], limit: float) -> None:
    """Clip every element of every gradient to [-limit, limit]."""
    _check_bound("clip_gradient_value", limit)
    for p in parameters:
        if p.grad is not None:
            p.grad = Tensor(p.grad.data.clip(-limit, limit), p.backend)


def clip_weights(parameters: Iterable[Tensor], limit: float) -> None:
    """Clip every parameter to [-limit, limit] (Arjovsky et al. 2017: a crude way to a Lipschitz critic)."""
    _check_bound("clip_weights", limit)
    for p in parameters:
        p.data.clip(-limit, limit, out=p.data)
        p.version.bump("clip_weights")


def _check_bound(what: str, bound: float) -> None:
    if not bound >= 0:
        raise ValueError(f"{what}: the bound must be 0 or more, got {bound}")
