"""Every convolution algorithm against the reference, in all three partial derivatives."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from minigan.kernels import bilinear, im2col, planes
from minigan.kernels.costs import alone, cheapest
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
        monkeypatch.setattr(planes, "ROWS", 1)
        monkeypatch.setattr(bilinear, "TILES", 1)
        monkeypatch.setattr(bilinear, "SMALL_PRODUCT", 100)
        monkeypatch.setattr(bilinear, "TRANSFORMED", 1)
    return request.param


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


def operands(geometry, n, c, o, dtype, order, seed):
    """The arguments of the three kernels, with and without a bias."""
    rng = np.random.default_rng(seed)
    x = array(rng, (n, c, *geometry.input_size), dtype, order)
    y = array(rng, (n, o, *geometry.output_size), dtype, order)
    w = array(rng, (o, c, *geometry.kernel_size), dtype, order)
    bias = [rng.standard_normal(k).astype(dtype) for k in (o, c)]
    yield "conv2d", (x, w, bias[0], geometry)
    yield "conv2d", (x, w, None, geometry)
    yield "conv_transpose2d", (y, w, bias[1], geometry)
    yield "conv_transpose2d", (y, w, None, geometry)
    yield "conv2d_weight_grad", (x, y, geometry)


@st.composite
def geometries(draw, algorithm):
    """Any geometry of the algorithm that touches its input: rows and columns are drawn apart."""

    def axis():
        stride = draw(st.integers(1, 3))
        output, before, spare = draw(st.integers(1, 12)), draw(st.integers(0, 3)), draw(st.integers(-3, 2))
        if algorithm == "frequency":
            kernel, dilation = draw(st.integers(stride, 5)), 1
        elif algorithm == "winograd":
            kernel, dilation = draw(st.integers(stride + 1, 3 * stride)), 1
        else:
            kernel, dilation = draw(st.integers(1, 5)), draw(st.integers(1, 2))
        size = (output - 1) * stride + dilation * (kernel - 1) + 1 - before + spare
        assume(size >= 1)
        return size, kernel, output, stride, before, dilation

    return Geometry(*zip(axis(), axis(), strict=True))


@pytest.mark.parametrize("algorithm", ["auto", "im2col", "planes", "frequency", "winograd"])
@given(
    data=st.data(),
    n=st.integers(1, 4),
    c=st.integers(1, 5),
    o=st.integers(1, 5),
    dtype=dtypes,
    order=orders,
    seed=seeds,
)
@settings(max_examples=60)
def test_any_geometry(algorithm, data, n, c, o, dtype, order, seed):
    geometry, tuned = data.draw(geometries(algorithm)), kernels(algorithm, 2)
    for name, args in operands(geometry, n, c, o, dtype, order, seed):
        close(getattr(tuned, name)(*args), getattr(REFERENCE, name)(*args))


@pytest.mark.parametrize("algorithm", ["auto", "im2col", "planes", "frequency", "winograd"])
@given(data=st.data(), n=st.integers(1, 4), c=st.integers(1, 5), o=st.integers(1, 5), dtype=dtypes, seed=seeds)
@settings(max_examples=30)
def test_what_is_kept_of_an_array_serves_all_kernels(algorithm, data, n, c, o, dtype, seed):
    geometry, tuned = data.draw(geometries(algorithm)), kernels(algorithm, 2)
    calls = data.draw(st.permutations(list(operands(geometry, n, c, o, dtype, "last", seed))))
    kept = {}
    for name, (a, b, *rest) in calls:
        dictionaries = kept.setdefault(id(a), {}), kept.setdefault(id(b), {})
        assert_array_equal(getattr(tuned, name)(a, b, *rest, dictionaries), getattr(tuned, name)(a, b, *rest))


def test_a_transform_is_made_once(chunks):
    """What is kept is what is used: the input's zeroed transform gives a weight gradient of zeros."""
    geometry, c, o = LAYERS["5x5, stride 2, 14x14"]
    tuned = kernels("frequency", 2)
    (_, (x, w, _, _)), *_, (_, (_, y, _)) = operands(geometry, 2, c, o, np.float32, "last", 0)
    kept_x, kept_w, kept_y = {}, {}, {}
    tuned.conv2d(x, w, None, geometry, (kept_x, kept_w))
    tuned.conv_transpose2d(y, w, None, geometry, (kept_y, kept_w))
    assert [len(kept) for kept in (kept_x, kept_w, kept_y)] == ([1, 1, 1] if chunks == "one chunk" else [0, 1, 0])
    for transform in kept_x.values():
        transform.fill(0)
        assert not tuned.conv2d_weight_grad(x, y, geometry, (kept_x, kept_y)).any()


def test_a_dictionary_serves_several_algorithms():
    geometry, c, o = LAYERS["5x5, stride 2, 14x14"]
    _, arguments = next(operands(geometry, 2, c, o, np.float32, "last", 0))
    kept = {}, {}
    for algorithm in ("frequency", "winograd", "frequency"):
        tuned = kernels(algorithm, 1)
        assert_array_equal(tuned.conv2d(*arguments, kept), tuned.conv2d(*arguments))


def test_images_are_kept_where_the_weight_gradient_cuts_them_alike():
    geometry, c, o = LAYERS["4x4, stride 2, 16x16"]
    _, (x, w, _, _) = next(operands(geometry, 1, c, o, np.float32, "last", 0))
    kept_x, kept_w = {}, {}
    kernels("winograd", 2).conv2d(x, w, None, geometry, (kept_x, kept_w))
    assert (len(kept_x), len(kept_w)) == (0, 1)


LAYERS = {
    "5x5, stride 1, 7x7": (Geometry((7, 7), (5, 5), (7, 7), (1, 1), (2, 2)), 12, 20),
    "5x5, stride 2, 14x14": (Geometry((14, 14), (5, 5), (7, 7), (2, 2), (2, 2)), 12, 20),
    "5x5, stride 2, 28x28, one channel": (Geometry((28, 28), (5, 5), (14, 14), (2, 2), (2, 2)), 1, 8),
    "4x4, stride 2, 16x16": (Geometry((16, 16), (4, 4), (8, 8), (2, 2), (1, 1)), 12, 20),
    "4x4, stride 2, 32x32, three channels": (Geometry((32, 32), (4, 4), (16, 16), (2, 2), (1, 1)), 3, 8),
    "5x5, stride 2, TensorFlow's same": (Geometry((14, 14), (5, 5), (7, 7), (2, 2), (1, 1)), 12, 20),
}


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("algorithm", ["auto", "im2col", "planes", "frequency", "winograd"])
def test_the_layers_of_gans_with_any_number_of_threads(name, algorithm):
    geometry, c, o = LAYERS[name]
    if algorithm == "winograd" and geometry.stride == (1, 1):
        pytest.skip("too many taps")
    one, three = kernels(algorithm, 1), kernels(algorithm, 3)
    for kernel, args in operands(geometry, 4, c, o, np.float32, "last", 0):
        result = getattr(one, kernel)(*args)
        close(result, getattr(REFERENCE, kernel)(*args))
        assert_array_equal(getattr(three, kernel)(*args), result)


CHOICES = {
    "frequency": ("conv2d", LAYERS["5x5, stride 1, 7x7"][0], 128, 256),
    "winograd": ("conv2d_weight_grad", LAYERS["4x4, stride 2, 16x16"][0], 128, 256),
    "planes": ("conv_transpose2d", LAYERS["4x4, stride 2, 32x32, three channels"][0], 3, 64),
    "im2col": ("conv2d", LAYERS["4x4, stride 2, 32x32, three channels"][0], 3, 64),
}


@pytest.mark.parametrize("algorithm", CHOICES)
def test_every_algorithm_is_chosen_where_it_needs_least(algorithm):
    kernel, geometry, channels, outputs = CHOICES[algorithm]
    assert cheapest(kernel, geometry, 64, outputs, channels) == algorithm


@pytest.mark.parametrize(
    ("images", "channels", "outputs", "algorithm", "why"),
    [
        (64, 64, 64, "frequency", "dearer alone, but not for three kernels that share their transforms"),
        (64, 32, 64, "im2col", "a little cheaper is not worth the memory"),
        (128, 64, 64, "im2col", "more than a chunk: nothing is shared"),
    ],
)
def test_kernels_that_share_transforms_are_chosen_together(chunks, images, channels, outputs, algorithm, why):
    if chunks == "one chunk":
        geometry = Geometry((14, 14), (3, 3), (14, 14), (1, 1), (1, 1))
        assert cheapest.__wrapped__("conv2d", geometry, images, outputs, channels) == algorithm, why


@pytest.mark.parametrize(("kernel", "channels", "outputs"), [(4, 64, 128), (9, 2, 2)])
def test_frequencies_are_not_for_few_taps_or_channels(kernel, channels, outputs):
    geometry = Geometry((32, 32), (kernel, kernel), (16, 16), (2, 2), (1, 1))
    assert alone("conv_transpose2d", geometry, 128, outputs, channels)["frequency"] == np.inf


def test_a_large_batch_is_cut_into_chunks():
    algorithm = kernels("im2col", 2).convolutions.algorithms["im2col"]
    geometry = LAYERS["4x4, stride 2, 32x32, three channels"][0]
    assert [part.stop - part.start for part in algorithm.chunks(8, geometry, 64)] == [1] * 8


def test_every_algorithm_keeps_single_precision():
    """The largest error against float64 stays near that of the plain sums, with channels as deep as in a GAN."""
    geometry, rng = LAYERS["4x4, stride 2, 16x16"][0], np.random.default_rng(3)
    x, y = array(rng, (8, 64, 16, 16), np.float32), array(rng, (8, 96, 8, 8), np.float32)
    w = array(rng, (96, 64, 4, 4), np.float32)
    for name, *args in [("conv2d", x, w, None), ("conv_transpose2d", y, w, None), ("conv2d_weight_grad", x, y)]:
        wide = [None if a is None else a.astype(np.float64) for a in args]
        exact = getattr(REFERENCE, name)(*wide, geometry)
        for algorithm in ("im2col", "frequency", "winograd"):
            result = getattr(kernels(algorithm, 2), name)(*args, geometry)
            assert np.abs(result - exact).max() <= 2e-6 * np.abs(exact).max()


def test_results_are_channels_last_in_memory():
    geometry, c, o = LAYERS["5x5, stride 2, 14x14"]
    tuned, rng = kernels("auto", 2), np.random.default_rng(0)
    x, w = array(rng, (4, c, 14, 14), np.float32, "first"), array(rng, (o, c, 5, 5), np.float32, "first")
    y = tuned.conv2d(x, w, None, geometry)
    assert y.transpose(0, 2, 3, 1).flags.c_contiguous
    assert tuned.conv_transpose2d(y, w, None, geometry).transpose(0, 2, 3, 1).flags.c_contiguous


def test_an_unknown_algorithm_is_refused():
    with pytest.raises(ValueError, match="unknown convolution algorithm 'fft'; known: auto, reference, im2col, "):
        CpuKernels(1, "fft")


@pytest.mark.parametrize(
    ("algorithm", "kernel", "stride", "dilation", "takes"),
    [
        ("winograd", 4, 1, 1, "stride \\+ 1 to 3 \\* stride"),
        ("winograd", 1, 1, 1, "stride \\+ 1 to 3 \\* stride"),
        ("winograd", 3, 1, 2, "dilation 1"),
        ("frequency", 10, 1, 1, "stride to 9 \\* stride"),
        ("frequency", 1, 2, 1, "stride to 9 \\* stride"),
        ("frequency", 3, 1, 2, "dilation 1"),
    ],
)
def test_a_forced_algorithm_names_the_shapes_it_takes(algorithm, kernel, stride, dilation, takes):
    reach = 3 * stride + dilation * (kernel - 1) + 1
    geometry = Geometry((reach, reach), (kernel,) * 2, (4, 4), (stride,) * 2, (0, 0), (dilation,) * 2)
    rng = np.random.default_rng(0)
    x, w = array(rng, (1, 2, reach, reach), np.float32), array(rng, (3, 2, kernel, kernel), np.float32)
    with pytest.raises(ValueError, match=f"'{algorithm}' takes .*{takes}.*got kernel"):
        kernels(algorithm, 1).conv2d(x, w, None, geometry)
    close(kernels("auto", 1).conv2d(x, w, None, geometry), REFERENCE.conv2d(x, w, None, geometry))
