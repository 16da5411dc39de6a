"""Initialisers: each fills a parameter in place from a random stream. Fans as in PyTorch: weight is (out, in, ...)."""

from __future__ import annotations

import math
from typing import Any

from ..autograd import Tensor
from ..backend import get_backend
from ..rng import Generator


def _draw(parameter: Tensor, kind: str, rng: Generator | None, **options: Any) -> Any:
    """Random values on the CPU, so that every device starts from the same ones."""
    generator = rng or get_backend("cpu").generator
    return getattr(generator, kind)(parameter.shape, dtype=parameter.dtype, **options)


def fans(parameter: Tensor) -> tuple[int, int]:
    """(fan in, fan out): the inputs that reach one output, and the outputs that one input reaches."""
    if parameter.ndim < 2:
        raise ValueError(f"fans are defined for weights with two axes or more, got shape {parameter.shape}")
    receptive = math.prod(parameter.shape[2:])
    return parameter.shape[1] * receptive, parameter.shape[0] * receptive


def constant_(parameter: Tensor, value: float) -> Tensor:
    parameter.data[...] = value
    parameter.version.bump("init")
    return parameter


def normal_(parameter: Tensor, mean: float = 0.0, std: float = 1.0, *, rng: Generator | None = None) -> Tensor:
    """N(mean, std^2); DCGAN (Radford et al. 2016) uses std 0.02."""
    parameter.assign(_draw(parameter, "normal", rng, std=std) + mean, "init")
    return parameter


def uniform_(parameter: Tensor, low: float = 0.0, high: float = 1.0, *, rng: Generator | None = None) -> Tensor:
    """U(low, high)."""
    parameter.assign(_draw(parameter, "uniform", rng, low=low, high=high), "init")
    return parameter


def xavier_uniform_(parameter: Tensor, gain: float = 1.0, *, rng: Generator | None = None) -> Tensor:
    """U(-a, a) with a = gain sqrt(6 / (fan in + fan out)) (Glorot and Bengio 2010)."""
    bound = gain * math.sqrt(6 / sum(fans(parameter)))
    return uniform_(parameter, -bound, bound, rng=rng)


def xavier_normal_(parameter: Tensor, gain: float = 1.0, *, rng: Generator | None = None) -> Tensor:
    """N(0, 2 gain^2 / (fan in + fan out)) (Glorot and Bengio 2010)."""
    return normal_(parameter, std=gain * math.sqrt(2 / sum(fans(parameter))), rng=rng)


def kaiming_uniform_(parameter: Tensor, negative_slope: float = 0.0, *, rng: Generator | None = None) -> Tensor:
    """U(-a, a) with a = sqrt(6 / ((1 + slope^2) fan in)) (He et al. 2015), for (leaky) ReLU networks."""
    bound = math.sqrt(6 / ((1 + negative_slope**2) * fans(parameter)[0]))
    return uniform_(parameter, -bound, bound, rng=rng)


def kaiming_normal_(parameter: Tensor, negative_slope: float = 0.0, *, rng: Generator | None = None) -> Tensor:
    """N(0, 2 / ((1 + slope^2) fan in)) (He et al. 2015), for (leaky) ReLU networks."""
    return normal_(parameter, std=math.sqrt(2 / ((1 + negative_slope**2) * fans(parameter)[0])), rng=rng)


def orthogonal_(parameter: Tensor, gain: float = 1.0, *, rng: Generator | None = None) -> Tensor:
    """gain times a random matrix with orthonormal rows or columns (Saxe et al. 2014); kernels count as columns."""
    rows, columns = parameter.shape[0], math.prod(parameter.shape[1:])
    generator = rng or get_backend("cpu").generator
    linalg = generator.backend.xp.linalg
    q, r = linalg.qr(generator.normal((max(rows, columns), min(rows, columns)), dtype="float64"))
    q = q * generator.backend.xp.sign(r.diagonal())  # makes the distribution uniform
    matrix = (q if rows >= columns else q.T) * gain
    parameter.assign(matrix.reshape(parameter.shape).astype(parameter.dtype), "init")
    return parameter
