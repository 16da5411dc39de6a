"""One trilinear form: its three derivatives are pairwise adjoint, and closed under differentiation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigan as mg
from minigan.kernels.bilinear import Bilinear
from minigan.kernels.geometry import Geometry
from minigan.ops.conv import Conv2d, Conv2dWeightGrad, ConvTranspose2d, Patches, Unpatch
from minigan.ops.shape import Crop, Pad
from minigan.testing import adjoint_check, gradcheck, strategies
from minigan.testing.catalog import oracles

counts = st.tuples(*[st.integers(1, 3)] * 3)


def form(geometry, counts, dtype="float64", seed=0):
    """Random x (N, C, H, W), w (O, C, KH, KW), y (N, O, OH, OW) as leaves."""
    n, c, o = counts
    rng = np.random.default_rng(seed)
    shapes = ((n, c, *geometry.input_size), (o, c, *geometry.kernel_size), (n, o, *geometry.output_size))
    return [mg.tensor(rng.standard_normal(s).astype(dtype), requires_grad=True) for s in shapes]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@given(g=strategies.conv_geometries(), counts=counts)
def test_pairwise_adjoint(dtype, g, counts):
    x, w, y = form(g, counts, dtype)
    adjoint_check(lambda x: Conv2d(g)(x, w), lambda y: ConvTranspose2d(g)(y, w), x)
    adjoint_check(lambda w: Conv2d(g)(x, w), lambda y: Conv2dWeightGrad(g)(x, y), w)
    adjoint_check(lambda w: ConvTranspose2d(g)(y, w), lambda x: Conv2dWeightGrad(g)(x, y), w)
    adjoint_check(Patches(g), Unpatch(g), x)


@given(g=strategies.conv_geometries(), counts=counts)
def test_one_number_three_ways(g, counts):
    x, w, y = form(g, counts)
    ways = [
        (Conv2d(g)(x, w) * y).sum(),
        (ConvTranspose2d(g)(y, w) * x).sum(),
        (Conv2dWeightGrad(g)(x, y) * w).sum(),
    ]
    size = np.sqrt(x.size * w.size * y.size)
    assert max(way.item() for way in ways) - min(way.item() for way in ways) < 1e-13 * size


@given(g=strategies.conv_geometries(), counts=counts)
def test_closed_under_differentiation_to_third_order(g, counts):
    x, w, y = form(g, counts)
    for function, inputs in ((Conv2d, (x, w)), (ConvTranspose2d, (y, w)), (Conv2dWeightGrad, (x, y))):
        gradcheck(lambda a, b, f=function: f(g)(a, b), inputs, order=3, method="complex")


@given(g=strategies.conv_geometries(), counts=counts)
def test_the_derivatives_are_the_loops(g, counts):
    """The gradients of sum(y * conv2d(x, w)) are the other two partial derivatives, by nested loops."""
    x, w, y = form(g, counts)
    dx, dw = mg.grad(Conv2d(g)(x, w), (x, w), y)
    np.testing.assert_allclose(dx.numpy(), oracles.conv_transpose2d(y.numpy(), w.numpy(), None, g), atol=1e-12)
    np.testing.assert_allclose(dw.numpy(), oracles.conv2d_weight_grad(x.numpy(), y.numpy(), g), atol=1e-12)


@given(arguments=strategies.transposed_arguments(), counts=counts)
def test_transposed_size_and_adjoint_of_conv2d(arguments, counts):
    """conv_transpose2d has PyTorch's output size, and is the adjoint of conv2d with the same arguments."""
    n, c, o = counts
    size, kernel = arguments.pop("size"), arguments.pop("kernel_size")
    rng = np.random.default_rng(0)
    y = mg.tensor(rng.standard_normal((n, o, *size)))
    w = mg.tensor(rng.standard_normal((o, c, *kernel)))
    x = mg.conv_transpose2d(y, w, **arguments)
    extra = arguments.pop("output_padding")
    expected = [
        (size[a] - 1) * arguments["stride"][a]
        - 2 * arguments["padding"][a]
        + arguments["dilation"][a] * (kernel[a] - 1)
        + extra[a]
        + 1
        for a in range(2)
    ]
    assert list(x.shape[2:]) == expected

    def adjoint(x):  # rows that only output_padding made are never read, or give an output more
        return mg.conv2d(x, w, **arguments)[:, :, : size[0], : size[1]]

    adjoint_check(lambda y: mg.conv_transpose2d(y, w, output_padding=extra, **arguments), adjoint, y)


@given(widths=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=4), data=st.data())
def test_pad_and_crop_are_adjoint(widths, data):
    shape = data.draw(strategies.shapes(len(widths), len(widths)))
    x = data.draw(strategies.tensors(shape, dtype="float32"))
    adjoint_check(Pad(tuple(widths)), Crop(tuple(widths)), x)


@given(shapes=strategies.broadcastable_shapes(3), data=st.data())
def test_broadcast_and_sum_are_adjoint(shapes, data):
    whole = np.broadcast_shapes(*shapes)
    x = data.draw(strategies.tensors(shapes[0], dtype="float32"))
    adjoint_check(lambda x: mg.broadcast_to(x, whole), lambda y: mg.sum_to(y, shapes[0]), x)


def test_same_padding_of_even_kernels_puts_the_odd_zero_last():
    """TensorFlow's rule: 5 columns, kernel 4, stride 2 make 3 outputs with zeros (1 before, 2 after)."""
    x, w = mg.tensor(np.arange(1.0, 6).reshape(1, 1, 1, 5)), mg.tensor(np.array([[[[1.0, 10, 100, 1000]]]]))
    y = mg.conv2d(x, w, stride=(1, 2), padding="same")
    np.testing.assert_allclose(y.numpy().ravel(), [3210, 5432, 54], rtol=1e-12)


def test_rows_that_the_stride_leaves_over_get_no_gradient():
    g = Geometry((1, 4), (1, 1), (1, 2), stride=(1, 2))
    x = mg.tensor(np.ones((1, 1, 1, 4)), requires_grad=True)
    Conv2d(g)(x, mg.tensor(np.ones((1, 1, 1, 1)))).sum().backward()
    np.testing.assert_allclose(x.grad.numpy().ravel(), [1, 0, 1, 0], atol=1e-12)


@pytest.fixture
def by_frequencies(monkeypatch):
    """Convolutions in the frequency domain, where gradients take what the forward pass kept."""
    monkeypatch.setattr(mg.get_backend("cpu").kernels.convolutions, "forced", "frequency")
    return Geometry((7, 7), (3, 3), (7, 7), (1, 1), (1, 1))


@pytest.mark.parametrize("function", [Conv2d, ConvTranspose2d])
def test_every_cotangent_has_its_own_gradients(by_frequencies, function):
    leaves = form(by_frequencies, (2, 3, 3))[:2]
    y = function(by_frequencies)(*leaves)
    once = [mg.grad(y, leaves, mg.tensor(np.full(y.shape, value)), retain_graph=True) for value in (1.0, 3.0)]
    for one, three in zip(*once, strict=True):
        np.testing.assert_allclose(3 * one.numpy(), three.numpy(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("function", [Conv2d, ConvTranspose2d, Conv2dWeightGrad])
def test_an_unrecorded_function_may_be_called_again(by_frequencies, function):
    x, w, y = form(by_frequencies, (2, 3, 3))
    first, second = {Conv2d: (x, w), ConvTranspose2d: (y, w), Conv2dWeightGrad: (x, y)}[function]
    f = function(by_frequencies)
    with mg.no_grad():
        f(first, second)
        np.testing.assert_array_equal(
            f(first * 2.0, second).numpy(), function(by_frequencies)(first * 2.0, second).numpy()
        )


@pytest.mark.parametrize("function", [Conv2d, ConvTranspose2d])
def test_every_array_is_transformed_once(by_frequencies, function, monkeypatch):
    made, analyze = [], Bilinear.analyze

    def counted(self, matrix, tiles, array, count, kept):
        before = len(kept)
        points = analyze(self, matrix, tiles, array, count, kept)
        made.append(len(kept) - before)
        return points

    monkeypatch.setattr(Bilinear, "analyze", counted)
    leaves = form(by_frequencies, (2, 3, 3))[:2]
    function(by_frequencies)(*leaves).sum().backward()
    assert (len(made), sum(made)) == (6, 3)
