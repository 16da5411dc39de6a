"""Spectral norm against the singular values of NumPy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigan as mg
from minigan.backend import get_backend
from minigan.nn import Conv2d, ConvTranspose2d, Linear, SpectralNorm, spectral
from minigan.rng import Generator

LAYERS = {
    "linear": (lambda rng: Linear(5, 4, rng=rng), (3, 5), lambda w: w),
    "conv": (lambda rng: Conv2d(2, 4, 3, rng=rng), (3, 2, 5, 5), lambda w: w.reshape(4, -1)),
    "transposed": (
        lambda rng: ConvTranspose2d(2, 4, 3, rng=rng),
        (3, 2, 5, 5),
        lambda w: w.swapaxes(0, 1).reshape(4, -1),
    ),
}
each_layer = pytest.mark.parametrize("kind", LAYERS)


def wrapped(kind, seed=0, dtype="float64"):
    make, shape, matrix = LAYERS[kind]
    rng = Generator(seed, get_backend("cpu"))
    layer = make(rng)
    x = mg.tensor(np.random.default_rng(seed).normal(size=shape).astype(dtype))
    return SpectralNorm(layer, rng=rng).astype(dtype), x, matrix


@each_layer
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 50))
def test_sigma_becomes_the_largest_singular_value(kind, seed):
    layer, _, matrix = wrapped(kind, seed)
    true = np.linalg.svd(matrix(layer.layer.weight.numpy()), compute_uv=False)
    for _ in range(250):
        layer.sigma()
    estimate = layer.sigma().item()
    assert true[1] * (1 - 1e-9) <= estimate <= true[0] * (1 + 1e-9)
    if true[1] < 0.9 * true[0]:  # else the iteration is slow to tell the two apart
        assert estimate == pytest.approx(true[0], rel=1e-9)


@each_layer
def test_one_power_iteration_a_forward_pass_in_training_and_none_in_evaluation(kind):
    layer, x, matrix = wrapped(kind)
    w, u = matrix(layer.layer.weight.numpy()), layer.u.numpy()
    layer(x)
    v = u @ w / np.linalg.norm(u @ w)
    u = w @ v / np.linalg.norm(w @ v)
    np.testing.assert_allclose(layer.u.numpy(), u, rtol=1e-10)
    layer.eval()
    layer(x)
    np.testing.assert_allclose(layer.u.numpy(), u, rtol=1e-10)


@each_layer
def test_the_output_is_that_of_the_divided_weight(kind):
    layer, x, _ = wrapped(kind)
    layer(x)
    layer.eval()
    sigma, weight, bias = layer.sigma().item(), layer.layer.weight, layer.layer.bias
    y = layer(x).numpy()
    assert layer.layer.weight is weight
    weight.assign(weight.numpy() / sigma)
    np.testing.assert_allclose(y, layer.layer(x).numpy(), rtol=1e-10)
    assert bias is layer.layer.bias


@each_layer
def test_the_gradient_goes_through_the_weight_alone(kind):
    """d(W / sigma) with u and v held: dW / sigma - W (u' dW v) / sigma^2, against finite differences of that."""
    layer, x, matrix = wrapped(kind)
    weight = layer.layer.weight
    cotangent = np.random.default_rng(1).normal(size=layer(x).shape)
    u = layer.u.numpy()
    w = matrix(weight.numpy())
    v = u @ w / np.linalg.norm(u @ w)
    u = w @ v / np.linalg.norm(w @ v)  # what the next pass in training will use
    (gradient,) = mg.grad((layer(x) * mg.tensor(cotangent)).sum(), weight)
    plain, start, step = layer.layer, weight.numpy(), 1e-6
    direction = np.random.default_rng(2).normal(size=start.shape)
    values = []
    for sign in (1, -1):
        moved = start + sign * step * direction
        weight.assign(moved / (u @ matrix(moved) @ v))
        values.append((plain(x).numpy() * cotangent).sum())
    expected = (values[0] - values[1]) / (2 * step)
    assert (gradient.numpy() * direction).sum() == pytest.approx(expected, rel=1e-7)


def test_a_layer_that_is_scaled_says_the_same():
    layer, x, _ = wrapped("linear")
    layer.eval()
    layer.layer.bias.assign(np.zeros(4))
    before = layer(x).numpy()
    layer.layer.weight.assign(7 * layer.layer.weight.numpy())
    np.testing.assert_allclose(layer(x).numpy(), before, rtol=1e-10)


def test_u_is_a_buffer_and_the_weight_the_only_other_matrix():
    layer, x, _ = wrapped("conv", dtype="float32")
    assert {name for name, _ in layer.named_parameters()} == {"layer.weight", "layer.bias"}
    assert {name for name, _ in layer.named_buffers()} == {"u"}
    twin, _, _ = wrapped("conv", seed=1, dtype="float32")
    layer(x)
    twin.load_state_dict(layer.state_dict())
    np.testing.assert_array_equal(layer(x).numpy(), twin(x).numpy())
    np.testing.assert_array_equal(layer.u.numpy(), twin.u.numpy())


def test_two_passes_before_one_backward_pass():
    """The second pass moves u, which the first one's graph must not notice."""
    layer, x, _ = wrapped("linear")
    (layer(x).sum() + layer(x).sum()).backward()
    assert np.isfinite(layer.layer.weight.grad.numpy()).all()


def test_normalise_wraps_every_layer_with_a_weight_in_place():
    rng = Generator(0, get_backend("cpu"))
    network = mg.nn.Sequential(
        Conv2d(1, 2, 3, rng=rng), mg.nn.LeakyReLU(0.1), mg.nn.Sequential(mg.nn.Flatten(), Linear(8, 1, rng=rng))
    )
    spectral.normalise(network, rng=rng)
    kinds = [type(module).__name__ for _, module in network.named_modules()]
    assert kinds == [
        "Sequential", "SpectralNorm", "Conv2d", "LeakyReLU", "Sequential", "Flatten", "SpectralNorm", "Linear",
    ]  # fmt: skip
    assert network(mg.tensor(np.ones((2, 1, 4, 4), np.float32))).shape == (2, 1)


def test_a_normalised_network_stretches_no_pair_of_inputs():
    rng = Generator(0, get_backend("cpu"))
    network = mg.nn.Sequential(Linear(6, 8, rng=rng), mg.nn.LeakyReLU(0.1), Linear(8, 1, rng=rng))
    for parameter in network.parameters():
        parameter.assign(5 * parameter.numpy())
    spectral.normalise(network, rng=rng)
    draws = np.random.default_rng(0)
    a, b = (mg.tensor(draws.normal(size=(200, 6)).astype(np.float32)) for _ in range(2))
    for _ in range(200):
        network(a)
    network.eval()
    stretch = abs(network(a).numpy() - network(b).numpy())[:, 0] / np.linalg.norm(a.numpy() - b.numpy(), axis=1)
    assert stretch.max() <= 1 + 1e-4
