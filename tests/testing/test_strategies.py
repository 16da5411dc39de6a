"""The strategies keep what they promise."""

import numpy as np
import pytest
from hypothesis import find, given, settings
from hypothesis import strategies as st

import minigan as mg
from minigan.testing import strategies


@given(shape=strategies.shapes(1, 3, 5))
def test_shapes(shape):
    assert 1 <= len(shape) <= 3 and all(1 <= n <= 5 for n in shape)


@given(shapes=strategies.broadcastable_shapes(3))
def test_broadcastable_shapes(shapes):
    np.broadcast_shapes(*shapes)
    assert len(shapes) == 3


@given(data=st.data(), shape=strategies.shapes())
def test_domains(data, shape):
    positive = data.draw(strategies.arrays(shape, "positive"))
    nonzero = data.draw(strategies.arrays(shape, "nonzero"))
    distinct = data.draw(strategies.arrays(shape, "distinct"))
    assert positive.shape == shape and (positive >= 0.3).all()
    assert (abs(nonzero) >= 0.3).all()
    values = np.sort(np.append(distinct.ravel(), 0.0))
    assert (np.diff(values) > 0.02).all()


def test_an_unknown_domain():
    with pytest.raises(ValueError, match="known: real, positive"):
        find(strategies.arrays((2,), "imaginary"), lambda a: True)


@given(x=strategies.tensors((2, 2), dtype="float32"))
def test_tensors_are_leaves(x):
    assert x.requires_grad and x.creator is None and x.dtype == np.float32


@given(pair=strategies.matrix_pairs())
def test_matrix_pairs(pair):
    assert np.matmul(*pair).ndim >= 2


@given(data=st.data(), shape=strategies.shapes())
def test_layouts_keep_the_values(data, shape):
    a = np.arange(np.prod(shape, dtype=int), dtype=float).reshape(shape)
    np.testing.assert_array_equal(data.draw(strategies.layouts(a)), a)


def finds(strategy, predicate):
    return find(strategy, predicate, settings=settings(max_examples=2000, database=None))


@pytest.mark.parametrize(
    "predicate",
    [
        lambda a: any(s < 0 for s in a.strides),
        lambda a: a.flags.f_contiguous and not a.flags.c_contiguous,
        lambda a: a.strides[-1] == 16,
        lambda a: a.strides[1] == 8 and a.shape[1] > 1 and a.strides[0] == max(a.strides),  # channels last
    ],
)
def test_every_layout_is_found(predicate):
    finds(strategies.layouts(np.ones((2, 3, 2, 2))), predicate)


@pytest.mark.parametrize(
    "predicate",
    [
        lambda g: g.kernel_size[0] != g.kernel_size[1],
        lambda g: g.stride == (3, 2) and g.dilation == (1, 2),
        lambda g: g.padding[0] > g.padding[1] > 0,
        lambda g: min(g.padding) < 0,  # rows that no output sees
        lambda g: g.padding == (0, 0, 0, 0) and g.stride == (1, 1),
        lambda g: g.input_size[0] != g.input_size[1],
    ],
)
def test_every_geometry_is_found(predicate):
    finds(strategies.conv_geometries(), predicate)


@given(g=strategies.conv_geometries())
def test_geometries_are_sound(g):
    """Every output pixel sees at least one pixel, and sizes add up."""
    top, bottom, left, right = g.padding
    assert min(g.input_size) >= 1 and min(top, left) >= 0
    assert g.reach == (g.input_size[0] + top + bottom, g.input_size[1] + left + right)


@given(arguments=strategies.transposed_arguments())
def test_transposed_arguments_are_accepted(arguments):
    x = mg.tensor(np.ones((1, 1, *arguments.pop("size"))))
    w = mg.tensor(np.ones((1, 1, *arguments.pop("kernel_size"))))
    assert mg.conv_transpose2d(x, w, **arguments).size > 0


def test_failures_shrink_to_the_smallest_case():
    geometry = finds(strategies.conv_geometries(), lambda g: g.stride[0] == 2)
    assert geometry.stride == (2, 1) and geometry.kernel_size == (1, 1) and geometry.dilation == (1, 1)
