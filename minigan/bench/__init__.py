"""Measuring: operations and whole training steps, on one device or several, their results checked before their times.

`timing` times, `workloads` lists what is timed, `parity` refuses a device that computes something else, `suite` brings
them together, `report` and `plot` show it, `compare` finds what became slower.
"""

from .compare import compare
from .parity import ParityError
from .suite import Device, Results, Row, run_suite
from .timing import Summary, Timing, measure
from .workload import Trial, Workload
from .workloads import WORKLOADS

__all__ = [
    "WORKLOADS", "Device", "ParityError", "Results", "Row", "Summary", "Timing", "Trial", "Workload", "compare",
    "measure", "run_suite",
]  # fmt: skip
