import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import minigan as mg
from minigan.optim import clip_gradient_norm, clip_gradient_value, clip_weights

arrays = st.lists(
    hnp.arrays(np.float64, hnp.array_shapes(max_dims=3, max_side=4), elements=st.floats(-100, 100)),
    min_size=1,
    max_size=3,
)


def with_gradients(values):
    parameters = [mg.tensor(np.zeros_like(value), requires_grad=True) for value in values]
    for parameter, value in zip(parameters, values, strict=True):
        parameter.grad = mg.tensor(value)
    return parameters


@given(values=arrays, limit=st.floats(0.1, 200))
def test_the_norm_is_that_of_all_gradients_together(values, limit):
    parameters = with_gradients(values)
    flat = np.concatenate([value.ravel() for value in values])
    norm = np.sqrt((flat * flat).sum())
    assert clip_gradient_norm(parameters, limit).item() == pytest.approx(norm)
    clipped = np.concatenate([p.grad.numpy().ravel() for p in parameters])
    np.testing.assert_allclose(clipped, flat * min(1, limit / norm) if norm else flat, rtol=1e-9, atol=1e-12)


@given(values=arrays, limit=st.floats(0.1, 200))
def test_values_are_clipped_one_by_one(values, limit):
    parameters = with_gradients(values)
    clip_gradient_value(parameters, limit)
    for parameter, value in zip(parameters, values, strict=True):
        np.testing.assert_array_equal(parameter.grad.numpy(), value.clip(-limit, limit))


def test_parameters_without_a_gradient_are_passed_over():
    parameters = with_gradients([np.array([3.0, 4.0])])
    idle = mg.tensor([1.0], requires_grad=True)
    assert clip_gradient_norm([idle, *parameters], 1.0).item() == pytest.approx(5)
    clip_gradient_value([idle, *parameters], 0.1)
    assert idle.grad is None
    with pytest.raises(ValueError, match="call backward first"):
        clip_gradient_norm([idle], 1.0)


def test_clipped_weights_stay_in_their_range_and_the_optimizer_s_memory():
    parameter = mg.tensor([[-3.0, 0.2], [0.5, 9.0]], requires_grad=True)
    optimizer = mg.optim.SGD([parameter], lr=1.0)
    clip_weights([parameter], 0.5)
    np.testing.assert_array_equal(optimizer.flat, np.float32([-0.5, 0.2, 0.5, 0.5]))


def test_a_backward_pass_notices_that_weights_were_clipped():
    weight = mg.tensor([2.0], requires_grad=True)
    loss = (weight * weight).sum()
    clip_weights([weight], 1.0)
    with pytest.raises(mg.autograd.GraphError, match="clip_weights wrote over"):
        loss.backward()


@pytest.mark.parametrize("clip", [clip_gradient_norm, clip_gradient_value, clip_weights])
@pytest.mark.parametrize("bound", [-1.0, float("nan")])
def test_a_bound_is_not_negative(clip, bound):
    with pytest.raises(ValueError, match=f"{clip.__name__}: the bound must be 0 or more, got {bound}"):
        clip([], bound)


def test_a_gradient_without_axes_and_one_that_stands_in_a_graph():
    x = mg.tensor(3.0, requires_grad=True)
    (slope,) = mg.grad(x * x * x, x, create_graph=True)
    second = (slope * slope).sum()
    for clip in (clip_gradient_value, clip_gradient_norm):
        x.grad = slope
        clip([x], 1.0)
        assert x.grad.item() == pytest.approx(1)
    assert mg.grad(second, x)[0].item() == pytest.approx(36 * 27)
