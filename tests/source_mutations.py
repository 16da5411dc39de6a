"""Random changes to the source of ops/ and kernels/reference.py: does the test suite notice each one?

    python tests/source_mutations.py --count 300 --seed 0 --log mutations.log

Every mutation is tried in a copy of the tree: first against the tests of the operation it is in, then against those
of all operations, and with --whole against the whole suite. The log holds one line each; --only tries some of them
again, by their numbers. What was found stands in source_mutations.md.
"""

from __future__ import annotations

import argparse
import ast
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
OPERATIONS = ("refusals", "edges", "operators", "convolution", "batch_norm", "catalog")  # the quick ones first
QUICK = [
    *(f"tests/ops/test_{name}.py" for name in OPERATIONS),
    "tests/test_rng.py", "tests/optim", "tests/test_autograd.py", "tests/kernels/test_cpu_kernels.py", "tests/nn",
]  # fmt: skip
SWAPS = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Pow: ast.Mult, ast.Mod: ast.Mult,
    ast.FloorDiv: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.BitXor: ast.BitAnd,
    ast.LShift: ast.RShift, ast.RShift: ast.LShift, ast.And: ast.Or, ast.Or: ast.And,
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip


def targets(root: Path) -> list[Path]:
    return [*sorted((root / "minigan/ops").glob("*.py")), root / "minigan/kernels/reference.py"]


def sites(tree: ast.AST) -> Iterator[ast.AST]:
    """Every node that can be changed: code, but no docstrings, annotations, messages or lists of names."""
    stack: list[ast.AST] = [tree]
    while stack:
        node = stack.pop()
        if isinstance(node, (ast.Raise, ast.Import, ast.ImportFrom, ast.JoinedStr)):
            continue
        if isinstance(node, ast.keyword) and node.arg in ("strict", "maxsize"):
            continue
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets):
            continue
        if mutations(node):
            yield node
        for name, value in ast.iter_fields(node):
            if name not in ("annotation", "returns", "decorator_list"):
                children = value if isinstance(value, list) else [value]
                stack += [child for child in children if isinstance(child, ast.AST)]


def mutations(node: ast.AST) -> list[str]:
    """What can be done to a node, by name."""
    if isinstance(node, (ast.BinOp, ast.BoolOp, ast.AugAssign)):
        return ["operator"] if type(node.op) in SWAPS else []
    if isinstance(node, ast.Compare):
        return ["comparison"] if type(node.ops[0]) in SWAPS else []
    if isinstance(node, ast.UnaryOp):
        return ["sign"] if isinstance(node.op, (ast.USub, ast.Not)) else []
    if isinstance(node, ast.Constant):
        return ["constant"] if isinstance(node.value, (bool, int, float)) else []
    if isinstance(node, (ast.IfExp, ast.If)):
        return ["condition"]
    if isinstance(node, ast.Call) and len(node.args) > 1 and not any(isinstance(a, ast.Starred) for a in node.args):
        return ["arguments"]
    if isinstance(node, ast.Expr) and not isinstance(node.value, ast.Constant):
        return ["statement"]
    return []


def mutate(node: ast.AST) -> None:
    """Change the node in place."""
    if isinstance(node, (ast.BinOp, ast.BoolOp, ast.AugAssign)):
        node.op = SWAPS[type(node.op)]()
    elif isinstance(node, ast.Compare):
        node.ops[0] = SWAPS[type(node.ops[0])]()
    elif isinstance(node, ast.UnaryOp):
        if isinstance(node.op, ast.USub):
            node.op = ast.UAdd()
        else:
            node.operand = ast.UnaryOp(ast.Not(), node.operand)
    elif isinstance(node, ast.Constant):
        value = node.value
        node.value = not value if isinstance(value, bool) else value + 1
    elif isinstance(node, (ast.IfExp, ast.If)):
        node.test = ast.UnaryOp(ast.Not(), node.test)
    elif isinstance(node, ast.Call):
        node.args[0], node.args[1] = node.args[1], node.args[0]
    elif isinstance(node, ast.Expr):
        node.value = ast.Constant(None)


@dataclass
class Mutation:
    """path: the file, from the root of the tree; scope: the class or function around; text: the file's new text."""

    path: Path
    line: int
    scope: str
    before: str
    after: str
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.before}  ->  {self.after}".replace("\n", " ")


def mutations_of(root: Path, count: int, seed: int) -> Iterator[Mutation]:
    """`count` different random ones of the tree at `root`."""
    places = [(path, number) for path in targets(root) for number, _ in enumerate(sites(parsed(path)))]
    for path, number in random.Random(seed).sample(places, min(count, len(places))):
        tree = parsed(path)
        node: Any = list(sites(tree))[number]
        line, before, scope = node.lineno, ast.unparse(node), scope_of(tree, node.lineno)
        mutate(node)
        text = ast.unparse(ast.fix_missing_locations(tree))
        yield Mutation(path.relative_to(root), line, scope, before, ast.unparse(node), text)


def scope_of(tree: ast.Module, line: int) -> str:
    """The class around a line, or the function; of ReferenceKernels, the kernel."""
    found = ""
    for node in ast.walk(tree):
        inside = isinstance(node, (ast.ClassDef, ast.FunctionDef)) and node.lineno <= line <= (node.end_lineno or 0)
        if inside and found in ("", "ReferenceKernels"):
            found = node.name  # type: ignore[attr-defined]
    return found


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def verdict(tree: Path, tests: list[str], profile: str) -> str:
    """What the tests say: SURVIVED where they pass (or there are none), killed where one fails, or TIMEOUT."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
    environment = {**os.environ, "HYPOTHESIS_PROFILE": profile, "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(tree)}
    try:
        done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, timeout=600)
    except subprocess.TimeoutExpired:
        return "TIMEOUT"
    return "SURVIVED" if done.returncode in (0, pytest.ExitCode.NO_TESTS_COLLECTED) else "killed"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--log", type=Path, default=Path("mutations.log"))
    parser.add_argument("--only", type=int, nargs="+", metavar="NUMBER", help="of the mutations, try these alone")
    parser.add_argument("--whole", action="store_true", help="try survivors of the quick tests on the whole suite")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, args.log.open("a", encoding="utf-8") as log:
        tree = Path(folder) / "tree"
        shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns(".git", "runs", ".hypothesis", "__pycache__"))
        assert verdict(tree, QUICK, "quick") == "SURVIVED", "the tests must pass before anything is changed"
        found: Counter[str] = Counter()
        for number, mutation in enumerate(mutations_of(tree, args.count, args.seed), start=1):
            if args.only and number not in args.only:
                continue
            path = tree / mutation.path
            original = path.read_text(encoding="utf-8")
            path.write_text(mutation.text, encoding="utf-8")
            os.utime(path, (time.time() + 2 * number,) * 2)  # never taken for what was compiled before
            name = mutation.scope.strip("_")
            own = ["tests/ops/test_catalog.py", "-k", f"{name} or {name.replace('_', '')}"] if name else QUICK
            said = "SURVIVED"
            for tests, profile in ((own, "quick"), (QUICK, "quick"), *((["tests"], "ci"),) * args.whole):
                if said == "SURVIVED":
                    said = verdict(tree, tests, profile)
            path.write_text(original, encoding="utf-8")
            os.utime(path, (time.time() + 2 * number + 1,) * 2)
            found[said] += 1
            print(number, said, mutation, file=log, flush=True)
        print(", ".join(f"{times} {said}" for said, times in sorted(found.items())), file=log)


if __name__ == "__main__":
    main()
