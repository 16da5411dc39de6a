"""The edges of domains: ties, zeros, extreme and empty inputs. The subgradient chosen at a kink is stated here."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigan as mg
from minigan.testing.check import kernels


def leaf(values, dtype="float64"):
    return mg.tensor(np.array(values, dtype), requires_grad=True)


def gradient(function, *inputs):
    return [g.numpy() for g in mg.grad(function(*inputs).sum(), inputs)]


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (mg.relu, 0.0),
        (lambda x: mg.leaky_relu(x, 0.2), 0.2),
        (mg.abs, 0.0),
        (lambda x: mg.clip(x, 0.0, 1.0), 1.0),
        (lambda x: mg.clip(x, -1.0, 0.0), 1.0),
        (lambda x: mg.maximum(x, 0.0), 0.5),
        (lambda x: mg.minimum(x, 0.0), 0.5),
    ],
)
def test_subgradients_at_zero(function, expected):
    np.testing.assert_array_equal(gradient(function, leaf([0.0])), [[expected]])


def test_ties_share_the_gradient():
    np.testing.assert_array_equal(gradient(mg.max, leaf([2.0, 1.0, 2.0]))[0], [0.5, 0, 0.5])
    np.testing.assert_array_equal(gradient(mg.min, leaf([[1.0, 1.0], [1.0, 1.0]]))[0], [[0.25, 0.25], [0.25, 0.25]])
    a, b = gradient(mg.maximum, leaf([1.0, 3.0]), leaf([1.0, 2.0]))
    np.testing.assert_array_equal([a, b], [[0.5, 1.0], [0.5, 0.0]])
    windows = gradient(lambda x: mg.max_pool2d(x, 2), leaf(np.zeros((1, 1, 2, 2))))[0]
    np.testing.assert_array_equal(windows, np.full((1, 1, 2, 2), 0.25))


@pytest.mark.parametrize("exponent", [0, 1, 2, 3])
def test_whole_powers_of_zero_to_third_order(exponent):
    """x^2 at 0 has derivative 0, second derivative 2, third derivative 0: never nan."""
    x = leaf([0.0])
    y, expected = x**exponent, 1.0
    for order in range(1, 4):
        (y,) = mg.grad(y.sum(), x, create_graph=True)
        expected *= exponent - order + 1
        np.testing.assert_array_equal(y.numpy(), [expected if order == exponent else 0.0])
        if not y.requires_grad:
            break


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@given(magnitude=st.floats(20.0, 1e4))
def test_logistic_functions_at_extreme_logits(dtype, magnitude):
    """Finite values and gradients, saturated as the limits say."""
    x = leaf([-magnitude, magnitude], dtype)
    with np.errstate(over="raise", invalid="raise"):
        np.testing.assert_allclose(mg.sigmoid(x).numpy(), [0, 1], atol=1e-8)
        np.testing.assert_allclose(mg.softplus(x).numpy(), [0, magnitude], rtol=1e-6, atol=1e-8)
        np.testing.assert_allclose(gradient(mg.softplus, x)[0], [0, 1], atol=1e-8)
        np.testing.assert_allclose(gradient(mg.tanh, x)[0], [0, 0], atol=1e-8)
        np.testing.assert_allclose(mg.log_softmax(x).numpy(), [-2 * magnitude, 0], rtol=1e-6, atol=1e-8)
        for target in (0.0, 1.0):
            loss = mg.binary_cross_entropy(x, target)
            np.testing.assert_allclose(loss.item(), magnitude / 2, rtol=1e-6)
            (g,) = gradient(lambda x, t=target: mg.binary_cross_entropy(x, t), x)
            np.testing.assert_allclose(g, [-target / 2, (1 - target) / 2], atol=1e-8)


def test_a_small_loss_keeps_its_digits():
    """softplus(-x) = exp(-x) (1 + ...) for large x: no 1 + tiny is ever formed."""
    x = leaf([-30.0], "float32")
    np.testing.assert_allclose(mg.softplus(x).numpy(), [np.exp(-30)], rtol=1e-6)
    np.testing.assert_allclose(mg.binary_cross_entropy(x, 0.0).item(), np.exp(-30), rtol=1e-6)


@pytest.mark.parametrize("function", [mg.exp, mg.tanh, mg.relu, mg.sum, lambda x: mg.sum(x, 1), lambda x: x @ x.T])
def test_empty_batches(function):
    x = leaf(np.ones((0, 3)))
    (g,) = gradient(function, x)
    assert g.shape == (0, 3)


def test_empty_convolution_batch():
    w = leaf(np.ones((2, 1, 2, 2)))
    x = leaf(np.ones((0, 1, 3, 3)))
    with kernels("reference"):
        dx, dw = gradient(mg.conv2d, x, w)
    assert dx.shape == x.shape
    np.testing.assert_array_equal(dw, np.zeros(w.shape))


def test_zero_dimensional_tensors():
    a, b = leaf(2.0), leaf(3.0)
    assert gradient(lambda a, b: a * b + a**2 - b / a, a, b) == [3 + 4 + 3 / 4, 2 - 1 / 2]


@pytest.mark.parametrize("count", [5, 1 << 17])
@pytest.mark.parametrize(("dtype", "magnitude"), [("float32", 80.0), ("float64", 700.0)])
def test_the_tails_of_logistic_functions_keep_their_digits(dtype, magnitude, count):
    """sigmoid(x) is exp(x) far to the left, which is the gradient of softplus and of both losses there."""
    x = leaf(np.linspace(-magnitude, -20, count), dtype)
    expected = np.exp(x.numpy().astype(np.float64))
    expected = expected / (1 + expected)
    rtol = 1e-6 if dtype == "float32" else 1e-14
    np.testing.assert_allclose(mg.sigmoid(x).numpy(), expected, rtol=rtol)
    np.testing.assert_allclose(gradient(mg.softplus, x)[0], expected, rtol=rtol)
    for target, sign in ((0.0, 1), (1.0, -1)):
        (g,) = gradient(lambda x, s=sign, t=target: count * mg.binary_cross_entropy(s * x, t), x)
        np.testing.assert_allclose(g, expected, rtol=rtol)


@pytest.mark.parametrize("count", [4, 1 << 17])
def test_relu_stops_what_is_not_finite(count):
    x = leaf(np.tile([-np.inf, -1.0, 1.0, np.inf], count // 4), "float32")
    y = mg.relu(x)
    np.testing.assert_array_equal(y.numpy(), np.tile([0, 0, 1, np.inf], count // 4))
    (g,) = mg.grad(y, x, mg.tensor(np.tile(np.float32([np.inf, np.nan, 2.0, 3.0]), count // 4)))
    np.testing.assert_array_equal(g.numpy(), np.tile([0, 0, 2, 3], count // 4))
    assert np.isnan(mg.relu(leaf([np.nan] * count, "float32")).numpy()).all()


@pytest.mark.parametrize(("a", "b", "slope"), [(0.0, 1e-23, 0.0), (1e-23, 1e-23, -1e23), (1e20, 1e20, -1e-20)])
def test_the_derivative_of_a_quotient_squares_nothing(a, b, slope):
    a, b = leaf([a], "float32"), leaf([b], "float32")
    np.testing.assert_allclose(mg.grad(a / b, b)[0].numpy(), [slope], rtol=1e-6)
    np.testing.assert_allclose(mg.grad(float(a) / b, b)[0].numpy(), [slope], rtol=1e-6)


def test_division_by_a_number_is_division():
    x = np.arange(1.0, 1000.0)
    for divisor in (3, 49, 0.7, 1e-320):
        with np.errstate(over="ignore"):
            np.testing.assert_array_equal((mg.tensor(x) / divisor).numpy(), x / divisor)
            np.testing.assert_array_equal((divisor / mg.tensor(x)).numpy(), divisor / x)
    with np.errstate(divide="ignore"):
        assert (mg.tensor([1.0]) / 0).item() == np.inf
    assert mg.tensor(np.full(49, 0.1)).mean().item() == np.full(49, 0.1).sum() / 49


@pytest.mark.parametrize("dtype", ["uint8", "int8", "bool"])
def test_the_least_of_integers(dtype):
    least = np.array([np.iinfo(dtype).min if dtype != "bool" else False, 1], dtype)
    assert mg.tensor(least).min().item() == least[0]
    np.testing.assert_array_equal(mg.minimum(mg.tensor(least), mg.tensor(least[::-1].copy())).numpy(), [least[0]] * 2)


def test_integers_less_a_number():
    x = mg.tensor(np.array([200, 5], "uint8"))
    np.testing.assert_array_equal((x - 5).numpy(), np.array([195, 0], "uint8"), strict=True)
    assert (x.sum() - 1).item() == 204 and (x.sum() - 1).dtype.kind == "u"
    assert (x - 0.5).dtype == np.float32


def test_a_tuple_inside_an_index_is_an_array():
    x = leaf([[1.0, 2.0], [3.0, 4.0]])
    for rows in ((0, 0), [0, 0], range(1), np.array([0, 0]), mg.tensor([0, 0])):
        y = x[rows, :]
        (g,) = mg.grad(y.sum(), x)
        np.testing.assert_array_equal(g.numpy(), [[len(y)] * 2, [0, 0]])


def test_an_index_or_condition_may_change_after_the_operation():
    x, index, condition = leaf([1.0, 2.0, 3.0]), mg.tensor([0, 1]), mg.tensor([True, False, False])
    y, z = x[index].sum(), mg.where(condition, x, 0.0).sum()
    index.assign(np.array([2, 2]))
    condition.assign(np.array([False, True, True]))
    np.testing.assert_array_equal(mg.grad(y, x)[0].numpy(), [1, 1, 0])
    np.testing.assert_array_equal(mg.grad(z, x)[0].numpy(), [1, 0, 0])


@pytest.mark.parametrize("algorithm", ["auto", "reference", "im2col", "planes", "frequency", "winograd"])
def test_convolutions_of_no_images(algorithm):
    backend = mg.get_backend("cpu")
    before = backend.kernels
    try:
        mg.backend.configure_cpu(conv_algorithm=algorithm)
        x, w = leaf(np.zeros((0, 2, 8, 8))), leaf(np.ones((3, 2, 4, 4)))
        y = mg.conv2d(x, w, stride=2, padding=1)
        back = mg.conv_transpose2d(y, w, stride=2, padding=1)
        assert (y.shape, back.shape) == ((0, 3, 4, 4), (0, 2, 8, 8))
        np.testing.assert_array_equal(gradient(lambda w: mg.conv2d(x, w, stride=2, padding=1), w)[0], 0 * w.numpy())
    finally:
        backend.kernels = before


def test_a_window_of_minus_infinities():
    x = leaf(np.full((1, 1, 2, 2), -np.inf))
    np.testing.assert_array_equal(mg.max_pool2d(x, 2, padding=1).numpy(), np.full((1, 1, 2, 2), -np.inf))


@pytest.mark.parametrize("layout", ["C", "F"])
@pytest.mark.parametrize("shape", [(32000, 2), (131072, 2), (512, 2, 16, 16)])
def test_batch_norm_far_from_zero(shape, layout):
    """At a mean of 1000 and a deviation of 0.1 a rounded mean would be seen in every digit but three."""
    x = (1000 + 0.1 * np.random.default_rng(0).standard_normal(shape)).astype("float32", order=layout)
    axes = (0, *range(2, x.ndim))
    exact = x.astype("float64")
    exact = (exact - exact.mean(axes, keepdims=True)) / np.sqrt(exact.var(axes, keepdims=True) + 1e-5)
    ones = mg.tensor(np.ones(2, "float32"))
    y = mg.batch_norm(mg.tensor(x), ones, ones * 0.0)
    np.testing.assert_allclose(y.numpy(), exact, atol=1e-3)


def test_a_linear_layer_of_nothing():
    weight = leaf(np.ones((4, 0)))
    assert (mg.linear(leaf(np.ones((2, 3, 0))), weight).numpy() == np.zeros((2, 3, 4))).all()
    assert mg.linear(leaf(np.ones((2, 0, 3))), leaf(np.ones((4, 3)))).shape == (2, 0, 4)


@pytest.mark.parametrize("slope", [0.0, 0.2])
def test_what_a_relu_was_given_may_be_written_over(slope):
    """It keeps its output, from which the sign is known."""
    x = leaf([-1.0, 2.0])
    hidden = x * 3.0
    y = mg.leaky_relu(hidden, slope).sum()
    hidden.assign(np.zeros(2))
    y.backward()
    np.testing.assert_array_equal(x.grad.numpy(), [3 * slope, 3])


def test_an_index_without_numbers():
    x = mg.tensor(np.ones((3, 2)))
    assert x[[]].shape == (0, 2)
    assert x[:, []].shape == (3, 0)


def test_an_index_of_one_truth_is_a_copy():
    x = leaf([1.0, 2.0])
    y = x[True] * 1.0
    copy = x.detach()[True]
    x.assign(np.array([5.0, 6.0]))
    np.testing.assert_array_equal(copy.numpy(), [[1, 2]])
    (slope,) = mg.grad(y.sum(), x)
    np.testing.assert_array_equal(slope.numpy(), [1, 1])


def test_batch_norm_takes_any_number_as_eps():
    norm = mg.nn.BatchNorm2d(3, eps=np.float64(1e-5))
    x = mg.tensor(np.random.default_rng(0).standard_normal((2, 3, 4, 4)).astype("float32"), requires_grad=True)
    (slope,) = mg.grad((norm(x) ** 2).sum(), x)
    assert slope.dtype == np.float32
