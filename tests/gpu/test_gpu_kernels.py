"""Every CUDA kernel, run on the CPU, against its twin: random shapes and memory layouts, both precisions."""

from __future__ import annotations

import itertools

import fake_cupy
import numpy as np
import pytest
import shim
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minigan.kernels.geometry import Geometry
from minigan.kernels.gpu import GpuKernels, adam_numbers
from minigan.kernels.reference import ReferenceKernels

pytestmark = pytest.mark.usefixtures("cupy", "races_checked")
examples = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

TWIN = ReferenceKernels(np)
GPU = GpuKernels(fake_cupy)
TOLERANCE = {"float32": 2e-5, "float64": 1e-12}
LAYOUTS = ("C", "channels-last", "reversed", "gaps", "broadcast")

dtypes = st.sampled_from(["float32", "float64"])
layouts = st.sampled_from(LAYOUTS)
seeds = st.integers(0, 2**32 - 1)
shapes = st.lists(st.integers(1, 7), min_size=1, max_size=4).map(tuple)
channelled = st.one_of(  # (N, C, ...) with few or many positions to reduce
    st.tuples(st.integers(1, 40), st.integers(1, 70)),
    st.tuples(st.integers(1, 5), st.integers(1, 40), st.integers(1, 6), st.integers(1, 6)),
)


@pytest.fixture
def races_checked(monkeypatch):
    monkeypatch.setattr(shim, "check_races", True)


def values(seed: int, shape, dtype, layout="C", scale=3.0):
    """The same random array on the device, in the given memory layout, and on the host."""
    x = (np.random.default_rng(seed).standard_normal(shape) * scale).astype(dtype)
    if layout == "channels-last" and x.ndim == 4:
        device = fake_cupy.asarray(x.transpose(0, 2, 3, 1).copy()).transpose(0, 3, 1, 2)
    elif layout == "reversed":
        device = fake_cupy.asarray(x.T.copy()).T
    elif layout == "gaps":
        device = fake_cupy.asarray(np.repeat(x, 2, axis=-1))[..., ::2]
    elif layout == "broadcast":
        x = np.broadcast_to(x[:1], x.shape)
        device = fake_cupy.broadcast_to(fake_cupy.asarray(x[:1]), x.shape)
    else:
        device = fake_cupy.asarray(x)
    return device, x


def check(result, expected, scale=None):
    """Equal dtype and shape, and values to rounding (relative to `scale`, by default the greatest of them)."""
    assert result.dtype == expected.dtype
    assert result.shape == expected.shape
    scale = np.max(np.abs(expected), initial=1.0) if scale is None else scale
    tolerance = TOLERANCE.get(str(expected.dtype), 0) * scale
    np.testing.assert_allclose(result.get(), expected, rtol=0, atol=tolerance)


# ------------------------------------------------------------------------------------------- elementwise


@examples
@given(st.sampled_from(["sigmoid", "softplus", "tanh", "exp", "negative"]), shapes, dtypes, layouts, seeds)
def test_functions_of_one_array(name, shape, dtype, layout, seed):
    device, host = values(seed, shape, dtype, layout)
    result = getattr(GPU, name)(device)
    check(result, getattr(TWIN, name)(host))
    keeps_memory_order(result, device)


@examples
@given(st.sampled_from(["add", "subtract", "multiply", "divide", "tanh_grad"]), shapes, dtypes, layouts, layouts, seeds)
def test_functions_of_two_arrays(name, shape, dtype, layout_a, layout_b, seed):
    a, host_a = values(seed, shape, dtype, layout_a)
    b, host_b = values(seed + 1, shape, dtype, layout_b)
    check(getattr(GPU, name)(a, b), getattr(TWIN, name)(host_a, host_b))


@examples
@given(shapes, st.data(), dtypes, layouts, seeds)
def test_broadcasting_keeps_the_memory_order_of_the_greater_operand(shape, data, dtype, layout, seed):
    a, host_a = values(seed, shape, dtype, layout)
    smaller = data.draw(st.tuples(*[st.sampled_from((1, n)) for n in shape]))[data.draw(st.integers(0, len(shape))) :]
    b, host_b = values(seed + 1, smaller, dtype)
    result = GPU.multiply(a, b)
    check(result, host_a * host_b)
    if np.prod(smaller) < np.prod(shape):
        keeps_memory_order(result, a)
    check(GPU.multiply(b, a), host_b * host_a)
    check(GPU.where(a > 0, a, fake_cupy.zeros((), dtype)), np.where(host_a > 0, host_a, np.zeros((), dtype)))


def keeps_memory_order(result, given):
    if any(given.transpose(order).flags.c_contiguous for order in itertools.permutations(range(given.ndim))):
        steps = zip(given.strides, result.strides, given.shape, strict=True)
        assert all(before == after for before, after, n in steps if n > 1)


def test_operations_stay_channels_last():
    """Where a C-ordered array (the gradient of a flattening, say) meets a channels-last one, it is the one copied."""
    image, _ = values(0, (2, 3, 4, 5), "float32", "channels-last")
    other, _ = values(1, (2, 3, 4, 5), "float32")
    for function in (GPU.add, GPU.tanh_grad, lambda a, b: GPU.leaky_relu_grad(a, b, 0.2)):
        for result in (function(image, other), function(other, image)):
            assert result.transpose(0, 2, 3, 1).flags.c_contiguous
    with fake_cupy.counted() as counts:
        GPU.leaky_relu_grad(other, image, 0.2)
    assert counts == {"launch": 2}


@examples
@given(shapes, dtypes, layouts, layouts, seeds, st.sampled_from([0.0, 0.2, 0.3]))
def test_leaky_relu_and_its_gradient(shape, dtype, layout_a, layout_b, seed, slope):
    x, host_x = values(seed, shape, dtype, layout_a)
    g, host_g = values(seed + 1, shape, dtype, layout_b)
    check(GPU.leaky_relu(x, slope), TWIN.leaky_relu(host_x, slope).astype(dtype))
    check(GPU.leaky_relu_grad(g, x, slope), TWIN.leaky_relu_grad(host_g, host_x, slope).astype(dtype))
    zero = fake_cupy.zeros(3, dtype)
    assert GPU.leaky_relu_grad(zero + 1, zero, slope).get().tolist() == [np.dtype(dtype).type(slope)] * 3


@examples
@given(channelled, dtypes, layouts, seeds, st.sampled_from([0.0, 0.2]))
def test_bias_and_leaky_relu(shape, dtype, layout, seed, slope):
    (x, host_x), (b, host_b) = values(seed, shape, dtype, layout), values(seed + 1, shape[1:2], dtype)
    result = GPU.bias_leaky_relu(x, b, slope)
    check(result, TWIN.bias_leaky_relu(host_x, host_b, slope).astype(dtype))
    keeps_memory_order(result, x)


@examples
@given(st.integers(1, 6), st.integers(0, 9), shapes, dtypes, layouts, seeds, st.sampled_from(["int64", "int32"]))
def test_scatter_add_of_rows(rows, count, shape, dtype, layout, seed, kind):
    shape = shape[:3]
    x, host = values(seed, (count, *shape), dtype, layout if count else "C")
    index = np.random.default_rng(seed).integers(-rows, rows, count).astype(kind)
    result = GPU.scatter_add(x, (fake_cupy.asarray(index),), (rows, *shape))
    check(result, TWIN.scatter_add(host, (index,), (rows, *shape)))


def test_scatter_add_of_single_elements():
    x, host = values(0, (3,), "float32")
    index = np.array([2, 0, 1]), np.array([1, 1, 0])
    result = GPU.scatter_add(x, tuple(map(fake_cupy.asarray, index)), (3, 2))
    check(result, TWIN.scatter_add(host, index, (3, 2)))


@examples
@given(shapes, dtypes, layouts, seeds)
def test_mask_scale(shape, dtype, layout, seed):
    x, host = values(seed, shape, dtype, layout)
    mask = np.random.default_rng(seed).random(shape) < 0.7
    check(GPU.mask_scale(x, fake_cupy.asarray(mask), 1 / 0.7), TWIN.mask_scale(host, mask, 1 / 0.7))
    rows = mask[..., :1]
    check(GPU.mask_scale(x, fake_cupy.asarray(rows), 2.0), TWIN.mask_scale(host, rows, 2.0))


def test_bytes_are_scaled_to_the_same_bits():
    host = np.arange(256, dtype=np.uint8).reshape(2, 4, 4, 8)
    x = fake_cupy.asarray(host.transpose(0, 2, 3, 1).copy()).transpose(0, 3, 1, 2)
    result = GPU.scaled_bytes(x)
    np.testing.assert_array_equal(result.get(), TWIN.scaled_bytes(host), strict=True)
    assert result.transpose(0, 2, 3, 1).flags.c_contiguous


def test_softplus_and_sigmoid_do_not_overflow():
    x = np.array([-1e4, -200, -1e-3, 0, 1e-3, 200, 1e4], np.float32)
    for name in ("softplus", "sigmoid"):
        check(getattr(GPU, name)(fake_cupy.asarray(x)), getattr(TWIN, name)(x))


@examples
@given(st.one_of(shapes, st.just((20000, 1))), dtypes, layouts, seeds, st.sampled_from([0.0, 0.3, 0.9, 1.0]))
def test_binary_cross_entropy(shape, dtype, layout, seed, target):
    x, host = values(seed, shape, dtype, layout, scale=30.0)
    check(GPU.binary_cross_entropy(x, target), TWIN.binary_cross_entropy(host, target))


@examples
@given(shapes, dtypes, layouts, seeds, st.sampled_from([0.0, 1.0, 0.9]))
def test_binary_cross_entropy_grad(shape, dtype, layout, seed, target):
    (g, host_g), (x, host) = values(seed + 1, (), dtype), values(seed, shape, dtype, layout, scale=30.0)
    check(GPU.binary_cross_entropy_grad(g, x, target), TWIN.binary_cross_entropy_grad(host_g, host, target))


# ------------------------------------------------------------------------------------------- reductions


@examples
@given(st.one_of(shapes, channelled), st.data(), dtypes, layouts, st.booleans(), seeds)
def test_sum(shape, data, dtype, layout, keepdims, seed):
    axes = tuple(sorted(data.draw(st.sets(st.integers(0, len(shape) - 1), min_size=1))))
    x, host = values(seed, shape, dtype, layout)
    check(GPU.sum(x, axes, keepdims), TWIN.sum(host, axes, keepdims), scale=np.abs(host).sum(axes).max())


@pytest.mark.parametrize(
    ("shape", "launches"), [((3000, 70), 2), ((40000, 1), 2), ((500, 70), 1), ((2, 3, 200, 200), 2)]
)
@pytest.mark.parametrize("layout", ["C", "channels-last"])
def test_a_sum_is_one_launch_or_two(shape, launches, layout):
    x, host = values(0, shape, "float64", layout)
    axes = (0, 2, 3)[: len(shape) - 1]
    with fake_cupy.counted() as counts:
        total = GPU.sum(x, axes, False)
    assert counts == {"launch": launches}
    check(total, host.sum(axes), scale=np.abs(host).sum(axes).max())


# ------------------------------------------------------------------------------------------- linear algebra


@examples
@given(st.integers(1, 6), st.integers(1, 6), st.integers(1, 6), dtypes, layouts, layouts, seeds, st.booleans())
def test_linear(n, i, o, dtype, layout_a, layout_b, seed, with_bias):
    x, host_x = values(seed, (n, i), dtype, layout_a)
    w, host_w = values(seed + 1, (o, i), dtype, layout_b)
    b, host_b = values(seed + 2, (o,), dtype) if with_bias else (None, None)
    check(GPU.linear(x, w, b), TWIN.linear(host_x, host_w, host_b), scale=100)


def test_precision_holds_for_our_products_alone():
    x, host = values(0, (40, 300), "float32")
    exact = host.astype("float64") @ host.T.astype("float64")
    set_type, tf32 = fake_cupy._core.set_compute_type, fake_cupy._core._routines_linalg.COMPUTE_TYPE_TF32

    def error(product):
        return np.abs(product.get() - exact).max() / np.abs(exact).max()

    assert error(GPU.matmul(x, x.T)) < 1e-6
    assert 1e-6 < error(GpuKernels(fake_cupy, precision="tf32").matmul(x, x.T)) < 1e-2
    assert error(x @ x.T) < 1e-6  # the setting of everybody else is as it was
    set_type("float32", tf32)
    try:
        assert error(GPU.matmul(x, x.T)) < 1e-6  # and ours does not depend on it
        assert error(x @ x.T) > 1e-6
    finally:
        set_type("float32", 0)


def test_unknown_and_impossible_precisions_are_refused(monkeypatch):
    with pytest.raises(ValueError, match="'float32' or 'tf32', got 'half'"):
        GpuKernels(fake_cupy, precision="half")
    monkeypatch.setattr(fake_cupy.cuda.Device, "compute_capability", "75")
    with pytest.raises(ValueError, match="compute capability 8"):
        GpuKernels(fake_cupy, precision="tf32")


# ------------------------------------------------------------------------------------------- convolution


@st.composite
def geometries(draw) -> Geometry:
    def pair(low, high):
        return draw(st.integers(low, high)), draw(st.integers(low, high))

    kernel, stride, dilation, output, corner = pair(1, 4), pair(1, 3), pair(1, 3), pair(1, 5), pair(0, 3)
    reach = [(o - 1) * s + d * (k - 1) + 1 for o, s, d, k in zip(output, stride, dilation, kernel, strict=True)]
    size = tuple(max(1, r - c + draw(st.integers(-2, 3))) for r, c in zip(reach, corner, strict=True))
    return Geometry(size, kernel, output, stride, corner, dilation)


@examples
@given(geometries(), st.integers(1, 3), st.integers(1, 5), dtypes, layouts, seeds)
def test_im2col(geometry, n, c, dtype, layout, seed):
    x, host = values(seed, (n, c, *geometry.input_size), dtype, layout)
    columns = GPU.im2col(x, geometry)
    np.testing.assert_array_equal(columns.get(), TWIN.im2col(host, geometry))
    assert columns.flags.c_contiguous


@examples
@given(geometries(), st.integers(1, 3), st.integers(1, 5), dtypes, layouts, seeds)
def test_col2im(geometry, n, c, dtype, layout, seed):
    shape = (n, *geometry.output_size, *geometry.kernel_size, c)
    columns, host = values(seed, shape, dtype, layout)
    check(GPU.col2im(columns, geometry), TWIN.col2im(host, geometry))


def test_im2col_of_a_matrix_wider_than_a_block():
    geometry = Geometry((6, 5), (3, 3), (6, 5), corner=(1, 1))
    x, host = values(0, (3, 70, 6, 5), "float32", "channels-last")
    np.testing.assert_array_equal(GPU.im2col(x, geometry).get(), TWIN.im2col(host, geometry))


@examples
@given(geometries(), st.integers(1, 3), st.integers(1, 4), st.integers(1, 4), st.booleans(), dtypes, layouts, seeds)
def test_the_three_convolutions(geometry, n, c, o, with_bias, dtype, layout, seed):
    x, host_x = values(seed, (n, c, *geometry.input_size), dtype, layout)
    w, host_w = values(seed + 1, (o, c, *geometry.kernel_size), dtype, layout)
    y, host_y = values(seed + 2, (n, o, *geometry.output_size), dtype, layout)
    b, host_b = values(seed + 3, (o,), dtype) if with_bias else (None, None)
    a, host_a = values(seed + 4, (c,), dtype) if with_bias else (None, None)
    results = [GPU.conv2d(x, w, b, geometry), GPU.conv_transpose2d(y, w, a, geometry)]
    for result in results:
        assert result.transpose(0, 2, 3, 1).flags.c_contiguous  # channels-last
    check(results[0], TWIN.conv2d(host_x, host_w, host_b, geometry), scale=500)
    check(results[1], TWIN.conv_transpose2d(host_y, host_w, host_a, geometry), scale=500)
    weight_grad = GPU.conv2d_weight_grad(x, y, geometry)
    check(weight_grad, TWIN.conv2d_weight_grad(host_x, host_y, geometry), scale=1000)


def test_launches_of_a_convolution():
    """im2col, product, bias; the weight is copied to rows once, unless its memory is channels-last already."""
    geometry = Geometry((14, 14), (5, 5), (7, 7), stride=(2, 2), corner=(1, 1))
    x, _ = values(0, (4, 8, 14, 14), "float32", "channels-last")
    w, _ = values(1, (16, 8, 5, 5), "float32")
    y, _ = values(2, (4, 16, 7, 7), "float32", "channels-last")
    b, a = values(3, (16,), "float32")[0], values(3, (8,), "float32")[0]
    rows, _ = values(1, (16, 8, 5, 5), "float32", "channels-last")
    for launches, convolve in [
        (4, lambda: GPU.conv2d(x, w, b, geometry)),
        (3, lambda: GPU.conv2d(x, rows, b, geometry)),
        (3, lambda: GPU.conv_transpose2d(y, w, a, geometry)),
        (2, lambda: GPU.conv_transpose2d(y, rows, a, geometry)),
        (2, lambda: GPU.conv2d_weight_grad(x, y, geometry)),
    ]:
        with fake_cupy.counted() as counts:
            convolve()
        assert counts == {"launch": launches}


# ------------------------------------------------------------------------------------------- batch norm


@examples
@given(channelled, dtypes, layouts, seeds, st.sampled_from([0.0, 1e3]))
def test_batch_statistics(shape, dtype, layout, seed, offset):
    x, host = values(seed, shape, dtype, layout)
    mean, variance = GPU.batch_statistics(x + offset)
    exact = TWIN.batch_statistics(host.astype(np.float64) + np.float64(offset))
    check(mean, exact[0].astype(dtype), scale=10 + offset)
    check(variance, exact[1].astype(dtype), scale=100 + offset)  # nothing cancels: the error is that of x + offset


@pytest.mark.parametrize("shape", [(3000, 40), (40, 3, 30, 30)])
@pytest.mark.parametrize("layout", ["C", "channels-last"])
def test_batch_statistics_in_two_stages(shape, layout):
    x, host = values(0, shape, "float64", layout)
    results = GPU.batch_statistics(x)
    for result, expected in zip(results, TWIN.batch_statistics(host), strict=True):
        check(result, expected)


@examples
@given(channelled, dtypes, layouts, layouts, seeds)
def test_batch_norm_and_its_gradients(shape, dtype, layout_x, layout_g, seed):
    x, host_x = values(seed, shape, dtype, layout_x, scale=1)
    g, host_g = values(seed + 1, shape, dtype, layout_g, scale=1)
    per_channel = [values(seed + 2 + i, shape[1:2], dtype, scale=1) for i in range(6)]
    gamma, beta, mean, inv_std, sum_g, sum_product = [device for device, _ in per_channel]
    host = [h for _, h in per_channel]
    check(GPU.batch_norm(x, gamma, beta, mean, inv_std), TWIN.batch_norm(host_x, *host[:4]), scale=20)
    scale_grad = GPU.batch_norm_scale_grad(g, x, mean, inv_std)
    check(scale_grad, TWIN.batch_norm_scale_grad(host_g, host_x, *host[2:4]), scale=20 * host_x[:, 0].size)
    host_inputs = (host_g, host_x, host[0], *host[2:])
    input_grad = GPU.batch_norm_input_grad(g, x, gamma, mean, inv_std, sum_g, sum_product)
    check(input_grad, TWIN.batch_norm_input_grad(*host_inputs), scale=100)


# ------------------------------------------------------------------------------------------- random numbers

keys = st.integers(0, 2**128 - 1)
counters = st.one_of(st.integers(0, 2**40), st.integers(2**64 - 4, 2**64 - 1))


@examples
@given(keys, counters, st.integers(0, 3000))
def test_random_bits_are_the_twins(key, counter, count):
    np.testing.assert_array_equal(GPU.random_bits(key, counter, count).get(), TWIN.random_bits(key, counter, count))


@examples
@given(keys, counters, st.integers(0, 3000), dtypes)
def test_random_numbers_are_the_twins(key, counter, count, dtype):
    uniform = GPU.random_uniform(key, counter, count, dtype)
    assert uniform.dtype == dtype
    np.testing.assert_array_equal(uniform.get(), TWIN.random_uniform(key, counter, count, dtype))
    check(GPU.random_normal(key, counter, count, dtype), TWIN.random_normal(key, counter, count, dtype))


@examples
@given(keys, counters, st.one_of(shapes, channelled), st.sampled_from([0.0, 0.3, 0.5, 0.7, 1.0]))
def test_dropout_masks_are_the_twins(key, counter, shape, keep):
    mask = GPU.dropout_mask(key, counter, shape, keep)
    assert mask.dtype == np.bool_
    np.testing.assert_array_equal(mask.get(), TWIN.dropout_mask(key, counter, shape, keep))


def test_the_place_in_the_stream_may_live_on_the_device():
    place = fake_cupy.asarray(np.array([2**40 + 5], np.uint64))
    np.testing.assert_array_equal(GPU.random_bits(3, place, 9).get(), TWIN.random_bits(3, 2**40 + 5, 9))


# ------------------------------------------------------------------------------------------- optimizers


@examples
@given(st.lists(st.tuples(st.integers(1, 400), st.booleans(), layouts), min_size=1, max_size=70), dtypes, seeds)
def test_gathered_gradients_are_the_gradients(sizes, dtype, seed):
    """Some pieces are missing; what follows one another comes as one, up to 32 together."""
    host, pieces, start = np.zeros(sum(n for n, *_ in sizes), dtype), [], 0
    for number, (n, present, layout) in enumerate(sizes):
        if present:
            device, values_ = values(seed + number, (n,), dtype, layout)
            host[start : start + n] = values_
            pieces.append((slice(start, start + n), device))
        start += n
    gathered = GPU.gathered(pieces)
    flat = np.zeros_like(host)
    for place, array in gathered:
        flat[place] = array.get()
    np.testing.assert_array_equal(flat, host)
    presence = [present for _, present, _ in sizes]
    groups = [len(list(group)) for present, group in itertools.groupby(presence) if present]
    assert len(gathered) == sum(-(-group // 32) for group in groups)


def test_no_kernel_gathers_complex_numbers():
    pieces = [(slice(0, 2), fake_cupy.zeros(2, "complex128")), (slice(2, 3), fake_cupy.zeros(1, "complex128"))]
    assert GPU.gathered(pieces) == pieces
    assert GPU.gathered([]) == []


def stepped(name, count, n, dtype, seed, **hyperparameters):
    """Two steps of an optimizer over random parameters, gradients and (positive) state, and by the twin."""
    pairs = [values(seed + i, (n,), dtype) for i in range(count)]
    device = [pair[0] if i < 2 else GPU.absolute(pair[0]) for i, pair in enumerate(pairs)]
    host = [pair[1] if i < 2 else np.abs(pair[1]) for i, pair in enumerate(pairs)]
    for _ in range(2):
        getattr(GPU, name)(*device, **hyperparameters)
        getattr(TWIN, name)(*host, **hyperparameters)
    for result, expected in zip(device, host, strict=True):
        check(result, expected)


decays = st.sampled_from([0.0, 0.1])


@examples
@given(st.integers(1, 600), dtypes, seeds, st.booleans(), st.sampled_from([0.0, 0.9]), decays)
def test_sgd(n, dtype, seed, nesterov, momentum, decay):
    stepped("sgd_step", 3, n, dtype, seed, lr=0.1, momentum=momentum, nesterov=nesterov, weight_decay=decay)
    p, host_p = values(seed, (n,), dtype)
    g, host_g = values(seed + 1, (n,), dtype)
    settings = {"lr": 0.1, "momentum": 0.0, "nesterov": False, "weight_decay": decay}
    GPU.sgd_step(p, g, None, **settings)
    TWIN.sgd_step(host_p, host_g, None, **settings)
    check(p, host_p)


@examples
@given(st.integers(1, 600), dtypes, seeds)
def test_average(n, dtype, seed):
    stepped("average_step", 2, n, dtype, seed, rate=0.1)


@examples
@given(st.integers(1, 600), dtypes, seeds, decays)
def test_rmsprop(n, dtype, seed, decay):
    stepped("rmsprop_step", 3, n, dtype, seed, lr=0.01, alpha=0.9, eps=1e-3, weight_decay=decay)


@examples
@given(st.integers(1, 600), dtypes, seeds, st.integers(1, 1000), decays, st.booleans())
def test_adam(n, dtype, seed, step, decay, decoupled):
    settings = {"lr": 0.01, "beta1": 0.5, "beta2": 0.999, "eps": 1e-3, "step": step}
    stepped("adam_step", 4, n, dtype, seed, **settings, weight_decay=decay, decoupled=decoupled)


SGD = {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1}
ADAM = {"lr": 0.1, "beta1": 0.5, "beta2": 0.9, "eps": 1e-3, "step": 3, "weight_decay": 0.1, "decoupled": True}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("name", "arrays", "settings", "key", "numbers"),
    [
        ("sgd_step", 2, SGD, "lr", [0.1]),
        ("sgd_step", 3, SGD, "lr", [0.1]),
        ("rmsprop_step", 3, {"lr": 0.1, "alpha": 0.9, "eps": 1e-3, "weight_decay": 0.1}, "lr", [0.1]),
        ("adam_step", 4, ADAM, "lr", adam_numbers(**ADAM)),
        ("average_step", 2, {"rate": 0.1}, "rate", [0.1]),
    ],
)
def test_a_recorded_launch_reads_from_the_device_what_changes(name, arrays, settings, key, numbers, dtype):
    def stepped(**changed):
        given = [GPU.absolute(values(i, (700,), dtype)[0]) for i in range(arrays)]
        without_velocity = [None] if name == "sgd_step" and arrays == 2 else []
        getattr(GPU, name)(*given, *without_velocity, **settings | changed)
        return given[0].get()

    on_device = fake_cupy.asarray(np.array(numbers))
    np.testing.assert_array_equal(stepped(**{key: on_device}), stepped())
    assert (stepped(**{key: 2 * on_device}) != stepped()).all()


def test_a_step_refuses_parameters_with_gaps():
    p = fake_cupy.zeros(10, "float32")[::2]
    with pytest.raises(ValueError, match="needs arrays without gaps"):
        GPU.sgd_step(p, p, None, lr=0.1, momentum=0.0, nesterov=False, weight_decay=0.0)


# ------------------------------------------------------------------------------------------- the rest


def test_one_launch_each():
    x, _ = values(0, (6, 5, 4, 4), "float32", "channels-last")
    c = [values(i, (5,), "float32")[0] for i in range(6)]
    pixels = fake_cupy.zeros((2, 3, 4, 4), "uint8")
    calls = {
        "tanh_grad": lambda: GPU.tanh_grad(x, x),
        "scaled_bytes": lambda: GPU.scaled_bytes(pixels),
        "gathered": lambda: GPU.gathered([(slice(5 * i, 5 * i + 5), array) for i, array in enumerate(c)]),
        "sigmoid": lambda: GPU.sigmoid(x),
        "binary_cross_entropy": lambda: GPU.binary_cross_entropy(x, 1.0),
        "softplus": lambda: GPU.softplus(x),
        "leaky_relu": lambda: GPU.leaky_relu(x, 0.2),
        "bias_leaky_relu": lambda: GPU.bias_leaky_relu(x, c[0], 0.2),
        "leaky_relu_grad": lambda: GPU.leaky_relu_grad(x, x, 0.2),
        "dropout": lambda: GPU.mask_scale(x, GPU.dropout_mask(1, 0, x.shape, 0.7), 1 / 0.7),
        "add": lambda: GPU.add(x, c[0].reshape(1, 5, 1, 1)),
        "batch_statistics": lambda: GPU.batch_statistics(x),
        "batch_norm": lambda: GPU.batch_norm(x, *c[:4]),
        "batch_norm_scale_grad": lambda: GPU.batch_norm_scale_grad(x, x, *c[:2]),
        "batch_norm_input_grad": lambda: GPU.batch_norm_input_grad(x, x, *c[:5]),
        "adam_step": lambda: GPU.adam_step(
            *c[:4], lr=0.1, beta1=0.9, beta2=0.9, eps=1e-8, step=1, weight_decay=0.1, decoupled=True
        ),
        "random_normal": lambda: GPU.random_normal(1, 0, 100, "float32"),
    }
    for name, call in calls.items():
        with fake_cupy.counted() as counts:
            call()
        assert counts == {"launch": 2 if name == "dropout" else 1}, name


@pytest.mark.parametrize("dtype", ["complex128", "int64"])
def test_other_dtypes_take_the_twin(dtype):
    host = np.arange(-6, 6).reshape(3, 4).astype(dtype)
    x = fake_cupy.asarray(host)
    check(GPU.sum(x, (0,), False), host.sum(0))
    if dtype == "complex128":
        check(GPU.softplus(x * 0.1j), TWIN.softplus(host * 0.1j), scale=1e-9)


def test_an_array_too_large_for_the_kernels_is_refused():
    huge = fake_cupy.broadcast_to(fake_cupy.zeros((), "float32"), (2**16, 2**16))
    with pytest.raises(ValueError, match=r"more than 2\^31 - 1 elements; use a smaller batch"):
        GPU.im2col(huge[None, None], Geometry((2**16, 2**16), (1, 1), (1, 1)))
