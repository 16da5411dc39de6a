"""Every convolution algorithm against the reference, in all three partial derivatives."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from minigan.kernels import im2col
from minigan.kernels.cpu import CpuKernels
from minigan.kernels.geometry import Geometry
from minigan.kernels.reference import ReferenceKernels

REFERENCE = ReferenceKernels(np)
TOLERANCE = {np.float32: 3e-6, np.float64: 1e-13}  # of the largest element

dtypes = st.sampled_from([np.float32, np.float64])
orders = st.sampled_from(["first", "last"])
seeds = st.integers(0, 2**32 - 1)


@pytest.fixture(autouse=True, params=["one chunk", "many chunks"])
def chunks(request, monkeypatch):
    if request.param == "many chunks":
        monkeypatch.setattr(im2col, "PATCHES", 1)


def kernels(algorithm, threads):
    return CpuKernels(threads, algorithm)


def array(rng, shape, dtype, order="last"):
    values = rng.standard_normal(shape).astype(dtype)
    if order == "last":
        return np.ascontiguousarray(values.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    return values


def close(actual, expected):
    assert actual.shape == expected.shape and actual.dtype == expected.dtype
    scale = max(1, np.abs(expected).max(initial=0))
    assert np.abs(actual - expected).max(initial=0) <= TOLERANCE[expected.dtype.type] * scale


def check_all_partials(tuned, geometry, n, c, o, dtype, order, seed):
    rng = np.random.default_rng(seed)
    x = array(rng, (n, c, *geometry.input_size), dtype, order)
    y = array(rng, (n, o, *geometry.output_size), dtype, order)
    w = array(rng, (o, c, *geometry.kernel_size), dtype, order)
    results = []
    for bias in (rng.standard_normal(o).astype(dtype), None):
        results.append(tuned.conv2d(x, w, bias, geometry))
        close(results[-1], REFERENCE.conv2d(x, w, bias, geometry))
    for bias in (rng.standard_normal(c).astype(dtype), None):
        results.append(tuned.conv_transpose2d(y, w, bias, geometry))
        close(results[-1], REFERENCE.conv_transpose2d(y, w, bias, geometry))
    results.append(tuned.conv2d_weight_grad(x, y, geometry))
    close(results[-1], REFERENCE.conv2d_weight_grad(x, y, geometry))
    return results


@st.composite
def geometries(draw):
    """Any geometry that touches its input: rows and columns are drawn apart."""

    def axis():
        kernel, stride, dilation = draw(st.integers(1, 4)), draw(st.integers(1, 3)), draw(st.integers(1, 2))
        output, before, spare = draw(st.integers(1, 5)), draw(st.integers(0, 3)), draw(st.integers(-3, 2))
        size = (output - 1) * stride + dilation * (kernel - 1) + 1 - before + spare
        assume(size >= 1)
        return size, kernel, output, stride, before, dilation

    return Geometry(*zip(axis(), axis(), strict=True))


@pytest.mark.parametrize("algorithm", ["auto", "im2col"])
@given(
    geometry=geometries(),
    n=st.integers(1, 4),
    c=st.integers(1, 3),
    o=st.integers(1, 3),
    dtype=dtypes,
    order=orders,
    seed=seeds,
)
@settings(max_examples=60)
def test_any_geometry(algorithm, geometry, n, c, o, dtype, order, seed):
    check_all_partials(kernels(algorithm, 2), geometry, n, c, o, dtype, order, seed)


LAYERS = {
    "5x5, stride 1, 7x7": (Geometry((7, 7), (5, 5), (7, 7), (1, 1), (2, 2)), 12, 20),
    "5x5, stride 2, 14x14": (Geometry((14, 14), (5, 5), (7, 7), (2, 2), (2, 2)), 12, 20),
    "5x5, stride 2, 28x28, one channel": (Geometry((28, 28), (5, 5), (14, 14), (2, 2), (2, 2)), 1, 20),
    "4x4, stride 2, 16x16": (Geometry((16, 16), (4, 4), (8, 8), (2, 2), (1, 1)), 12, 20),
    "4x4, stride 2, 64x64, three channels": (Geometry((64, 64), (4, 4), (32, 32), (2, 2), (1, 1)), 3, 8),
    "5x5, stride 2, TensorFlow's same": (Geometry((14, 14), (5, 5), (7, 7), (2, 2), (1, 1)), 12, 20),
}


@pytest.mark.parametrize("name", LAYERS)
def test_the_layers_of_gans_with_any_number_of_threads(name):
    geometry, c, o = LAYERS[name]
    one = check_all_partials(kernels("auto", 1), geometry, 9, c, o, np.float32, "last", 0)
    three = check_all_partials(kernels("auto", 3), geometry, 9, c, o, np.float32, "last", 0)
    for a, b in zip(one, three, strict=True):
        assert_array_equal(a, b)


def test_results_are_channels_last_in_memory():
    geometry, c, o = LAYERS["5x5, stride 2, 14x14"]
    tuned, rng = kernels("auto", 2), np.random.default_rng(0)
    x, w = array(rng, (4, c, 14, 14), np.float32, "first"), array(rng, (o, c, 5, 5), np.float32, "first")
    y = tuned.conv2d(x, w, None, geometry)
    assert y.transpose(0, 2, 3, 1).flags.c_contiguous
    assert tuned.conv_transpose2d(y, w, None, geometry).transpose(0, 2, 3, 1).flags.c_contiguous


def test_an_unknown_algorithm_is_refused():
    with pytest.raises(ValueError, match="unknown convolution algorithm 'fft'; known: auto, reference, im2col"):
        CpuKernels(1, "fft")
