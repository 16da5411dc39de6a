"""The dot-product test itself."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigan as mg
from minigan.testing import GradientError, adjoint_check, strategies

DTYPES = pytest.mark.parametrize("dtype", ["float64", "float32"])


@DTYPES
@given(data=st.data())
def test_a_matrix_and_its_transpose(dtype, data):
    x = data.draw(strategies.tensors((3,), dtype=dtype))
    a = data.draw(strategies.tensors((2, 3), dtype=dtype))
    assert adjoint_check(lambda x: a @ x, lambda y: a.T @ y, x) < {"float64": 1e-12, "float32": 1e-5}[dtype]


@DTYPES
@pytest.mark.parametrize("factor", [1.001, -1.0, 0.0])
def test_a_wrong_adjoint_is_rejected_even_in_single_precision(dtype, factor):
    rng = np.random.default_rng(0)
    a, x = (mg.tensor(rng.standard_normal(shape).astype(dtype)) for shape in ((20, 30), (30,)))
    with pytest.raises(GradientError, match=r"not adjoint: <A x, y> = .*, <x, A' y> = "):
        adjoint_check(lambda x: a @ x, lambda y: (a.T @ y) * factor, x)


def test_several_inputs_together():
    x, y = mg.tensor(np.ones(2)), mg.tensor(np.arange(3.0))
    adjoint_check(lambda x, y: mg.concatenate([x, y]), lambda z: (z[:2], z[2:]), [x, y])
    with pytest.raises(GradientError, match="not adjoint"):
        adjoint_check(lambda x, y: mg.concatenate([x, y]), lambda z: (z[:2], z[2:] * 2.0), [x, y])


def test_a_shape_that_does_not_fit():
    with pytest.raises(GradientError, match=r"shape \(1,\) for input 0 of shape \(2,\)"):
        adjoint_check(lambda x: x * 2.0, lambda y: y[:1], mg.tensor(np.ones(2)))


def test_an_affine_map_is_not_linear():
    with pytest.raises(GradientError):
        adjoint_check(lambda x: x + 1.0, lambda y: y, mg.tensor(np.ones(2)))


def test_zero_maps_are_adjoint():
    assert adjoint_check(lambda x: x * 0.0, lambda y: y * 0.0, mg.tensor(np.ones(2))) == 0.0


def test_tolerance_and_seed_are_the_callers():
    x = mg.tensor(np.ones(3))
    adjoint_check(lambda x: x, lambda y: y * 1.001, x, rtol=1e-2, rng=3)
    adjoint_check(lambda x: x, lambda y: y, x, rng=np.random.default_rng(3))
