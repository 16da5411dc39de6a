"""Penalties on the discriminator's gradient with respect to its input, one gradient for every sample.

Each is a function (discriminator, real, fake, *, rng=None) -> Tensor of one element, still without its weight:
discriminator maps samples (N, ...) to logits, real and fake are samples of one shape, rng draws what is random (by
default the device's generator). With |g_n| the norm over all elements of sample n's gradient g_n = dC(x_n)/dx_n, they
are differentiable with respect to the discriminator's parameters. Sample n's logit must not depend on other samples:
no batch norm.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ..autograd import Tensor, grad
from ..rng import Generator

EPS = 1e-12  # keeps the derivative of the norm finite where the gradient is 0

Discriminator = Callable[[Tensor], Tensor]


def wgan_gp(discriminator: Discriminator, real: Tensor, fake: Tensor, *, rng: Generator | None = None) -> Tensor:
    """mean (|grad C(xh)| - 1)^2 at xh = e x + (1 - e) G(z), e ~ U(0, 1) for every pair; its usual weight is 10.

    Gulrajani et al. 2017 (eq. 3), arXiv:1704.00028.
    """
    e = _uniform_per_sample(real, rng)
    return _distance_to_norm_one(discriminator, e * real.detach() + (1 - e) * fake.detach())


def dragan(discriminator: Discriminator, real: Tensor, fake: Tensor, *, rng: Generator | None = None) -> Tensor:
    """mean (|grad C(x + a d)| - 1)^2, d = 0.5 std(x) U(0, 1) in every element, a ~ U(0, 1) for every sample.

    std is that of the whole batch of real samples; the usual weight is 10. Kodali et al. 2017, arXiv:1705.07215.
    """
    real = real.detach()
    generator = rng or real.backend.generator
    d = 0.5 * real.var().sqrt() * Tensor(generator.uniform(real.shape, dtype=real.dtype), real.backend)
    return _distance_to_norm_one(discriminator, real + _uniform_per_sample(real, rng) * d)


def r1(discriminator: Discriminator, real: Tensor, fake: Tensor, *, rng: Generator | None = None) -> Tensor:
    """1/2 mean |grad C(x)|^2 on real samples; its weight is the paper's gamma, usually 10.

    Mescheder et al. 2018 (eq. 9), arXiv:1801.04406.
    """
    return 0.5 * _squared_norms(discriminator, real).mean()


def r2(discriminator: Discriminator, real: Tensor, fake: Tensor, *, rng: Generator | None = None) -> Tensor:
    """1/2 mean |grad C(G(z))|^2: R1 on generated samples (Mescheder et al. 2018, eq. 10)."""
    return 0.5 * _squared_norms(discriminator, fake).mean()


def l1(parameters: Iterable[Tensor]) -> Tensor:
    """Sum of |w| over all elements of the parameters."""
    return total(parameter.abs().sum() for parameter in parameters)


def l2(parameters: Iterable[Tensor]) -> Tensor:
    """Sum of w^2 over all elements of the parameters."""
    return total((parameter * parameter).sum() for parameter in parameters)


ALL: dict[str, Callable[..., Tensor]] = {penalty.__name__: penalty for penalty in (wgan_gp, r1, r2, dragan)}


def get(name: str) -> Callable[..., Tensor]:
    """The gradient penalty of that name."""
    if name not in ALL:
        raise ValueError(f"unknown penalty {name!r}; known: {', '.join(ALL)}")
    return ALL[name]


def _squared_norms(discriminator: Discriminator, samples: Tensor) -> Tensor:
    """|dC(x_n)/dx_n|^2 of every sample (N,), as part of the graph."""
    x = samples.detach()
    x.requires_grad = True
    (gradients,) = grad(discriminator(x).sum(), x, create_graph=True)
    return (gradients * gradients).sum(axis=tuple(range(1, x.ndim)))


def _distance_to_norm_one(discriminator: Discriminator, samples: Tensor) -> Tensor:
    norms = (_squared_norms(discriminator, samples) + EPS).sqrt()
    return ((norms - 1) ** 2).mean()


def _uniform_per_sample(like: Tensor, rng: Generator | None) -> Tensor:
    """U(0, 1) of shape (N, 1, ...)."""
    shape = (len(like), *(1 for _ in like.shape[1:]))
    return Tensor((rng or like.backend.generator).uniform(shape, dtype=like.dtype), like.backend)


def total(terms: Iterable[Any]) -> Tensor:
    """The sum of one term or more."""
    first, *others = terms
    for term in others:
        first = first + term
    return first
