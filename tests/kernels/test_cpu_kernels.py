"""Every tuned kernel against its twin in the reference: values, shapes, dtypes; and any number of threads alike."""

import inspect
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from minigan.kernels import blockwise, cpu, layout
from minigan.kernels.cpu import CpuKernels
from minigan.kernels.reference import ReferenceKernels

REFERENCE = ReferenceKernels(np)
ONE, TWO = CpuKernels(1), CpuKernels(2)
TOLERANCE = {np.float32: 2e-5, np.float64: 1e-12}

slopes = st.sampled_from([0.0, 0.2, 1.0, 1.5])
lengths = st.integers(1, 20)
offsets = st.sampled_from([0, 100])
dtypes = st.sampled_from([np.float32, np.float64])
orders = st.sampled_from(["first", "last", "gaps"])
seeds = st.integers(0, 2**32 - 1)


@pytest.fixture(autouse=True, params=["small arrays", "large arrays"])
def sizes(request, monkeypatch):
    """Small arrays as they are; and again with thresholds so low that they take every path of large ones."""
    if request.param == "large arrays":
        for name in ("LARGE", "ADAM_ALONE"):
            monkeypatch.setattr(cpu, name, 1)
        for name in ("PASS_BLOCK", "BLOCK", "SUM_BLOCK", "ADAM_BLOCK", "WORDS"):
            monkeypatch.setattr(cpu, name, 16)
        monkeypatch.setattr(layout, "ROW", 8)
        monkeypatch.setattr(blockwise, "ROW", 8)


def array(rng, shape, dtype, order="first"):
    """Random values, zeros among them, in C order, channels-last, or as a view with gaps."""
    values = rng.standard_normal(shape).astype(dtype)
    values[rng.random(shape) < 0.1] = 0
    if order == "last" and values.ndim > 2:
        return np.moveaxis(np.ascontiguousarray(np.moveaxis(values, 1, -1)), -1, 1)
    if order == "gaps" and values.ndim:
        return np.repeat(values, 2, axis=-1)[..., ::2]
    return values


@st.composite
def shapes(draw, least=1, most=4):
    ndim = draw(st.integers(least, most))
    return tuple(draw(st.integers(1, 6)) for _ in range(ndim))


def same(name, *args, dtype=np.float32, atol=None, **options):
    """Run a kernel of all three sets on the same input, and compare; threads must not change a bit."""
    expected = getattr(REFERENCE, name)(*args, **options)
    one, two = getattr(ONE, name)(*args, **options), getattr(TWO, name)(*args, **options)
    for e, a, b in zip(*[r if isinstance(r, tuple) else (r,) for r in (expected, one, two)], strict=True):
        assert a.shape == e.shape and a.dtype == e.dtype
        assert_allclose(a, e, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype] if atol is None else atol)
        assert_array_equal(a, b)
    return one


def test_signatures_are_those_of_the_reference():
    for name, function in inspect.getmembers(CpuKernels, inspect.isfunction):
        twin = getattr(ReferenceKernels, name, None)
        if twin is not None and not name.startswith("_") and function is not twin:
            parameters = inspect.signature(function).parameters.values()
            if not any(p.kind is p.VAR_KEYWORD for p in parameters):
                assert list(inspect.signature(twin).parameters) == [p.name for p in parameters], name


UNARY = ["negative", "exp", "absolute", "sign", "tanh", "sigmoid", "softplus", "contiguous"]


@pytest.mark.parametrize("name", UNARY)
@given(shape=shapes(), dtype=dtypes, order=orders, seed=seeds)
@settings(max_examples=15)
def test_unary(name, shape, dtype, order, seed):
    same(name, array(np.random.default_rng(seed), shape, dtype, order), dtype=dtype)


@pytest.mark.parametrize("name", ["log", "sqrt"])
@given(shape=shapes(), dtype=dtypes, order=orders, seed=seeds)
@settings(max_examples=15)
def test_unary_of_positive_numbers(name, shape, dtype, order, seed):
    same(name, np.abs(array(np.random.default_rng(seed), shape, dtype, order)) + dtype(0.1), dtype=dtype)


@pytest.mark.parametrize("name", ["add", "subtract", "multiply", "divide"])
@given(shape=shapes(), dtype=dtypes, order=orders, other=orders, data=st.data(), seed=seeds)
@settings(max_examples=30)
def test_binary_with_broadcasting(name, shape, dtype, order, other, data, seed):
    rng = np.random.default_rng(seed)
    a = array(rng, shape, dtype, order)
    keep = data.draw(st.tuples(*[st.booleans()] * len(shape)))
    narrow = tuple(n if k else 1 for n, k in zip(shape, keep, strict=True))
    narrow = narrow[data.draw(st.integers(0, len([*iter_leading_ones(narrow)]))) :]
    b = array(rng, narrow, dtype, other)
    if name == "divide":
        b = np.where(b == 0, dtype(1), b)
    if data.draw(st.booleans()):
        b = data.draw(st.sampled_from([0.5, 2]))
    same(name, a, b, dtype=dtype)
    if not np.isscalar(b) and name != "divide":
        same(name, b, a, dtype=dtype)


def iter_leading_ones(shape):
    for n in shape:
        if n != 1:
            return
        yield n


@given(shape=shapes(), dtype=dtypes, order=orders, other=orders, slope=slopes, seed=seeds)
def test_leaky_relu(shape, dtype, order, other, slope, seed):
    rng = np.random.default_rng(seed)
    x, cotangent = array(rng, shape, dtype, order), array(rng, shape, dtype, other)
    same("leaky_relu", x, slope, dtype=dtype)
    same("leaky_relu_grad", cotangent, x, slope, dtype=dtype)


@given(shape=shapes(), dtype=dtypes, order=orders, other=orders, seed=seeds)
def test_gradients_and_masks(shape, dtype, order, other, seed):
    rng = np.random.default_rng(seed)
    x, cotangent = array(rng, shape, dtype, order), array(rng, shape, dtype, other)
    same("tanh_grad", cotangent, x, dtype=dtype)
    same("mask_scale", x, cotangent > 0, 1.25, dtype=dtype)
    same("power", np.abs(x) + dtype(0.5), -0.5, dtype=dtype)
    same("where", cotangent > 0, x, cotangent, dtype=dtype)


@given(shape=shapes(), dtype=dtypes, order=orders, keepdims=st.booleans(), data=st.data(), seed=seeds)
@settings(max_examples=200)
def test_sum(shape, dtype, order, keepdims, data, seed):
    axes = tuple(data.draw(st.lists(st.integers(0, len(shape) - 1), min_size=1, unique=True)))
    x = array(np.random.default_rng(seed), shape, dtype, order)
    same("sum", x, axes, keepdims, dtype=dtype, atol=20 * TOLERANCE[dtype])


@given(m=lengths, k=lengths, n=lengths, dtype=dtypes, flips=st.integers(0, 3), seed=seeds)
def test_matrix_products(m, k, n, dtype, flips, seed):
    rng = np.random.default_rng(seed)
    a = array(rng, (m, k), dtype) if flips & 1 else array(rng, (k, m), dtype).T
    b = array(rng, (k, n), dtype) if flips & 2 else array(rng, (n, k), dtype).T
    bias = array(rng, (n,), dtype)
    same("matmul", a, b, dtype=dtype, atol=20 * TOLERANCE[dtype])
    same("linear", a, b.T, bias, dtype=dtype, atol=20 * TOLERANCE[dtype])
    same("linear", a, b.T, None, dtype=dtype, atol=20 * TOLERANCE[dtype])


@pytest.mark.parametrize("shape", [(600, 200, 300), (300, 200, 600)])
def test_matrix_products_shared_by_the_team(shape):
    """As they are from the first convolution on: the same bits by any number of threads."""
    m, k, n = shape
    rng = np.random.default_rng(0)
    a, b = array(rng, (m, k), np.float32), array(rng, (n, k), np.float32).T
    one, two = CpuKernels(1), CpuKernels(2)
    two.team.keep_from_blas()
    one.team.keep_from_blas()
    assert_array_equal(two.matmul(a, b), one.matmul(a, b))
    np.testing.assert_allclose(two.matmul(a, b), REFERENCE.matmul(a, b), atol=1e-4)


def test_matrix_products_of_other_shapes():
    rng = np.random.default_rng(0)
    for a, b in [((3, 4, 5), (3, 5, 2)), ((5,), (5, 2)), ((4, 5), (5,)), ((4, 5), (3, 5, 2))]:
        same("matmul", array(rng, a, np.float64), array(rng, b, np.float64), dtype=np.float64)


@given(
    shape=shapes(least=2, most=4),
    dtype=dtypes,
    order=orders,
    other=orders,
    offset=offsets,
    seed=seeds,
)
@settings(max_examples=100)
def test_batch_norm(shape, dtype, order, other, offset, seed):
    rng = np.random.default_rng(seed)
    x = array(rng, (shape[0] + 1, *shape[1:]), dtype, order) + dtype(offset)
    cotangent = array(rng, x.shape, dtype, other)
    gamma, beta, total, product = (array(rng, x.shape[1:2], dtype) for _ in range(4))
    mean, variance = REFERENCE.batch_statistics(x)
    atol = TOLERANCE[dtype] * (1 + offset) * 20
    same("batch_statistics", x, dtype=dtype, atol=atol)
    inv_std = 1 / np.sqrt(variance + dtype(1e-2))
    same("batch_norm", x, gamma, beta, mean, inv_std, dtype=dtype, atol=atol)
    same("batch_norm_scale_grad", cotangent, x, mean, inv_std, dtype=dtype, atol=atol * 10)
    same("batch_norm_input_grad", cotangent, x, gamma, mean, inv_std, total, product, dtype=dtype, atol=atol * 10)


@given(key=st.integers(0, 2**128 - 1), counter=st.integers(0, 2**40), count=st.integers(0, 200))
def test_random_bits_are_the_same_stream(key, counter, count):
    expected = REFERENCE.random_bits(key, counter, count)
    assert_array_equal(ONE.random_bits(key, counter, count), expected)
    assert_array_equal(TWO.random_bits(key, counter, count), expected)


@given(key=st.integers(0, 2**128 - 1), shape=shapes(), keep=st.sampled_from([0.0, 0.25, 0.7, 0.99999, 1.0]))
def test_dropout_masks_are_the_same(key, shape, keep):
    mask = TWO.dropout_mask(key, 5, shape, keep)
    assert mask.dtype == bool
    assert_array_equal(mask, REFERENCE.dropout_mask(key, 5, shape, keep))


STEPS = [
    ("sgd_step", 0, {"lr": 0.1, "momentum": 0.0, "nesterov": False}),
    ("sgd_step", 1, {"lr": 0.1, "momentum": 0.9, "nesterov": False}),
    ("sgd_step", 1, {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    ("rmsprop_step", 1, {"lr": 0.1, "alpha": 0.99, "eps": 1e-8}),
    ("adam_step", 2, {"lr": 0.1, "beta1": 0.5, "beta2": 0.999, "eps": 1e-8, "step": 3, "decoupled": False}),
    ("adam_step", 2, {"lr": 0.1, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "step": 1, "decoupled": True}),
]


@pytest.mark.parametrize(("name", "slots", "options"), STEPS)
@pytest.mark.parametrize("weight_decay", [0.0, 0.01])
@given(size=st.integers(1, 100), dtype=dtypes, seed=seeds)
@settings(max_examples=15)
def test_optimizer_steps(name, slots, options, weight_decay, size, dtype, seed):
    rng = np.random.default_rng(seed)
    start = [array(rng, (size,), dtype), array(rng, (size,), dtype)]
    start += [np.abs(array(rng, (size,), dtype)) for _ in range(slots)] or [None]
    results = []
    for kernels in (REFERENCE, ONE, TWO):
        state = [None if a is None else a.copy() for a in start]
        getattr(kernels, name)(*state, **options, weight_decay=weight_decay)
        assert_array_equal(state[1], start[1])
        results.append([a for a in state if a is not None])
    for expected, one, two in zip(*results, strict=True):
        assert one.dtype == dtype
        assert_allclose(one, expected, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])
        assert_array_equal(one, two)


def test_an_infinite_complex_number_stays_apart_from_other_columns():
    x = np.array([[np.inf + 0j, 1], [1, 1]])
    assert_array_equal(ONE.sum(x, (0,), False), x.sum(axis=0))


def test_complex_numbers_take_the_analytic_kernels():
    rng = np.random.default_rng(1)
    x = rng.standard_normal((4, 3, 5, 2)) + 1e-3j * rng.standard_normal((4, 3, 5, 2))
    for name in ("tanh", "exp", "sigmoid", "softplus", "negative"):
        assert_allclose(getattr(TWO, name)(x), getattr(REFERENCE, name)(x), rtol=1e-12)
    assert_allclose(TWO.leaky_relu(x, 0.2), REFERENCE.leaky_relu(x, 0.2), rtol=1e-12)
    assert_allclose(TWO.sum(x, (0, 2, 3), False), REFERENCE.sum(x, (0, 2, 3), False), rtol=1e-12)
    for a, b in zip(TWO.batch_statistics(x), REFERENCE.batch_statistics(x), strict=True):
        assert_allclose(a, b, rtol=1e-12)


def test_a_reshape_is_a_view_where_it_can_be():
    x = np.arange(2.0 * 3 * 4 * 5).reshape(2, 4, 5, 3).transpose(0, 3, 1, 2)  # channels-last
    assert np.shares_memory(TWO.reshape(x, (2, 3, 20)), x)
    copy = TWO.reshape(x, (2, 60))
    assert_array_equal(copy, x.reshape(2, 60))
    assert not np.shares_memory(copy, x)


@given(sizes=st.lists(st.tuples(st.integers(1, 30), st.booleans()), max_size=12), limit=st.integers(1, 60))
def test_gathered_gradients_are_the_gradients(sizes, limit):
    """Some pieces are missing; what follows one another comes as one, up to a limit."""
    pieces, start = [], 0
    for size, present in sizes:
        if present:
            pieces.append((slice(start, start + size), np.arange(start, start + size)))
        start += size
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cpu, "LARGE", limit)
        gathered = ONE.gathered(pieces)
    for place, gradient in gathered:
        assert_array_equal(gradient, np.arange(place.start, place.stop))
        assert place.stop - place.start <= limit or any(place == alone for alone, _ in pieces)
    assert sum(gradient.size for _, gradient in gathered) == sum(gradient.size for _, gradient in pieces)
    for (left, _), (right, _) in itertools.pairwise(gathered):
        first = next(piece for piece, _ in pieces if piece.start == right.start)
        assert left.stop < right.start or first.stop - left.start > limit
