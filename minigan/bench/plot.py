"""A picture of the results: time over batch size, a panel a workload, a line a phase and device."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..files import replacing
from .suite import Results, Row

STYLES = ("-", "--", ":")  # one a phase
PANELS = 3  # in a row


def check_matplotlib() -> None:
    """Raise ValueError where matplotlib is missing."""
    if find_spec("matplotlib") is None:
        raise ValueError("--plot needs matplotlib: pip install 'minigan[plot]'")


def save_plot(results: Results, path: Path) -> None:
    """Write a PNG."""
    from matplotlib.figure import Figure

    panels: dict[str, list[Row]] = {}
    for row in results.rows:
        if row.batch_size is not None:
            panels.setdefault(row.workload, []).append(row)
    if not panels:
        raise ValueError("nothing to plot: no workload measured depends on the batch size")
    lines = -(-len(panels) // PANELS)
    figure = Figure(figsize=(4.2 * min(PANELS, len(panels)), 0.6 + 3 * lines), layout="constrained")
    axes = figure.subplots(lines, min(PANELS, len(panels)), squeeze=False)
    for unused in axes.flat[len(panels) :]:
        unused.remove()
    for axis, (name, rows) in zip(axes.flat, panels.items(), strict=False):
        _panel(axis, rows)
        axis.set_title(name)
    facts = results.environment
    figure.suptitle(f"{facts['processor']}, {facts['threads']} threads; GPU: {facts['GPU']}"[:120], fontsize=8)
    with replacing(path) as file:
        figure.savefig(file, format="png", dpi=110)


def _panel(axis: Any, rows: list[Row]) -> None:
    """Median and quartiles over batch size; colour says the device, dashes the phase."""
    from matplotlib.ticker import LogLocator, NullLocator

    devices, phases = (list(dict.fromkeys(getattr(row, field) for row in rows)) for field in ("device", "phase"))
    for d, device in enumerate(devices):
        for p, phase in enumerate(phases):
            line = [row for row in rows if (row.device, row.phase) == (device, phase)]
            if not line:  # a step as a graph is of GPUs alone
                continue
            medians = [row.timing.wall.median * 1e3 for row in line]
            below = [(row.timing.wall.median - row.timing.wall.low) * 1e3 for row in line]
            above = [(row.timing.wall.high - row.timing.wall.median) * 1e3 for row in line]
            axis.errorbar(
                [row.batch_size for row in line],
                medians,
                yerr=(below, above),
                color=f"C{d}",
                linestyle=STYLES[p],
                marker="o",
                markersize=3,
                label=f"{device}, {phase}",
            )
    sizes = sorted({row.batch_size for row in rows if row.batch_size})
    axis.set_xscale("log", base=2)
    axis.set_yscale("log")
    axis.set_xticks(sizes, [str(size) for size in sizes])
    low, high = axis.get_ylim()
    axis.set_ylim(low / 2, high * 2)
    axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axis.yaxis.set_minor_locator(NullLocator())
    axis.set_xlabel("batch size")
    axis.set_ylabel("ms")
    axis.legend(fontsize=7)
