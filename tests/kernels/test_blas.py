"""One pass over memory by BLAS, and three by NumPy."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from threadpoolctl import ThreadpoolController

from minigan.kernels.blas import Blas

LIBRARIES = ThreadpoolController().select(user_api="blas").lib_controllers
BLAS = Blas(LIBRARIES)
EPS = {"float32": 2.0**-23, "float64": 2.0**-52}
numbers = st.sampled_from([0.0, 1.0, -0.3, 0.5, 0.999]) | st.floats(-2, 2)


def unnamed(library):
    """A library that lacks all of it."""
    return SimpleNamespace(internal_api="openblas", dynlib=SimpleNamespace())


@pytest.mark.parametrize("blas", [BLAS, Blas(map(unnamed, LIBRARIES))], ids=["one pass", "three"])
@given(size=st.integers(1, 300), dtype=st.sampled_from(sorted(EPS)), a=numbers, b=numbers, seed=st.integers(0, 99))
def test_axpby_is_its_formula(blas, size, dtype, a, b, seed):
    rng = np.random.default_rng(seed)
    x, memory = (rng.standard_normal(size).astype(dtype) for _ in range(2))
    start = memory.copy()
    y = memory[size // 3 : size - size // 4]
    for given_x in (x[: y.size], np.broadcast_to(x[: y.size], y.shape), np.repeat(x, 2)[: 2 * y.size : 2]):
        expected = a * given_x.astype(np.float64) + b * y.astype(np.float64)
        bound = 2 * EPS[dtype] * (abs(a * given_x) + abs(b * y)).max(initial=0) + np.finfo(dtype).tiny
        blas.axpby(a, given_x, b, y)
        assert_allclose(y, expected, rtol=0, atol=bound)
    untouched = [slice(0, size // 3), slice(size - size // 4, None)]
    for part in untouched:
        assert_array_equal(memory[part], start[part])


def test_the_library_of_numpy_is_asked():
    """Every OpenBLAS since 0.2.13 has it."""
    openblas = [library for library in LIBRARIES if library.internal_api == "openblas"]
    if not openblas:
        pytest.skip("NumPy goes without OpenBLAS here")
    assert Blas(openblas)._axpby.keys() == {np.dtype("float32"), np.dtype("float64")}


@pytest.mark.parametrize(("a", "b"), [(0.0, 0.5), (0.5, 0.0), (0.0, 0.0)])
def test_what_is_not_finite_stays_so(a, b):
    x, y = np.array([np.nan, np.inf, 1]), np.array([1, 1, np.inf])
    with np.errstate(invalid="ignore"):
        expected = a * x + b * y
        BLAS.axpby(a, x, b, y)
    assert_array_equal(y, expected)


def test_arrays_that_blas_does_not_know_take_three_passes():
    swapped = np.ones(3, ">f4")
    BLAS.axpby(0.5, np.arange(3, dtype=">f4"), 0.5, swapped)
    assert_array_equal(swapped, [0.5, 1, 1.5])
    with pytest.raises(ValueError, match="broadcast"):
        BLAS.axpby(1.0, np.ones(4), 1.0, np.ones(3))
