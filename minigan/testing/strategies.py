"""Hypothesis strategies for tests of differentiable functions (needs Hypothesis: pip install minigan[test]).

@given(strategies.tensors(domain="positive"))
def test_my_function(x):
    gradcheck(my_function, x, order=2)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from ..autograd import Tensor
from ..backend import get_backend
from ..kernels.geometry import Geometry
from .catalog import Entry, Sample
from .draw import Draw, Shape

DOMAINS = ("real", "positive", "nonzero", "distinct")


def _strategy(draw_one: Callable[..., Any]) -> Callable[..., SearchStrategy[Any]]:
    """A strategy from a function of a Draw (and options): every integer it draws is Hypothesis's, and shrinks."""

    @st.composite
    def strategy(draw: DrawFn, *args: Any, **options: Any) -> Any:
        return draw_one(Draw(lambda low, high: draw(st.integers(low, high))), *args, **options)

    strategy.__name__, strategy.__doc__ = draw_one.__name__, draw_one.__doc__
    return strategy


@_strategy
def shapes(draw: Draw, low: int = 0, high: int = 4, side: int = 4) -> Shape:
    """A shape of `low` to `high` axes, each 1 to `side` long."""
    return draw.shape(low, high, side)


@_strategy
def broadcastable_shapes(draw: Draw, count: int = 2, high: int = 3) -> list[Shape]:
    """`count` shapes of at most `high` axes that broadcast together."""
    return draw.broadcastable(count, high)


@_strategy
def arrays(draw: Draw, shape: Shape | None = None, domain: str = "real", dtype: str = "float64") -> np.ndarray:
    """An array in any memory layout. domain: "real" (standard normal), "positive" (0.3 to 3), "nonzero" (0.3 to 3 in
    size, both signs), "distinct" (no ties, none near 0)."""
    if domain not in DOMAINS:
        raise ValueError(f"unknown domain {domain!r}; known: {', '.join(DOMAINS)}")
    values = getattr(draw, domain)(draw.shape() if shape is None else shape)
    return draw.layout(values.astype(dtype))


def tensors(
    shape: Shape | None = None, domain: str = "real", dtype: str = "float64", device: str = "cpu"
) -> SearchStrategy[Tensor]:
    """A leaf with requires_grad=True over such an array."""
    backend = get_backend(device)
    return arrays(shape, domain, dtype).map(lambda a: Tensor(backend.asarray(a), backend, requires_grad=True))


@_strategy
def matrix_pairs(draw: Draw) -> tuple[np.ndarray, np.ndarray]:
    """Two arrays that matmul takes: inner sizes equal, leading axes broadcastable, any layout."""
    rows, inner, columns = (draw.integer(1, 4) for _ in range(3))
    left, right = draw.broadcastable(2, 2)
    a, b = draw.real((*left, rows, inner)), draw.real((*right, inner, columns))
    return draw.layout(a), draw.layout(b)


@_strategy
def conv_geometries(draw: Draw) -> Geometry:
    """A small convolution: rectangular, with stride, dilation and any padding, rows left over at the end included."""
    return draw.geometry()


@_strategy
def transposed_arguments(draw: Draw) -> dict[str, Any]:
    """size, kernel_size, stride, padding, output_padding and dilation that conv_transpose2d accepts."""
    kernel, stride, dilation, size = (tuple([draw.integer(1, 3) for _ in range(2)]) for _ in range(4))
    longest = [max(s, d) - 1 for s, d in zip(stride, dilation, strict=True)]
    extra = tuple([draw.integer(0, n) for n in longest])
    full = [
        (n - 1) * s + d * (k - 1) + 1 + e for n, s, d, k, e in zip(size, stride, dilation, kernel, extra, strict=True)
    ]
    padding = tuple([draw.integer(0, min(2, (n - 1) // 2)) for n in full])
    return {
        "size": size,
        "kernel_size": kernel,
        "stride": stride,
        "padding": padding,
        "output_padding": extra,
        "dilation": dilation,
    }


@_strategy
def layouts(draw: Draw, array: np.ndarray) -> np.ndarray:
    """The given values in C or Fortran order, with axes permuted, strided, or backwards in memory."""
    return draw.layout(array)


@_strategy
def samples(draw: Draw, entry: Entry) -> tuple[Sample, list[np.ndarray]]:
    """An example of a catalog entry, and its arrays in random memory layouts."""
    sample = entry.sample(draw)
    return sample, [draw.layout(array) for array in sample.arrays]
