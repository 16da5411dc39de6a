"""Watching the engine: observers hear of every operation, forward and backward, and cost nothing when there are none.

with mg.get_backend("cpu").observing(GraphPrinter()):
    loss = ...
"""

from __future__ import annotations

import sys
import time
from typing import Any, TextIO

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
    """Raises NotFinite at the first operation whose output is not finite though its inputs are: which, and in which
    layer. Reads every output, so it waits for the device."""

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


class Profile(Observer):
    """Time by operation and by kernel. Waits for the device after every operation.

    rows: (pass, operation) -> [calls, seconds], pass "forward" or "backward"; kernels: kernel -> [calls, seconds].
    """

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], list[float]] = {}
        self.kernels: dict[str, list[float]] = {}

    def before(self, function: Function, inputs: tuple[Tensor, ...]) -> None:
        function.kernels = _TimedKernels(function.kernels, function.backend, self.kernels)
        self.started = time.perf_counter()

    def after(self, function: Function, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        function.backend.synchronize()
        seconds = time.perf_counter() - self.started
        _add(self.rows, ("forward" if function.backend.rule is None else "backward", function.name), seconds)

    def table(self, total: float, steps: int) -> str:
        """Where the time of `steps` steps, `total` seconds in all, went: milliseconds and share of a step."""
        watched = sum(seconds for _, seconds in self.rows.values())
        lines = [f"{'operation':<34}{'calls':>7}{'ms':>10}{'share':>8}   a step"]
        for (phase, name), (calls, seconds) in _sorted(self.rows):
            lines.append(_line(f"{name} ({phase})", calls, seconds, total, steps))
        rest = "outside operations (optimizers, data, Python)"
        lines.append(_line(rest, 0, total - watched, total, steps))
        lines += ["", f"{'kernel':<34}{'calls':>7}{'ms':>10}{'share':>8}   a step"]
        lines += [_line(name, calls, seconds, total, steps) for name, (calls, seconds) in _sorted(self.kernels)]
        return "\n".join(lines)


class _TimedKernels:
    """Kernels that keep the time of every call."""

    def __init__(self, kernels: Any, backend: Any, times: dict[str, list[float]]):
        self._kernels, self._backend, self._times = kernels, backend, times

    def __getattr__(self, name: str) -> Any:
        kernel = getattr(self._kernels, name)
        if not callable(kernel):
            return kernel

        def timed(*args: Any, **options: Any) -> Any:
            started = time.perf_counter()
            try:
                return kernel(*args, **options)
            finally:
                self._backend.synchronize()
                _add(self._times, name, time.perf_counter() - started)

        return timed


def _add(times: dict[Any, list[float]], key: Any, seconds: float) -> None:
    row = times.setdefault(key, [0, 0.0])
    row[0] += 1
    row[1] += seconds


def _sorted(times: dict[Any, list[float]]) -> list[tuple[Any, list[float]]]:
    return sorted(times.items(), key=lambda item: -item[1][1])


def _line(name: str, calls: float, seconds: float, total: float, steps: int) -> str:
    return f"{name:<34}{calls / steps:>7.1f}{seconds / steps * 1e3:>10.3f}{seconds / total:>8.1%}"
