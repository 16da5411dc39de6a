import json

import pytest
from bench_rows import row as timed
from bench_scripts import load

from minigan.backend import get_backend
from minigan.bench.training import prepare
from minigan.gan import presets

TINY = "--presets mlp --batch-sizes 2,4 --widths 2,3 --thread-counts 1 --plain mlp --threads 1 --seconds 0.0001"


@pytest.fixture(scope="module")
def scaling():
    return load("scaling")


@pytest.fixture(autouse=True)
def no_presets_left_behind(monkeypatch):
    monkeypatch.setattr(presets, "PRESETS", dict(presets.PRESETS))


def steps(scaling, times):
    """Rows of batch sizes with those times."""
    return [
        scaling.Row("batch size", "mlp", size, size, 2, timed(time).timing, operations=2 * 10**9)
        for size, time in times.items()
    ]


@pytest.mark.parametrize("large, kept", [(16.9, "at most 17: as it should be"), (17.1, "at most 17: TOO MUCH")])
def test_a_step_may_grow_with_its_batch(scaling, large, kept):
    (sentence,) = scaling.verdicts(steps(scaling, {16: 0.5, 64: 1.0, 1024: large}))
    assert sentence == f"mlp: a step at batch size 1024 takes {large} times as long as one at 64 ({kept})"
    assert scaling.verdicts(steps(scaling, {16: 0.5, 64: 1.0})) == []


def test_rates(scaling):
    (row,) = steps(scaling, {64: 0.5})
    assert row.images_per_second == 128
    assert row.gflops == 4


def test_all_axes(scaling, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    files = [tmp_path / "scaling.json", tmp_path / "scaling.png"]
    assert scaling.main([*TINY.split(), "--json", str(files[0]), "--plot", str(files[1])]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 100
    rows = json.loads(files[0].read_text())["rows"]
    assert [(r["axis"], r["preset"], r["value"], r["batch_size"]) for r in rows] == [
        ("batch size", "mlp", 2, 2), ("batch size", "mlp", 4, 4), ("width", "dcgan", 2, 64), ("width", "dcgan", 3, 64),
        ("threads", "mlp", 1, 64), ("plain kernels", "mlp", 64, 64), ("tuned kernels", "mlp", 64, 64),
    ]  # fmt: skip
    assert rows[1]["operations"] == 2 * rows[0]["operations"] > 0
    assert files[1].read_bytes().startswith(b"\x89PNG")


def test_width_64_is_the_preset_dcgan(scaling):
    shapes = []
    for name in (scaling.pair(64), "dcgan"):
        algorithm, _ = prepare(name, get_backend("cpu"), 2)
        states = {player: network.state_dict() for player, network in algorithm.modules.items()}
        shapes.append({(player, key): value.shape for player, state in states.items() for key, value in state.items()})
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize(
    "options, message",
    [
        ("--presets none", "unknown preset 'none'; known: cgan, dcgan"),
        ("--batch-sizes 1", "whole numbers from 2 on"),
        ("--widths 0", "whole numbers above 0"),
        ("--thread-counts two", "whole numbers above 0"),
        ("--threads 0", "must be above 0"),
    ],
)
def test_bad_input(scaling, capsys, options, message):
    with pytest.raises(SystemExit) as caught:
        scaling.main(options.split())
    assert caught.value.code == 2
    assert message in capsys.readouterr().err
