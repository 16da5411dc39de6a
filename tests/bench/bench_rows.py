"""Rows of results, made up."""

from __future__ import annotations

from minigan.bench.suite import Row
from minigan.bench.timing import Summary, Timing


def row(median, spread=0.0, *, workload="conv", phase="forward", batch_size=8, device="cpu", **facts):
    """A row that took `median` seconds, quartiles `spread` below and above."""
    wall = Summary(median, median - spread, median + spread)
    timing = Timing(wall, wall, facts.pop("device_time", None), first=2 * median, calls=3)
    facts = {"activity": None, "peak_memory": 10**7, "difference": 1e-6, "against": "the reference kernels"} | facts
    return Row(workload, phase, batch_size, device, "float32", timing=timing, **facts)
