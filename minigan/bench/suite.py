"""One measurement: every workload at every batch size on every device, each checked before it is timed."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..backend import Backend, configure_cpu, configure_cuda, get_backend
from ..files import replacing
from ..kernels.reference import ReferenceKernels
from ..memory import ExplainedMemory
from .cupti import Activity, Unavailable, trace
from .memory import peak_memory
from .parity import TOLERANCES, check
from .timing import Summary, Timing, measure
from .workload import Call, Workload

FORMAT = 1


@dataclass(frozen=True)
class Device:
    """A device as it is to be measured. precision is that of matrix products of float32 on a GPU."""

    name: str
    threads: int
    precision: str = "float32"
    conv_algorithm: str = "auto"

    def open(self) -> Backend:
        """The device, on the CPU with work memory of its own, so that nothing is warm yet."""
        if self.name == "cpu":
            return configure_cpu(threads=self.threads, conv_algorithm=self.conv_algorithm)
        return configure_cuda(self.name, self.precision)


@dataclass(frozen=True)
class Row:
    """One phase of one workload on one device.

    batch_size None: it makes no difference. activity None: not known on this device. difference: how far the results
    are from `against` (parity.difference); None on the first device, which the others are held against.
    peak_memory: bytes.
    """

    workload: str
    phase: str
    batch_size: int | None
    device: str
    precision: str
    timing: Timing
    activity: Activity | None
    peak_memory: int
    difference: float | None
    against: str

    @property
    def key(self) -> tuple:
        """What makes rows of two measurements comparable."""
        return self.workload, self.phase, self.batch_size, self.device, self.precision


@dataclass
class Results:
    """All rows, and the circumstances. Written to a file and read from it."""

    environment: dict[str, str]
    rows: list[Row] = dataclasses.field(default_factory=list)
    cold_start: dict[str, float] = dataclasses.field(default_factory=dict)  # seconds, by device
    unavailable: dict[str, str] = dataclasses.field(default_factory=dict)  # what is not in the figures, and why
    cores_used_by_others: float | None = None

    def save(self, path: Path) -> None:
        with replacing(path) as file:
            file.write((json.dumps({"format": FORMAT, **dataclasses.asdict(self)}, indent=1) + "\n").encode())

    @classmethod
    def load(cls, path: Path) -> Results:
        """Raises ValueError for a file that `minigan bench --json` did not write."""
        try:
            values = json.loads(path.read_text())
            if values.pop("format") != FORMAT:
                raise ValueError("another format")
            return cls(**values | {"rows": [_row(row) for row in values["rows"]]})
        except (ValueError, KeyError, TypeError, AttributeError):
            raise ValueError(f"{path} was not written by this version of minigan bench --json") from None


def _row(values: dict[str, Any]) -> Row:
    timing, activity = values["timing"], values["activity"]
    summaries = {name: timing[name] and Summary(**timing[name]) for name in ("wall", "host", "device")}
    return Row(**values | {"timing": Timing(**timing | summaries), "activity": activity and Activity(**activity)})


def run_suite(
    workloads: Sequence[Workload],
    batch_sizes: Sequence[int],
    devices: Sequence[Device],
    results: Results,
    *,
    seconds: float,
) -> Iterator[list[Row]]:
    """Measure; the rows of one workload after another, which are added to the results, too.

    The first batch size of a workload is checked against the reference kernels, the others against the first device.
    Raises ParityError when a device computes something else.
    """
    for workload in workloads:
        rows: list[Row] = []
        for position, batch_size in enumerate(batch_sizes if workload.batched else batch_sizes[:1]):
            rows += _measure(workload, batch_size, devices, results, seconds, with_reference=position == 0)
        results.rows += rows
        yield rows


def _measure(
    workload: Workload,
    batch_size: int,
    devices: Sequence[Device],
    results: Results,
    seconds: float,
    with_reference: bool,
) -> list[Row]:
    """First every device's results, then every device's times."""
    what = f"{workload.name} at batch size {batch_size}"
    expected, against = None, devices[0].name
    if with_reference:
        expected, against = workload.prepare(reference(), batch_size).evidence(), "the reference kernels"
    differences: list[float | None] = []
    for device in devices:
        backend = device.open()
        with ExplainedMemory(backend, batch_size):
            evidence = workload.prepare(backend, batch_size).evidence()
        if expected is None:
            expected = evidence
            differences.append(None)
        else:
            tolerance = TOLERANCES[device.precision][workload.training]
            differences.append(check(evidence, expected, tolerance, what=what, device=device.name, against=against))
    rows = []
    for device, difference in zip(devices, differences, strict=True):
        with ExplainedMemory(device.open(), batch_size):
            rows += _timed(workload, batch_size, device, results, seconds, (difference, against))
    return rows


def _timed(
    workload: Workload,
    batch_size: int,
    device: Device,
    results: Results,
    seconds: float,
    parity: tuple[float | None, str],
) -> list[Row]:
    """Every phase of a workload on one device."""
    peak = _peak_memory(workload, batch_size, device)
    backend, rows = device.open(), []
    for phase, call in workload.prepare(backend, batch_size).phases.items():
        timing = measure(call, backend, seconds=seconds)
        activity = _activity(call, backend, results)
        size = batch_size if workload.batched else None
        names = (workload.name, phase, size, device.name, device.precision)
        rows.append(Row(*names, timing, activity, peak, *parity))
    return rows


def reference() -> Backend:
    """The kernels that define every operation, on a device of their own."""
    xp = get_backend("cpu").xp
    return Backend("reference", xp, ReferenceKernels(xp))


def _peak_memory(workload: Workload, batch_size: int, device: Device) -> int:
    backend = device.open()
    with peak_memory(backend) as peak:
        for call in workload.prepare(backend, batch_size).phases.values():
            call()
    return peak.bytes


def _activity(call: Call, backend: Backend, results: Results) -> Activity | None:
    """What a GPU did in a call; the results say why where that cannot be known."""
    if backend.device == "cpu":
        return None
    try:
        return trace(call, backend)
    except Unavailable as reason:
        results.unavailable[f"launches on {backend.device}"] = str(reason)
        return None
