import json

import pytest
from bench_rows import row

from minigan.backend import get_backend
from minigan.bench import suite
from minigan.bench.cupti import Activity
from minigan.bench.suite import Device, Results, run_suite
from minigan.bench.timing import Summary
from minigan.bench.workloads import WORKLOADS
from minigan.kernels.cpu import CpuKernels
from minigan.kernels.reference import ReferenceKernels


def test_results_come_back_from_a_file(tmp_path):
    rows = [
        row(1.25e-3, 1e-4),
        row(2.0, device="cuda:0", device_time=Summary(1.0, 0.5, 2.0), activity=Activity(3.0, 1.0, 0.5)),
        row(2.0, batch_size=None, difference=None),
    ]
    results = Results({"processor": "quick"}, rows, {"cpu": 0.5}, {"GPU": "none"}, 0.25)
    results.save(tmp_path / "bench.json")
    assert Results.load(tmp_path / "bench.json") == results


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"format": 1}', '{"format": 2, "environment": {}, "rows": []}', "1"]
)
def test_another_file_is_refused(tmp_path, content):
    path = tmp_path / "other.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"other\.json was not written by this version of minigan bench --json"):
        Results.load(path)


def test_a_row_that_lacks_something_is_refused(tmp_path):
    path = tmp_path / "bench.json"
    Results({}, [row(1.0)]).save(path)
    values = json.loads(path.read_text())
    del values["rows"][0]["timing"]["wall"]["low"]
    path.write_text(json.dumps(values))
    with pytest.raises(ValueError, match="was not written by"):
        Results.load(path)


def test_every_phase_batch_size_and_device_gets_a_row(gpu):
    devices = [Device("cpu", threads=1), Device("cuda:0", threads=1)]
    results = Results({})
    dense, adam = run_suite([WORKLOADS["dense"], WORKLOADS["adam"]], [2, 4], devices, results, seconds=1e-6)
    assert {row.key for row in dense} == {
        ("dense", phase, size, device, "float32")
        for phase in ("forward", "backward", "second order")
        for size in (2, 4)
        for device in ("cpu", "cuda:0")
    }
    assert [(row.batch_size, row.device) for row in adam] == [(None, "cpu"), (None, "cuda:0")]
    assert results.rows == dense + adam
    assert all(row.timing.wall.low <= row.timing.wall.median <= row.timing.wall.high for row in results.rows)


def test_what_each_device_is_held_against(gpu):
    devices = [Device("cpu", threads=1), Device("cuda:0", threads=1)]
    (rows,) = run_suite([WORKLOADS["dense"]], [2, 4], devices, Results({}), seconds=1e-6)
    told = {(row.batch_size, row.device): (row.against, row.difference) for row in rows}
    assert told[2, "cpu"][0] == told[2, "cuda:0"][0] == "the reference kernels"
    assert told[2, "cuda:0"][1] == 0  # this device has the reference kernels
    assert told[4, "cpu"] == ("cpu", None)
    assert told[4, "cuda:0"][0] == "cpu" and told[4, "cuda:0"][1] < 1e-5


def test_what_only_a_gpu_has(gpu):
    devices = [Device("cpu", threads=1), Device("cuda:0", threads=1)]
    results = Results({})
    ((cpu, cuda),) = run_suite([WORKLOADS["adam"]], [2], devices, results, seconds=1e-6)
    assert cpu.timing.device is cpu.activity is cuda.activity is None
    assert cuda.timing.device.median == pytest.approx(2e-3 / cuda.timing.calls)
    assert cuda.peak_memory == 7_000_000
    assert cpu.peak_memory > 4 * 3 * 567_041  # parameters and two moments at least
    assert results.unavailable == {"launches on cuda:0": "no CUPTI here"}


def test_launches_are_counted_where_they_can_be(gpu, monkeypatch):
    monkeypatch.setattr(suite, "trace", lambda call, backend: Activity(5.0, 1.0, 1e-3))
    results = Results({})
    ((row,),) = run_suite([WORKLOADS["adam"]], [2], [Device("cuda:0", threads=1)], results, seconds=1e-6)
    assert row.activity.kernels == 5 and results.unavailable == {}


def test_the_cpu_is_opened_with_fresh_memory_and_as_asked():
    device = Device("cpu", threads=1, conv_algorithm="reference")
    one, other = device.open().kernels, device.open().kernels
    assert isinstance(one, CpuKernels) and one is not other and one.pool is not other.pool
    assert (one.threads, one.convolutions.forced) == (1, "reference")


def test_the_yardstick_has_the_plain_kernels_and_is_no_device_in_use():
    yardstick = suite.reference()
    assert type(yardstick.kernels) is ReferenceKernels
    assert yardstick is not get_backend("cpu")
