"""The faults that belong to one operation: a wrong formula, a dropped term, a wrong axis, padding off by one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from ..autograd import Tensor
from ..kernels.geometry import Geometry
from ..ops import concatenate, mean, norm, permute, sigmoid, transpose
from ..ops import sum as sum_
from ..ops.elementwise import LeakyReLUGrad, MaskScale, Where
from ..ops.linalg import MatMul
from ..ops.reduce import sum_to
from ..ops.shape import Crop, Pad, Permute, Scatter
from .mutant import Mutant, Rule


def specific_mutants() -> list[Mutant]:
    formulas = [Mutant(operation, name, _replaced(rule)) for (operation, name), rule in FORMULAS.items()]
    stale = [Mutant(operation, name, _replaced(rule), wrong_from=2) for (operation, name), rule in STALE.items()]
    geometries = [
        Mutant(operation, name, _with_geometry(change))
        for operation in ("Conv2d", "ConvTranspose2d", "Conv2dWeightGrad", "Patches", "Unpatch")
        for name, change in GEOMETRIES.items()
    ]
    return [*formulas, *stale, *geometries]


def _replaced(wrong: Rule) -> Callable[[Rule], Rule]:
    return lambda rule: wrong


def _with_geometry(change: Callable[[Geometry], Geometry]) -> Callable[[Rule], Rule]:
    """The rule runs with another geometry."""

    def fault(rule: Rule) -> Rule:
        def wrong(self, cotangent, needs):
            with patch.object(self, "geometry", change(self.geometry)):
                return rule(self, cotangent, needs)

        return wrong

    return fault


GEOMETRIES: dict[str, Callable[[Geometry], Geometry]] = {
    "padding off by one at the top": lambda g: replace(g, corner=(g.corner[0] + 1, g.corner[1])),
    "padding off by one at the left": lambda g: replace(g, corner=(g.corner[0], g.corner[1] + 1)),
    "padding of rows and columns swapped": lambda g: replace(g, corner=g.corner[::-1]),
    "stride ignored": lambda g: replace(g, stride=(1, 1)),
    "strides of rows and columns swapped": lambda g: replace(g, stride=g.stride[::-1]),
    "dilation ignored": lambda g: replace(g, dilation=(1, 1)),
}


def _shifted(widths: Any) -> tuple[tuple[int, int], ...]:
    """Margins one off: an element of the margin after moved to the margin before."""
    return tuple([(before + 1, after - 1) if after else (before, after) for before, after in widths])


def _rolled(g: Tensor) -> Tensor:
    """Elements one place on along the first axis."""
    return concatenate([g[1:], g[:1]]) if g.ndim and g.shape[0] > 1 else g


def _where(self: Any, cotangent: Tensor, condition: Any) -> tuple[Tensor, Tensor]:
    a, b = self.inputs
    zero = self.constant(self.backend.xp.zeros((), cotangent.dtype))
    return (
        sum_to(Where(condition)(cotangent, zero), a.shape),
        sum_to(Where(condition)(zero, cotangent), b.shape),
    )


def _averaged_repetitions(self: Any, cotangent: Tensor, needs: Any) -> tuple[Tensor]:
    shape = self.inputs[0].shape
    counts = Scatter(self.index, shape)(cotangent * 0.0 + 1.0).data
    return (Scatter(self.index, shape)(cotangent) / self.constant(counts + (counts == 0)),)


def _transposed_if_square(g: Tensor) -> Tensor:
    return transpose(g, 0, 1) if g.ndim > 1 and g.shape[0] == g.shape[1] else g


def _transposed_unless_square(a: Tensor) -> Tensor:
    return a if a.shape[-2] == a.shape[-1] else transpose(a)


def _spread(self: Any, cotangent: Tensor, needs: Any) -> tuple[Tensor]:
    """The gradient of a maximum over axes, in equal shares to all elements of its group."""
    x = self.inputs[0]
    kept = [1 if a in self.axes else n for a, n in enumerate(x.shape)]
    group = x.size // max(cotangent.size, 1)
    return (cotangent.reshape(kept).broadcast_to(x.shape) / group,)


def _to_the_smallest(self: Any, cotangent: Tensor, needs: Any) -> tuple[Tensor]:
    x = self.inputs[0]
    kept = [1 if a in self.axes else n for a, n in enumerate(x.shape)]
    smallest = (x.data == self.kernels.min(x.data, self.axes, True)).astype(x.dtype)
    return (cotangent.reshape(kept) * self.constant(smallest),)


# ------------------------------------------------------------------------- batch normalisation


def _normalized(self: Any) -> tuple[Tensor, Tensor, Tensor]:
    """x, xhat and s of a BatchNorm or one of its derivatives."""
    x = self.inputs[0] if len(self.inputs) == 3 and type(self) is norm.BatchNorm else self.inputs[1]
    eps = self.eps if type(self) is norm.BatchNorm else self.statistics.eps
    return x, *norm.standardize(x, eps)


def _batch_norm(term: Callable[[Tensor, Tensor, tuple[int, ...]], Tensor], saved: bool = False) -> Rule:
    """A rule of BatchNorm whose dx is gamma s term(g, xhat, axes)."""

    def wrong(self, cotangent, needs):
        x, xhat, s = _normalized(self)
        gamma, axes = self.inputs[1], norm._others(x)
        if saved:
            s = s.detach()
        dx = norm._channels(gamma, x) * s * term(cotangent, xhat, axes)
        return dx, sum_(cotangent * xhat, axes), sum_(cotangent, axes)

    return wrong


def _scale_grad(dx: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Rule:
    """A rule of BatchNormScaleGrad with dx = c * dx(g, xhat, s)."""

    def wrong(self, cotangent, needs):
        x, xhat, s = _normalized(self)
        c = norm._channels(cotangent, x)
        return c * xhat, c * dx(self.inputs[0], xhat, s)

    return wrong


def _input_grad(keep: tuple[float, float, float], square: bool = True, saved: bool = False) -> Rule:
    """A rule of BatchNormInputGrad with the three terms of dx weighted by `keep`."""

    def wrong(self, v, needs):
        g, _, gamma = self.inputs
        x, xhat, s = _normalized(self)
        if saved:
            xhat, s = xhat.detach(), s.detach()
        axes, scale = norm._others(x), norm._channels(gamma, x) * s
        pv, pg = norm._project(v, xhat), norm._project(g, xhat)
        a, b, c = (mean(t, axes, keepdims=True) for t in (v * xhat, g * xhat, v * pg))
        terms = xhat * c * keep[0] + b * pv * keep[1] + a * pg * keep[2]
        return scale * pv, -scale * (s if square else 1.0) * terms, sum_(v * s * pg, axes)

    return wrong


FORMULAS: dict[tuple[str, str], Rule] = {
    ("Divide", "b not squared"): lambda self, v, needs: (
        sum_to(v / self.inputs[1], self.inputs[0].shape),
        sum_to(-v * self.inputs[0] / self.inputs[1], self.inputs[1].shape),
    ),
    ("Scale", "divides by the factor"): lambda self, v, needs: (v * (1 / self.factor),),
    ("Scale", "factor forgotten"): lambda self, v, needs: (v,),
    ("Shift", "scaled by the offset"): lambda self, v, needs: (v * self.offset,),
    ("Power", "exponent forgotten"): lambda self, v, needs: (v * self.inputs[0] ** (self.exponent - 1),),
    ("Power", "exponent not lowered"): lambda self, v, needs: (v * self.inputs[0] ** self.exponent * self.exponent,),
    ("Exp", "reads the input for the output"): lambda self, v, needs: (v * self.inputs[0],),
    ("Log", "reads the output for the input"): lambda self, v, needs: (v / (self.output + 4.0),),
    ("Sqrt", "factor 2 forgotten"): lambda self, v, needs: (v / self.output,),
    ("Absolute", "sign forgotten"): lambda self, v, needs: (v,),
    ("Tanh", "y not squared"): lambda self, v, needs: (v * (1.0 - self.output),),
    ("Tanh", "1 + y^2"): lambda self, v, needs: (v * (1.0 + self.output * self.output),),
    ("TanhGrad", "factor 2 forgotten"): lambda self, v, needs: (
        v * (1.0 - self.inputs[1] * self.inputs[1]),
        -v * self.inputs[0] * self.inputs[1],
    ),
    ("Sigmoid", "1 - y forgotten"): lambda self, v, needs: (v * self.output,),
    ("Sigmoid", "y forgotten"): lambda self, v, needs: (v * (1.0 - self.output),),
    ("Softplus", "sigmoid of -x"): lambda self, v, needs: (v * sigmoid(-self.inputs[0]),),
    ("BinaryCrossEntropy", "sum for mean"): lambda self, v, needs: (v * (sigmoid(self.inputs[0]) - self.target),),
    ("BinaryCrossEntropy", "target forgotten"): lambda self, v, needs: (
        v * (1.0 / self.inputs[0].size) * sigmoid(self.inputs[0]),
    ),
    ("LeakyReLU", "slope forgotten"): lambda self, v, needs: (LeakyReLUGrad(0.0)(v, self.inputs[0]),),
    ("LeakyReLU", "mask inverted"): lambda self, v, needs: (LeakyReLUGrad(self.slope)(v, -self.inputs[0]),),
    ("LeakyReLU", "mask of the cotangent"): lambda self, v, needs: (LeakyReLUGrad(self.slope)(v, v),),
    ("LeakyReLUGrad", "mask inverted"): lambda self, v, needs: (LeakyReLUGrad(self.slope)(v, -self.inputs[1]), None),
    ("LeakyReLUGrad", "slope forgotten"): lambda self, v, needs: (LeakyReLUGrad(0.0)(v, self.inputs[1]), None),
    ("BiasLeakyReLU", "activation forgotten by the bias"): lambda self, v, needs: (
        LeakyReLUGrad(self.slope)(v, self.output),
        sum_(v, (0, *range(2, v.ndim))),
    ),
    ("BiasLeakyReLU", "slope forgotten"): lambda self, v, needs: (
        LeakyReLUGrad(0.0)(v, self.output),
        sum_(LeakyReLUGrad(0.0)(v, self.output), (0, *range(2, v.ndim))),
    ),
    ("Maximum", "half to each"): lambda self, v, needs: (
        sum_to(v * 0.5, self.inputs[0].shape),
        sum_to(v * 0.5, self.inputs[1].shape),
    ),
    ("Clip", "passes everywhere"): lambda self, v, needs: (v,),
    ("Clip", "lower bound forgotten"): lambda self, v, needs: (
        v * self.constant((self.inputs[0].data <= self.high).astype(v.dtype)),
    ),
    ("Where", "condition inverted"): lambda self, v, needs: _where(self, v, ~self.condition),
    ("Where", "condition ignored"): lambda self, v, needs: _where(self, v, self.condition | True),
    ("MaskScale", "factor forgotten"): lambda self, v, needs: (MaskScale(self.mask, 1.0)(v),),
    ("MaskScale", "mask forgotten"): lambda self, v, needs: (v * self.factor,),
    ("Reshape", "elements in Fortran order"): lambda self, v, needs: (
        permute(v, tuple(range(v.ndim))[::-1]).reshape(self.inputs[0].shape),
    ),
    ("Permute", "forward order for its inverse"): lambda self, v, needs: (Permute(self.axes)(v),),
    ("Pad", "off by one"): lambda self, v, needs: (Crop(_shifted(self.widths))(v),),
    ("Crop", "off by one"): lambda self, v, needs: (Pad(_shifted(self.widths))(v),),
    ("GetItem", "off by one"): lambda self, v, needs: (_rolled(Scatter(self.index, self.inputs[0].shape)(v)),),
    ("GetItem", "repetitions averaged, not added"): _averaged_repetitions,
    ("Scatter", "off by one"): lambda self, v, needs: (_rolled(v)[self.index],),
    ("Sum", "wrong axis"): lambda self, v, needs: (
        _transposed_if_square(
            v.reshape([1 if a in self.axes else n for a, n in enumerate(self.inputs[0].shape)]).broadcast_to(
                self.inputs[0].shape
            )
        ),
    ),
    ("Sum", "mean for sum"): _spread,
    ("Max", "shared by all"): _spread,
    ("Max", "to the smallest"): _to_the_smallest,
    ("LogSoftmax", "second term dropped"): lambda self, v, needs: (v,),
    ("LogSoftmax", "first term dropped"): lambda self, v, needs: (
        -(self.output.exp() * sum_(v, self.axis, keepdims=True)),
    ),
    ("LogSoftmax", "cotangent not summed"): lambda self, v, needs: (v - self.output.exp() * v,),
    ("LogSoftmax", "wrong axis"): lambda self, v, needs: (v - self.output.exp() * sum_(v, 0, keepdims=True),),
    ("MatMul", "not transposed"): lambda self, v, needs: (
        sum_to(MatMul()(v, _transposed_unless_square(self.inputs[1])), self.inputs[0].shape),
        sum_to(MatMul()(_transposed_unless_square(self.inputs[0]), v), self.inputs[1].shape),
    ),
    ("Linear", "transposed weight gradient"): lambda self, v, needs: (
        MatMul()(v, self.inputs[1]),
        MatMul()(transpose(self.inputs[0]), v),
        sum_(v, 0),
    )[: len(needs)],
    ("Linear", "bias gradient averaged"): lambda self, v, needs: (
        MatMul()(v, self.inputs[1]),
        MatMul()(transpose(v), self.inputs[0]),
        mean(v, 0),
    )[: len(needs)],
    ("LinearWeightGrad", "transposed cotangent"): lambda self, v, needs: (
        MatMul()(self.inputs[1], _transposed_if_square(v)),
        MatMul()(self.inputs[0], transpose(v)),
    ),
    ("BatchNorm", "mean term dropped"): _batch_norm(lambda g, xhat, axes: g - xhat * mean(g * xhat, axes, True)),
    ("BatchNorm", "variance term dropped"): _batch_norm(lambda g, xhat, axes: g - mean(g, axes, True)),
    ("BatchNorm", "statistics held fixed"): _batch_norm(lambda g, xhat, axes: g),
    ("BatchNorm", "mean over the batch axis only"): _batch_norm(
        lambda g, xhat, axes: g - mean(g, 0, True) - xhat * mean(g * xhat, 0, True)
    ),
    ("BatchNormScaleGrad", "projection dropped"): _scale_grad(lambda g, xhat, s: s * g),
    ("BatchNormScaleGrad", "inverse deviation dropped"): _scale_grad(lambda g, xhat, s: norm._project(g, xhat)),
    ("BatchNormInputGrad", "first term dropped"): _input_grad((0, 1, 1)),
    ("BatchNormInputGrad", "second term dropped"): _input_grad((1, 0, 1)),
    ("BatchNormInputGrad", "third term dropped"): _input_grad((1, 1, 0)),
    ("BatchNormInputGrad", "inverse deviation not squared"): _input_grad((1, 1, 1), square=False),
}

STALE: dict[tuple[str, str], Rule] = {  # a saved array where the rule needs a Tensor: right at order 1
    ("BatchNorm", "inverse deviation saved"): _batch_norm(lambda g, xhat, axes: norm._project(g, xhat), saved=True),
    ("BatchNorm", "normalised input saved"): _batch_norm(lambda g, xhat, axes: norm._project(g, xhat.detach())),
    ("BatchNormScaleGrad", "inverse deviation saved"): _scale_grad(
        lambda g, xhat, s: s.detach() * norm._project(g, xhat)
    ),
    ("BatchNormInputGrad", "statistics saved"): _input_grad((1, 1, 1), saved=True),
    ("Tanh", "output saved"): lambda self, v, needs: (v * (1.0 - self.output.detach() * self.output),),
    ("Sigmoid", "output saved"): lambda self, v, needs: (v * self.output.detach() * (1.0 - self.output),),
    ("Softplus", "sigmoid saved"): lambda self, v, needs: (v * sigmoid(self.inputs[0]).detach(),),
    ("LogSoftmax", "softmax saved"): lambda self, v, needs: (
        v - self.output.exp().detach() * sum_(v, self.axis, keepdims=True),
    ),
    ("Multiply", "one factor saved"): lambda self, v, needs: (
        sum_to(v * self.inputs[1].detach(), self.inputs[0].shape),
        sum_to(v * self.inputs[0], self.inputs[1].shape),
    ),
    ("MatMul", "one factor saved"): lambda self, v, needs: (
        sum_to(MatMul()(v, transpose(self.inputs[1])), self.inputs[0].shape),
        sum_to(MatMul()(transpose(self.inputs[0].detach()), v), self.inputs[1].shape),
    ),
}
