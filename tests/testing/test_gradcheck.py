"""The checker: what it passes, what it rejects, what it refuses to judge, and what its report says."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigan as mg
from minigan.testing import GradientError, gradcheck, strategies
from minigan.testing.derivative import Kink, Line, five_point
from minigan.testing.gradcheck import gradient_errors

BOTH = pytest.mark.parametrize("method", ["difference", "complex"])


def leaf(values, dtype="float64"):
    return mg.tensor(np.array(values, dtype), requires_grad=True)


def with_rule(forward, rule, name="Planted"):
    """A function of one Tensor with a rule of our own."""

    def call(x):
        function = type(name, (mg.Function,), {"forward": lambda self, x: forward(x), "backward": rule})
        return function()(x)

    call.__name__ = name
    return call


# ------------------------------------------------------------------------------ what is right passes


@BOTH
@given(x=strategies.tensors((1, 2)), w=strategies.tensors((2, 2)))
def test_a_right_rule_passes_to_third_order(method, x, w):
    tolerance = {"difference": 1e-7, "complex": 1e-12}[method]
    assert gradcheck(lambda x, w: mg.tanh(x @ w), [x, w], order=3, method=method) < tolerance


@given(x=strategies.tensors((2, 3)), scale=st.sampled_from([1e-12, 1e-6, 1e6, 1e12]))
def test_any_scale_of_inputs_and_outputs(x, scale):
    gradcheck(lambda x: mg.tanh(x) * scale, x, order=2)
    big = mg.tensor(x.numpy() * scale, requires_grad=True)
    gradcheck(lambda x: mg.tanh(x / scale), big, order=2)
    gradcheck(lambda x: x * x, big, order=2)


def test_several_outputs():
    x, w = leaf([0.3, -0.7]), leaf([[1.0, 2.0], [3.0, 4.0]])
    gradcheck(lambda x, w: (mg.exp(x), (w * x).sum()), [x, w], order=2)


def test_one_input_needs_no_list():
    gradcheck(mg.exp, leaf([1.0, 2.0]))


def test_an_argument_that_is_not_used():
    gradcheck(lambda x, unused: x * x, [leaf([1.0]), leaf([2.0])], order=2)


def test_a_function_that_takes_gradients_itself():
    """A gradient penalty: the norm of an inner gradient."""

    def penalty(x, w):
        (g,) = mg.grad(mg.tanh(x @ w).sum(), x, create_graph=True)
        return ((g * g).sum(1).sqrt() - 1.0) ** 2

    rng = np.random.default_rng(0)
    gradcheck(penalty, [leaf(rng.standard_normal((3, 2))), leaf(rng.standard_normal((2, 4)))], order=2)


def test_errors_of_every_order():
    errors = gradient_errors(mg.tanh, leaf([0.1, 0.9]), order=3, method="complex")
    assert len(errors) == 3 and max(errors) < 1e-14


def test_empty_inputs_have_nothing_wrong():
    assert gradcheck(mg.exp, leaf(np.ones((0, 2)))) == 0.0


# ------------------------------------------------------------------------------------------- kinks


@pytest.mark.parametrize("function", [mg.relu, mg.abs, lambda x: mg.maximum(x, 0.0), lambda x: mg.clip(x, 0.0, 1.0)])
@pytest.mark.parametrize("distance", [0.0, 1e-9, 1e-7, 1e-5, 1e-3])
def test_inputs_at_a_kink_are_moved_off_it(function, distance):
    gradcheck(function, leaf([distance, -1.0, 1.0 - distance, 0.5]), order=2)


def test_a_kink_in_the_derivative():
    """relu(x)^2 bends at 0 only in its second derivative, which the differences of order 1 already feel."""
    gradcheck(lambda x: mg.relu(x) ** 2, leaf([0.0, 1.0]), order=2)


def test_one_kink_among_many_elements():
    x = np.linspace(-1, 1, 1001)  # 0 is one of them
    gradcheck(mg.relu, leaf(x))


def test_a_wrong_rule_is_no_kink():
    wrong = with_rule(lambda x: np.abs(x), lambda self, v, needs: (v,))
    with pytest.raises(GradientError, match="does not say"):
        gradcheck(wrong, leaf([-1.0, 0.0, 1.0]))


def test_a_function_full_of_jumps_is_refused():
    jumps = with_rule(lambda x: np.sin(x * 1e15), lambda self, v, needs: (v,))
    with pytest.raises(GradientError, match="do not settle"):
        gradcheck(jumps, leaf([0.1, 0.2]))


@given(bend=st.floats(-2, 2), at=st.floats(-2e-3, 2e-3))
def test_differences_settle_only_off_the_kink(bend, at):
    """x + bend |x - at|: the derivative found is one of the two slopes, or none is found."""

    def evaluate(arrays):
        return arrays[0] + bend * np.abs(arrays[0] - at)

    x = [np.zeros(1)]
    try:
        value, _ = five_point(Line(evaluate, x, evaluate(x), 1.0, 0, np.ones(1), np.ones((1, 1))), 0.0, 1e-7)
    except Kink:
        assert abs(at) < 1e-5
    else:
        assert min(abs(value[0] - 1 - bend), abs(value[0] - 1 + bend)) < 1e-7


def test_the_edge_of_a_domain():
    gradcheck(mg.log, leaf([1e-5, 1.0]))
    gradcheck(mg.sqrt, leaf([1e-5, 1.0]), order=2)


# ---------------------------------------------------------------------------------------- rounding


@BOTH
def test_derivatives_that_are_zero_but_for_rounding(method):
    """A bias before batch norm, a sum of softmax: all that differences can see is rounding."""
    x, bias = leaf(np.random.default_rng(0).standard_normal((5, 3))), leaf([0.1, -2.0, 0.5])
    one, zero = mg.tensor(np.ones(3)), mg.tensor(np.zeros(3))
    gradcheck(lambda x, b: mg.batch_norm(x + b, one, zero), [x, bias], order=2, method=method)
    gradcheck(lambda x: mg.softmax(x).sum(), x, method=method)
    narrow = [mg.tensor(t.numpy().astype("float32"), requires_grad=True) for t in (x, bias)]
    gradcheck(lambda x, b: mg.batch_norm(x + b, *(t.astype(x.dtype) for t in (one, zero))), narrow, order=2)


@BOTH
def test_rounding_excuses_no_wrong_rule(method):
    """A constant of a thousand takes three digits from the differences, not more."""
    wrong = with_rule(lambda x: 1e3 + x * x, lambda self, v, needs: (v * self.inputs[0] * 2.002,))
    with pytest.raises(GradientError):
        gradcheck(wrong, leaf([0.5, -1.5]), method=method)


# -------------------------------------------------------------------------------------- precisions


def test_single_precision_is_compared_with_double():
    x = leaf(np.random.default_rng(0).standard_normal((3, 4)), "float32")
    assert 1e-9 < gradcheck(lambda x: mg.tanh(x * x), x, order=2) < 1e-5


def test_a_rule_that_is_wrong_in_single_precision_only():
    """1 - y^2 near y = 1 has no digits left in float32; 1 / cosh(x)^2 has all of them."""
    cancels = with_rule(
        lambda x: np.tanh(x), lambda self, v, needs: (v * (1.0 - self.output * self.output),), "Cancels"
    )
    x = leaf(np.linspace(7.0, 8.0, 5))
    gradcheck(cancels, x)
    with pytest.raises(GradientError, match="by the same rule in float64"):
        gradcheck(cancels, mg.tensor(x.numpy().astype("float32"), requires_grad=True))


def test_a_sum_that_cancels_in_single_precision():
    """The derivative by the factor is a sum of terms a million times as large: nothing is wrong with its digits."""
    x = np.random.default_rng(0).standard_normal(2000)
    x -= x.mean() - 1e-7
    factor = leaf([2.0], "float32")
    gradcheck(lambda a, b: (a * b).sum(), [factor, leaf(x, "float32")])


def test_single_precision_must_stay():
    widens = with_rule(lambda x: x.astype("float64"), lambda self, v, needs: (v.astype(self.inputs[0].dtype),))
    with pytest.raises(GradientError, match="float32 inputs gave a result of float64"):
        gradcheck(widens, leaf([1.0, 2.0], "float32"))


def test_a_tolerance_of_ones_own():
    wrong = with_rule(lambda x: x * x, lambda self, v, needs: (v * self.inputs[0] * 2.002,))
    gradcheck(wrong, leaf([1.0]), rtol=1e-2)
    with pytest.raises(GradientError):
        gradcheck(wrong, leaf([1.0]), rtol=1e-4)


# ---------------------------------------------------------------------------- what is wrong is rejected


@BOTH
@pytest.mark.parametrize("factor", [0.0, -1.0, 1.001, 0.5])
@pytest.mark.parametrize("scale", [1e-20, 1e-7, 1.0, 1e10])
def test_a_wrong_factor_at_any_scale(method, factor, scale):
    wrong = with_rule(lambda x: scale * x * x, lambda self, v, needs: (v * self.inputs[0] * (2 * scale * factor),))
    with pytest.raises(GradientError):
        gradcheck(wrong, leaf([0.5, -1.5]), method=method)


@BOTH
def test_a_difference_in_the_tenth_digit(method):
    """The complex step sees 1e-10, differences do not: a reason to say that a function is analytic."""
    wrong = with_rule(lambda x: x * x, lambda self, v, needs: (v * self.inputs[0] * (2 + 2e-10),))
    if method == "difference":
        gradcheck(wrong, leaf([0.5, -1.5]))
    else:
        with pytest.raises(GradientError):
            gradcheck(wrong, leaf([0.5, -1.5]), method="complex")


@given(n=st.integers(1, 3000), data=st.data())
def test_one_wrong_element_is_found_and_named(n, data):
    index = data.draw(st.integers(0, n - 1))
    weights = np.ones(n)
    weights[index] = 1.5
    wrong = with_rule(lambda x: x * x, lambda self, v, needs: (v * self.inputs[0] * self.constant(weights * 2),))
    with pytest.raises(GradientError) as caught:
        gradcheck(wrong, leaf(np.linspace(1.0, 2.0, n)))
    assert caught.value.mismatch.index == (index,)


def test_wrong_only_from_the_second_order_on():
    """A saved array in place of a Tensor of the graph."""

    def rule(self, v, needs):
        return (v * self.constant(2 * self.inputs[0].data),)

    stale = with_rule(lambda x: x * x, rule)
    gradcheck(stale, leaf([1.0, 2.0]), order=1)
    with pytest.raises(GradientError, match="order 2"):
        gradcheck(stale, leaf([1.0, 2.0]), order=2)


def test_wrong_only_from_the_third_order_on():
    def rule(self, v, needs):
        x = self.inputs[0]
        return (v * (x * self.constant(x.data) * 6.0 - self.constant(3 * x.data**2)),)  # 3x^2, its derivative right

    stale = with_rule(lambda x: x**3, rule)
    gradcheck(stale, leaf([1.0, 2.0]), order=2)
    with pytest.raises(GradientError, match="order 3"):
        gradcheck(stale, leaf([1.0, 2.0]), order=3)


def test_a_function_outside_the_graph():
    with pytest.raises(GradientError, match="does not say"):
        gradcheck(lambda x: mg.tensor(x.numpy()) * 2.0, leaf([1.0]))


# -------------------------------------------------------------------------------------- the report


def test_the_report_names_everything():
    wrong = with_rule(lambda x: x * x, lambda self, v, needs: (v * self.inputs[0] * 2.5,), "Square")
    with pytest.raises(GradientError) as caught:
        gradcheck(wrong, leaf([[1.0, 2.0]]), rng=7)
    report, mismatch = str(caught.value), caught.value.mismatch
    assert mismatch.operation == "Square" and mismatch.order == 1 and mismatch.argument == "input 0"
    assert mismatch.index in ((0, 0), (0, 1)) and mismatch.tolerance == 1e-7
    assert mismatch.absolute == abs(mismatch.analytic - mismatch.reference)
    np.testing.assert_allclose(mismatch.analytic / mismatch.reference, 1.25)
    np.testing.assert_allclose(mismatch.relative, 0.2, rtol=0.3)
    for text in ("Square, order 1", "input 0", "from the rule", "by five-point differences", "absolute error"):
        assert text in report
    assert "gradcheck(Square, [mg.tensor(np.array([[1.0, 2.0]], 'float64'), requires_grad=True)]" in report
    assert "order=1, method='difference', rng=7)" in report


def test_the_line_that_reproduces_it_does():
    wrong = with_rule(lambda x: x * x, lambda self, v, needs: (v * self.inputs[0] * 2.5,), "Square")
    with pytest.raises(GradientError) as caught:
        gradcheck(wrong, leaf([1.0, 2.0, 3.0]), rng=np.random.default_rng(5))
    line = caught.value.mismatch.reproduce
    with pytest.raises(GradientError) as again:
        eval(line, {"gradcheck": gradcheck, "Square": wrong, "mg": mg, "np": np})
    assert str(again.value) == str(caught.value)


def test_the_cotangent_is_named_at_second_order():
    nonlinear = with_rule(lambda x: x + 0.0, lambda self, v, needs: (v * v.detach() / v.detach(),))
    gradcheck(nonlinear, leaf([1.0]), order=2)
    cut = with_rule(lambda x: x * x, lambda self, v, needs: (v.detach() * self.inputs[0] * 2.0,))
    with pytest.raises(GradientError, match="the cotangent"):
        gradcheck(cut, leaf([1.0]), order=2)


# ----------------------------------------------------------------------- what cannot be judged is said


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: gradcheck(mg.exp, []), ValueError, "at least one input"),
        (lambda: gradcheck(mg.exp, leaf([1.0]), order=0), ValueError, "order is 1 or more"),
        (lambda: gradcheck(mg.exp, leaf([1.0]), method="magic"), ValueError, "known: difference, complex"),
        (lambda: gradcheck(mg.exp, [np.ones(2)]), TypeError, "input 0 is a ndarray"),
        (lambda: gradcheck(mg.exp, mg.tensor([1, 2])), TypeError, "input 0 is int"),
        (lambda: gradcheck(mg.add, [leaf([1.0]), leaf([1.0], "float32")]), TypeError, "share one type"),
        (lambda: gradcheck(mg.exp, mg.tensor(np.ones(2))), GradientError, "input 0 does not require a gradient"),
        (lambda: gradcheck(mg.exp, leaf([1.0, np.nan])), GradientError, "input 0 holds an infinite or NaN"),
        (lambda: gradcheck(mg.exp, leaf([np.inf])), GradientError, "input 0 holds an infinite or NaN"),
        (lambda: gradcheck(lambda x: x.data, leaf([1.0])), TypeError, "must return a Tensor.*got ndarray"),
        (lambda: gradcheck(lambda x: x > 0, leaf([1.0])), TypeError, "Tensor of bool"),
        (lambda: gradcheck(mg.abs, leaf([1.0]), method="complex"), TypeError, "Absolute is not analytic"),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_a_result_that_is_not_finite():
    with np.errstate(all="ignore"), pytest.raises(GradientError, match="output 0 is not finite"):
        gradcheck(mg.log, leaf([-1.0, 1.0]))


def test_a_gradient_that_is_not_finite():
    with np.errstate(all="ignore"), pytest.raises(GradientError, match=r"gradient of input 0 is -?inf at \(1,\)"):
        gradcheck(lambda x: x**0.5 * 1.0, leaf([1.0, 0.0]))


def test_a_random_function():
    rng = np.random.default_rng(0)
    with pytest.raises(GradientError, match="is random"):
        gradcheck(lambda x: x * float(rng.random()), leaf([1.0]))


def test_a_function_that_changes_its_input():
    def changes(x):
        y = x * 2.0
        x.data[0] += 1e-9
        return y

    with pytest.raises(GradientError, match="input 0 is changed in place"):
        gradcheck(changes, leaf([1.0]))


def test_a_rule_that_changes_its_cotangent():
    def rule(self, v, needs):
        v.data *= 2.0
        return (v,)

    with pytest.raises(GradientError, match="the cotangent is changed in place"):
        gradcheck(with_rule(lambda x: x * 2.0, rule), leaf([1.0, 2.0]))


def test_no_tolerance_at_all_and_a_seed_of_numpy():
    x = mg.tensor(np.array([0.3, -0.7]), requires_grad=True)
    gradcheck(mg.tanh, x, rng=np.int64(3))
    with pytest.raises(ValueError, match=r"rtol must be greater than 0, got 0\.0"):
        gradcheck(mg.tanh, x, rtol=0.0)
