"""`minigan gradcheck`: the table that says which operation can be trusted, and how far."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ..backend import get_backend
from ..files import check_writable, replacing
from .catalog import CATALOG
from .check import Errors, check_example, kernels
from .mutant import EXAMPLES, Mutant
from .mutants import all_mutants
from .report import GradientError

DEFAULTS: dict[str, Any] = {"order": 2, "examples": 25, "seed": 0, "dtype": "float64", "device": "cpu"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    absent = argparse.SUPPRESS  # what is not given is not in the Namespace: --mutants refuses what is
    parser.add_argument("--ops", nargs="+", metavar="NAME", help="operations to check (all by default)")
    order, examples = "highest order of derivative", "random examples of each operation"
    parser.add_argument("--order", type=_from(1), default=absent, help=f"{order} (default {DEFAULTS['order']})")
    parser.add_argument(
        "--examples", type=_from(1), default=absent, help=f"{examples} (default {DEFAULTS['examples']})"
    )
    parser.add_argument(
        "--seed", type=_from(0), default=absent, help="the examples of an operation are seed, seed + 1, ..."
    )
    parser.add_argument("--dtype", choices=("float64", "float32"), default=absent)
    parser.add_argument("--device", default=absent, help="cpu, cuda or cuda:N")
    parser.add_argument("--kernels", choices=("cpu", "reference"), default="cpu", help="kernels of the CPU")
    parser.add_argument("--mutants", action="store_true", help="plant wrong rules and count those the checks reject")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the table to FILE as JSON, too")


def run(args: argparse.Namespace) -> int:
    """0 when everything holds, 1 when a check failed. Raises ValueError for unknown operations or devices."""
    given = [f"--{name}" for name in DEFAULTS if name in args]
    if args.mutants and given:
        own = "examples of its own, to order 2, in float64 on the CPU"
        raise ValueError(f"--mutants checks {own}: leave {', '.join(given)} out")
    args = argparse.Namespace(**{**DEFAULTS, **vars(args)})
    names = _chosen(args.ops)
    check_writable(args.json)
    get_backend(args.device)  # an unknown device is refused before the work begins
    with kernels(args.kernels):
        rows: list[Any] = list(_killed(names) if args.mutants else _checked(names, args))
    print(_mutant_table(rows) if args.mutants else _gradient_table(rows, args.order))
    if args.json:
        with replacing(args.json) as file:
            file.write((json.dumps([asdict(row) for row in rows], indent=1) + "\n").encode())
    return 0 if all(row.passed for row in rows) else 1


def _from(least: int) -> Callable[[str], int]:
    """What reads a whole number of `least` or more."""

    def number(text: str) -> int:
        if not text.isdigit() or int(text) < least:
            raise argparse.ArgumentTypeError(f"expected {least} or more, got {text!r}")
        return int(text)

    return number


def _chosen(names: list[str] | None) -> list[str]:
    """Catalog names, capitals apart: conv2d means the Function Conv2d and the public conv2d."""
    if names is None:
        return list(CATALOG)
    for name in names:
        if name.lower() not in map(str.lower, CATALOG):
            raise ValueError(f"unknown operation {name!r}; known: {', '.join(CATALOG)}")
    wanted = [name.lower() for name in names]
    return [name for name in CATALOG if name.lower() in wanted]


# ------------------------------------------------------------------------------------ gradients


@dataclass
class Row:
    """One operation: the worst relative errors over all examples."""

    operation: str
    domain: str
    method: str
    examples: int
    errors: Errors | None
    passed: bool
    report: str = ""


def _checked(names: list[str], args: argparse.Namespace) -> Iterator[Row]:
    total = len(names) * args.examples
    with tqdm(total=total, unit="example", disable=not sys.stderr.isatty(), leave=False) as bar:
        for name in names:
            bar.set_description(name)
            yield _check(name, args, bar)


def _check(name: str, args: argparse.Namespace, bar: Any) -> Row:
    entry = CATALOG[name]
    errors: Errors | None = None
    for count in range(args.examples):
        seed = args.seed + count
        try:
            found = check_example(entry, seed, order=args.order, dtype=args.dtype, device=args.device)
        except Exception as error:  # also of a rule that does not even run
            bar.update(args.examples - count)
            line = (
                f"minigan gradcheck --ops {name} --order {args.order} --examples 1 --seed {seed} "
                f"--dtype {args.dtype} --device {args.device} --kernels {args.kernels}"
            )
            return Row(name, entry.domain, entry.method, count + 1, errors, False, _report(error, line))
        errors = found if errors is None else errors.merged(found)
        bar.update()
    return Row(name, entry.domain, entry.method, args.examples, errors, True)


def _report(error: Exception, line: str) -> str:
    if isinstance(error, GradientError) and error.mismatch is not None:
        error.mismatch.reproduce = line
        return str(error)
    kind = "" if isinstance(error, GradientError) else f"{type(error).__name__}: "
    return f"{kind}{error}\n  reproduce with  {line}"


def _gradient_table(rows: list[Row], order: int) -> str:
    header = [
        "operation",
        "reference",
        "value",
        *[f"order {k}" for k in range(1, order + 1)],
        "adjoint",
        "examples",
        "",
    ]
    lines = [
        [
            row.operation,
            {"complex": "complex step", "difference": "differences"}[row.method],
            *_figures(row.errors, order),
            str(row.examples),
            "ok" if row.passed else "FAILED",
        ]
        for row in rows
    ]
    failed = [row for row in rows if not row.passed]
    summary = f"{len(rows) - len(failed)} of {len(rows)} operations hold; figures are the worst relative errors"
    return "\n\n".join([_aligned([header, *lines]), *[f"{row.operation}:\n{row.report}" for row in failed], summary])


def _figures(errors: Errors | None, order: int) -> list[str]:
    if errors is None:
        return ["-"] * (order + 2)
    return [f"{e:.1e}" for e in (errors.value, *errors.orders)] + [
        "-" if errors.adjoint is None else f"{errors.adjoint:.1e}"
    ]


def _aligned(lines: Iterable[list[str]]) -> str:
    lines = list(lines)
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    )


# -------------------------------------------------------------------------------------- mutants


@dataclass
class MutantRow:
    """One operation: wrong rules planted, and at each order how many were rejected of how many that are wrong."""

    operation: str
    planted: int = 0
    wrong: dict[int, int] = field(default_factory=lambda: {1: 0, 2: 0})
    killed: dict[int, int] = field(default_factory=lambda: {1: 0, 2: 0})
    equivalent: dict[str, str] = field(default_factory=dict)
    misjudged: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        return not self.misjudged

    def add(self, mutant: Mutant) -> None:
        self.planted += 1
        if mutant.wrong_from is None:
            self.equivalent[mutant.name] = mutant.reason
        for order in (1, 2):
            wrong = mutant.wrong_from is not None and order >= mutant.wrong_from
            killed = mutant.killed(order, EXAMPLES if wrong else 6)
            self.wrong[order] += wrong
            self.killed[order] += wrong and killed
            if wrong != killed:
                self.misjudged.append(f"{mutant.name}: {'survived' if wrong else 'rejected'} at order {order}")


def _killed(names: list[str]) -> Iterator[MutantRow]:
    mutants = [mutant for mutant in all_mutants() if mutant.operation in names]
    if not mutants:
        raise ValueError(f"{', '.join(names)}: composed of other operations, with no rule to plant a fault in")
    rows = {name: MutantRow(name) for name in names if any(m.operation == name for m in mutants)}
    for mutant in tqdm(mutants, unit="mutant", disable=not sys.stderr.isatty(), leave=False):
        rows[mutant.operation].add(mutant)
    yield from rows.values()


def _mutant_table(rows: list[MutantRow]) -> str:
    header = ["operation", "planted", "order 1", "order 2", "equivalent", ""]
    lines = [
        [
            row.operation,
            str(row.planted),
            *[f"{row.killed[order]}/{row.wrong[order]}" for order in (1, 2)],
            str(len(row.equivalent)),
            "ok" if row.passed else "FAILED",
        ]
        for row in rows
    ]
    sums = [sum(row.killed[order] for row in rows) for order in (1, 2)]
    wrong = [sum(row.wrong[order] for row in rows) for order in (1, 2)]
    total = [
        "all",
        str(sum(row.planted for row in rows)),
        *[f"{s}/{w}" for s, w in zip(sums, wrong, strict=True)],
        str(sum(len(row.equivalent) for row in rows)),
        "",
    ]
    reasons: dict[str, list[str]] = {}
    for row in rows:
        for name, reason in row.equivalent.items():
            reasons.setdefault(f"{name} is equivalent, because {reason}", []).append(row.operation)
    notes = [f"{reason}: {', '.join(operations)}" for reason, operations in reasons.items()]
    notes += [f"{row.operation}: {fault}" for row in rows for fault in row.misjudged]
    return "\n\n".join([_aligned([header, *lines, total]), "rejected / wrong, by order of derivative", *notes])
