"""Operators and methods of a Tensor: which operation they mean, and what numbers and arrays turn into."""

import operator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigan as mg
from minigan import backend
from minigan.testing import strategies

BINARY = [operator.add, operator.sub, operator.mul, operator.truediv]
COMPARISONS = [operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne]


@pytest.mark.parametrize("op", BINARY)
@given(x=strategies.arrays((3,), "nonzero"), number=st.sampled_from([2, -0.5, True, np.float64(3.0), np.array(1.5)]))
def test_numbers_on_either_side(op, x, number):
    t = mg.tensor(x, requires_grad=True)
    np.testing.assert_allclose(op(t, number).numpy(), op(x, number))
    np.testing.assert_allclose(op(number, t).numpy(), op(np.float64(number), x))


@pytest.mark.parametrize("op", BINARY)
def test_a_number_never_promotes(op):
    x = mg.tensor([1.0, 2.0])
    for number in (2, 0.5, np.float64(3.0), np.array(1.5), np.int64(4)):
        assert op(x, number).dtype == op(number, x).dtype == np.float32


@pytest.mark.parametrize("op", [*BINARY, operator.pow])
def test_an_array_on_the_left_leaves_the_operation_to_the_tensor(op):
    x, a = mg.tensor(np.array([2.0, 3.0]), requires_grad=True), np.array([5.0, 7.0])
    y = op(a, x)
    assert isinstance(y, mg.Tensor) and y.requires_grad
    np.testing.assert_allclose(y.numpy(), op(a, x.numpy()))


@pytest.mark.parametrize("op", COMPARISONS)
def test_comparisons_are_elementwise_and_outside_the_graph(op):
    a, b = np.array([1.0, 2.0, 3.0]), np.array([2.0, 2.0, 2.0])
    x = mg.tensor(a, requires_grad=True)
    for other in (mg.tensor(b), b, 2.0):
        y = op(x, other)
        assert y.dtype == bool and not y.requires_grad
        np.testing.assert_array_equal(y.numpy(), op(a, b))


def test_integer_tensors_take_the_type_of_what_they_meet():
    n = mg.tensor([1, 2])
    assert (n + mg.tensor([0.5, 0.5])).dtype == np.float32
    assert (n + mg.tensor(np.array([0.5, 0.5]))).dtype == np.float64
    np.testing.assert_array_equal((n - [0.5, 0.5]).numpy(), [0.5, 1.5])
    np.testing.assert_array_equal(mg.where([True, False], n, 0.5).numpy(), [1.0, 0.5])
    np.testing.assert_array_equal((n / 2).numpy(), [0.5, 1.0])
    assert (n * 2).dtype.kind == (n - 1).dtype.kind == "i"
    for x in (
        n * 0.5,
        n + 0.5,
        n - 0.5,
        n / 2,
        n / n,
        1 / n,
        n**2,
        n.mean(),
        n.exp(),
        n.sigmoid(),
        n.tanh(),
        n.softplus(),
    ):
        assert x.dtype == np.float32
    weight = mg.tensor([0.5, 0.5], requires_grad=True)
    for y in (mg.where([True, False], n, weight), mg.maximum(n, weight), n * 0.5 * weight):
        y.sum().backward()


def test_integers_do_not_slip_into_operations_of_floats():
    n, x = mg.tensor([[1, 2]]), mg.tensor([[0.5, 0.5]])
    for call in (lambda: n @ x.T, lambda: mg.concatenate([n, x]), lambda: mg.nn.Linear(2, 3)(n)):
        with pytest.raises(TypeError, match=r"got Tensors of int64 and float32: convert one with \.astype"):
            call()


@given(a=strategies.arrays((2, 3), "positive"))
def test_methods_are_the_functions(a):
    x = mg.tensor(a)
    unary = ("exp", "log", "sqrt", "abs", "tanh", "sigmoid", "softplus", "relu")
    for name in (*unary, "sum", "mean", "var", "max", "min"):
        np.testing.assert_array_equal(getattr(x, name)().numpy(), getattr(mg, name)(x).numpy())
    np.testing.assert_array_equal(x.T.numpy(), a.T)
    np.testing.assert_array_equal((-x).numpy(), -a)
    np.testing.assert_array_equal(abs(-x).numpy(), a)
    np.testing.assert_array_equal(x.reshape(3, -1).numpy(), a.reshape(3, 2))
    np.testing.assert_array_equal(x.permute(1, 0).numpy(), x.permute((1, 0)).numpy())
    np.testing.assert_array_equal(x.sum(axis=-1, keepdims=True).numpy(), a.sum(-1, keepdims=True))
    np.testing.assert_array_equal(x.sum(np.int64(1)).numpy(), a.sum(1))
    np.testing.assert_array_equal(x.squeeze().numpy(), a.squeeze())


def test_a_tensor_is_indexed_by_tensors_and_lists():
    x = mg.tensor(np.arange(6.0).reshape(2, 3))
    np.testing.assert_array_equal(x[x > 2.5].numpy(), [3, 4, 5])
    np.testing.assert_array_equal(x[[1, 0], mg.tensor([2, 0])].numpy(), [5, 0])
    np.testing.assert_array_equal([row.numpy() for row in x], x.numpy())


def test_casting_between_precisions():
    x = mg.tensor(np.array([1.0, 2.0]), requires_grad=True)
    y = x.astype("float32")
    assert y.dtype == np.float32 and x.astype("float64") is x
    y.backward(mg.tensor([3.0, 4.0]))
    assert x.grad.dtype == np.float64
    np.testing.assert_array_equal(x.grad.numpy(), [3, 4])
    assert not x.astype("int64").requires_grad


def test_on_another_device_a_tensor_is_a_leaf_that_asks_for_gradients_only_where_a_leaf_did(monkeypatch):
    cpu = mg.get_backend("cpu")
    monkeypatch.setitem(backend._backends, "elsewhere", backend.Backend("elsewhere", np, cpu.kernels))
    parameter, data = mg.tensor([1.0, 2.0], requires_grad=True), mg.tensor([1.0, 2.0])
    for x, asks in ((parameter, True), (data, False), (parameter * 3.0, False)):
        y = x.to("elsewhere")
        assert y.device == "elsewhere" and y.creator is None and y.requires_grad is asks
        np.testing.assert_array_equal(y.numpy(), x.numpy())
        assert not np.shares_memory(y.data, x.data)
        assert x.to("cpu") is x
    with pytest.raises(mg.DeviceError, match="elsewhere"):
        parameter + parameter.to("elsewhere")


def test_what_is_left_out_has_numpys_and_pytorchs_meaning():
    rng = np.random.default_rng(0)
    x, w = mg.tensor(rng.standard_normal((2, 3, 4, 4))), mg.tensor(rng.standard_normal((5, 3, 2, 2)))
    equal_pairs = [
        (mg.conv2d(x, w), mg.conv2d(x, w, None, 1, 0, 1)),
        (mg.conv_transpose2d(x, w[:3]), mg.conv_transpose2d(x, w[:3], None, 1, 0, 0, 1)),
        (mg.avg_pool2d(x, 2), mg.avg_pool2d(x, 2, 2, 0)),
        (mg.max_pool2d(x, 2), mg.max_pool2d(x, 2, 2, 0)),
        (mg.softmax(x), mg.softmax(x, 3)),
        (mg.log_softmax(x), mg.log_softmax(x, 3)),
        (mg.concatenate([x, x]), mg.concatenate([x, x], 0)),
        (mg.stack([x, x]), mg.stack([x, x], 0)),
        (mg.transpose(x), mg.transpose(x, 2, 3)),
        (mg.leaky_relu(x), mg.leaky_relu(x, 0.01)),
        (mg.sum(x, 1), mg.sum(x, 1, keepdims=False)),
        (mg.mean(x, 1), mg.mean(x, 1, keepdims=False)),
        (mg.max(x, 1), mg.max(x, 1, keepdims=False)),
        (mg.var(x, 1), mg.var(x, 1, keepdims=False)),
        (mg.min(x, 1), mg.min(x, 1, keepdims=False)),
        (mg.pad(x, [(1, 1)] * 4), mg.pad(x, [(1, 1)] * 4, 0.0)),
    ]
    for left_out, given_ in equal_pairs:
        np.testing.assert_array_equal(left_out.numpy(), given_.numpy())
        assert left_out.shape == given_.shape
    ones, zeros = mg.tensor(np.ones(3)), mg.tensor(np.zeros(3))
    statistics = [mg.tensor(np.zeros(3)) for _ in range(4)]
    y = mg.batch_norm(x, ones, zeros, *statistics[:2])
    expected = mg.batch_norm(x, ones, zeros, *statistics[2:], training=True, momentum=0.1, eps=1e-5)
    np.testing.assert_array_equal(y.numpy(), expected.numpy())
    np.testing.assert_array_equal(statistics[1].numpy(), statistics[3].numpy())


def test_what_is_chosen_by_a_mask_stays_when_the_mask_changes():
    a, b = mg.tensor([1.0, 2.0], requires_grad=True), mg.tensor([3.0, 4.0])
    mask = np.array([True, False])
    y = mg.where(mask, a, b).sum()
    mask[:] = False
    y.backward()
    np.testing.assert_array_equal(a.grad.numpy(), [1, 0])


@pytest.mark.parametrize("operation", [mg.add, mg.subtract, mg.multiply, mg.divide])
def test_numbers_alone_are_no_tensors(operation):
    with pytest.raises(TypeError, match="at least one Tensor, got int and int"):
        operation(1, 2)


@pytest.mark.parametrize("base", [0, -2.0])
def test_what_a_tensor_is_the_exponent_of_is_positive(base):
    with pytest.raises(ValueError, match=f"must be greater than 0, got {base}"):
        base ** mg.tensor([1.0])


def test_numbers_and_booleans():
    x = mg.tensor([1.0, -1.0])
    np.testing.assert_array_equal((1 - (x > 0)).numpy(), [0, 1])
    np.testing.assert_array_equal((2 - mg.tensor(np.array([1, 2], "uint8"))).numpy(), [1, 0])
    assert (0.5 - mg.tensor([1, 2])).dtype == np.float32


@pytest.mark.parametrize(
    "function",
    [
        mg.relu, mg.leaky_relu, mg.softmax, mg.log_softmax, lambda x: mg.clip(x, 0, 1),
        lambda x: mg.binary_cross_entropy(x, 1.0),
    ],
)  # fmt: skip
def test_activations_of_integers_are_float32(function):
    whole = np.array([-2, 0, 3])
    y = function(mg.tensor(whole))
    assert y.dtype == np.float32
    np.testing.assert_array_equal(y.numpy(), function(mg.tensor(whole.astype("float32"))).numpy())


def test_a_sequence_beside_integers_keeps_its_fractions():
    whole = mg.tensor([1, 2])
    y = mg.add(whole, [0.5, 1.5])
    assert y.dtype == np.float32
    np.testing.assert_array_equal(y.numpy(), [1.5, 3.5])
    assert mg.add(whole, [1, 2]).dtype == whole.dtype
