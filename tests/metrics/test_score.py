"""A score prints its protocol, survives JSON, and refuses to be compared across protocols."""

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigan.metrics import ProtocolError, Score, compare

PROTOCOL = {"N": 10_000, "extractor": "lenet", "seed": 0, "batch norm": "eval"}
FID = Score("FID", 32.94, protocol=PROTOCOL)

finite = st.floats(allow_nan=False, allow_infinity=False)
entries = st.text() | st.integers() | finite | st.booleans() | st.none()


def with_protocol(**changes):
    return dataclasses.replace(FID, protocol=PROTOCOL | changes)


def test_prints_as_one_line_with_its_protocol():
    assert str(FID) == "FID 32.94 (N 10000, extractor lenet, seed 0, batch norm eval)"
    assert str(Score("KID", 0.0123456, 0.00123, {"N": 10})) == "KID 0.01235 ± 0.0012 (N 10)"


@given(st.text(), finite, st.none() | finite, st.dictionaries(st.text(), entries))
def test_json_round_trip(name, value, spread, protocol):
    score = Score(name, value, spread, protocol)
    assert Score(**json.loads(json.dumps(dataclasses.asdict(score)))) == score


def test_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        FID.value = 0.0


def test_compares_within_a_protocol():
    assert compare(FID, dataclasses.replace(FID, value=30.0)) == pytest.approx(2.94)


def test_the_order_of_the_entries_does_not_matter():
    assert compare(FID, dataclasses.replace(FID, protocol=dict(reversed(PROTOCOL.items())))) == 0


def test_equal_numbers_are_one_entry():
    assert compare(with_protocol(threshold=3), with_protocol(threshold=3.0)) == 0


def test_names_every_differing_entry_and_no_other():
    with pytest.raises(ProtocolError) as error:
        compare(FID, with_protocol(N=5000, seed=1))
    message = str(error.value)
    assert "N (10000 and 5000)" in message
    assert "seed (0 and 1)" in message
    assert "extractor" not in message


def test_a_missing_entry_differs():
    with pytest.raises(ProtocolError, match=r"k \(5 and absent\)"):
        compare(with_protocol(k=5), FID)
    with pytest.raises(ProtocolError, match=r"k \(absent and None\)"):
        compare(FID, with_protocol(k=None))


def test_different_scores_are_not_compared():
    with pytest.raises(ProtocolError, match="FID and KID"):
        compare(FID, dataclasses.replace(FID, name="KID"))
    assert issubclass(ProtocolError, ValueError)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "3", np.float32(3)])
def test_the_figure_is_a_finite_number(value):
    with pytest.raises(ValueError, match="FID is"):
        Score("FID", value)
    with pytest.raises(ValueError, match="FID is"):
        Score("FID", 1.0, spread=value)


@pytest.mark.parametrize("entry", [np.int64(3), [1, 2], {"a": 1}])
def test_protocol_entries_are_plain_values(entry):
    with pytest.raises(ValueError, match="N is"):
        Score("FID", 1.0, protocol={"N": entry})
