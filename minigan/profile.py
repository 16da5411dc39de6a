"""Where the time of a training step goes: by operation, by kernel, by layer.

with Profile(algorithm.backend, algorithm.modules) as profile:
    for batch in batches:
        algorithm.step(batch)
print(profile.table(len(batches)))
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from .autograd import Function, Tensor
from .backend import Backend
from .observe import Observer

# Multiplications and additions of the plain algorithm: what a kernel by another algorithm would be worth.
OPERATIONS: dict[str, Callable[..., int]] = {
    "matmul": lambda a, b: 2 * a.size * b.shape[-1],
    "linear": lambda x, weight, bias: 2 * len(x) * weight.size,
    "linear_weight_grad": lambda x, y: 2 * x.size * y.shape[1],
    "conv2d": lambda x, weight, bias, g, *_: 2 * len(x) * math.prod(g.output_size) * weight.size,
    "conv_transpose2d": lambda y, weight, bias, g, *_: 2 * len(y) * math.prod(g.output_size) * weight.size,
    "conv2d_weight_grad": lambda x, y, g, *_: 2 * y.size * x.shape[1] * math.prod(g.kernel_size),
}


@dataclass
class Work:
    """What one row of a table adds up. bytes: of the arrays that went in and came out, each counted once a call."""

    calls: int = 0
    seconds: float = 0.0
    bytes: int = 0
    operations: int = 0

    def add(self, seconds: float, bytes: int = 0, operations: int = 0) -> None:
        self.calls += 1
        self.seconds += seconds
        self.bytes += bytes
        self.operations += operations


class Profile(Observer):
    """Watches a device inside a with block, and waits for it after every kernel.

    modules: the networks by name, so that layers are shown with their kind.
    operations: (name, "forward" or "backward") -> Work; layers: path -> Work; kernels: name -> Work, those that
    optimizers and random streams call too (their time is in `outside`); seconds: of the whole block.
    """

    def __init__(self, backend: Backend, modules: dict[str, Any] | None = None):
        self.backend = backend
        self.kinds = {
            f"{name}.{path}": type(module).__name__
            for name, network in (modules or {}).items()
            for path, module in network.named_modules()
        }
        self.operations: dict[tuple[str, str], Work] = {}
        self.layers: dict[str, Work] = {}
        self.kernels: dict[str, Work] = {}
        self.outside = Work()
        self.seconds = 0.0
        self._inside = False

    def __enter__(self) -> Profile:
        self._stack = ExitStack()
        self._stack.enter_context(self.backend.observing(self))
        self._stack.callback(setattr, self.backend, "kernels", self.backend.kernels)
        self.backend.kernels = _Timed(self.backend.kernels, self)  # type: ignore[assignment]
        self.backend.synchronize()
        self._entered = time.perf_counter()
        return self

    def __exit__(self, *exception: object) -> None:
        self.backend.synchronize()
        self.seconds += time.perf_counter() - self._entered
        self._stack.close()

    def before(self, function: Function, inputs: tuple[Tensor, ...]) -> None:
        self._inside, self._started = True, time.perf_counter()

    def after(self, function: Function, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        self.backend.synchronize()
        seconds = time.perf_counter() - self._started
        self._inside = False
        rule = self.backend.rule
        layer = ".".join(self.backend.path) if rule is None else getattr(rule, "path", "")
        phase = "forward" if rule is None else "backward"
        self.operations.setdefault((function.name, phase), Work()).add(seconds)
        self.layers.setdefault(layer or "(no layer)", Work()).add(seconds)

    def record(self, name: str, seconds: float, arguments: tuple[Any, ...], result: Any) -> None:
        """A kernel has run."""
        results = result if isinstance(result, tuple) else (result,)
        size = sum(getattr(array, "nbytes", 0) for array in (*arguments, *results))
        count = OPERATIONS[name](*arguments) if name in OPERATIONS else 0
        self.kernels.setdefault(name, Work()).add(seconds, size, count)
        if not self._inside:
            self.outside.add(seconds)

    def table(self, steps: int) -> str:
        """Three tables: calls and milliseconds a step, share of the time; for kernels also the rates reached."""
        operations = {f"{name} ({phase})": work for (name, phase), work in self.operations.items()}
        inside = sum(work.seconds for work in operations.values())
        rest = Work(0, self.seconds - inside - self.outside.seconds)
        lines = [f"{self.seconds / steps * 1e3:.3f} ms a step, watched, over {steps} steps on {self.backend.device}"]
        lines += ["", _cells("operation", "calls", "ms", "share"), *self._lines(operations, steps)]
        lines.append(self._line("kernels outside: optimizers, random numbers", self.outside, steps))
        lines.append(self._line("the rest: Python, data, reports", rest, steps))
        lines += ["", _cells("kernel", "calls", "ms", "share", "GB/s", "GFLOP/s"), *self._lines(self.kernels, steps)]
        layers = {f"{path} {self.kinds.get(path, '')}": work for path, work in self.layers.items()}
        lines += ["", _cells("layer, forward and backward", "calls", "ms", "share"), *self._lines(layers, steps)]
        return "\n".join(lines)

    def _lines(self, works: dict[str, Work], steps: int) -> list[str]:
        """Longest first."""
        return [self._line(name, work, steps) for name, work in sorted(works.items(), key=lambda i: -i[1].seconds)]

    def _line(self, name: str, work: Work, steps: int) -> str:
        rates = [f"{amount / work.seconds / 1e9:.1f}" if amount else "" for amount in (work.bytes, work.operations)]
        calls = f"{work.calls / steps:.1f}" if work.calls else ""
        return _cells(name, calls, f"{work.seconds / steps * 1e3:.3f}", f"{work.seconds / self.seconds:.1%}", *rates)


def _cells(name: str, *figures: str) -> str:
    return (f"{name:<46}" + "".join(f"{figure:>10}" for figure in figures)).rstrip()


class _Timed:
    """Kernels whose every call a profile hears of."""

    def __init__(self, kernels: Any, profile: Profile):
        self._kernels, self._profile = kernels, profile

    def __getattr__(self, name: str) -> Any:
        kernel = getattr(self._kernels, name)
        if not callable(kernel):
            return kernel

        def timed(*arguments: Any, **options: Any) -> Any:
            started = time.perf_counter()
            result = kernel(*arguments, **options)
            self._profile.backend.synchronize()
            self._profile.record(name, time.perf_counter() - started, arguments, result)
            return result

        return timed
