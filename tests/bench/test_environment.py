import subprocess

import pytest

from minigan.bench import environment
from minigan.bench.environment import Bystanders, cold_start


def test_the_environment_says_what_decides_speed_and_rounding():
    facts = environment.environment(3, "tf32")
    assert {"software", "processor", "threads", "BLAS", "GPU", "arithmetic", "measured"} <= facts.keys()
    assert facts["threads"] == "3"
    assert facts["arithmetic"] == "float32, matrix products on the GPU in tf32"
    assert environment.environment(1, "float32")["arithmetic"] == "float32"


def test_a_cold_start_is_a_process_that_does_a_step():
    assert cold_start("cpu", threads=1, preset="mlp-2d", batch_size=2) > 0
    with pytest.raises(subprocess.CalledProcessError):
        cold_start("cpu", threads=1, preset="none", batch_size=2)


def test_bystanders_are_all_but_this_program(tmp_path, monkeypatch):
    times = tmp_path / "stat"
    monkeypatch.setattr(environment, "PROCESSOR_TIMES", times)
    monkeypatch.setattr(environment.os, "sysconf", lambda name: 100)  # ticks a second
    own = [0.0, 0.0, 0.0, 0.0, 0.0]
    monkeypatch.setattr(environment.os, "times", lambda: environment.os.times_result(own))
    clock = [10.0]
    monkeypatch.setattr(environment, "perf_counter", lambda: clock[0])

    times.write_text("cpu 1000 0 500 99999 99999 0 0 0 0 0\n")
    bystanders = Bystanders()
    clock[0], own[0] = 12.0, 1.0  # two seconds later, of which this program worked one
    times.write_text("cpu 1300 0 500 99999 99999 0 0 0 0 0\n")
    assert bystanders.cores() == pytest.approx((3.0 - 1.0) / 2.0)


def test_bystanders_are_unknown_where_the_system_does_not_tell(tmp_path, monkeypatch):
    monkeypatch.setattr(environment, "PROCESSOR_TIMES", tmp_path / "missing")
    assert Bystanders().cores() is None
