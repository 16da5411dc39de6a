"""The circumstances of a measurement, without which its figures mean nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path
from time import perf_counter

from ..system import describe

PROCESSOR_TIMES = Path("/proc/stat")  # Linux
FIRST_STEP = """
from minigan.backend import configure_cpu, get_backend
from minigan.bench.training import prepare
if {device!r} == "cpu":
    configure_cpu(threads={threads})
algorithm, batch = prepare({preset!r}, get_backend({device!r}), {batch_size})
algorithm.step(batch)
algorithm.backend.synchronize()
"""


def environment(threads: int, precision: str) -> dict[str, str]:
    """Machine and software, CPU threads, arithmetic (precision: that of matrix products on a GPU), and the time."""
    return describe() | {
        "threads": str(threads),
        "arithmetic": "float32" if precision == "float32" else f"float32, matrix products on the GPU in {precision}",
        "measured": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }


class Bystanders:
    """How many cores other programs used since this was made."""

    def __init__(self) -> None:
        self.start, self.used = perf_counter(), _used_by_others()

    def cores(self) -> float | None:
        """The mean, None where the system does not tell."""
        used = _used_by_others()
        if used is None or self.used is None:
            return None
        return max(0.0, (used - self.used) / (perf_counter() - self.start))


def _used_by_others() -> float | None:
    """Processor seconds that went to others since the machine started."""
    if not PROCESSOR_TIMES.exists():
        return None
    user, nice, system, _idle, _wait, *others = map(int, PROCESSOR_TIMES.read_text().split()[1:9])
    times = os.times()
    mine = times.user + times.system + times.children_user + times.children_system
    return (user + nice + system + sum(others)) / os.sysconf("SC_CLK_TCK") - mine


def cold_start(device: str, threads: int, preset: str, batch_size: int) -> float:
    """Seconds of a new process that imports minigan, builds a preset and does one training step."""
    code = FIRST_STEP.format(device=device, threads=threads, preset=preset, batch_size=batch_size)
    start = perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return perf_counter() - start
