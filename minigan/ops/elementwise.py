"""Element-wise operations. Two Tensors broadcast as in NumPy."""

from __future__ import annotations

import math
from typing import Any

from ..autograd import Function, Tensor
from .operands import Operand, floating, is_number, pair, tensor_like, with_number
from .reduce import sum_to


class Add(Function):
    """y = a + b."""

    reads = ()

    def forward(self, a, b):
        return self.kernels.add(a, b)

    def backward(self, cotangent, needs):
        a, b = self.inputs
        return (
            sum_to(cotangent, a.shape) if needs[0] else None,
            sum_to(cotangent, b.shape) if needs[1] else None,
        )


class Subtract(Function):
    """y = a - b."""

    reads = ()

    def forward(self, a, b):
        return self.kernels.subtract(a, b)

    def backward(self, cotangent, needs):
        a, b = self.inputs
        return (
            sum_to(cotangent, a.shape) if needs[0] else None,
            sum_to(-cotangent, b.shape) if needs[1] else None,
        )


class Multiply(Function):
    """y = a b;  dy/da = b, dy/db = a."""

    def forward(self, a, b):
        return self.kernels.multiply(a, b)

    def backward(self, cotangent, needs):
        a, b = self.inputs
        return (
            sum_to(cotangent * b, a.shape) if needs[0] else None,
            sum_to(cotangent * a, b.shape) if needs[1] else None,
        )


class Divide(Function):
    """y = a / b;  dy/da = 1 / b, dy/db = -y / b."""

    reads = (1,)

    def forward(self, a, b):
        return self.kernels.divide(a, b)

    def backward(self, cotangent, needs):
        a, b = self.inputs
        return (
            sum_to(cotangent / b, a.shape) if needs[0] else None,
            sum_to(-(cotangent / b) * self.output, b.shape) if needs[1] else None,
        )


class Negative(Function):
    """y = -x."""

    reads = ()

    def forward(self, x):
        return self.kernels.negative(x)

    def backward(self, cotangent, needs):
        return (-cotangent,)


class Scale(Function):
    """y = c x, for a number c."""

    reads = ()

    def __init__(self, factor: float):
        self.factor = factor

    def forward(self, x):
        return self.kernels.multiply(x, self.factor)

    def backward(self, cotangent, needs):
        return (cotangent * self.factor,)


class Quotient(Function):
    """y = x / c, for a number c."""

    reads = ()

    def __init__(self, divisor: float):
        self.divisor = divisor

    def forward(self, x):
        return self.kernels.divide(x, self.divisor)

    def backward(self, cotangent, needs):
        return (Quotient(self.divisor)(cotangent),)


class Reciprocal(Function):
    """y = c / x, for a number c;  dy/dx = -y / x."""

    def __init__(self, numerator: float):
        self.numerator = numerator

    def forward(self, x):
        return self.kernels.divide(self.numerator, x)

    def backward(self, cotangent, needs):
        (x,) = self.inputs
        return (-(cotangent / x) * self.output,)


class Shift(Function):
    """y = x + c, for a number c."""

    reads = ()

    def __init__(self, offset: float):
        self.offset = offset

    def forward(self, x):
        return self.kernels.add(x, self.offset)

    def backward(self, cotangent, needs):
        return (cotangent,)


class Power(Function):
    """y = x^p, for a number p;  dy/dx = p x^(p-1)."""

    def __init__(self, exponent: float):
        self.exponent = exponent

    def forward(self, x):
        return self.kernels.power(x, self.exponent)

    def backward(self, cotangent, needs):
        if self.exponent == 0:  # x^(p-1) would be infinite at 0
            return (cotangent * 0.0,)
        (x,) = self.inputs
        return (cotangent * (self.exponent * x ** (self.exponent - 1)),)


class Exp(Function):
    """y = exp(x);  dy/dx = y."""

    reads = ()

    def forward(self, x):
        return self.kernels.exp(x)

    def backward(self, cotangent, needs):
        return (cotangent * self.output,)


class Log(Function):
    """y = log(x);  dy/dx = 1 / x."""

    def forward(self, x):
        return self.kernels.log(x)

    def backward(self, cotangent, needs):
        (x,) = self.inputs
        return (cotangent / x,)


class Sqrt(Function):
    """y = sqrt(x);  dy/dx = 1 / (2 y)."""

    reads = ()

    def forward(self, x):
        return self.kernels.sqrt(x)

    def backward(self, cotangent, needs):
        return (cotangent / (2.0 * self.output),)


class Absolute(Function):
    """y = |x|;  dy/dx = sign(x), taken as 0 at 0."""

    def forward(self, x):
        return self.kernels.absolute(x)

    def backward(self, cotangent, needs):
        (x,) = self.inputs
        return (cotangent * self.constant(self.kernels.sign(x.data)),)


class Tanh(Function):
    """y = tanh(x);  dy/dx = 1 - y^2."""

    reads = ()

    def forward(self, x):
        return self.kernels.tanh(x)

    def backward(self, cotangent, needs):
        return (TanhGrad()(cotangent, self.output),)


class TanhGrad(Function):
    """h = g (1 - y^2), in one pass;  dh/dg = 1 - y^2, dh/dy = -2 g y."""

    def forward(self, g, y):
        return self.kernels.tanh_grad(g, y)

    def backward(self, cotangent, needs):
        g, y = self.inputs
        return (
            TanhGrad()(cotangent, y) if needs[0] else None,
            cotangent * g * y * -2.0 if needs[1] else None,
        )


class Sigmoid(Function):
    """y = 1 / (1 + exp(-x));  dy/dx = y (1 - y)."""

    reads = ()

    def forward(self, x):
        return self.kernels.sigmoid(x)

    def backward(self, cotangent, needs):
        y = self.output
        return (cotangent * y * (1.0 - y),)


class Softplus(Function):
    """y = log(1 + exp(x));  dy/dx = sigmoid(x)."""

    def forward(self, x):
        return self.kernels.softplus(x)

    def backward(self, cotangent, needs):
        (x,) = self.inputs
        return (cotangent * sigmoid(x),)


class BinaryCrossEntropy(Function):
    """y = mean of softplus(x) - t x, for a target t, x being logits;  dy/dx = (sigmoid(x) - t) / n."""

    def __init__(self, target: float):
        self.target = target

    def forward(self, x):
        return self.kernels.binary_cross_entropy(x, self.target)

    def backward(self, cotangent, needs):
        (x,) = self.inputs
        return (BinaryCrossEntropyGrad(self.target)(cotangent, x),)


class BinaryCrossEntropyGrad(Function):
    """h = g (s - t) / n with s = sigmoid(x), g of one element;  dh/dg = (s - t) / n, dh/dx = g s (1 - s) / n."""

    def __init__(self, target: float):
        self.target = target

    def forward(self, g, x):
        return self.kernels.binary_cross_entropy_grad(g, x, self.target)

    def backward(self, cotangent, needs):
        g, x = self.inputs
        s, v = sigmoid(x), cotangent * (1.0 / x.size)
        return (
            sum_to(v * (s - self.target), g.shape) if needs[0] else None,
            v * g * s * (1.0 - s) if needs[1] else None,
        )


class LeakyReLU(Function):
    """y = x where x > 0, slope x elsewhere;  dy/dx = slope at 0.

    y > 0 exactly where x > 0, unless the slope is negative: so y is what is kept, and the memory of x is free.
    """

    def __init__(self, slope: float):
        self.slope = slope
        self.reads = (0,) if slope < 0 else ()

    def forward(self, x):
        return self.kernels.leaky_relu(x, self.slope)

    def backward(self, cotangent, needs):
        kept = self.inputs[0] if self.slope < 0 else self.output
        return (LeakyReLUGrad(self.slope)(cotangent, kept),)


class LeakyReLUGrad(Function):
    """h = g where x > 0, slope g elsewhere: linear in g, locally constant in x."""

    def __init__(self, slope: float):
        self.slope = slope

    def forward(self, g, x):
        return self.kernels.leaky_relu_grad(g, x, self.slope)

    def backward(self, cotangent, needs):
        _, x = self.inputs
        return (LeakyReLUGrad(self.slope)(cotangent, x) if needs[0] else None, None)


class Maximum(Function):
    """y = max(a, b): the gradient goes to the greater, half to each where they are equal."""

    def forward(self, a, b):
        return self.backend.xp.maximum(a, b)

    def backward(self, cotangent, needs):
        a, b = self.inputs
        first = self.constant(_share(self.backend.xp, a.data, b.data))
        return (
            sum_to(cotangent * first, a.shape) if needs[0] else None,
            sum_to(cotangent * (1.0 - first), b.shape) if needs[1] else None,
        )


def _share(xp, a, b):
    """1 where a > b, 1/2 where a = b, 0 elsewhere."""
    return ((a > b).astype(a.dtype) + (a >= b).astype(a.dtype)) * 0.5


class Clip(Function):
    """y = min(max(x, low), high);  dy/dx = 1 from low to high inclusive, 0 outside."""

    def __init__(self, low: float, high: float):
        self.low, self.high = low, high

    def forward(self, x):
        return self.backend.xp.clip(x, self.low, self.high)

    def backward(self, cotangent, needs):
        x = self.inputs[0].data
        inside = self.constant(((x >= self.low) & (x <= self.high)).astype(x.dtype))
        return (cotangent * inside,)


class Where(Function):
    """y = a where the condition (a boolean array) holds, b elsewhere."""

    reads = ()

    def __init__(self, condition: Any):
        self.condition = condition

    def forward(self, a, b):
        return self.kernels.where(self.condition, a, b)

    def backward(self, cotangent, needs):
        a, b = self.inputs
        zero = self.constant(self.backend.xp.zeros((), cotangent.dtype))
        return (
            sum_to(Where(self.condition)(cotangent, zero), a.shape) if needs[0] else None,
            sum_to(Where(self.condition)(zero, cotangent), b.shape) if needs[1] else None,
        )


class MaskScale(Function):
    """y = c x where the mask (a boolean array) holds, 0 elsewhere: its own adjoint."""

    reads = ()

    def __init__(self, mask: Any, factor: float):
        self.mask, self.factor = mask, factor

    def forward(self, x):
        return self.kernels.mask_scale(x, self.mask, self.factor)

    def backward(self, cotangent, needs):
        return (MaskScale(self.mask, self.factor)(cotangent),)


class Cast(Function):
    """The same values in another floating-point type; the cotangent is cast back."""

    reads = ()

    def __init__(self, dtype: Any):
        self.dtype = dtype

    def forward(self, x):
        return x.astype(self.dtype)

    def backward(self, cotangent, needs):
        return (Cast(self.inputs[0].dtype)(cotangent),)


# -------------------------------------------------------------------- the functions that users call


def add(a: Operand, b: Operand) -> Tensor:
    """a + b."""
    if isinstance(a, Tensor) and is_number(b):
        a, b = with_number(a, b)
        return Shift(b)(a)
    return add(b, a) if is_number(a) and isinstance(b, Tensor) else Add()(*pair(a, b))


def subtract(a: Operand, b: Operand) -> Tensor:
    """a - b."""
    if isinstance(a, Tensor) and is_number(b):
        a, b = with_number(a, b)
        if a.dtype.kind in "fc":
            return Shift(-b)(a)
        return Tensor(a.backend.kernels.subtract(a.data, b), a.backend)  # integers may have no negative
    if isinstance(b, Tensor) and is_number(a):
        b, a = with_number(b, a)
        if b.dtype.kind in "fc":
            return Shift(a)(negative(b))
        return Tensor(b.backend.kernels.subtract(a, b.data), b.backend)
    return Subtract()(*pair(a, b))


def multiply(a: Operand, b: Operand) -> Tensor:
    """a * b."""
    if isinstance(a, Tensor) and is_number(b):
        a, b = with_number(a, b)
        return Scale(b)(a)
    return multiply(b, a) if is_number(a) and isinstance(b, Tensor) else Multiply()(*pair(a, b))


def divide(a: Operand, b: Operand) -> Tensor:
    """a / b."""
    if isinstance(a, Tensor) and is_number(b):
        return Quotient(float(b))(floating(a))
    if isinstance(b, Tensor) and is_number(a):
        return Reciprocal(float(a))(floating(b))
    a, b = pair(a, b)
    return Divide()(floating(a), floating(b))


def power(x: Operand, exponent: Operand) -> Tensor:
    """x ** exponent, of integers as float32. A Tensor as exponent takes x > 0: exp(exponent * log(x))."""
    if is_number(exponent):
        return Power(float(exponent))(floating(x))
    if is_number(x) and x <= 0:
        raise ValueError(f"power: what is raised to a Tensor must be greater than 0, got {x}")
    return exp(exponent * (math.log(x) if is_number(x) else log(tensor_like(x, exponent))))


def negative(x: Tensor) -> Tensor:
    """-x."""
    return Negative()(x)


def exp(x: Tensor) -> Tensor:
    return Exp()(floating(x))


def log(x: Tensor) -> Tensor:
    """Natural logarithm."""
    return Log()(floating(x))


def sqrt(x: Tensor) -> Tensor:
    return Sqrt()(floating(x))


def abs(x: Tensor) -> Tensor:
    """|x|, with derivative 0 at 0."""
    return Absolute()(x)


def tanh(x: Tensor) -> Tensor:
    return Tanh()(floating(x))


def sigmoid(x: Tensor) -> Tensor:
    """1 / (1 + exp(-x))."""
    return Sigmoid()(floating(x))


def softplus(x: Tensor) -> Tensor:
    """log(1 + exp(x)), finite for every finite x."""
    return Softplus()(floating(x))


def binary_cross_entropy(logits: Tensor, target: float) -> Tensor:
    """mean of -t log s(x) - (1 - t) log(1 - s(x)) = mean of softplus(x) - t x, s the sigmoid, t a number, x finite."""
    if not is_number(target):
        raise TypeError(f"binary_cross_entropy takes one number as target, got {type(target).__name__}")
    if not 0 <= target <= 1:
        raise ValueError(f"binary_cross_entropy: the target must be from 0 to 1, got {target}")
    return BinaryCrossEntropy(float(target))(floating(logits))


def relu(x: Tensor) -> Tensor:
    """max(x, 0), with derivative 0 at 0."""
    return LeakyReLU(0.0)(floating(x))


def leaky_relu(x: Tensor, negative_slope: float = 0.01) -> Tensor:
    """x where x > 0, negative_slope * x elsewhere."""
    return LeakyReLU(float(negative_slope))(floating(x))


def maximum(a: Operand, b: Operand) -> Tensor:
    """The greater of a and b; where they are equal each gets half the gradient."""
    return Maximum()(*pair(a, b))


def minimum(a: Operand, b: Operand) -> Tensor:
    """The smaller of a and b; where they are equal each gets half the gradient."""
    a, b = pair(a, b)
    if a.dtype.kind in "fc":
        return -maximum(-a, -b)
    return Tensor(a.backend.xp.minimum(a.data, b.data), a.backend)  # integers may have no negative


def clip(x: Tensor, low: float, high: float) -> Tensor:
    """x limited to [low, high]; the gradient is 0 outside."""
    if low > high:
        raise ValueError(f"clip: low {low} is greater than high {high}")
    return Clip(float(low), float(high))(floating(x))


def where(condition: Operand, a: Operand, b: Operand) -> Tensor:
    """a where condition, b elsewhere."""
    a, b = pair(a, b)
    array = condition.data if isinstance(condition, Tensor) else a.backend.asarray(condition)
    return Where(array.copy())(a, b)  # its owner may write it over


def astype(x: Tensor, dtype: Any) -> Tensor:
    """x in another dtype; differentiable between floating-point types."""
    dtype = x.backend.xp.dtype(dtype)
    if x.dtype.kind == dtype.kind == "f":
        return x if x.dtype == dtype else Cast(dtype)(x)
    return Tensor(x.data.astype(dtype), x.backend)


def _comparison(name: str):
    def compare(a: Tensor, b: Operand) -> Tensor:
        b = b.data if isinstance(b, Tensor) else b
        return Tensor(getattr(a.backend.xp, name)(a.data, b), a.backend)

    compare.__name__ = name
    compare.__doc__ = f"Element-wise {name.replace('_', ' ')}: a boolean Tensor, outside the graph."
    return compare


equal = _comparison("equal")
not_equal = _comparison("not_equal")
less = _comparison("less")
less_equal = _comparison("less_equal")
greater = _comparison("greater")
greater_equal = _comparison("greater_equal")
