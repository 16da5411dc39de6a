"""Nothing differentiable is missing from the catalog."""

import importlib
import pkgutil

import numpy as np
import pytest

import minigan
from minigan import ops
from minigan.testing import CATALOG, Draw
from minigan.testing.check import check_example

COMPARISONS = {"equal", "not_equal", "less", "less_equal", "greater", "greater_equal"}


def functions():
    """Every Function that minigan defines, wherever."""
    for module in pkgutil.walk_packages(minigan.__path__, "minigan."):
        if not module.name.endswith("__main__"):
            try:
                importlib.import_module(module.name)
            except ModuleNotFoundError as error:
                assert error.name.split(".")[0] in ("cupy", "matplotlib"), error  # optional
    found, stack = set(), [minigan.Function]
    while stack:
        for function in stack.pop().__subclasses__():
            stack.append(function)
            found.add(function)
    return {f for f in found if f.__module__.startswith("minigan.")}


def test_every_function_is_in_the_catalog():
    assert functions() == {entry.function for entry in CATALOG.values()} - {None}


def test_every_public_operation_is_in_the_catalog():
    assert {name for entry in CATALOG.values() for name in entry.public} == set(ops.__all__) - COMPARISONS


@pytest.mark.parametrize("entry", CATALOG.values(), ids=CATALOG)
def test_an_entry_reaches_its_function(entry):
    """The sample runs the Function it stands for, and names what it is linear in."""
    seen = set()

    class Names:
        def before(self, function, inputs):
            seen.add(type(function))

        def after(self, function, inputs, output):
            pass

    backend = minigan.get_backend("cpu")
    with backend.observing(Names()):
        errors = [check_example(entry, seed) for seed in range(3)]
    assert entry.function is None or entry.function in seen
    assert (errors[0].adjoint is not None) == bool(entry.linear)
    arrays = entry.sample(Draw.seeded(0)).arrays
    assert all(a.dtype == np.float64 for a in arrays)


def test_equal_seeds_draw_equal_examples():
    for entry in CATALOG.values():
        first, again = (entry.sample(Draw.seeded(3)).arrays for _ in range(2))
        assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
