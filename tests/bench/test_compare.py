import pytest
from bench_rows import row
from hypothesis import given
from hypothesis import strategies as st

from minigan.bench.compare import Change, compare
from minigan.bench.suite import Results


def results(*rows, **environment):
    return Results({"threads": "2", "measured": "now", **environment}, rows=list(rows))


@pytest.mark.parametrize(
    "before, after, verdict",
    [
        ((1.0, 0.1), (1.3, 0.1), "slower"),
        ((1.3, 0.1), (1.0, 0.1), "faster"),
        ((1.0, 0.1), (1.15, 0.1), "same"),  # the quartiles overlap
        ((1.0, 0.4), (1.3, 0.1), "same"),  # so they do here: the noise of one is enough
        ((1.0, 0.0), (1.0, 0.0), "same"),
    ],
)
def test_slower_is_beyond_the_noise(before, after, verdict):
    assert Change(row(*before), row(*after)).verdict == verdict


@given(st.tuples(*[st.floats(0.1, 10)] * 2), st.floats(0, 0.1))
def test_going_there_and_back(times, spread):
    one, other = (row(time, spread) for time in times)
    there, back = Change(one, other), Change(other, one)
    assert {there.verdict, back.verdict} in ({"slower", "faster"}, {"same"})
    assert there.ratio * back.ratio == pytest.approx(1)
    assert (there.ratio > 1) or there.verdict != "slower"


def test_the_report_puts_the_worst_first_and_counts():
    before = results(row(1.0, 0.01), row(1.0, 0.01, workload="mlp"), row(1.0, 0.2, workload="adam"))
    after = results(row(0.5, 0.01), row(2.0, 0.01, workload="mlp"), row(1.1, 0.2, workload="adam"))
    text, slower = compare(before, after)
    lines = text.splitlines()
    assert slower
    assert [line.split()[0] for line in lines[1:4]] == ["mlp", "adam", "conv"]
    assert lines[1].split() == ["mlp", "forward", "8", "cpu", "1000", "2000", "2.00", "2%", "SLOWER"]
    assert lines[2].split() == ["adam", "forward", "8", "cpu", "1000", "1100", "1.10", "40%"]
    assert lines[3].split()[-2:] == ["4%", "faster"]
    assert lines[4] == "1 of 3 slower, 1 faster, 1 within the noise (their quartiles overlap)"
    assert max(map(len, lines)) <= 100


def test_nothing_slower():
    text, slower = compare(results(row(1.0)), results(row(1.0)))
    assert not slower and "circumstances" not in text


def test_only_equal_rows_are_compared():
    before = results(row(1.0), row(1.0, batch_size=16), row(1.0, device="cuda:0"))
    after = results(row(1.0), row(1.0, batch_size=None), row(1.0, phase="backward"))
    text, _ = compare(before, after)
    assert text.splitlines()[-1] == "not compared: 4 rows that only one of the two has"
    with pytest.raises(ValueError, match="no row in common"):
        compare(results(row(1.0)), results(row(1.0, workload="dense")))


def test_differing_circumstances_are_told():
    before = results(row(1.0), BLAS="old")
    after = results(row(1.0), BLAS="new", measured="later", GPU="big")
    lines = compare(before, after)[0].splitlines()
    assert lines[:5] == [
        "The circumstances differ, and a change of speed may be theirs:",
        "BLAS          before: old",
        "              after: new",
        "GPU           before: None",
        "              after: big",
    ]
