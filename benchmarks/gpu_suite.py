"""Everything about minigan that needs an NVIDIA GPU, in one command of under ten minutes.

    pip install '.[cuda13,test,plot]' nvidia-cuda-cupti        (cuda12 for an older driver; torch for PyTorch's rows)
    python benchmarks/gpu_suite.py                             results go to benchmarks/results/gpu
    python benchmarks/gpu_suite.py DIRECTORY --only tests,bench

Parts run one after another, each in a process of its own; log.txt gets all they print, summary.json how they ended.

Exit code 0: every part did its work, or lacks a package that it needs (PyTorch, say). 1: one failed, or there was not
enough time for it. 2: there is no GPU to use.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter

from minigan.backend import cuda_problem, default_threads
from minigan.bench.environment import environment
from minigan.files import replacing

HERE = Path(__file__).parent
SECONDS = 580  # for all parts
LEAST = 20  # seconds without which no part is begun
PYTHON = (sys.executable,)


@dataclass(frozen=True)
class Part:
    """A process. needs: a module without which it is left out; limit: its seconds at most."""

    name: str
    what: str
    command: tuple[str, ...]
    limit: int
    needs: str | None = None


@dataclass(frozen=True)
class Outcome:
    """How a part ended ("done", "skipped", "failed", "cut short" or "left out"), and why."""

    name: str
    state: str
    reason: str
    seconds: float


def parts(results: Path) -> list[Part]:
    """What there is to run, what matters most first."""

    def words(options: str, **files: str) -> list[str]:
        return options.split() + [word for key, name in files.items() for word in (f"--{key}", str(results / name))]

    def bench(options: str, **files: str) -> tuple[str, ...]:
        return (*PYTHON, "-m", "minigan", "bench", *words(options, **files))

    def script(name: str, options: str, **files: str) -> tuple[str, ...]:
        return (*PYTHON, str(HERE / name), *words(options, **files))

    tests = str(HERE.parent / "tests" / "gpu")
    plot = {"plot": "bench.png"} if find_spec("matplotlib") else {}
    return [
        Part("machine", "versions, GPU, driver", (*PYTHON, "-m", "minigan", "info"), 30),
        Part(
            "tests",
            "every test that needs a GPU",
            (*PYTHON, "-m", "pytest", "-m", "gpu", "-p", "no:cacheprovider", tests),
            limit=240,
            needs="pytest",
        ),
        Part(
            "bench",
            "CPU against GPU, parity first: operations and training steps",
            bench("--device cpu,cuda --batch-sizes 16,64,256", json="bench.json", **plot),
            limit=240,
        ),
        Part(
            "launches",
            "what single calls cost, and the rates of large ones",
            script("launch_costs.py", "--device cuda", json="launch_costs.json"),
            limit=60,
        ),
        Part(
            "frameworks",
            "training steps beside PyTorch's on the same GPU",
            script(
                "compare_frameworks.py",
                "--device cuda --quick --contestants minigan minigan-graph pytorch pytorch-channels-last pytorch-graph",
                json="frameworks.json",
            ),
            limit=150,
            needs="torch",
        ),
        Part(
            "profile",
            "where the time of a step goes",
            bench("--profile --device cuda --workloads mlp,dcgan28,dcgan64"),
            limit=60,
        ),
        Part(
            "tf32",
            "operations and steps with matrix products in TF32",
            bench(
                "--device cuda --precision tf32 --batch-sizes 64,256 "
                "--workloads dense,conv,conv_transpose,dcgan28,dcgan64",
                json="bench_tf32.json",
            ),
            limit=120,
        ),
    ]


def run(part: Part, log: Path, seconds_left: float) -> Outcome:
    """Run a part; what it prints goes to the terminal and to the end of the log."""
    if part.needs and find_spec(part.needs) is None:
        return Outcome(part.name, "skipped", f"{part.needs} is not installed", 0.0)
    if seconds_left < LEAST:
        return Outcome(part.name, "left out", "no time left", 0.0)
    started = perf_counter()
    written = log.stat().st_size
    with log.open("a") as file:
        print(f"\n==== {part.name}: {part.what}\n$ {' '.join(part.command)}", file=file, flush=True)
        try:
            code = subprocess.run(
                part.command,
                stdout=file,
                stderr=subprocess.STDOUT,
                timeout=min(part.limit, seconds_left),
                env=os.environ | {"MINIGAN_REQUIRE_GPU": "1", "PYTHONUNBUFFERED": "1"},
            ).returncode
            state, reason = ("failed", f"exit code {code}") if code else ("done", "")
        except subprocess.TimeoutExpired as error:
            state, reason = "cut short", f"not done after {error.timeout:.0f} s"
    print(log.read_bytes()[written:].decode(errors="replace"), flush=True)
    return Outcome(part.name, state, reason, perf_counter() - started)


def chosen(names: str | None, known: list[Part]) -> list[Part]:
    """The parts of those names, separated by commas; all when there are none. ValueError for an unknown one."""
    if names is None:
        return known
    by_name = {part.name: part for part in known}
    for name in names.split(","):
        if name not in by_name:
            raise ValueError(f"unknown part {name!r}; known: {', '.join(by_name)}")
    return [by_name[name] for name in names.split(",")]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("directory", nargs="?", type=Path, default=HERE / "results" / "gpu", help="for the results")
    parser.add_argument("--only", metavar="NAMES", help=f"of {', '.join(p.name for p in parts(Path()))}")
    options = parser.parse_args(arguments)
    started = perf_counter()
    directory = options.directory.resolve()
    try:
        selected = chosen(options.only, parts(directory))
    except ValueError as error:
        parser.error(str(error))
    problem = cuda_problem()
    if problem:
        print(f"gpu_suite.py: nothing was run, because there is no GPU to use: {problem}", file=sys.stderr)
        print("Where there is one it would run:", *(f"  {p.name:<12}{p.what}" for p in selected), sep="\n")
        return 2

    directory.mkdir(parents=True, exist_ok=True)
    log = directory / "log.txt"
    log.write_text("")
    outcomes: list[Outcome] = []
    for part in selected:
        outcomes.append(run(part, log, SECONDS - (perf_counter() - started)))
        with replacing(directory / "summary.json") as file:
            summary = {
                "environment": environment(default_threads(), "float32"),
                "parts": [asdict(outcome) for outcome in outcomes],
            }
            file.write((json.dumps(summary, indent=1) + "\n").encode())
    for outcome in outcomes:
        print(f"{outcome.name:<12}{outcome.state:<10}{outcome.seconds:>6.0f} s  {outcome.reason}")
    print(f"results: {directory}")
    return int(any(outcome.state not in ("done", "skipped") for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
