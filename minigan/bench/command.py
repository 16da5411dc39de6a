"""minigan bench."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path

from ..backend import cuda_problem, default_threads
from ..files import check_writable
from ..gan import presets
from ..kernels.convolutions import ALGORITHMS
from ..memory import ExplainedMemory
from ..profile import Profile
from . import report
from .compare import compare
from .environment import Bystanders, cold_start, environment
from .parity import TOLERANCES
from .plot import check_matplotlib, save_plot
from .suite import Device, Results, run_suite
from .training import prepare
from .workload import Workload
from .workloads import BATCH_SIZES, DEFAULT, WORKLOADS, batch_sizes, select

COLD = ("mlp", 16)  # the preset and batch size of the cold start
SECONDS = 0.3
PROFILED_STEPS = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--device", metavar="NAMES", help="cpu, cuda, cuda:N, or several: cpu,cuda (default: all usable)"
    )
    parser.add_argument(
        "--workloads", metavar="NAMES", help=f"of {', '.join(WORKLOADS)} (default: {','.join(DEFAULT)})"
    )
    parser.add_argument("--batch-sizes", metavar="NUMBERS", help=f"default: {','.join(map(str, BATCH_SIZES))}")
    parser.add_argument(
        "--precision",
        choices=tuple(TOLERANCES),
        default="float32",
        help="of matrix products on a GPU (default float32)",
    )
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads (default: MINIGAN_THREADS, or all cores)")
    parser.add_argument(
        "--conv-algorithm", metavar="NAME", default="auto", help=f"of convolutions: auto, {', '.join(ALGORITHMS)}"
    )
    parser.add_argument("--seconds", type=float, metavar="X", help=f"time for each figure (default {SECONDS})")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures")
    parser.add_argument("--plot", type=Path, metavar="FILE.png", help="write a picture (needs matplotlib)")
    parser.add_argument("--profile", action="store_true", help="show where the time of training steps goes instead")
    parser.add_argument(
        "--compare", nargs=2, type=Path, metavar=("A.json", "B.json"), help="what became slower from A to B"
    )


def run(args: argparse.Namespace) -> int:
    """0; with --compare 1 when anything became slower."""
    figures = [f"--{name}" for name in ("seconds", "json", "plot") if getattr(args, name) is not None]
    if args.compare:
        defaults = {"precision": "float32", "conv_algorithm": "auto", "profile": False}
        names = ("device", "workloads", "batch_sizes", "threads", *defaults)
        given = [f"--{name.replace('_', '-')}" for name in names if getattr(args, name) != defaults.get(name)]
        if given + figures:
            raise ValueError(f"--compare reads two files of figures: leave {', '.join(given + figures)} out")
        text, slower = compare(*[Results.load(path) for path in args.compare])
        print(text)
        return int(slower)
    if args.profile and figures:
        raise ValueError(f"--profile prints tables of its own: leave {', '.join(figures)} out")
    seconds = SECONDS if args.seconds is None else args.seconds
    if not 0 < seconds < math.inf:
        raise ValueError(f"--seconds is the time for each figure, more than 0 and finite; got {seconds}")
    devices, missing = _devices(args)
    sizes = batch_sizes(_names(args.batch_sizes)) if args.batch_sizes is not None else None
    if args.profile:
        return _profile(args, devices, sizes)
    check_writable(args.json, args.plot)
    if args.plot:
        check_matplotlib()
    workloads = select(_names(args.workloads) if args.workloads is not None else DEFAULT)
    results = _measure(workloads, sizes or list(BATCH_SIZES), devices, missing, seconds)
    if args.json:
        results.save(args.json)
    if args.plot:
        save_plot(results, args.plot)
    return 0


def _measure(
    workloads: Sequence[Workload], sizes: list[int], devices: list[Device], missing: dict[str, str], seconds: float
) -> Results:
    precision = next((device.precision for device in devices if device.name != "cpu"), "float32")
    results = Results(environment(devices[0].threads, precision), unavailable=missing)
    print(report.heading(results), flush=True)
    bystanders = Bystanders()
    for device in devices:
        results.cold_start[device.name] = cold_start(device.name, device.threads, *COLD)
    for workload, rows in zip(workloads, run_suite(workloads, sizes, devices, results, seconds=seconds), strict=True):
        print("\n" + report.table(workload, rows), flush=True)
    results.cores_used_by_others = bystanders.cores()
    print("\n" + report.ending(results))
    return results


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",")]


def _devices(args: argparse.Namespace) -> tuple[list[Device], dict[str, str]]:
    """The devices asked for, or all that can be used, and why the GPU cannot."""
    problem = cuda_problem()
    threads = args.threads if args.threads is not None else default_threads()
    names = _names(args.device) if args.device is not None else ["cpu"] if problem else ["cpu", "cuda"]
    names = list(dict.fromkeys("cuda:0" if name == "cuda" else name for name in names))
    if args.precision != "float32" and names == ["cpu"]:
        raise ValueError(f"--precision {args.precision} is for GPUs, and none is to be measured")
    devices = [
        Device(name, threads, "float32" if name == "cpu" else args.precision, args.conv_algorithm) for name in names
    ]
    for device in devices:
        device.open()  # an unknown one, or one that cannot be used, is refused before anything is measured
    without_gpu = problem or "--device names the CPU alone"
    return devices, {"GPU (host, gpu and launches)": without_gpu} if names == ["cpu"] else {}


def _profile(args: argparse.Namespace, devices: list[Device], sizes: list[int] | None) -> int:
    known = {name: workload for name, workload in WORKLOADS.items() if workload.training}
    for workload in select(_names(args.workloads) if args.workloads is not None else ["dcgan"], known):
        for size in sizes or [presets.configure(workload.name).batch_size]:
            for device in devices:
                backend = device.open()
                with ExplainedMemory(backend, size):
                    algorithm, batch = prepare(workload.name, backend, size)
                    for _ in range(2):  # warm up
                        algorithm.step(batch)
                    with Profile(backend, algorithm.modules) as profile:
                        for _ in range(PROFILED_STEPS):
                            algorithm.step(batch)
                print(f"{workload.name}, batch size {size}: {profile.table(PROFILED_STEPS)}\n", flush=True)
    return 0
