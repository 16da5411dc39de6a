"""Results as text of at most 100 columns."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import Any

from .suite import Results, Row
from .timing import Summary
from .training import INSIDE
from .workload import Workload

WIDTH = 100
COLUMNS = {
    "phase": "<13", "batch": ">5", "device": ">8", "ms": ">9", "quartiles": ">15", "images/s": ">10", "first": ">8",
    "host": ">7", "gpu": ">7", "launches": ">9", "MB": ">5",
}  # fmt: skip
LEGEND = (
    "ms: median of a call, from the start until the device is done, with quartiles. first: the first call, waited for. "
    "host: until the calls have returned. gpu: from the first to the last thing the GPU did, by its events. launches: "
    "kernels started. MB: peak memory (on the CPU of arrays and objects, on a GPU of CuPy's pool). Phase graph: a step "
    "recorded as one CUDA graph, as by minigan train --cuda-graph."
)


def heading(results: Results) -> str:
    """The machine, the software, and what is timed."""
    facts = {**results.environment, "timed": INSIDE, "columns": LEGEND}
    return "\n".join(fact(name, value) for name, value in facts.items())


def fact(name: str, value: str) -> str:
    return textwrap.fill(value, WIDTH, initial_indent=f"{name:<14}", subsequent_indent=" " * 14)


def table(workload: Workload, rows: Sequence[Row]) -> str:
    """The rows of one workload, and what they say."""
    title = textwrap.fill(f"{workload.name}: {workload.summary}", WIDTH, subsequent_indent="  ")
    lines = [title, "  " + _cells(COLUMNS)]
    for phase in _phases(rows):
        lines += ["  " + _line(row) for row in rows if row.phase == phase]
    lines += [f"  {sentence}" for sentence in (*crossovers(rows), *idle(rows), agreement(rows))]
    return "\n".join(lines)


def ending(results: Results) -> str:
    """What holds for all rows: starting, what is missing and why, who else was at work."""
    facts = [("cold start", f"{name}: {seconds:.2f} s from nothing to the end of a new process's first training step")
             for name, seconds in results.cold_start.items()]  # fmt: skip
    facts += [("not measured", f"{what}: {reason}") for what, reason in results.unavailable.items()]
    cores = results.cores_used_by_others
    if cores is not None and cores > 0.1:
        facts.append(("WARNING", f"other programs used {cores:.1f} cores meanwhile: the times are too long"))
    return "\n".join(fact(name, text) for name, text in facts)


def _phases(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(row.phase for row in rows))


def _cells(texts: Any) -> str:
    return "".join(f"{text:{form}}" for text, form in zip(texts, COLUMNS.values(), strict=True))


def _line(row: Row) -> str:
    timing = row.timing
    return _cells(
        (
            row.phase,
            row.batch_size or "any",
            row.device,
            milliseconds(timing.wall.median),
            quartiles(timing.wall),
            f"{row.batch_size / timing.wall.median:,.0f}" if row.batch_size else "-",
            milliseconds(timing.first),
            "-" if timing.device is None else milliseconds(timing.host.median),
            "-" if timing.device is None else milliseconds(timing.device.median),
            "-" if row.activity is None else f"{row.activity.kernels:.0f}",
            f"{row.peak_memory / 1e6:.0f}",
        )
    )


def milliseconds(seconds: float) -> str:
    """With three digits at least: 0.0123, 1.23, 123, 1234."""
    value = seconds * 1e3
    return f"{value:.{max(0, 2 - math.floor(math.log10(value)))}f}"


def quartiles(summary: Summary) -> str:
    return f"{milliseconds(summary.low)}-{milliseconds(summary.high)}"


def crossovers(rows: Sequence[Row]) -> list[str]:
    """A sentence for every phase: from which batch size on a GPU is faster than the CPU. None without both."""
    sentences = []
    for device in dict.fromkeys(row.device for row in rows if row.device != "cpu"):
        for phase in _phases(rows):
            times = {(row.device, row.batch_size): row.timing.wall.median for row in rows if row.phase == phase}
            sizes = [size for name, size in times if name == "cpu"]
            if sizes:
                wins = [times[device, size] < times["cpu", size] for size in sizes]
                sentences.append(f"{phase}: {_crossover(device, sizes, wins)}")
    return sentences


def _crossover(device: str, sizes: list[int | None], wins: list[bool]) -> str:
    if sizes == [None]:
        return f"{device} is {'faster' if wins[0] else 'slower'} than the CPU"
    if not wins[-1]:
        return f"the CPU is faster than {device} at the largest batch size, {sizes[-1]}"
    losses = [size for size, won in zip(sizes, wins, strict=True) if not won]
    if not losses:
        return f"{device} is faster than the CPU at every batch size measured, from {sizes[0]} on"
    return (
        f"{device} is faster than the CPU from batch size {sizes[sizes.index(losses[-1]) + 1]} on, not at {losses[-1]}"
    )


def idle(rows: Sequence[Row]) -> list[str]:
    """How much of the time a GPU's kernels run; the rest is spent waiting for the host to launch them."""
    return [
        f"{row.phase}: on {row.device}, kernels run {row.activity.busy / row.timing.wall.median:.0%} of the time at "
        f"batch size {row.batch_size}"
        for row in rows
        if row.activity and row.batch_size
    ]


def agreement(rows: Sequence[Row]) -> str:
    """How far the results are from those that they were held against."""
    checked = [(row.difference, row) for row in rows if row.difference is not None]
    difference, row = max(checked, key=lambda pair: pair[0])
    if difference == 0:
        return f"results checked: the same bits as those of {row.against}"
    return f"results checked: largest difference {difference:.0e}, of {row.device} from {row.against}"
