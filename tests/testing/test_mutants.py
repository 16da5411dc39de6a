"""The checks against wrong rules: every one is rejected at every order at which it is wrong, and no other."""

import pytest

from minigan.backend import get_backend
from minigan.testing import CATALOG, Draw
from minigan.testing.adjoint import rule_adjoint_check
from minigan.testing.check import example
from minigan.testing.mutants import all_mutants
from minigan.testing.report import GradientError

MUTANTS = all_mutants()
OPERATIONS = sorted({mutant.operation for mutant in MUTANTS})


def test_there_are_many_and_every_rule_has_some():
    assert len(MUTANTS) >= 600
    assert set(OPERATIONS) == {name for name, entry in CATALOG.items() if entry.function is not None}
    assert len({(mutant.operation, mutant.name) for mutant in MUTANTS}) == len(MUTANTS)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_wrong_rules_are_rejected(operation):
    for mutant in MUTANTS:
        if mutant.operation == operation and mutant.wrong_from is not None:
            assert mutant.killed(1, 24 if mutant.wrong_from == 1 else 3) == (mutant.wrong_from == 1), mutant.name
            assert mutant.killed(2), mutant.name


def test_equivalent_ones_are_not_and_say_why():
    equivalent = [mutant for mutant in MUTANTS if mutant.wrong_from is None]
    assert len(equivalent) < 40
    for mutant in equivalent:
        assert mutant.reason
        assert not mutant.killed(2, examples=3), mutant


def test_the_rule_is_put_back():
    mutant = MUTANTS[0]
    rule = CATALOG[mutant.operation].function.backward
    with mutant.planted():
        assert CATALOG[mutant.operation].function.backward is not rule
    assert CATALOG[mutant.operation].function.backward is rule


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_adjointness_alone_rejects_every_wrong_rule_of_a_linear_operation(dtype):
    """At machine precision, and without a difference quotient."""
    for mutant in MUTANTS:
        entry = CATALOG[mutant.operation]
        inputs = range(len(entry.sample(Draw.seeded(0)).arrays))
        if mutant.wrong_from == 1 and entry.linear and set(entry.linear[0]) >= set(inputs):
            with mutant.planted():
                assert any(rejected(entry, seed, dtype) for seed in range(24)), mutant


def rejected(entry, seed, dtype):
    sample, inputs = example(entry, seed, dtype, get_backend("cpu"))
    try:
        for group in entry.linear:
            rule_adjoint_check(sample.call, inputs, [k for k in group if k < len(inputs)])
    except (GradientError, ValueError):
        return True
    return False
