"""Batch normalisation: both modes, the running statistics, and second derivatives that saved arrays get wrong."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigan as mg
from minigan.testing import gradcheck, strategies

shapes = st.sampled_from([(3, 2), (4, 1, 3), (2, 3, 2, 2)])


def running(channels):
    return mg.tensor(np.full(channels, 0.5)), mg.tensor(np.full(channels, 2.0))


def parameters(channels):
    rng = np.random.default_rng(1)
    return [mg.tensor(rng.uniform(0.5, 2.0, channels), requires_grad=True) for _ in range(2)]


@given(data=st.data(), training=st.booleans())
def test_gradients_in_both_modes(data, training):
    x = data.draw(strategies.tensors(data.draw(shapes)))
    gamma, beta = parameters(x.shape[1])

    def normalize(x, gamma, beta):
        statistics = () if training else running(x.shape[1])
        return mg.batch_norm(x, gamma, beta, *statistics, training=training)

    gradcheck(normalize, [x, gamma, beta], order=3, method="complex")


@given(data=st.data(), momentum=st.sampled_from([0.1, 0.5, 1.0]))
def test_running_statistics(data, momentum):
    """running = (1 - momentum) running + momentum batch, the variance with n - 1, once for every pass in training."""
    x = data.draw(strategies.tensors(data.draw(shapes)))
    gamma, beta = parameters(x.shape[1])
    mean, var = running(x.shape[1])
    mg.batch_norm(x, gamma, beta, mean, var, training=False)
    assert (mean.version.count, var.version.count) == (0, 0)
    mg.batch_norm(x, gamma, beta, mean, var, training=True, momentum=momentum)
    rows = np.moveaxis(x.numpy(), 1, 0).reshape(x.shape[1], -1)
    np.testing.assert_allclose(mean.numpy(), (1 - momentum) * 0.5 + momentum * rows.mean(1))
    np.testing.assert_allclose(var.numpy(), (1 - momentum) * 2.0 + momentum * rows.var(1, ddof=1))
    assert (mean.version.count, var.version.count) == (1, 1)


def test_frozen_batch_norm_uses_the_running_statistics_it_is_given():
    x = mg.tensor(np.array([[1.0], [5.0]]), requires_grad=True)
    gamma, beta = mg.tensor(np.array([3.0])), mg.tensor(np.array([7.0]))
    y = mg.batch_norm(x, gamma, beta, mg.tensor(np.array([2.0])), mg.tensor(np.array([4.0])), training=False, eps=0.0)
    np.testing.assert_allclose(y.numpy(), [[5.5], [11.5]])
    y.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), [[1.5], [1.5]])


def test_second_derivative_by_hand():
    """x = (-a, 0, a): y = x / sqrt(2 a^2 / 3 + e). The third element's own second derivative at a = 1, e = 0.5."""
    x = mg.tensor(np.array([[-1.0], [0.0], [1.0]]), requires_grad=True)
    one, zero = mg.tensor(np.ones(1)), mg.tensor(np.zeros(1))

    def third(x):
        return mg.batch_norm(x, one, zero, eps=0.5)[2, 0]

    (first,) = mg.grad(third(x), x, create_graph=True)
    (second,) = mg.grad(first[2, 0], x)
    # with n = 3, v = var + e = 7/6, c = x - mean = 1, k = 2/3: y = c v^(-1/2), dc = k, dv = 2 c / 3, ddv = 2 k / 3
    v, k = 7 / 6, 2 / 3
    np.testing.assert_allclose(first.numpy()[2, 0], k * v**-0.5 - 0.5 * (2 / 3) * v**-1.5)
    expected = -k * (2 / 3) * v**-1.5 + 0.75 * (2 / 3) ** 2 * v**-2.5 - 0.5 * (2 * k / 3) * v**-1.5
    np.testing.assert_allclose(second.numpy()[2, 0], expected)


def test_gradients_are_right_after_the_running_statistics_moved_on():
    """A second pass in training writes the running statistics; the first pass's graph does not depend on them."""
    x, (gamma, beta), (mean, var) = mg.tensor(np.eye(3), requires_grad=True), parameters(3), running(3)
    y = mg.batch_norm(x, gamma, beta, mean, var)
    mg.batch_norm(x * 2.0, gamma, beta, mean, var)
    (y * y).sum().backward()
    expected = mg.grad((mg.batch_norm(x, gamma, beta) ** 2).sum(), x)[0]
    np.testing.assert_allclose(x.grad.numpy(), expected.numpy())


def test_frozen_pass_whose_statistics_were_written_over_is_refused():
    x, (gamma, beta), (mean, var) = mg.tensor(np.eye(3), requires_grad=True), parameters(3), running(3)
    y = mg.batch_norm(x, gamma, beta, mean, var, training=False)
    mg.batch_norm(x, gamma, beta, mean, var, training=True)
    with pytest.raises(mg.GraphError, match="batch_norm in training wrote over"):
        y.sum().backward()


def test_refuses():
    gamma, beta = parameters(3)
    with pytest.raises(mg.ShapeError, match=r"x \(N, C, ...\), gamma \(C,\) and beta"):
        mg.batch_norm(mg.tensor(np.ones((2, 4))), gamma, beta)
    with pytest.raises(mg.ShapeError, match="more than one value a channel"):
        mg.batch_norm(mg.tensor(np.ones((1, 3))), gamma, beta)
    mean, var = running(3)
    for statistics in ((), (mean,), (None, var)):
        with pytest.raises(ValueError, match="running_mean and running_var"):
            mg.batch_norm(mg.tensor(np.ones((2, 3))), gamma, beta, *statistics, training=False)
