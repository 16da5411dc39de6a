"""Catalog of ops/elementwise.py."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable

import numpy as np

from ... import ops
from ...autograd import Tensor
from ...ops import elementwise as e
from ..draw import Draw
from .entry import Entry, Sample
from .oracles import each


def _unary(call: Callable[[Tensor], Tensor], oracle: Callable[[float], float], values: str = "real"):
    def sample(draw: Draw) -> Sample:
        return Sample(call, [getattr(draw, values)(draw.shape())], each(oracle))

    return sample


def _binary(call: Callable[..., Tensor], oracle: Callable[[float, float], float], left="real", right="real"):
    def sample(draw: Draw) -> Sample:
        a, b = draw.broadcastable()
        return Sample(call, [getattr(draw, left)(a), getattr(draw, right)(b)], each(oracle))

    return sample


def _apart(call: Callable[..., Tensor], oracle: Callable[[float, float], float]):
    """Two inputs that are nowhere equal."""

    def sample(draw: Draw) -> Sample:
        shapes = draw.broadcastable()
        sizes = [math.prod(shape) for shape in shapes]
        a, b = np.split(draw.distinct((sum(sizes),)), [sizes[0]])
        return Sample(call, [a.reshape(shapes[0]), b.reshape(shapes[1])], each(oracle))

    return sample


def _scale(draw: Draw) -> Sample:
    factor = float(draw.nonzero(()))
    call = draw.choice((lambda x: x * factor, lambda x: factor * x))
    return Sample(call, [draw.real(draw.shape())], each(lambda x: factor * x))


def _quotient(draw: Draw) -> Sample:
    divisor = float(draw.nonzero(()))
    return Sample(lambda x: x / divisor, [draw.real(draw.shape())], each(lambda x: x / divisor))


def _reciprocal(draw: Draw) -> Sample:
    numerator = float(draw.nonzero(()))
    return Sample(lambda x: numerator / x, [draw.nonzero(draw.shape())], each(lambda x: numerator / x))


def _shift(draw: Draw) -> Sample:
    offset = float(draw.real(()))
    call = draw.choice((lambda x: x + offset, lambda x: offset + x, lambda x: x - -offset))
    return Sample(call, [draw.real(draw.shape())], each(lambda x: x + offset))


def _power(draw: Draw) -> Sample:
    exponent = draw.choice((-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0, 2.5, 3.0))
    values = draw.nonzero if exponent.is_integer() else draw.positive
    return Sample(lambda x: x**exponent, [values(draw.shape())], each(lambda x: math.pow(x, exponent)))


def _tensor_power(draw: Draw) -> Sample:
    if draw.choice((True, False)):
        return _binary(operator.pow, math.pow, "positive")(draw)
    return Sample(lambda x: 1.7**x, [draw.real(draw.shape())], each(lambda x: math.pow(1.7, x)))


def _leaky_relu(draw: Draw) -> Sample:
    slope = draw.choice((0.0, 0.01, 0.2, 1.5))
    call = ops.relu if slope == 0 else lambda x: ops.leaky_relu(x, slope)
    return Sample(call, [draw.nonzero(draw.shape())], each(lambda x: x if x > 0 else slope * x))


def _leaky_relu_grad(draw: Draw) -> Sample:
    slope, shape = draw.choice((0.0, 0.01, 0.2, 1.5)), draw.shape()
    return Sample(
        lambda g, x: e.LeakyReLUGrad(slope)(g, x),
        [draw.real(shape), draw.nonzero(shape)],
        each(lambda g, x: g if x > 0 else slope * g),
    )


def _tanh_grad(draw: Draw) -> Sample:
    shape = draw.shape()
    return Sample(
        lambda g, y: e.TanhGrad()(g, y),
        [draw.real(shape), draw.uniform(shape, -0.9, 0.9)],
        each(lambda g, y: g * (1 - y) * (1 + y)),
    )


def _clip(draw: Draw) -> Sample:
    low, high = -0.5, 0.7  # draw.distinct stays off both
    values = draw.distinct(draw.shape())
    return Sample(lambda x: ops.clip(x, low, high), [values], each(lambda x: sorted((low, x, high))[1]))


def _where(draw: Draw) -> Sample:
    a, b, c = draw.broadcastable(3)
    condition = draw.mask(c)

    def oracle(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return each(lambda holds, s, t: s if holds else t)(condition, x, y)

    return Sample(lambda x, y: ops.where(condition, x, y), [draw.real(a), draw.real(b)], oracle)


def _mask_scale(draw: Draw) -> Sample:
    shape = draw.shape()
    mask, factor = draw.mask(shape), 1 / 0.7

    def oracle(x: np.ndarray) -> np.ndarray:
        return each(lambda keep, s: factor * s if keep else 0.0)(mask, x)

    return Sample(lambda x: e.MaskScale(x.backend.asarray(mask), factor)(x), [draw.real(shape)], oracle)


def _binary_cross_entropy(draw: Draw) -> Sample:
    target, shape = draw.choice((0.0, 1.0, 0.9)), draw.shape()

    def oracle(x: np.ndarray) -> np.ndarray:
        losses = [target * _softplus(-v) + (1 - target) * _softplus(v) for v in x.ravel().tolist()]
        return np.array(math.fsum(losses) / len(losses))

    return Sample(lambda x: ops.binary_cross_entropy(x, target), [draw.real(shape)], oracle)


def _binary_cross_entropy_grad(draw: Draw) -> Sample:
    target, shape = draw.choice((0.0, 1.0, 0.9)), draw.shape()

    def oracle(g: np.ndarray, x: np.ndarray) -> np.ndarray:
        return each(lambda v: float(g) * (1 / (1 + math.exp(-v)) - target) / x.size)(x)

    return Sample(lambda g, x: e.BinaryCrossEntropyGrad(target)(g, x), [draw.real(()), draw.real(shape)], oracle)


def _softplus(x: float) -> float:
    return x + math.log1p(math.exp(-x)) if x > 0 else math.log1p(math.exp(x))


ENTRIES = [
    Entry("Add", e.Add, _binary(operator.add, operator.add), linear=((0, 1),), public=("add",)),
    Entry("Subtract", e.Subtract, _binary(operator.sub, operator.sub), linear=((0, 1),), public=("subtract",)),
    Entry("Multiply", e.Multiply, _binary(operator.mul, operator.mul), linear=((0,), (1,)), public=("multiply",)),
    Entry(
        "Divide",
        e.Divide,
        _binary(operator.truediv, operator.truediv, right="nonzero"),
        "b != 0",
        linear=((0,),),
        public=("divide",),
    ),
    Entry("Negative", e.Negative, _unary(operator.neg, operator.neg), linear=((0,),), public=("negative",)),
    Entry("Scale", e.Scale, _scale, linear=((0,),)),
    Entry("Quotient", e.Quotient, _quotient, linear=((0,),)),
    Entry("Reciprocal", e.Reciprocal, _reciprocal, "x != 0"),
    Entry("Shift", e.Shift, _shift),
    Entry("Power", e.Power, _power, "x != 0 for integer exponents, else x > 0"),
    Entry("Exp", e.Exp, _unary(ops.exp, math.exp), public=("exp",)),
    Entry("Log", e.Log, _unary(ops.log, math.log, "positive"), "x > 0", public=("log",)),
    Entry("Sqrt", e.Sqrt, _unary(ops.sqrt, math.sqrt, "positive"), "x > 0", public=("sqrt",)),
    Entry("Absolute", e.Absolute, _unary(ops.abs, abs, "nonzero"), "x != 0", analytic=False, public=("abs",)),
    Entry("Tanh", e.Tanh, _unary(ops.tanh, math.tanh), public=("tanh",)),
    Entry("TanhGrad", e.TanhGrad, _tanh_grad, linear=((0,),)),
    Entry("Sigmoid", e.Sigmoid, _unary(ops.sigmoid, lambda x: 1 / (1 + math.exp(-x))), public=("sigmoid",)),
    Entry("Softplus", e.Softplus, _unary(ops.softplus, _softplus), public=("softplus",)),
    Entry("BinaryCrossEntropy", e.BinaryCrossEntropy, _binary_cross_entropy, public=("binary_cross_entropy",)),
    Entry("BinaryCrossEntropyGrad", e.BinaryCrossEntropyGrad, _binary_cross_entropy_grad, linear=((0,),)),
    Entry("LeakyReLU", e.LeakyReLU, _leaky_relu, "x != 0", analytic=False, public=("relu", "leaky_relu")),
    Entry("LeakyReLUGrad", e.LeakyReLUGrad, _leaky_relu_grad, "x != 0", analytic=False, linear=((0,),)),
    Entry("Maximum", e.Maximum, _apart(ops.maximum, max), "a != b", analytic=False, public=("maximum",)),
    Entry("Clip", e.Clip, _clip, "x not at a bound", analytic=False, public=("clip",)),
    Entry("Where", e.Where, _where, linear=((0, 1),), public=("where",)),
    Entry("MaskScale", e.MaskScale, _mask_scale, linear=((0,),)),
    Entry("Cast", e.Cast, _unary(lambda x: e.Cast(x.dtype)(x), float), linear=((0,),), public=("astype",)),
    Entry("minimum", None, _apart(ops.minimum, min), "a != b", analytic=False, public=("minimum",)),
    Entry("power", None, _tensor_power, "base > 0", public=("power",)),
]
