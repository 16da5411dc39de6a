"""One example of one catalog entry, checked in every way that applies to it."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from ..autograd import Tensor
from ..backend import Backend, configure_cpu, get_backend
from .adjoint import rule_adjoint_check
from .catalog import Entry, Sample
from .draw import Draw
from .gradcheck import gradient_errors
from .report import GradientError

RTOL_VALUE = {"float64": 1e-12, "float32": 1e-5}


@dataclass
class Errors:
    """The worst relative errors: of the value, of every order of derivative from 1 on, of the adjoint identity.

    adjoint is None where the operation is linear in no input.
    """

    value: float
    orders: list[float]
    adjoint: float | None

    def merged(self, other: Errors) -> Errors:
        adjoints = [e for e in (self.adjoint, other.adjoint) if e is not None]
        return Errors(
            max(self.value, other.value),
            [max(pair) for pair in zip(self.orders, other.orders, strict=True)],
            max(adjoints) if adjoints else None,
        )


def example(entry: Entry, seed: int, dtype: str, backend: Backend) -> tuple[Sample, list[Tensor]]:
    """The sample of a seed, and its arrays as leaves in random memory layouts."""
    draw = Draw.seeded(seed)
    sample = entry.sample(draw)
    arrays = [draw.layout(array.astype(dtype)) for array in sample.arrays]
    return sample, [Tensor(backend.asarray(array), backend, requires_grad=True) for array in arrays]


def check_example(entry: Entry, seed: int, *, order: int = 2, dtype: str = "float64", device: str = "cpu") -> Errors:
    """Value against the oracle, derivatives up to `order`, and the adjoint identities. Raises GradientError."""
    sample, inputs = example(entry, seed, dtype, get_backend(device))
    value = _compare_value(entry, sample, inputs, dtype)
    orders = gradient_errors(_named(sample, entry.name), inputs, order=order, method=entry.method, rng=seed)
    adjoints = [
        rule_adjoint_check(sample.call, inputs, [k for k in group if k < len(inputs)]) for group in entry.linear
    ]
    return Errors(value, orders, max(adjoints, default=None))


@contextmanager
def kernels(name: str) -> Iterator[None]:
    """The CPU runs on the kernels of that name ("cpu" or "reference") inside the block."""
    backend = get_backend("cpu")
    before = backend.kernels
    configure_cpu(kernels=name)
    try:
        yield
    finally:
        backend.kernels = before


def _named(sample: Sample, name: str):
    """sample.call under the name that a report should use."""

    @functools.wraps(sample.call)
    def call(*inputs: Tensor) -> Tensor:
        return sample.call(*inputs)

    call.__name__ = name
    return call


def _compare_value(entry: Entry, sample: Sample, inputs: list[Tensor], dtype: str) -> float:
    value = sample.call(*inputs)
    expected = sample.oracle(*[t.numpy().astype(np.float64) for t in inputs])
    if value.shape != expected.shape:
        raise GradientError(f"{entry.name} returned shape {value.shape}, its oracle {expected.shape}")
    if str(value.dtype) != dtype:
        raise GradientError(f"{entry.name} returned {value.dtype} for {dtype}")
    error = float(np.abs(value.numpy() - expected).max(initial=0.0))
    scale = max([float(np.abs(a).max(initial=0.0)) for a in (expected, *sample.arrays)])
    relative = error / scale if error else 0.0
    if not relative <= RTOL_VALUE[dtype]:
        raise GradientError(
            f"{entry.name}: the value is {error:.3g} off its oracle, relative to {scale:.3g} "
            f"(tolerance {RTOL_VALUE[dtype]:.1g})"
        )
    return relative
