"""Does a rule of differentiation say what the function does?

A random cotangent v turns the outputs into one number, v . f. Its gradient g by the rules must agree, along a random
direction u of every argument, with the derivative taken from values alone (minigan.testing.derivative). Small
functions have their whole Jacobian compared. Order n + 1 checks the function (x, v) -> vjp(x, v) of order n.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..autograd import Tensor, grad
from .comparison import Comparison, as_tuple, leaf
from .report import GradientError

RTOL = {"difference": 1e-7, "complex": 1e-12}
RTOL_FLOAT32 = 1e-4


def gradcheck(
    function: Callable[..., Any],
    inputs: Tensor | Sequence[Tensor],
    *,
    order: int = 1,
    method: str = "difference",
    rng: int | np.random.Generator | None = None,
    rtol: float | None = None,
) -> float:
    """Check the derivatives of `function` at `inputs`, up to `order`; returns the worst relative error.

    function: Tensors to a Tensor (or a tuple of Tensors), the same at every call.
    inputs: Tensors of one floating-point type with requires_grad=True. float32 gradients are compared with those of
    the same function in float64, and those with `method`.
    method: "difference" (five points; inputs at a kink are moved off it) or "complex" (analytic functions only:
    no max, abs, comparison).
    rng: a seed or a NumPy generator for cotangents and directions (0 by default).
    rtol: allowed error relative to the size of the derivative: 1e-7 (difference), 1e-12 (complex), 1e-4 (float32).
    Raises GradientError with a report, TypeError or ValueError where there is nothing to check.
    """
    return max(gradient_errors(function, inputs, order=order, method=method, rng=rng, rtol=rtol))


def gradient_errors(
    function: Callable[..., Any],
    inputs: Tensor | Sequence[Tensor],
    *,
    order: int = 1,
    method: str = "difference",
    rng: int | np.random.Generator | None = None,
    rtol: float | None = None,
) -> list[float]:
    """As gradcheck, but the worst relative error of every order from 1 on."""
    if method not in RTOL:
        raise ValueError(f"unknown method {method!r}; known: {', '.join(RTOL)}")
    if order < 1:
        raise ValueError(f"order is 1 or more, got {order}")
    tensors = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    _require_checkable(tensors)
    seed = int(rng.integers(2**32)) if isinstance(rng, np.random.Generator) else int(rng or 0)
    name = getattr(function, "__name__", type(function).__name__)
    call = f"gradcheck({name}, {_literal(tensors)}, order={order}, method={method!r}, rng={seed})"
    draws = np.random.default_rng(seed)
    narrow = tensors[0].dtype == np.float32
    given = rtol if rtol is not None else RTOL_FLOAT32 if narrow else RTOL[method]
    if not given > 0:
        raise ValueError(f"rtol must be greater than 0, got {rtol}")
    rtol_narrow, rtol_wide = (given, RTOL[method]) if narrow else (0.0, given)
    wide = [leaf(t.data.astype(np.float64), t) for t in tensors] if narrow else tensors
    errors, count = [], len(wide)
    for level in range(1, order + 1):
        check = Comparison(function, wide, count, name, level, method, call, draws)
        worst, wide, cotangents = check.run(rtol_wide)
        if narrow:
            narrow_cotangents = [leaf(v.data.astype(np.float32), v) for v in cotangents]
            worst = check.compare_precisions(tensors, narrow_cotangents, rtol_narrow)
            tensors = [*tensors, *narrow_cotangents]
        errors.append(worst)
        function, wide = _vjp(function, len(wide)), [*wide, *cotangents]
    return errors


def _vjp(function: Callable[..., Any], count: int) -> Callable[..., Any]:
    """(x, v) -> the gradient of v . function(x) in x."""

    def vjp(*arguments: Tensor) -> tuple[Tensor, ...]:
        return grad(as_tuple(function(*arguments[:count])), arguments[:count], arguments[count:], create_graph=True)

    return vjp


def _require_checkable(inputs: Sequence[Any]) -> None:
    if not inputs:
        raise ValueError("gradcheck needs at least one input")
    for index, t in enumerate(inputs):
        if not isinstance(t, Tensor):
            raise TypeError(
                f"input {index} is a {type(t).__name__}, not a Tensor: wrap it with mg.tensor(..., requires_grad=True)"
            )
        if t.dtype not in (np.float32, np.float64):
            raise TypeError(f"input {index} is {t.dtype}: gradients are checked in float64 or float32")
        if not t.requires_grad:
            raise GradientError(
                f"input {index} does not require a gradient: set requires_grad=True, or let the function close over it"
            )
        if not t.backend.xp.isfinite(t.data).all():
            raise GradientError(f"input {index} holds an infinite or NaN value: there is nothing to differentiate")
    if len({str(t.dtype) for t in inputs}) > 1:
        raise TypeError(f"inputs must share one type, got {', '.join(str(t.dtype) for t in inputs)}")


def _literal(inputs: Sequence[Tensor]) -> str:
    """The inputs as Python text, where they are few enough to be read."""
    if sum(t.size for t in inputs) > 32:
        return "inputs"
    arrays = [f"np.array({t.numpy().tolist()}, {str(t.dtype)!r})" for t in inputs]
    return "[" + ", ".join(f"mg.tensor({array}, requires_grad=True)" for array in arrays) + "]"
