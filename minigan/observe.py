"""Watching the engine: observers hear of every operation, forward and backward, and cost nothing when there are none.

with mg.get_backend("cpu").observing(GraphPrinter()):
    loss = ...
"""

from __future__ import annotations

import sys
from typing import TextIO

from .autograd import Function, Tensor


class Observer:
    """Base of all observers: `before` and `after` every Function that runs on the device observed.

    Inside them `function.backend.path` names the modules around (outermost first), and `function.backend.rule` is the
    Function whose backward rule is running, None in the forward pass.
    """

    def before(self, function: Function, inputs: tuple[Tensor, ...]) -> None:
        pass

    def after(self, function: Function, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        pass


def where(function: Function) -> str:
    """Where a Function runs: the layer's path, and in the backward pass the Function whose rule called it."""
    rule = function.backend.rule
    layer = getattr(rule, "path", "") if rule is not None else ".".join(function.backend.path)
    layer = layer or "outside any layer"
    return f"{layer}, backward of {rule.name}" if rule is not None else layer


class NotFinite(ArithmeticError):
    """An operation made the first value that is not finite."""


class FiniteCheck(Observer):
    """Raises NotFinite at the first operation whose output is not finite: which, in which layer, and whether an input
    was not finite before. Reads every output, so it waits for the device."""

    def after(self, function: Function, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        isfinite = function.backend.xp.isfinite
        good = isfinite(output.data)
        if bool(good.all()):
            return
        at = tuple(int(i) for i in function.backend.xp.argwhere(~good)[0])
        broken = [i for i, t in enumerate(inputs) if not bool(isfinite(t.data).all())]
        origin = f"its input {broken[0]} was not finite already" if broken else "its inputs were finite"
        raise NotFinite(
            f"{function.name} ({where(function)}) gave {output.data[at].item()} at {at} of {output.shape}: {origin}"
        )


class GraphPrinter(Observer):
    """Prints a line for every operation: its name, the shapes in and out, and where it runs."""

    def __init__(self, stream: TextIO | None = None):
        self.stream = stream

    def after(self, function: Function, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        shapes = ", ".join(str(t.shape) for t in inputs)
        line = f"{function.name:<20} {shapes} -> {output.shape}   [{where(function)}]"
        print(line, file=self.stream or sys.stdout)
