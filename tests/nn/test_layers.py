"""Layers: shapes, names, defaults, and each against a plain formula. (Gradients: tests/ops.)"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigan as mg
from minigan import nn
from minigan.rng import Generator

CPU = mg.get_backend("cpu")


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def run(layer, x):
    """The layer in float64 on an array."""
    return layer.astype("float64")(mg.tensor(x)).numpy()


# --------------------------------------------------------------------------- names and shapes


@pytest.mark.parametrize(
    "layer, names",
    [
        (nn.Linear(3, 5), {"weight": (5, 3), "bias": (5,)}),
        (nn.Linear(3, 5, bias=False), {"weight": (5, 3)}),
        (nn.Conv2d(3, 5, 4), {"weight": (5, 3, 4, 4), "bias": (5,)}),
        (nn.Conv2d(3, 5, (4, 2), bias=False), {"weight": (5, 3, 4, 2)}),
        (nn.ConvTranspose2d(3, 5, 4), {"weight": (3, 5, 4, 4), "bias": (5,)}),
        (nn.ConvTranspose2d(3, 5, (4, 2), bias=False), {"weight": (3, 5, 4, 2)}),
        *[
            (
                norm(4),
                {
                    "weight": (4,),
                    "bias": (4,),
                    "running_mean": (4,),
                    "running_var": (4,),
                    "num_batches_tracked": (),
                },
            )
            for norm in (nn.BatchNorm1d, nn.BatchNorm2d)
        ],
        *[(layer, {}) for layer in (nn.Dropout(), nn.Flatten(), nn.Unflatten(1, (2, 2)), nn.Upsample(), nn.ReLU())],
        *[(layer, {}) for layer in (nn.LeakyReLU(), nn.Tanh(), nn.Sigmoid(), nn.Softplus(), nn.Softmax(1))],
    ],
)
def test_names_and_shapes_of_state_are_pytorchs(layer, names):
    assert {name: array.shape for name, array in layer.state_dict().items()} == names
    assert list(layer.state_dict()) == list(names)
    assert all(array.dtype == "float32" for name, array in layer.state_dict().items() if "tracked" not in name)


@pytest.mark.parametrize(
    "layer, before, after",
    [
        (nn.Linear(3, 5), (2, 3), (2, 5)),
        (nn.Linear(3, 5), (2, 7, 3), (2, 7, 5)),
        (nn.Linear(3, 5), (3,), (5,)),
        (nn.Conv2d(2, 5, 3), (1, 2, 8, 9), (1, 5, 6, 7)),
        (nn.Conv2d(2, 5, 4, stride=2, padding=1), (1, 2, 28, 28), (1, 5, 14, 14)),
        (nn.Conv2d(2, 5, 5, stride=2, padding="same"), (1, 2, 7, 8), (1, 5, 4, 4)),
        (nn.Conv2d(2, 5, (3, 1), stride=(1, 2), padding=(1, 0)), (1, 2, 8, 9), (1, 5, 8, 5)),
        (nn.Conv2d(2, 5, 3, dilation=2), (1, 2, 8, 8), (1, 5, 4, 4)),
        (nn.ConvTranspose2d(2, 5, 4, stride=2, padding=1), (1, 2, 7, 7), (1, 5, 14, 14)),
        (nn.ConvTranspose2d(2, 5, 5, stride=2, padding=2, output_padding=1), (1, 2, 7, 7), (1, 5, 14, 14)),
        (nn.ConvTranspose2d(2, 5, 5, stride=2, padding="same"), (1, 2, 7, 7), (1, 5, 14, 14)),
        (nn.ConvTranspose2d(2, 5, 3, dilation=2), (1, 2, 7, 7), (1, 5, 11, 11)),
        (nn.Flatten(), (2, 3, 4, 5), (2, 60)),
        (nn.Flatten(), (2, 3), (2, 3)),
        (nn.Unflatten(1, (3, 4, 5)), (2, 60), (2, 3, 4, 5)),
        (nn.Unflatten(-1, (3, 4)), (2, 5, 12), (2, 5, 3, 4)),
        (nn.Unflatten(0, (2, 3)), (6, 5), (2, 3, 5)),
        (nn.Upsample(3), (1, 2, 4, 5), (1, 2, 12, 15)),
        (nn.Upsample((1, 2)), (1, 2, 4, 5), (1, 2, 4, 10)),
        (nn.AvgPool2d(2), (1, 2, 5, 6), (1, 2, 2, 3)),
        (nn.MaxPool2d(3, stride=2, padding=1), (1, 2, 8, 8), (1, 2, 4, 4)),
    ],
)
def test_shapes(layer, before, after):
    assert layer(mg.tensor(np.ones(before, "float32"))).shape == after


# ------------------------------------------------------------------------------ dense and conv


def test_linear_is_the_formula():
    layer = nn.Linear(4, 3)
    x = numbers(5, 4)
    state = layer.state_dict()
    expected = x @ state["weight"].astype("float64").T + state["bias"]
    np.testing.assert_allclose(run(layer, x), expected, rtol=1e-14)


def convolved(x, weight, stride, padding, dilation):
    """The definition, one output pixel at a time."""
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    reach = dilation * (weight.shape[2] - 1) + 1
    rows, columns = [(n - reach) // stride + 1 for n in x.shape[2:]]
    y = np.zeros((len(x), len(weight), rows, columns))
    for i in range(rows):
        for j in range(columns):
            window = x[:, :, i * stride :, j * stride :][:, :, :reach:dilation, :reach:dilation]
            y[:, :, i, j] = np.tensordot(window, weight, ((1, 2, 3), (1, 2, 3)))
    return y


@pytest.mark.parametrize("stride, padding, dilation", [(1, 0, 1), (2, 1, 1), (1, 2, 2), (3, 0, 1)])
def test_conv2d_is_the_formula(stride, padding, dilation):
    layer = nn.Conv2d(2, 3, 3, stride=stride, padding=padding, dilation=dilation)
    state = {name: array.astype("float64") for name, array in layer.state_dict().items()}
    x = numbers(2, 2, 7, 7)
    expected = convolved(x, state["weight"], stride, padding, dilation) + state["bias"].reshape(1, 3, 1, 1)
    np.testing.assert_allclose(run(layer, x), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "stride, padding, output_padding, dilation", [(1, 0, 0, 1), (2, 1, 0, 1), (2, 2, 1, 1), (1, 1, 0, 2)]
)
def test_conv_transpose2d_is_the_adjoint_of_the_formula(stride, padding, output_padding, dilation):
    layer = nn.ConvTranspose2d(2, 3, 4, stride, padding, output_padding, bias=False, dilation=dilation)
    weight = layer.weight.numpy().astype("float64")  # read as a convolution: 3 channels in, 2 out
    x = numbers(1, 2, 4, 4)
    y = run(layer, x)
    other = numbers(*y.shape, seed=1)
    forth = (convolved(other, weight, stride, padding, dilation) * x).sum()
    np.testing.assert_allclose((other * y).sum(), forth, rtol=1e-12)


def test_bias_of_conv_transpose2d_is_added_to_every_pixel():
    layer = nn.ConvTranspose2d(2, 3, 4, stride=2)
    nn.init.constant_(layer.weight, 0.0)
    nn.init.constant_(layer.bias, 2.5)
    assert (run(layer, numbers(1, 2, 4, 4)) == 2.5).all()


def test_conv_weights_lie_in_memory_channels_last():
    for layer in (nn.Conv2d(3, 4, 5), nn.ConvTranspose2d(3, 4, 5)):
        assert layer.weight.data.transpose(0, 2, 3, 1).flags.c_contiguous


# ------------------------------------------------------------------------------- batch norm


@pytest.mark.parametrize(
    "norm, shape", [(nn.BatchNorm1d, (6, 3)), (nn.BatchNorm1d, (6, 3, 4)), (nn.BatchNorm2d, (6, 3, 4, 5))]
)
def test_batch_norm_is_the_formula_in_training_and_evaluation(norm, shape):
    layer = norm(3, eps=1e-3, momentum=0.2).astype("float64")
    gamma, beta = numbers(3, seed=1), numbers(3, seed=2)
    layer.load_state_dict({**layer.state_dict(), "weight": gamma, "bias": beta})
    axes = (0, *range(2, len(shape)))
    column = (1, 3) + (1,) * (len(shape) - 2)
    running_mean, running_var = np.zeros(3), np.ones(3)
    for step in range(1, 4):
        x = numbers(*shape, seed=step) * step + 1
        mean, var = x.mean(axes), x.var(axes)
        expected = (x - mean.reshape(column)) / np.sqrt(var.reshape(column) + 1e-3)
        expected = expected * gamma.reshape(column) + beta.reshape(column)
        np.testing.assert_allclose(layer(mg.tensor(x)).numpy(), expected, rtol=1e-11, atol=1e-12)
        running_mean = 0.8 * running_mean + 0.2 * mean
        running_var = 0.8 * running_var + 0.2 * x.var(axes, ddof=1)
        assert layer.num_batches_tracked == step
        np.testing.assert_allclose(layer.running_mean.numpy(), running_mean, rtol=1e-12)
        np.testing.assert_allclose(layer.running_var.numpy(), running_var, rtol=1e-12)
    expected = (x - running_mean.reshape(column)) / np.sqrt(running_var.reshape(column) + 1e-3)
    expected = expected * gamma.reshape(column) + beta.reshape(column)
    np.testing.assert_allclose(layer.eval()(mg.tensor(x)).numpy(), expected, rtol=1e-11, atol=1e-12)
    assert layer.num_batches_tracked == 3


def test_batch_norm_starts_as_the_identity_in_evaluation():
    layer = nn.BatchNorm1d(2).eval()
    assert layer.state_dict()["running_var"].tolist() == [1, 1]
    np.testing.assert_allclose(layer(mg.tensor([[1.0, -2.0]])).numpy(), [[1, -2]], rtol=1e-5)


def test_batch_norm_evaluates_a_single_image():
    assert nn.BatchNorm1d(2).eval()(mg.tensor([[1.0, -2.0]])).shape == (1, 2)


# --------------------------------------------------------------------------------- dropout


@settings(max_examples=10)
@given(st.floats(0.05, 0.9), st.integers(0, 99))
def test_dropout_keeps_a_share_and_the_mean(p, seed):
    layer = nn.Dropout(p, rng=Generator(seed, CPU))
    y = layer(mg.tensor(np.ones((100, 200)))).numpy()
    n, keep = y.size, round((1 - p) * 2**16) / 2**16
    assert set(np.unique(y)) == {0, 1 / keep}
    assert abs((y != 0).mean() - keep) < 6 * np.sqrt(p * keep / n)
    assert abs(np.corrcoef(y[:-1].ravel(), y[1:].ravel())[0, 1]) < 6 / np.sqrt(n)  # rows are independent


def test_dropout_of_the_gradient_is_that_of_the_value():
    x = mg.tensor(numbers(50), requires_grad=True)
    y = nn.Dropout(0.5)(x)
    y.sum().backward()
    np.testing.assert_allclose(x.grad.numpy() * x.numpy(), y.numpy())


def test_dropout_draws_from_its_own_stream():
    one, other = [nn.Dropout(0.5, rng=Generator(1, CPU, stream=2)) for _ in range(2)]
    x = mg.tensor(np.ones(200))
    a, b = one(x).numpy(), other(x).numpy()
    np.testing.assert_array_equal(a, b)
    assert (one(x).numpy() != a).any()
    before = CPU.generator.counter
    one(x)
    assert CPU.generator.counter == before


@pytest.mark.parametrize("layer", [nn.Dropout(0.0), nn.Dropout(0.7).eval()])
def test_no_dropout_is_the_identity(layer):
    x = mg.tensor(np.ones(9))
    assert layer(x) is x


@pytest.mark.parametrize("p", [-0.1, 1.0, 2.0, float("nan")])
def test_a_probability_out_of_range_is_refused(p):
    with pytest.raises(ValueError, match="dropout: p must be at least 0 and less than 1, got"):
        nn.Dropout(p)
    with pytest.raises(ValueError, match="dropout: p must be at least 0 and less than 1, got"):
        nn.functional.dropout(mg.tensor([1.0]), p)


# ----------------------------------------------------------------------------- without state


def softmax(x, axis):
    e = np.exp(x)
    return e / e.sum(axis, keepdims=True)


@pytest.mark.parametrize(
    "layer, formula",
    [
        (nn.ReLU(), lambda x: np.where(x > 0, x, 0)),
        (nn.LeakyReLU(), lambda x: np.where(x > 0, x, 0.01 * x)),
        (nn.LeakyReLU(0.3), lambda x: np.where(x > 0, x, 0.3 * x)),
        (nn.Tanh(), np.tanh),
        (nn.Sigmoid(), lambda x: 1 / (1 + np.exp(-x))),
        (nn.Softplus(), lambda x: np.log(1 + np.exp(x))),
        (nn.Softmax(), lambda x: softmax(x, -1)),
        (nn.Softmax(dim=1), lambda x: softmax(x, 1)),
        (nn.Flatten(), lambda x: x.reshape(2, 60)),
        (nn.Unflatten(1, (1, 3)), lambda x: x.reshape(2, 1, 3, 4, 5)),
        (nn.Upsample((2, 3)), lambda x: x.repeat(2, axis=2).repeat(3, axis=3)),
        (nn.AvgPool2d(2), lambda x: x[:, :, :4, :4].reshape(2, 3, 2, 2, 2, 2).mean((3, 5))),
        (nn.MaxPool2d(2), lambda x: x[:, :, :4, :4].reshape(2, 3, 2, 2, 2, 2).max((3, 5))),
    ],
)
def test_layers_without_state_are_their_formulas(layer, formula):
    x = numbers(2, 3, 4, 5)
    np.testing.assert_allclose(run(layer, x), formula(x), rtol=1e-12)


# ---------------------------------------------------------------------------------- losses


@pytest.mark.parametrize(
    "loss, formula",
    [
        (nn.functional.mse_loss, lambda x, t: ((x - t) ** 2).mean()),
        (nn.functional.l1_loss, lambda x, t: abs(x - t).mean()),
        (
            nn.functional.binary_cross_entropy_with_logits,
            lambda x, t: -(t * np.log(1 / (1 + np.exp(-x))) + (1 - t) * np.log(1 - 1 / (1 + np.exp(-x)))).mean(),
        ),
    ],
)
def test_losses_are_their_formulas(loss, formula):
    x, target = numbers(4, 3), np.random.default_rng(1).random((4, 3))
    np.testing.assert_allclose(loss(mg.tensor(x), mg.tensor(target)).item(), formula(x, target), rtol=1e-12)
    with pytest.raises(mg.ShapeError, match=r"expects two Tensors of one shape, got \(4, 3\) and \(4, 1\)"):
        loss(mg.tensor(x), mg.tensor(target[:, :1]))


def test_binary_cross_entropy_takes_one_target_for_all_and_survives_extreme_logits():
    logits = mg.tensor([-1000.0, 1000.0])
    assert nn.functional.binary_cross_entropy_with_logits(logits, 1.0).item() == 500
    assert nn.functional.binary_cross_entropy_with_logits(logits, 0.0).item() == 500


def test_binary_cross_entropy_keeps_its_digits_in_the_tails():
    logits, target = mg.tensor([20.0, -20.0]), mg.tensor([1.0, 0.0])
    loss = nn.functional.binary_cross_entropy_with_logits(logits, target).item()
    np.testing.assert_allclose(loss, np.log1p(np.exp(-20.0)), rtol=1e-6)


def test_cross_entropy_is_its_formula():
    logits, labels = numbers(5, 4), np.array([0, 3, 1, 1, 2])
    expected = -np.log(softmax(logits, 1)[np.arange(5), labels]).mean()
    loss = nn.functional.cross_entropy(mg.tensor(logits), mg.tensor(labels))
    np.testing.assert_allclose(loss.item(), expected, rtol=1e-12)
    with pytest.raises(mg.ShapeError, match=r"logits \(N, C\) and labels \(N,\), got \(5, 4\) and \(4,\)"):
        nn.functional.cross_entropy(mg.tensor(logits), mg.tensor(labels[:4]))
    with pytest.raises(TypeError, match="expects integer labels, got float64"):
        nn.functional.cross_entropy(mg.tensor(logits), mg.tensor(labels.astype("float64")))


# -------------------------------------------------------------------------------- embedding


def test_an_embedding_is_a_row_of_its_table_and_learns_only_the_rows_it_gave():
    layer = nn.Embedding(5, 3)
    assert {name: array.shape for name, array in layer.state_dict().items()} == {"weight": (5, 3)}
    labels = np.array([4, 0, 4])
    y = layer(mg.tensor(labels))
    np.testing.assert_array_equal(y.numpy(), layer.weight.numpy()[labels])
    y.sum().backward()
    np.testing.assert_array_equal(layer.weight.grad.numpy(), np.array([1, 0, 0, 0, 2])[:, None] * np.ones(3))


@pytest.mark.parametrize(("label", "wrong"), [(-1, -1), (7, 7)])
def test_labels_are_classes(label, wrong):
    labels = mg.tensor([0, label, 2])
    for call in (
        lambda: nn.functional.cross_entropy(mg.tensor(np.zeros((3, 3))), labels),
        lambda: nn.Embedding(3, 2)(labels),
    ):
        with pytest.raises(ValueError, match=f"expects labels from 0 to 2, got {wrong}"):
            call()
    with pytest.raises(TypeError, match="integer labels, got float32"):
        nn.Embedding(3, 2)(mg.tensor([0.0]))


def test_what_pytorch_has_elsewhere_is_named():
    """groups stands where a seventh argument of Conv2d would be taken for something else."""
    for make in (lambda: nn.Conv2d(4, 4, 3, 1, 1, 1), lambda: nn.ConvTranspose2d(4, 4, 3, 1, 1, 0, 1)):
        with pytest.raises(TypeError, match="positional"):
            make()


def test_softmax_is_over_one_axis():
    with pytest.raises(mg.ShapeError, match=r"softmax is over one axis, got \(0, 1\)"):
        mg.softmax(mg.tensor([[1.0, 2.0]]), (0, 1))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.Linear(0, 2), r"one input and one output at least, got a weight of shape \(2, 0\)"),
        (lambda: nn.Conv2d(0, 1, 3), r"got a weight of shape \(1, 0, 3, 3\)"),
        (lambda: nn.Conv2d(1, 1, 3, stride=0), "1 or more, got 0"),
        (lambda: nn.ConvTranspose2d(1, 1, 3, dilation=0), "1 or more, got 0"),
    ],
)
def test_sizes_that_make_no_layer(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_labels_that_are_no_tensors():
    for call in (
        lambda: nn.functional.cross_entropy(mg.tensor(np.ones((2, 3), "float32")), np.array([0, 1])),
        lambda: nn.Embedding(3, 2)(np.array([1])),
    ):
        with pytest.raises(TypeError, match=r"takes Tensors, got ndarray: wrap it with mg\.tensor"):
            call()


def test_a_rare_survivor_of_dropout_counts_for_all():
    """The mask keeps one of 65,536, whatever less was asked for; the mean stays 1."""
    y = nn.Dropout(0.99999, rng=Generator(0, CPU))(mg.tensor(np.ones(2**20, "float32"))).numpy()
    assert set(np.unique(y)) == {0, 2**16}
    assert abs(y.mean() - 1) < 6 / np.sqrt(2**20 / 2**16)
