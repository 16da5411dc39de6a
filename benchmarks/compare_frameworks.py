"""Race one training step of a GAN between minigan, PyTorch and TensorFlow on this machine.

    pip install . -r benchmarks/requirements.txt
    python benchmarks/compare_frameworks.py                     all rows, about a quarter of an hour
    python benchmarks/compare_frameworks.py --quick             two minutes
    python benchmarks/compare_frameworks.py --workloads mlp-16 --update alternating --json out.json

What is raced stands in `contestants/workloads.py`, how each contestant does it in the files beside it.

Each contestant runs in a process of its own, with the same number of threads and the same initial weights,
images and latents. First the losses of three steps are compared, with dropout off (the masks differ); a
contestant that computes something else ends the run. Then the contestants take turns: every round runs each
one once, for a batch of steps from the common weights, so that a drift of the machine hits all alike.

Inside the timed region: the forward passes, dropout masks, gradients and updates of both players. Outside:
drawing images and latents and laying them out as the framework likes them, and building or compiling.

A time is the median over the rounds, with quartiles. A ratio is a median divided by the first contestant's:
with minigan first, above 1 means that minigan is faster. Memory is the peak resident set of the process.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from contestants import CONTESTANTS, Unavailable, contestants_for
from contestants.process import Process
from contestants.workloads import WORKLOADS

from minigan.backend import default_threads
from minigan.bench.environment import Bystanders
from minigan.files import check_writable, replacing
from minigan.system import describe


class Disagreement(ValueError):
    """A contestant computes something else than the first one."""


def check_agreement(losses: dict[str, list[tuple[float, float]]], tolerances: tuple[float, ...]) -> None:
    """Raise Disagreement unless all give the first one's losses, step by step within the relative tolerances."""
    reference_name, reference = next(iter(losses.items()))
    for name, values in losses.items():
        for step, tolerance in enumerate(tolerances):
            if not np.allclose(values[step], reference[step], rtol=tolerance, atol=0):
                raise Disagreement(
                    f"losses (discriminator's, generator's) of step {step + 1}: {name} {values[step]}, "
                    f"{reference_name} {reference[step]}; allowed relative difference {tolerance}"
                )


def race(
    workload: str, update: str, names: list[str], *, threads: int, device: str, rounds: int, seconds: float
) -> list[dict[str, Any]]:
    """One row a contestant, in the order given: its figures, or why it is unavailable.

    rounds: turns of each; seconds: what a turn should take.
    """
    bystanders = Bystanders()
    rows = {name: {"workload": workload, "update": update, "contestant": name} for name in names}
    processes: list[Process] = []
    try:
        for name, row in rows.items():
            try:
                processes.append(Process(name, workload, update, threads=threads, device=device))
            except Unavailable as reason:
                row["unavailable"] = str(reason)
        if processes:
            for name, figures in measure(processes, WORKLOADS[workload].tolerances, rounds, seconds).items():
                rows[name] |= figures
    finally:
        for process in processes:
            process.close()
    others = bystanders.cores()
    return [{**row, "cores_used_by_others": others and round(others, 2)} for row in rows.values()]


def measure(
    processes: list[Process], tolerances: tuple[float, ...], rounds: int, seconds: float
) -> dict[str, dict[str, Any]]:
    """By contestant: versions, first losses, milliseconds a step in every round, their quartiles, peak memory."""
    losses = {process.name: process.first_losses(len(tolerances)) for process in processes}
    check_agreement(losses, tolerances)

    steps = {}
    for process in processes:
        process.seconds(2)  # whatever the first steps with dropout still have to build
        steps[process.name] = max(2, round(seconds / (process.seconds(3) / 3)))
    times: dict[str, list[float]] = {process.name: [] for process in processes}
    for turn in range(rounds):
        first = turn % len(processes)  # nobody always follows the same one
        for process in processes[first:] + processes[:first]:
            time.sleep(0.05)  # let the threads of the one before go to sleep
            times[process.name].append(1e3 * process.seconds(steps[process.name]) / steps[process.name])

    quartiles = {name: np.percentile(values, [25, 50, 75]).tolist() for name, values in times.items()}
    return {
        process.name: {
            "versions": process.details,
            "losses": losses[process.name],
            "steps_a_round": steps[process.name],
            "milliseconds": times[process.name],
            "quartiles": quartiles[process.name],  # first, median, third
            "ratio": quartiles[process.name][1] / quartiles[processes[0].name][1],
            "peak_memory": process.peak_memory(),
        }
        for process in processes
    }


def table(rows: list[dict[str, Any]]) -> str:
    """The rows of one race as text."""
    runners = [row for row in rows if "quartiles" in row]
    lines = [f"{rows[0]['workload']}, {rows[0]['update']}"]
    if (rows[0]["cores_used_by_others"] or 0) > 0.1:
        lines[0] += f" (other programs used {rows[0]['cores_used_by_others']} cores meanwhile: times are too long)"
    if runners:
        ratio = f"time / {runners[0]['contestant']}'s"
        lines.append(f"  {'contestant':<22}{'ms a step':>10}{'quartiles':>20}{ratio:>24}{'peak MB':>9}")
    for row in rows:
        if row in runners:
            low, median, high = row["quartiles"]
            spread = f"{low:.2f} to {high:.2f}"
            figures = f"{median:>10.2f}{spread:>20}{row['ratio']:>24.2f}{row['peak_memory'] / 1e6:>9.0f}"
        else:
            figures = f" unavailable: {row['unavailable']}"
        lines.append(f"  {row['contestant']:<22}{figures}")
    return "\n".join(lines)


def plot(races: list[list[dict[str, Any]]], facts: dict[str, Any], path: Path) -> None:
    """One panel of bars for each race: median time a step, whiskers from quartile to quartile."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    races = [[row for row in rows if "quartiles" in row] for rows in races]
    columns = min(4, len(races))
    lines = -(-len(races) // columns)
    figure, axes = pyplot.subplots(lines, columns, figsize=(4 * columns, 2.6 * lines), squeeze=False)
    for axis in axes.flat[len(races) :]:
        axis.remove()
    for axis, rows in zip(axes.flat, races, strict=False):
        names = [row["contestant"] for row in rows]
        lows, medians, highs = np.array([row["quartiles"] for row in rows]).T
        whiskers = (medians - lows, highs - medians)
        colors = [f"C{list(CONTESTANTS).index(name)}" for name in names]
        bars = axis.barh(names, medians, xerr=whiskers, color=colors, ecolor="0.3")
        axis.bar_label(bars, [f" {row['quartiles'][1]:.3g} ms, {row['ratio']:.2f}" for row in rows], fontsize=7)
        axis.set_xlim(0, 1.7 * medians.max())
        axis.invert_yaxis()
        axis.tick_params(labelsize=7)
        axis.set_title(f"{rows[0]['workload']}, {rows[0]['update']}", fontsize=9)
    figure.suptitle(f"One training step, {facts['threads']} threads, {facts['processor']}", fontsize=10)
    figure.tight_layout()
    figure.savefig(path, dpi=150)


def positive_integer(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError(text)
    return value


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    choice = {"nargs": "+", "metavar": "NAME"}
    parser.add_argument("--workloads", choices=WORKLOADS, default=list(WORKLOADS), help=", ".join(WORKLOADS), **choice)
    parser.add_argument(
        "--contestants",
        choices=CONTESTANTS,
        help=f"{', '.join(CONTESTANTS)} (default: all for the device); ratios are to the first",
        **choice,
    )
    parser.add_argument(
        "--update", choices=["alternating", "simultaneous", "both"], help="default: both; quick: alternating"
    )
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument(
        "--threads",
        type=positive_integer,
        default=default_threads(),
        help="of each (default: the cores, here %(default)s)",
    )
    parser.add_argument("--rounds", type=positive_integer, help="turns of each contestant (default: 15; quick: 5)")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter turns")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="write a picture (needs matplotlib)")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    check_writable(options.json, options.plot)
    os.environ["OMP_NUM_THREADS"] = str(options.threads)  # read by the contestants' processes as they start
    facts = describe() | {"threads": str(options.threads), "device": options.device}
    for key, value in facts.items():
        print(f"{key + ':':<11}{value}")

    update = options.update or ("alternating" if options.quick else "both")
    updates = ["alternating", "simultaneous"] if update == "both" else [update]
    races = []
    for workload in options.workloads:
        for update in updates:
            rows = race(
                workload,
                update,
                options.contestants or contestants_for(options.device),
                threads=options.threads,
                device=options.device,
                rounds=options.rounds or (5 if options.quick else 15),
                seconds=0.3 if options.quick else 1.0,
            )
            races.append(rows)
            print("\n" + table(rows), flush=True)
    if options.json:
        rows = [row for race_rows in races for row in race_rows]
        with replacing(options.json) as file:
            file.write((json.dumps({"environment": facts, "rows": rows}, indent=1) + "\n").encode())
    if options.plot:
        plot(races, facts, options.plot)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (Disagreement, OSError) as error:
        sys.exit(f"error: {error}")
