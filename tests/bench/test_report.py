import re

import pytest
from bench_rows import row
from hypothesis import given
from hypothesis import strategies as st

from minigan.bench import report
from minigan.bench.cupti import Activity
from minigan.bench.suite import Results
from minigan.bench.timing import Summary
from minigan.bench.workloads import WORKLOADS

CONV = WORKLOADS["conv"]


@given(st.floats(1e-9, 1e4))
def test_milliseconds_have_three_digits_at_least_and_no_exponent(seconds):
    text = report.milliseconds(seconds)
    assert re.fullmatch(r"\d+(\.\d+)?", text)
    assert float(text) == pytest.approx(seconds * 1e3, rel=0.005)
    assert len(text.replace(".", "").lstrip("0")) >= 3


@pytest.mark.parametrize(
    "seconds, text", [(1.234e-5, "0.0123"), (1.234e-3, "1.23"), (0.1234, "123"), (1.2346, "1235"), (9.999e-3, "10.00")]
)
def test_milliseconds(seconds, text):
    assert report.milliseconds(seconds) == text


def test_a_table_without_a_gpu():
    rows = [row(0.002, 0.0005, batch_size=16), row(0.004, batch_size=64, difference=None)]
    lines = report.table(CONV, rows).splitlines()
    assert lines[0] == f"conv: {CONV.summary}"
    assert lines[1].split() == [
        "phase", "batch", "device", "ms", "quartiles", "images/s", "first", "host", "gpu", "launches", "MB",
    ]  # fmt: skip
    assert lines[2].split() == ["forward", "16", "cpu", "2.00", "1.50-2.50", "8,000", "4.00", "-", "-", "-", "10"]
    assert lines[3].split() == ["forward", "64", "cpu", "4.00", "4.00-4.00", "16,000", "8.00", "-", "-", "-", "10"]
    assert lines[4:] == ["  results checked: largest difference 1e-06, of cpu from the reference kernels"]


def test_a_table_with_a_gpu():
    device_time = Summary(0.0007, 0.0007, 0.0007)
    activity = Activity(kernels=12.0, copies=1.0, busy=0.0005)
    rows = [
        row(0.002),
        row(0.001, device="cuda:0", device_time=device_time, activity=activity, difference=2e-5),
    ]
    lines = report.table(CONV, rows).splitlines()
    assert lines[3].split() == [
        "forward", "8", "cuda:0", "1.00", "1.00-1.00", "8,000", "2.00", "1.00", "0.700", "12", "10",
    ]  # fmt: skip
    assert lines[4:] == [
        "  forward: cuda:0 is faster than the CPU at every batch size measured, from 8 on",
        "  forward: on cuda:0, kernels run 50% of the time at batch size 8",
        "  results checked: largest difference 2e-05, of cuda:0 from the reference kernels",
    ]


def test_no_difference_at_all():
    assert report.agreement([row(1.0, difference=0.0)]) == (
        "results checked: the same bits as those of the reference kernels"
    )


@pytest.mark.parametrize(
    "cpu, gpu, sentence",
    [
        ([2, 2, 2], [1, 1, 1], "cuda:0 is faster than the CPU at every batch size measured, from 8 on"),
        ([1, 2, 2], [2, 1, 1], "cuda:0 is faster than the CPU from batch size 32 on, not at 8"),
        ([2, 1, 2], [1, 2, 1], "cuda:0 is faster than the CPU from batch size 128 on, not at 32"),
        ([2, 2, 1], [1, 1, 2], "the CPU is faster than cuda:0 at the largest batch size, 128"),
    ],
)
def test_the_crossover(cpu, gpu, sentence):
    times = {"cpu": cpu, "cuda:0": gpu}
    rows = [
        row(times[name][i], batch_size=size, device=name, phase=phase)
        for phase in ("forward", "backward")
        for i, size in enumerate([8, 32, 128])
        for name in times
    ]
    assert report.crossovers(rows) == [f"forward: {sentence}", f"backward: {sentence}"]


def test_no_crossover_where_the_batch_makes_no_difference_or_one_device_was_measured():
    adam = [row(t, batch_size=None, device=d, phase="step") for d, t in (("cpu", 1.0), ("cuda:0", 2.0))]
    assert report.crossovers(adam) == ["step: cuda:0 is slower than the CPU"]
    assert report.crossovers(adam[:1]) == report.crossovers(adam[1:]) == []


def test_all_text_fits():
    results = Results(
        {"processor": "x" * 30 + " y" * 60, "BLAS": "openblas, WARNING: slow"},
        cold_start={"cpu": 0.1234, "cuda:0": 2.0},
        unavailable={"launches on cuda:0": "no CUPTI " * 20},
        cores_used_by_others=1.26,
    )
    rows = [
        row(t, device="cuda:11", phase="second order", batch_size=1024, device_time=Summary(t, t, t))
        for t in (123.456, 0.0099)
    ]
    text = "\n".join([report.heading(results), report.table(CONV, rows), report.ending(results)])
    assert max(map(len, text.splitlines())) <= report.WIDTH
    assert "openblas, WARNING: slow" in text
    assert "cpu: 0.12 s from nothing" in text and "cuda:0: 2.00 s" in text
    assert "other programs used 1.3 cores meanwhile" in text
    assert "launches on cuda:0: no CUPTI" in text


@pytest.mark.parametrize("workload", WORKLOADS.values(), ids=lambda workload: workload.name)
def test_every_title_fits(workload):
    text = report.table(workload, [row(1.0)])
    assert max(map(len, text.splitlines())) <= report.WIDTH
    assert " ".join(text.split()).startswith(f"{workload.name}: {workload.summary} phase batch device")


@pytest.mark.parametrize("cores", [None, 0.0, 0.05])
def test_no_warning_on_a_quiet_machine(cores):
    assert report.ending(Results({}, cores_used_by_others=cores)) == ""
