"""Bias and leaky ReLU as one operation: the same function, the same gradients, the same names."""

import numpy as np
import pytest

import minigan as mg
from minigan import nn
from minigan.nn.fusion import BiasLeakyReLU
from minigan.ops.fused import bias_leaky_relu
from minigan.rng import Generator


def network(seed=3):
    rng = Generator(seed, mg.get_backend("cpu"))
    return nn.Sequential(
        nn.Conv2d(2, 3, 3, rng=rng),
        nn.LeakyReLU(0.2),
        nn.Sequential(nn.ConvTranspose2d(3, 2, 3, rng=rng), nn.LeakyReLU(0.2)),
        nn.Conv2d(2, 2, 3, bias=False, rng=rng),
        nn.LeakyReLU(0.2),
        nn.Flatten(),
        nn.Linear(2 * 3 * 3, 4, rng=rng),
        nn.LeakyReLU(0.0),
        nn.Linear(4, 4, rng=rng),
        nn.LeakyReLU(-0.1),
        nn.SpectralNorm(nn.Linear(4, 3, rng=rng), rng=rng),
        nn.LeakyReLU(0.2),
        nn.Linear(3, 1, rng=rng),
    )


def test_a_fused_network_is_the_same_function_with_the_same_gradients():
    plain, fused = network(), network()
    nn.fuse(fused)
    assert [type(fused[i]) for i in (1, 4, 7, 9, 11)] == [
        BiasLeakyReLU, nn.LeakyReLU, BiasLeakyReLU, nn.LeakyReLU, nn.LeakyReLU,
    ]  # fmt: skip
    assert isinstance(fused[2][1], nn.LeakyReLU)
    assert [name for name, _ in fused.named_parameters()] == [name for name, _ in plain.named_parameters()]
    assert fused.state_dict().keys() == plain.state_dict().keys()
    x = mg.tensor(np.random.default_rng(0).standard_normal((5, 2, 5, 5)).astype("float32"), requires_grad=True)
    results = []
    for net in (plain, fused):
        y = net(x)
        (slope,) = mg.grad([y.sum()], [x], create_graph=True)
        (slope * slope).sum().backward(inputs=list(net.parameters()))  # second order, as in a gradient penalty
        results.append([y, slope, *[p.grad for p in net.parameters()]])
    for one, other in zip(*results, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-4, atol=1e-5)


def test_fusing_twice_changes_nothing_more():
    net = network()
    nn.fuse(net)
    layers = [type(module) for _, module in net.named_modules()]
    nn.fuse(net)
    assert [type(module) for _, module in net.named_modules()] == layers
    assert "BiasLeakyReLU(0.2)" in repr(net)


def test_what_does_not_fit_is_refused():
    x, bias = mg.tensor(np.ones((2, 3))), mg.tensor(np.ones(2))
    with pytest.raises(mg.ShapeError, match=r"bias_leaky_relu expects x \(N, C, ...\) and a bias \(C,\)"):
        bias_leaky_relu(x, bias, 0.2)
    with pytest.raises(ValueError, match=r"a slope of 0 or more, got -0\.1"):
        bias_leaky_relu(x, mg.tensor(np.ones(3)), -0.1)


@pytest.mark.parametrize("shape", [(2, 4, 3), (2, 5, 3), (3,), (2, 3)])
def test_the_features_of_a_dense_layer_are_the_last_axis(shape):
    plain, fused = (
        nn.Sequential(nn.Linear(3, 4, rng=Generator(0, mg.get_backend("cpu"))), nn.LeakyReLU(0.2)) for _ in range(2)
    )
    nn.fuse(fused)
    x = mg.tensor(np.random.default_rng(0).standard_normal(shape).astype("float32"))
    np.testing.assert_allclose(fused(x).numpy(), plain(x).numpy(), rtol=1e-6, atol=1e-6)


def test_a_layer_that_stands_twice_keeps_its_bias():
    layer = nn.Linear(4, 4)
    net = nn.Sequential(layer, nn.LeakyReLU(0.2), layer, nn.Tanh())
    x = mg.tensor(np.ones((2, 4), "float32"))
    before = net(x).numpy()
    nn.fuse(net)
    np.testing.assert_array_equal(net(x).numpy(), before)
