"""Bad input gets one clear error, and never a wrong result."""

import numpy as np
import pytest

import minigan as mg

X = mg.tensor(np.ones((2, 3)))
IMAGE = mg.tensor(np.ones((1, 2, 4, 4)))
WEIGHT = mg.tensor(np.ones((3, 2, 2, 2)))


@pytest.mark.parametrize(
    "call",
    [
        lambda: mg.concatenate([X, X], 2),
        lambda: mg.concatenate([mg.tensor(1.0)], 0),
        lambda: mg.stack([X, X], 4),
        lambda: mg.unsqueeze(X, 3),
        lambda: mg.squeeze(X, 2),
        lambda: mg.flip(X, 2),
        lambda: mg.permute(X, 0, 2),
        lambda: mg.sum(X, -3),
        lambda: mg.softmax(X, 2),
    ],
)
def test_an_axis_out_of_range_is_not_wrapped_around(call):
    with pytest.raises(mg.ShapeError, match="out of range"):
        call()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mg.permute(X, 0), "every axis"),
        (lambda: mg.permute(X, 0, 0), "twice"),
        (lambda: mg.mean(X, (1, -1)), "twice"),
        (lambda: mg.transpose(X, 0, 2), "no axes 0 and 2"),
        (lambda: mg.squeeze(X, 0), "not of length one"),
        (lambda: mg.concatenate([X, IMAGE]), "differ elsewhere"),
        (lambda: mg.reshape(X, (4, 2)), "cannot reshape"),
        (lambda: mg.reshape(X, (-1, -1)), "cannot reshape"),
        (lambda: mg.reshape(X, (4, -1)), "cannot reshape"),
        (lambda: mg.reshape(X, (0, -1)), "cannot reshape"),
        (lambda: mg.pad(X, ((1, 1),)), "one pair of widths"),
        (lambda: mg.pad(X, ((0, -1), (0, 0))), "one pair of widths"),
        (lambda: mg.sum_to(X, (5,)), "does not broadcast"),
        (lambda: mg.sum_to(X, (1, 2, 3)), "does not broadcast"),
        (lambda: mg.mean(mg.tensor(np.ones((0, 3))), 0), "nothing to average"),
        (lambda: X @ X, "inner sizes"),
        (lambda: X @ mg.tensor(1.0), "inner sizes"),
        (lambda: mg.linear(X, mg.tensor(np.ones((4, 2)))), r"\(\.\.\., 2\) for weight \(4, 2\), got \(2, 3\)"),
        (lambda: mg.linear(X, mg.tensor(np.ones(3))), r"weight of shape \(out, in\)"),
        (lambda: mg.linear(X, mg.tensor(np.ones((4, 3))), mg.tensor(np.ones(3))), r"bias of shape \(4,\)"),
        (lambda: mg.conv2d(X, WEIGHT), r"\(N, 2, H, W\)"),
        (lambda: mg.conv2d(IMAGE, WEIGHT, mg.tensor(np.ones(2))), r"bias must have shape \(3,\)"),
        (lambda: mg.conv2d(IMAGE, WEIGHT, dilation=4), "does not fit"),
        (lambda: mg.conv_transpose2d(IMAGE, WEIGHT), r"\(N, 3, H, W\)"),
        (lambda: mg.conv_transpose2d(IMAGE, WEIGHT.permute(1, 0, 2, 3), output_padding=1), "output_padding"),
        (lambda: mg.conv_transpose2d(IMAGE, WEIGHT.permute(1, 0, 2, 3), padding=3), "leaves nothing"),
        (lambda: mg.avg_pool2d(X, 2), r"\(N, C, H, W\)"),
        (lambda: mg.max_pool2d(IMAGE, 2, padding=2), "at most half the kernel"),
        (lambda: mg.upsample_nearest(X, 2), r"\(N, C, H, W\)"),
        (lambda: X.item(), "one element"),
    ],
)
def test_shapes_that_do_not_fit(call, message):
    with pytest.raises(mg.ShapeError, match=message):
        call()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mg.conv2d(IMAGE, WEIGHT, stride=0), "1 or more, got 0"),
        (lambda: mg.conv2d(IMAGE, WEIGHT, dilation=(1, 0)), "1 or more"),
        (lambda: mg.conv2d(IMAGE, WEIGHT, padding=-1), "0 or more, got -1"),
        (lambda: mg.conv2d(IMAGE, WEIGHT, stride=1.5), "whole number"),
        (lambda: mg.conv2d(IMAGE, WEIGHT, stride=(1, 2, 3)), "pair"),
        (lambda: mg.conv2d(IMAGE, WEIGHT, padding="valid"), '"same"'),
        (lambda: mg.max_pool2d(IMAGE, 0), "1 or more"),
        (lambda: mg.upsample_nearest(IMAGE, 0), "1 or more"),
        (lambda: mg.clip(X, 1.0, 0.0), "low 1.0 is greater than high 0.0"),
        (lambda: mg.concatenate([]), "at least one"),
        (lambda: mg.binary_cross_entropy(X, 1.5), "from 0 to 1, got 1.5"),
    ],
)
def test_values_that_make_no_sense(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mg.exp(np.ones(3)), "Exp takes Tensors, got ndarray"),
        (lambda: X + None, "got NoneType"),
        (lambda: X * "2", "got str"),
        (lambda: mg.exp(2.0), "Exp takes Tensors, got float"),
        (lambda: mg.power(2.0, 2.0), "Power takes Tensors, got float"),
        (lambda: mg.divide(1.0, 2.0), "at least one Tensor"),
        (lambda: mg.maximum(1.0, 2.0), "at least one Tensor"),
        (lambda: mg.where([True], 1.0, 2.0), "at least one Tensor"),
        (lambda: X @ np.ones(3), "two Tensors"),
        (lambda: X + mg.tensor([1.0, 2.0, 3.0]), r"float64 and float32.*astype"),
        (lambda: mg.tensor([1j]), "floats, integers or booleans"),
        (lambda: mg.tensor([1, 2], requires_grad=True), "only floating-point"),
    ],
)
def test_types_that_do_not_mix(call, message):
    with pytest.raises(TypeError, match=message):
        call()


def test_an_index_that_does_not_fit():
    with pytest.raises(IndexError, match=r"index 5 does not fit a Tensor of shape \(2, 3\)"):
        X[5]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: mg.nn.BatchNorm2d(0), ValueError, "batch norm needs one feature at least, got 0"),
        (
            lambda: mg.nn.functional.batch_norm(X, mg.tensor(np.ones(3)), mg.tensor(np.ones(1))),
            mg.ShapeError,
            r"batch_norm expects x \(N, C, ...\), gamma \(C,\) and beta \(C,\), got \(2, 3\), \(3,\) and \(1,\)",
        ),
        (
            lambda: mg.conv_transpose2d(IMAGE, mg.tensor(np.ones((2, 3, 3, 3))), padding="same", output_padding=1),
            mg.ShapeError,
            "padding 'same' fixes the output's size: leave output_padding",
        ),
        (lambda: mg.binary_cross_entropy(X, [1.0, 0.0]), TypeError, "takes one number as target, got list"),
        (
            lambda: mg.tensor(1.0, requires_grad=True).backward(np.ones(())),
            TypeError,
            r"the gradient must be a Tensor, got ndarray: wrap it with mg.tensor",
        ),
        (
            lambda: mg.grad(t := mg.tensor([1.0, 2.0], requires_grad=True), t, np.ones(2)),
            TypeError,
            "the gradient must be a Tensor, got ndarray",
        ),
    ],
)
def test_what_would_fail_further_on(call, error, message):
    with pytest.raises(error, match=message):
        call()
