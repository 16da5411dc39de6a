import argparse
import json
import sys

import pytest
from bench_scripts import BENCHMARKS, load

from minigan.bench import command
from minigan.bench.workloads import batch_sizes, select


@pytest.fixture
def suite():
    return load("gpu_suite")


@pytest.fixture
def with_gpu(suite, monkeypatch):
    """A machine with a GPU, as far as the suite asks, and parts that are quick."""
    monkeypatch.setattr(suite, "cuda_problem", lambda: None)

    def use(*parts):
        monkeypatch.setattr(suite, "parts", lambda results: list(parts))

    return use


def part(suite, name, code, limit=60, needs=None):
    return suite.Part(name, f"runs {name}", (sys.executable, "-c", code), limit, needs)


def outcomes(directory):
    summary = json.loads((directory / "summary.json").read_text())
    assert "processor" in summary["environment"]
    return {outcome["name"]: (outcome["state"], outcome["reason"]) for outcome in summary["parts"]}


def test_without_a_gpu_it_says_why_and_what_it_would_do(suite, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(suite, "cuda_problem", lambda: "no GPU is plugged in")
    monkeypatch.setattr(suite, "run", lambda *_: pytest.fail("a part was run"))
    assert suite.main([str(tmp_path / "results")]) == 2
    out, error = capsys.readouterr()
    assert error == "gpu_suite.py: nothing was run, because there is no GPU to use: no GPU is plugged in\n"
    assert "tests       every test that needs a GPU" in out and "bench       CPU against GPU" in out
    assert not (tmp_path / "results").exists()


def test_every_part_leaves_its_output_and_outcome(suite, with_gpu, tmp_path, capsys):
    require = "import os; print('GPU required:', os.environ['MINIGAN_REQUIRE_GPU'], '\\u2713')"
    with_gpu(part(suite, "one", require), part(suite, "two", "print('second')"))
    assert suite.main([str(tmp_path / "results")]) == 0
    assert outcomes(tmp_path / "results") == {"one": ("done", ""), "two": ("done", "")}
    log = (tmp_path / "results" / "log.txt").read_text()
    assert "==== one: runs one\n$ " in log and "GPU required: 1" in log and log.rstrip().endswith("second")
    out = capsys.readouterr().out
    assert out.count("GPU required: 1") == out.count("second\n") == 1


def test_a_failing_part_does_not_stop_the_others(suite, with_gpu, tmp_path):
    with_gpu(part(suite, "bad", "raise SystemExit(3)"), part(suite, "good", ""))
    assert suite.main([str(tmp_path)]) == 1
    assert outcomes(tmp_path) == {"bad": ("failed", "exit code 3"), "good": ("done", "")}


def test_a_part_that_takes_too_long_is_ended(suite, with_gpu, tmp_path):
    with_gpu(part(suite, "slow", "print('begun', flush=True); import time; time.sleep(60)", limit=2))
    assert suite.main([str(tmp_path)]) == 1
    assert outcomes(tmp_path) == {"slow": ("cut short", "not done after 2 s")}
    assert "begun" in (tmp_path / "log.txt").read_text()


def test_no_part_begins_when_the_time_is_over(suite, with_gpu, monkeypatch, tmp_path):
    monkeypatch.setattr(suite, "SECONDS", suite.LEAST - 1)
    with_gpu(part(suite, "late", "raise SystemExit(3)"))
    assert suite.main([str(tmp_path)]) == 1
    assert outcomes(tmp_path) == {"late": ("left out", "no time left")}


def test_a_missing_package_is_no_failure(suite, with_gpu, tmp_path):
    with_gpu(part(suite, "torch", "raise SystemExit(3)", needs="a_package_that_does_not_exist"))
    assert suite.main([str(tmp_path)]) == 0
    assert outcomes(tmp_path) == {"torch": ("skipped", "a_package_that_does_not_exist is not installed")}


def test_parts_can_be_chosen(suite, with_gpu, tmp_path, capsys):
    with_gpu(part(suite, "one", ""), part(suite, "two", ""))
    assert suite.main([str(tmp_path), "--only", "two"]) == 0
    assert list(outcomes(tmp_path)) == ["two"]
    with pytest.raises(SystemExit, match="2"):
        suite.main([str(tmp_path), "--only", "two,three"])
    assert "unknown part 'three'; known: one, two" in capsys.readouterr().err


def test_bench_takes_its_options(suite, tmp_path):
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    options = [parser.parse_args(known.command[4:]) for known in suite.parts(tmp_path) if "bench" in known.command]
    assert len(options) == 3
    for given in options:
        assert select((given.workloads or "dense").split(","))
        assert batch_sizes((given.batch_sizes or "2").split(","))
    assert {given.json for given in options} == {tmp_path / "bench.json", tmp_path / "bench_tf32.json", None}


def test_the_scripts_take_their_options(suite, tmp_path, monkeypatch, capsys):
    commands = {known.name: known.command for known in suite.parts(tmp_path)}
    _, path, *options = commands["launches"]
    launch_costs = load("launch_costs")
    monkeypatch.setattr(launch_costs, "cuda_problem", lambda: "no GPU is plugged in")
    assert path == launch_costs.__file__
    assert launch_costs.main(options) == 2
    assert capsys.readouterr().err == "launch_costs.py: no GPU is plugged in\n"

    _, path, *options = commands["frameworks"]
    monkeypatch.syspath_prepend(BENCHMARKS)
    frameworks = load("compare_frameworks")
    given = frameworks.parse(options)
    assert path == frameworks.__file__
    assert (given.device, given.json) == ("cuda", tmp_path / "frameworks.json")


def test_launch_costs_of_the_cpu(tmp_path, capsys):
    launch_costs = load("launch_costs")
    launch_costs.SECONDS = 1e-5
    path = tmp_path / "costs.json"
    assert launch_costs.main(["--device", "cpu", "--size", "64", "--json", str(path)]) == 0
    costs = json.loads(path.read_text())
    assert {"add", "matmul", "kernel: adam_step"} <= costs["tiny, seconds a call"].keys()
    assert all(times["minigan"]["wall"]["median"] > 0 for times in costs["tiny, seconds a call"].values())
    assert all(rate > 0 for rate, _ in costs["large"].values())
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 100
