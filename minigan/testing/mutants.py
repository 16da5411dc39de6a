"""Wrong rules, planted on purpose: what the checks reject says how far they can be trusted."""

from __future__ import annotations

from collections.abc import Callable
from unittest.mock import patch

from ..autograd import Tensor, grad
from ..backend import get_backend
from ..ops import elementwise, flip, linalg, reduce
from ..ops.reduce import sum_to
from ..ops.shape import GetItem
from .catalog import CATALOG, Entry
from .check import example
from .mutant import Mutant, Rule
from .wrong_rules import specific_mutants

# ------------------------------------------------------------------ faults that any rule can have


def _on_gradient(argument: int, change: Callable[[Tensor], Tensor]) -> Callable[[Rule], Rule]:
    """The gradient of one input is changed."""

    def fault(rule: Rule) -> Rule:
        def wrong(self, cotangent, needs):
            gradients = list(rule(self, cotangent, needs))
            if argument < len(gradients) and gradients[argument] is not None:
                gradients[argument] = change(gradients[argument])
            return tuple(gradients)

        return wrong

    return fault


def _on_cotangent(change: Callable[[Tensor], Tensor]) -> Callable[[Rule], Rule]:
    """The rule is given another cotangent."""
    return lambda rule: lambda self, cotangent, needs: rule(self, change(cotangent), needs)


def _swapped(rule: Rule) -> Rule:
    def wrong(self, cotangent, needs):
        gradients = rule(self, cotangent, needs)
        return gradients[1::-1] + gradients[2:]

    return wrong


def _stale(rule: Rule) -> Rule:
    """The rule reads saved arrays in place of the Tensors of the graph."""

    def wrong(self, cotangent, needs):
        inputs, output = self.inputs, self._output
        kept = None if output() is None else output().detach()
        self.inputs, self._output = tuple([t.detach() for t in inputs]), lambda: kept
        try:
            return rule(self, cotangent, needs)
        finally:
            self.inputs, self._output = inputs, output

    return wrong


def _unbroadcasting(replacement: Callable[[Tensor, tuple[int, ...]], Tensor]) -> Callable[[Rule], Rule]:
    """sum_to is replaced inside the rule."""

    def fault(rule: Rule) -> Rule:
        def wrong(self, cotangent, needs):
            with (
                patch.object(elementwise, "sum_to", replacement),
                patch.object(linalg, "sum_to", replacement),
                patch.object(reduce, "sum_to", replacement),
            ):
                return rule(self, cotangent, needs)

        return wrong

    return fault


def _first_slice(x: Tensor, shape: tuple[int, ...]) -> Tensor:
    lead = x.ndim - len(shape)
    index = [0] * lead + [slice(0, 1) if n == 1 else slice(None) for n in shape]
    return GetItem(tuple(index))(x)


def _mean_to(x: Tensor, shape: tuple[int, ...]) -> Tensor:
    total = sum_to(x, shape)
    return total * (max(total.size, 1) / max(x.size, 1))


def _last_element(g: Tensor) -> Tensor:
    weights = g.backend.xp.ones(g.size, g.dtype)
    weights[-1:] = 1.01
    return g * Tensor(weights.reshape(g.shape), g.backend)


def _reversed(g: Tensor) -> Tensor:
    return flip(g, tuple(range(g.ndim))) if g.ndim else g * 1.5


ON_GRADIENT = {
    "sign": lambda g: -g,
    "factor 1.001": lambda g: g * 1.001,
    "dropped": lambda g: g * 0.0,
    "last element 1 % off": _last_element,
    "elements reversed": _reversed,
}
ON_COTANGENT = {
    "ignored cotangent": lambda v: Tensor(v.backend.xp.ones(v.shape, v.dtype), v.backend),
    "cotangent squared": lambda v: v * v,
}
LINEAR = "the rule of a linear function reads no value, so there is nothing to go stale"
PIECEWISE = "the rule reads values only as a mask, which is locally constant"


def _reason_stale_is_right(entry: Entry) -> str:
    reads_nothing = entry.function is not None and entry.function.reads == ()
    if entry.name == "Shift" or (reads_nothing and entry.linear and len(entry.linear) == 1):
        return LINEAR
    return "" if entry.analytic else PIECEWISE


def _differentiated(entry: Entry) -> list[int]:
    """The inputs that a gradient ever reaches."""
    reached: set[int] = set()
    for seed in range(8):
        sample, inputs = example(entry, seed, "float64", get_backend("cpu"))
        output = sample.call(*inputs)
        ones = Tensor(output.backend.xp.ones(output.shape, output.dtype), output.backend)
        reached |= {k for k, g in enumerate(grad(output, inputs, ones)) if g.data.any()}
    return sorted(reached)


def generic_mutants(entry: Entry) -> list[Mutant]:
    """The faults that can be planted in every rule."""
    name, arguments = entry.name, _differentiated(entry)
    planted = [
        Mutant(name, f"{fault}, input {argument}", _on_gradient(argument, change))
        for argument in arguments
        for fault, change in ON_GRADIENT.items()
    ]
    planted += [Mutant(name, fault, _on_cotangent(change)) for fault, change in ON_COTANGENT.items()]
    planted.append(Mutant(name, "cotangent cut from the graph", _on_cotangent(lambda v: v.detach()), wrong_from=2))
    reason = _reason_stale_is_right(entry)
    planted.append(Mutant(name, "stale residual", _stale, wrong_from=None if reason else 2, reason=reason))
    if len(arguments) > 1:
        planted.append(Mutant(name, "swapped arguments", _swapped))
    if name in BROADCASTING:
        planted.append(Mutant(name, "missing unbroadcast: first slice", _unbroadcasting(_first_slice)))
        planted.append(Mutant(name, "missing unbroadcast: mean", _unbroadcasting(_mean_to)))
    return planted


BROADCASTING = ("Add", "Subtract", "Multiply", "Divide", "Maximum", "Where", "BroadcastTo", "MatMul")


def all_mutants() -> list[Mutant]:
    """Every mutant of every Function in the catalog."""
    entries = [entry for entry in CATALOG.values() if entry.function is not None]
    specific = specific_mutants()
    return [
        mutant
        for entry in entries
        for mutant in (*generic_mutants(entry), *(m for m in specific if m.operation == entry.name))
    ]
