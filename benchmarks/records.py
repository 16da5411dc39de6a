"""Results of long benchmarks: a JSON list with one record per row and seed, appended as they come."""

from __future__ import annotations

import json
import math
import statistics
from pathlib import Path
from typing import Any

from minigan.files import locked, replacing
from minigan.system import describe

RESULTS = Path(__file__).parent / "results"

Record = dict[str, Any]


def load(name: str) -> list[Record]:
    """The records of results/NAME.json; none when there is no such file."""
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else []


def append(name: str, record: Record) -> None:
    """Add a record, with the machine it was made on, to those that this and other processes have added before."""
    machine = {key: value for key, value in describe().items() if key in ("minigan", "software", "processor", "BLAS")}
    RESULTS.mkdir(exist_ok=True)
    with locked(RESULTS), replacing(RESULTS / f"{name}.json") as file:
        records = [*load(name), {**record, "machine": machine}]
        file.write(("[\n" + ",\n".join(map(json.dumps, records)) + "\n]\n").encode())


def missing(name: str, wanted: list[Record]) -> list[Record]:
    """Those of `wanted` that no record has, all of its entries equal."""
    records = load(name)
    return [want for want in wanted if not any(want.items() <= record.items() for record in records)]


def mean_and_error(values: list[float]) -> tuple[float, float]:
    """The mean and its standard error (nan for one value)."""
    error = statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return statistics.fmean(values), error


def cell(values: list[float], digits: int) -> str:
    """mean ± standard error."""
    mean, error = mean_and_error(values)
    return f"{mean:.{digits}f}" + ("" if math.isnan(error) else f" ± {error:.{digits}f}")


def markdown(header: list[str], rows: list[list[str]]) -> str:
    """A table, its columns padded."""
    widths = [max(len(line[i]) for line in [header, *rows]) for i in range(len(header))]
    lines = [header, ["-" * width for width in widths], *rows]
    return "\n".join(
        "| " + " | ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)) + " |" for line in lines
    )
