"""What single calls cost on a device: microseconds of tiny ones, and the rates that large ones reach.

    python benchmarks/launch_costs.py --device cuda --json launch_costs.json

On a GPU a tiny call costs the host's time to launch it, whatever it computes: times the launches of a training step
(`minigan bench` counts them), that is the least a step can take. Where PyTorch is installed and sees the device, the
same calls through it stand beside. host: until the calls have returned; wall: until the device is done, too.
"""

from __future__ import annotations

import argparse
import json
import sys
import types
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from minigan.backend import Backend, cuda_problem, default_threads, get_backend
from minigan.bench.environment import environment
from minigan.bench.report import fact
from minigan.bench.timing import Timing, measure
from minigan.files import check_writable, replacing
from minigan.kernels.gpu import GpuKernels

Call = Callable[[], Any]
Rates = dict[str, tuple[Call, float, str]]  # name: call, amount of work, unit of work a second

TINY = 1024  # elements
SECONDS = 0.2


def tiny_calls(backend: Backend) -> dict[str, Call]:
    """Calls whose arrays do not matter."""
    xp, kernels = backend.xp, backend.kernels
    x, y = xp.ones(TINY, "float32"), xp.ones(TINY, "float32")
    out = xp.empty_like(x)
    a = xp.ones((64, 64), "float32")
    p, g, m, v = (xp.ones(TINY, "float32") for _ in range(4))
    adam = {"lr": 1e-4, "beta1": 0.5, "beta2": 0.999, "eps": 1e-8, "step": 1, "weight_decay": 0.0, "decoupled": False}
    return {
        "empty": lambda: xp.empty(TINY, "float32"),
        "reshape": lambda: a.reshape(-1),
        "add": lambda: x + y,
        "add, into an array": lambda: xp.add(x, y, out=out),
        "sum": lambda: x.sum(),
        "sum, and read it": lambda: float(x.sum()),
        "matmul": lambda: a @ a,
        "kernel: matmul": lambda: kernels.matmul(a, a),
        "kernel: sum": lambda: kernels.sum(a, (0,), False),
        "kernel: leaky_relu": lambda: kernels.leaky_relu(x, 0.2),
        "kernel: adam_step": lambda: kernels.adam_step(p, g, m, v, **adam),
        "kernel: random_normal": lambda: kernels.random_normal(0, 0, TINY, "float32"),
    }


def large_calls(backend: Backend, size: int) -> Rates:
    """Calls that show what the device can do: products of (size x size), passes over four times as many elements."""
    xp, kernels = backend.xp, backend.kernels
    a, b = xp.ones((size, size), "float32"), xp.ones((size, size), "float32")
    x = xp.ones((4, size, size), "float32")
    rates: Rates = {
        "matmul": (lambda: kernels.matmul(a, b), 2 * size**3 / 1e9, "GFLOP/s"),
        "matmul, transposed": (lambda: kernels.matmul(a.T, b), 2 * size**3 / 1e9, "GFLOP/s"),
        "leaky_relu": (lambda: kernels.leaky_relu(x, 0.2), 2 * x.nbytes / 1e9, "GB/s"),
        "sum over columns": (lambda: kernels.sum(x.reshape(-1, 64), (0,), False), x.nbytes / 1e9, "GB/s"),
    }
    if not isinstance(kernels, GpuKernels):
        return rates
    host = get_backend("cpu").xp.ones((size, size), "float32")
    rates["copy from the host"] = (lambda: backend.asarray(host), host.nbytes / 1e9, "GB/s")
    if int(xp.cuda.Device().compute_capability) >= 80:
        tf32 = GpuKernels(xp, "tf32")
        rates["matmul in TF32"] = (lambda: tf32.matmul(a, b), 2 * size**3 / 1e9, "GFLOP/s")
    return rates


def torch_calls(torch: Any, device: str) -> dict[str, Call]:
    """PyTorch's like of some tiny calls, under the same names."""
    x, y = torch.ones(TINY, device=device), torch.ones(TINY, device=device)
    out, a = torch.empty_like(x), torch.ones((64, 64), device=device)
    return {
        "empty": lambda: torch.empty(TINY, device=device),
        "reshape": lambda: a.reshape(-1),
        "add": lambda: x + y,
        "add, into an array": lambda: torch.add(x, y, out=out),
        "sum": lambda: x.sum(),
        "sum, and read it": lambda: float(x.sum()),
        "matmul": lambda: a @ a,
        "kernel: leaky_relu": lambda: torch.nn.functional.leaky_relu(x, 0.2),
        "kernel: random_normal": lambda: torch.randn(TINY, device=device),
    }


def torch_on(device: str) -> tuple[Any, Any] | None:
    """PyTorch, and what `measure` asks of a device; None where PyTorch is missing or does not see the device."""
    try:
        import torch
    except ImportError:
        return None
    if device == "cpu":
        return torch, get_backend("cpu")
    if not torch.cuda.is_available():
        return None
    cuda = types.SimpleNamespace(
        Event=lambda: torch.cuda.Event(enable_timing=True),
        get_elapsed_time=lambda start, end: start.elapsed_time(end),
    )
    xp = types.SimpleNamespace(cuda=cuda)
    return torch, types.SimpleNamespace(device=device, xp=xp, synchronize=torch.cuda.synchronize)


def time_tiny(backend: Backend) -> dict[str, dict[str, Timing]]:
    """name -> "minigan" and, where it can be, "pytorch" -> Timing."""
    times = {name: {"minigan": measure(call, backend, seconds=SECONDS)} for name, call in tiny_calls(backend).items()}
    found = torch_on(backend.device)
    if found:
        torch, device = found
        with torch.no_grad():
            for name, call in torch_calls(torch, backend.device).items():
                times[name]["pytorch"] = measure(call, device, seconds=SECONDS)
    return times


def time_large(backend: Backend, size: int) -> dict[str, tuple[float, str]]:
    """name -> rate and its unit."""
    return {
        name: (work / measure(call, backend, seconds=SECONDS).wall.median, unit)
        for name, (call, work, unit) in large_calls(backend, size).items()
    }


def line(name: str, times: dict[str, Timing]) -> str:
    """Host and wall of each."""
    seconds = [part.median for timing in times.values() for part in (timing.host, timing.wall)]
    return f"{name:<28}" + "".join(f"{value * 1e6:>{8 if i % 2 else 16}.2f}" for i, value in enumerate(seconds))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", default="cuda", metavar="NAME", help="cpu, cuda or cuda:N (default cuda)")
    parser.add_argument("--size", type=int, default=4096, metavar="N", help="side of large matrices (default 4096)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures")
    options = parser.parse_args(arguments)
    problem = cuda_problem()
    if problem and options.device != "cpu":
        print(f"launch_costs.py: {problem}", file=sys.stderr)
        return 2
    check_writable(options.json)
    backend = get_backend(options.device)
    facts = environment(default_threads(), "float32") | {"device": backend.device}
    for name, value in facts.items():
        print(fact(name, value))

    tiny = time_tiny(backend)
    names = list(dict.fromkeys(who for times in tiny.values() for who in times))
    print(f"\n{'microseconds a tiny call':<28}" + "".join(f"{f'{who}: host':>16}{'wall':>8}" for who in names))
    for name, times in tiny.items():
        print(line(name, times))
    print(f"\nlarge calls, {options.size} x {options.size}")
    large = time_large(backend, options.size)
    for name, (rate, unit) in large.items():
        print(f"{name:<28}{rate:>12.1f} {unit}")
    if options.json:
        microseconds = {name: {who: asdict(timing) for who, timing in times.items()} for name, times in tiny.items()}
        with replacing(options.json) as file:
            content = {"environment": facts, "tiny, seconds a call": microseconds, "large": large}
            file.write((json.dumps(content, indent=1) + "\n").encode())
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except OSError as error:
        sys.exit(f"error: {error}")
