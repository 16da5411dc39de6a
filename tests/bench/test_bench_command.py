import re

import pytest
from bench_rows import row

from minigan.backend import get_backend
from minigan.bench import command
from minigan.bench.suite import Device, Results
from minigan.cli import main

TINY = ["--seconds", "0.0001", "--threads", "1"]


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(command, "cold_start", lambda *_: 0.5)


def no_gpu(monkeypatch):
    monkeypatch.setattr(command, "cuda_problem", lambda: "no GPU is plugged in")


def test_without_a_gpu(monkeypatch, tmp_path, capsys):
    no_gpu(monkeypatch)
    files = [tmp_path / "bench.json", tmp_path / "bench.png"]
    options = ["--workloads", "dense,adam, mlp-2d", "--batch-sizes", "4,2", "--json", str(files[0])]
    assert main(["bench", *options, *TINY]) == 0
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 100
    for text in (
        "processor",
        "BLAS",
        "threads       1",
        "arithmetic    float32",
        "GPU (host, gpu and launches)",
    ):
        assert text in out
    assert re.search(r"\n  second order +4 +cpu ", out)
    assert "no GPU is plugged in" in " ".join(out.split())
    assert re.findall(r"\n(dense|adam|mlp-2d): ", out) == ["dense", "adam", "mlp-2d"]
    results = Results.load(files[0])
    assert [row.workload for row in results.rows] == ["dense"] * 6 + ["adam"] + ["mlp-2d"] * 2
    assert results.cold_start == {"cpu": 0.5}
    assert results.unavailable == {"GPU (host, gpu and launches)": "no GPU is plugged in"}


def test_all_usable_devices_are_measured_unless_one_is_named(gpu, tmp_path):
    path = tmp_path / "bench.json"
    for options, devices in (([], ["cpu", "cuda:0"]), (["--device", "cuda,cuda:0"], ["cuda:0"])):
        assert main(["bench", "--workloads", "adam", *options, "--json", str(path), *TINY]) == 0
        assert [row.device for row in Results.load(path).rows] == devices


def test_the_results_say_how_a_gpu_multiplies_and_why_there_is_none(gpu, tmp_path, monkeypatch):
    path = tmp_path / "bench.json"
    monkeypatch.setattr(Device, "open", lambda device: get_backend(device.name))
    options = ["--workloads", "adam", "--json", str(path), *TINY]
    assert main(["bench", "--device", "cuda,cpu", "--precision", "tf32", *options]) == 0
    results = Results.load(path)
    assert results.environment["arithmetic"] == "float32, matrix products on the GPU in tf32"
    assert [(row.device, row.precision) for row in results.rows] == [("cuda:0", "tf32"), ("cpu", "float32")]
    assert main(["bench", "--device", "cpu", *options]) == 0
    assert Results.load(path).unavailable == {"GPU (host, gpu and launches)": "--device names the CPU alone"}


def test_a_device_that_computes_something_else_is_one_line(gpu, capsys):
    gpu.kernels.linear = lambda x, weight, bias: x @ weight.T
    assert main(["bench", "--workloads", "dense", "--batch-sizes", "2", *TINY]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "dense at batch size 2: the output 0 on cuda:0 differs from that of the reference kernels" in error


def test_a_plot(monkeypatch, tmp_path):
    pytest.importorskip("matplotlib")
    no_gpu(monkeypatch)
    path = tmp_path / "bench.png"
    assert (
        main(["bench", "--workloads", "dense,batch_norm,adam", "--batch-sizes", "2", "--plot", str(path), *TINY]) == 0
    )
    assert path.read_bytes().startswith(b"\x89PNG")


def test_no_plot_without_matplotlib(monkeypatch, tmp_path, capsys):
    no_gpu(monkeypatch)
    monkeypatch.setattr("minigan.bench.plot.find_spec", lambda name: None)
    assert main(["bench", "--workloads", "adam", "--plot", str(tmp_path / "bench.png"), *TINY]) == 2
    captured = capsys.readouterr()
    assert captured.err == "minigan bench: --plot needs matplotlib: pip install 'minigan[plot]'\n"
    assert captured.out == ""  # refused before anything was measured


def test_comparing(tmp_path, capsys):
    fast, slow = tmp_path / "fast.json", tmp_path / "slow.json"
    Results({}, [row(1.0)]).save(fast)
    Results({}, [row(2.0)]).save(slow)
    assert main(["bench", "--compare", str(fast), str(slow)]) == 1
    assert "SLOWER" in capsys.readouterr().out
    assert main(["bench", "--compare", str(slow), str(fast)]) == 0
    assert main(["bench", "--compare", str(fast), str(fast)]) == 0


def test_profile(capsys):
    options = ["--profile", "--workloads", "mlp", "--batch-sizes", "2,3", "--device", "cpu", "--threads", "1"]
    assert main(["bench", *options]) == 0
    out = capsys.readouterr().out
    assert re.findall(r"mlp, batch size (\d): [\d.]+ ms a step, watched, over 5 steps on cpu", out) == ["2", "3"]
    assert re.search(r"\nadam_step +[\d.]+ ", out)
    assert re.search(r"\ngenerator\.0 Linear +[\d.]+ ", out)
    assert max(map(len, out.splitlines())) <= 100


def test_a_profile_of_training(tmp_path, capsys):
    options = ["--preset", "mlp-2d", "--steps", "3", "--batch-size", "4", "--device", "cpu", "--threads", "1"]
    assert main(["train", *options, "--profile", "--out", str(tmp_path / "run")]) == 0
    out = capsys.readouterr().out
    assert re.search(r"\n[\d.]+ ms a step, watched, over 3 steps on cpu\n", out)
    assert re.search(r"\nadam_step +[\d.]+ ", out)
    assert main(["train", "--resume", "--steps", "4", "--out", str(tmp_path / "run"), "--profile"]) == 0
    assert "over 1 steps on cpu" in capsys.readouterr().out
    assert main(["train", "--resume", "--steps", "5", "--out", str(tmp_path / "run")]) == 0
    assert "watched" not in capsys.readouterr().out


@pytest.mark.parametrize(
    "options, message",
    [
        ("--workloads dense,nothing", "'nothing' is not a workload; known: dense, conv, "),
        ("--workloads ,", "'' is not a workload; known: "),
        ("--profile --workloads conv", "'conv' is not a training step, which alone is profiled; known: cgan"),
        ("--profile --json a.json --seconds 1", "--profile prints tables of its own: leave --seconds, --json out"),
        ("--compare a.json b.json --batch-sizes 8 --profile", "of figures: leave --batch-sizes, --profile out"),
        ("--batch-sizes 0", "batch sizes are whole numbers from 2 on"),
        ("--batch-sizes 8;16", "got '8;16'"),
        ("--device gpu", "unknown device 'gpu'; known: cpu, cuda, cuda:N"),
        ("--threads 0", "threads must be 1 or more, got 0"),
        ("--seconds 0", "more than 0 and finite; got 0.0"),
        ("--seconds nan", "more than 0 and finite; got nan"),
        ("--precision tf32", "--precision tf32 is for GPUs, and none is to be measured"),
        ("--precision half", "invalid choice: 'half'"),
        ("--conv-algorithm magic", "unknown convolution algorithm 'magic'; known: auto, "),
        ("--json /no/where/bench.json", "no such directory to write in: /no/where"),
        ("--compare /no/a.json /no/b.json", "/no/a.json"),
    ],
)
def test_bad_input_is_one_line(monkeypatch, capsys, options, message):
    no_gpu(monkeypatch)
    monkeypatch.setattr(command, "run_suite", lambda *_, **__: pytest.fail("measured"))
    try:
        code = main(["bench", *options.split()])
    except SystemExit as exit:
        code = exit.code
    captured = capsys.readouterr()
    assert (code, captured.out) == (2, "")
    assert message in captured.err and captured.err.count("\n") == 1
