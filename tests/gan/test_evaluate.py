"""What `minigan evaluate` scores, refuses, writes and compares; scores while training."""

import csv
import json
import math
import struct
import sys

import numpy as np
import pytest
from PIL import Image

from minigan import data
from minigan.cli import main
from minigan.gan import evaluate, presets
from minigan.gan.evaluate import evaluator
from minigan.gan.reporters import column
from minigan.metrics import ProtocolError, Score, compare

IMAGES, LABELS = data.load_mnist("test")
TRAIN, TEST = slice(0, 1500), slice(5000, 5600)


@pytest.fixture(autouse=True)
def small_mnist(monkeypatch, tmp_path):
    """1,500 training and 600 test images, and KID on subsets of 100."""
    parts = {"train": TRAIN, "test": TEST}
    monkeypatch.setattr("minigan.data.dataset.load_mnist", lambda split: (IMAGES[parts[split]], LABELS[parts[split]]))
    monkeypatch.setattr(evaluate, "FEWEST", 100)
    monkeypatch.setattr("minigan.gan.reporters.POINTS", 10)  # drawing takes longer than these runs
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    monkeypatch.chdir(tmp_path)


def as_fakes(images):
    """uint8 (N, 28, 28) as a generator gives it: (N, 1, 28, 28) in [-1, 1]."""
    return images[:, None].astype(np.float32) * (2 / 255) - 1


def values(scores):
    return {score.name: score.value for score in scores}


@pytest.fixture(scope="module")
def mnist_scores():
    """Scores of three generators: one as good as real, one of noise, one of a single class."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluate, "FEWEST", 100)
        judge = evaluator(presets.configure("dcgan"), 500)
        ones = IMAGES[LABELS == 1][:500]
        noise = np.random.default_rng(0).integers(0, 256, (500, 28, 28), np.uint8)
        return {
            name: judge.scores(as_fakes(images))
            for name, images in {"real": IMAGES[9000:9500], "noise": noise, "ones": ones}.items()
        }


def test_real_images_score_well(mnist_scores):
    good, noise, ones = (values(mnist_scores[name]) for name in ("real", "noise", "ones"))
    for name in ("FID", "KID", "NDB/K"):
        assert good[name] < noise[name], name
        assert good[name] < ones[name], name
    for name in ("precision", "recall", "density", "coverage", "inception score"):
        assert good[name] > noise[name], name
    assert good["recall"] > ones["recall"]
    assert ones["precision"] > 0.5
    assert good["inception score"] > 8
    assert (good["classes covered"], ones["classes covered"]) == (10, 1)
    assert ones["smallest class"] == 0 < good["smallest class"]


def test_names_come_in_the_order_of_the_scores(mnist_scores):
    judge = evaluator(presets.configure("dcgan"), 500)
    assert [score.name for score in mnist_scores["real"]] == judge.names
    assert len({column(name) for name in judge.names}) == len(judge.names)


def test_every_score_has_its_protocol(mnist_scores):
    protocols = {score.name: score.protocol for score in mnist_scores["real"]}
    for name, protocol in protocols.items():
        assert protocol["N"] == 500, name
        assert protocol["seed"] == 0, name
        assert protocol["batch norm"] == "running statistics", name
        if name != "NDB/K":
            assert str(protocol["extractor"]).startswith("digits-"), name
    assert protocols["FID"]["data"] == "mnist test"
    assert protocols["KID"]["subset size"] == 100
    assert protocols["recall"]["k"] == 5
    assert protocols["NDB/K"]["data"] == "mnist train"
    assert (protocols["NDB/K"]["K"], protocols["NDB/K"]["significance"]) == (100, 0.05)
    assert protocols["classes covered"]["least share"] == 0.01


def test_ndb_is_of_the_training_images_and_the_rest_of_the_test_images(monkeypatch):
    """Where the training images are negatives."""
    parts = {"train": (255 - IMAGES[TRAIN], LABELS[TRAIN]), "test": (IMAGES[TEST], LABELS[TEST])}
    monkeypatch.setattr("minigan.data.dataset.load_mnist", parts.__getitem__)
    judge = evaluator(presets.configure("dcgan"), 200)
    positives = IMAGES[9000:9200]
    negative, positive = (values(judge.scores(as_fakes(images))) for images in (255 - positives, positives))
    assert negative["NDB/K"] < positive["NDB/K"]
    assert positive["FID"] < negative["FID"]
    assert positive["recall"] > negative["recall"]


def test_the_same_fakes_score_the_same(mnist_scores):
    again = evaluator(presets.configure("dcgan"), 200)
    fakes = as_fakes(IMAGES[:200])
    assert again.scores(fakes) == evaluator(presets.configure("dcgan"), 200).scores(fakes)


def test_kid_has_a_spread_where_its_subsets_differ():
    for samples, spreads in ((100, False), (101, True)):
        kid = evaluator(presets.configure("dcgan"), samples).scores(as_fakes(IMAGES[:samples]))[1]
        assert (kid.name, kid.spread is not None) == ("KID", spreads)


def test_stacked_digits():
    config = presets.configure("dcgan28-rgb", data="stacked-mnist")
    judge = evaluator(config, 300)
    stacks = data.load_dataset("stacked-mnist", split="train").batch(np.arange(300)).astype(np.float32) * (2 / 255) - 1
    scores = judge.scores(stacks)
    assert [score.name for score in scores] == judge.names == ["modes", "reverse KL"]
    assert 230 < scores[0].value < 300  # 300 draws of 1,000 modes fall on 259 of them
    (modes, kl) = judge.scores(np.repeat(stacks[:1], 300, axis=0))
    assert modes.value == 1
    assert kl.value == pytest.approx(math.log(1000))


@pytest.mark.parametrize(("source", "count"), [("ring", 8), ("grid", 25)])
def test_mixtures(source, count):
    judge = evaluator(presets.configure("mlp-2d", data=source))
    assert judge.samples == 2500
    points = data.load_points(source)
    modes, quality, kl = judge.scores(points.draw(2500, np.random.default_rng(0)))
    assert modes.value == count
    assert quality.value == pytest.approx(0.989, abs=0.01)
    assert kl.value < 0.02
    assert quality.protocol["threshold"] == "3 std"
    assert judge.scores(np.zeros((2500, 2)) + points.centres[1])[0].value == 1


def test_usual_numbers_of_samples():
    assert evaluator(presets.configure("dcgan28-rgb", data="stacked-mnist")).samples == 26_000
    assert evaluator(presets.configure("dcgan")).samples == 600  # the test images of this small MNIST


def test_a_small_data_set_is_scored_while_training(tmp_path):
    np.savez(tmp_path / "mine.npz", images=IMAGES[:300])
    options = "--preset mlp --data mine.npz --batch-size 4 --steps 1 --evaluate-every 1 --device cpu --out run"
    assert main(["train", *options.split()]) == 0
    (row,) = csv.DictReader((tmp_path / "run" / "metrics.csv").open())
    assert math.isfinite(float(row["fid"]))


@pytest.mark.parametrize(
    ("preset", "settings", "samples", "message"),
    [
        ("dcgan", {}, 99, "99 is too few for KID"),
        ("dcgan", {}, 601, r"the test images of mnist are 600, but 601 fakes .* give --samples 600 or fewer"),
        ("dcgan64", {}, None, "images of shape 3x64x64: the digit classifier"),
        ("dcgan28-rgb", {"data": "coloured-mnist"}, None, "images of shape 3x28x28"),
        ("dcgan64", {"data": "stacked-mnist"}, None, "images of shape 64x64"),
        ("mlp-2d", {"data": "swiss-roll"}, None, "swiss-roll has no modes to count"),
        ("mlp-2d", {}, 0, "--samples must be 1 or more, got 0"),
        ("dcgan28-rgb", {"data": "stacked-mnist"}, 0, "--samples must be 1 or more, got 0"),
        ("dcgan", {}, -3, "--samples must be 1 or more, got -3"),
    ],
)
def test_what_cannot_be_scored(preset, settings, samples, message):
    with pytest.raises(ValueError, match=message):
        evaluator(presets.configure(preset, **settings), samples)


@pytest.mark.parametrize("samples", [None, 60, 100])
def test_data_too_few_for_any_number_of_samples(tmp_path, samples):
    np.savez(tmp_path / "few.npz", images=IMAGES[:60])
    with pytest.raises(ValueError, match="are 60, too few to be scored against: KID compares subsets of 100"):
        evaluator(presets.configure("dcgan", data=str(tmp_path / "few.npz")), samples)


def test_data_that_hardly_differ_are_refused_before_training(tmp_path):
    np.savez(tmp_path / "same.npz", images=np.repeat(IMAGES[:50], 4, axis=0))
    with pytest.raises(ValueError, match="train has only 50 different images, 100 are needed"):
        evaluator(presets.configure("dcgan", data=str(tmp_path / "same.npz")))


def test_an_idx_folder_without_test_files_is_scored_against_its_training_images(tmp_path):
    for name, array in (("images-idx3", IMAGES[:300]), ("labels-idx1", np.zeros(300, np.uint8))):
        header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
        (tmp_path / f"train-{name}-ubyte").write_bytes(header + array.tobytes())
    judge = evaluator(presets.configure("dcgan", data=str(tmp_path)))
    assert judge.basis["data"].endswith(" train") and judge.real is judge.train


def test_scores_of_images_under_one_name_are_not_compared(tmp_path):
    scores = []
    for folder, images in (("a", IMAGES[:300]), ("b", IMAGES[300:600])):
        (tmp_path / folder).mkdir()
        np.savez(tmp_path / folder / "mine.npz", images=images)
        judge = evaluator(presets.configure("dcgan", data=str(tmp_path / folder / "mine.npz")))
        scores.append(judge.scores(as_fakes(IMAGES[:300]))[0])
    with pytest.raises(ProtocolError, match=r"FID: protocols differ in data \('mine.npz .* and 'mine.npz "):
        compare(*scores)


def test_own_images_are_scored_without_classes(tmp_path):
    np.savez(tmp_path / "mine.npz", images=IMAGES[:300])
    judge = evaluator(presets.configure("dcgan", data=str(tmp_path / "mine.npz")), 300)
    scores = judge.scores(as_fakes(IMAGES[300:600]))
    assert [score.name for score in scores] == judge.names
    assert "inception score" not in judge.names
    assert scores[0].protocol["data"] == f"mine.npz {judge.train.checksum:08x} train"


def test_the_sheet_of_nearest_images_finds_a_copy():
    judge = evaluator(presets.configure("dcgan"), 200)
    copies = IMAGES[TRAIN][:200]
    sheet = np.asarray(judge.pictures(as_fakes(copies))["neighbours.png"])
    tile = np.repeat(np.repeat(copies[0], 2, axis=0), 2, axis=1)
    first_row = sheet[: 2 * len(tile), : 5 * len(tile)]  # the first fake, and beside it the nearest images
    places = np.lib.stride_tricks.sliding_window_view(first_row, tile.shape)
    assert (places == tile).all(axis=(2, 3)).sum() == 2


def test_columns_are_plain_words():
    assert [column(name) for name in ("FID", "NDB/K", "reverse KL", "inception score")] == [
        "fid", "ndb_k", "reverse_kl", "inception_score",
    ]  # fmt: skip


# ------------------------------------------------------------------------------------ the command


@pytest.fixture
def command(capsys):
    """Runs a command: exit code, standard output, standard error."""

    def run(*words):
        capsys.readouterr()
        code = main([str(word) for word in words])
        return code, *capsys.readouterr()

    return run


POINTS = ("train", "--preset", "mlp-2d", "--batch-size", 16, "--latent-size", 4, "--log-every", 2, "--threads", 1)


@pytest.fixture
def trained(command, tmp_path):
    assert command(*POINTS, "--steps", 2, "--out", "run")[0] == 0
    return tmp_path / "run"


def test_evaluate_prints_scores_and_writes_them(command, trained):
    code, out, _ = command("evaluate", "run")
    assert code == 0
    assert out.startswith("modes ")
    assert "(N 2500, seed 0, batch norm running statistics, data ring, threshold 3 std, of 8)" in out.splitlines()[0]
    record = json.loads((trained / "scores.json").read_text())
    assert record["step"] == 2
    assert [str(Score(**score)) for score in record["scores"]] == out.splitlines()[:3]
    assert Image.open(trained / "comparison.png").width > 800


def test_evaluate_json(command, trained):
    code, out, _ = command("evaluate", "run", "--json", "--samples", 100)
    assert code == 0
    assert out == (trained / "scores.json").read_text()
    assert json.loads(out)["scores"][0]["protocol"]["N"] == 100


def test_evaluate_digits(command, tmp_path):
    assert command("train", "--preset", "mlp", "--steps", 1, "--out", "run", "--threads", 1)[0] == 0
    code, out, _ = command("evaluate", "run", "--samples", 150)
    assert code == 0
    assert out.startswith("FID ")
    for name in ("comparison.png", "neighbours.png"):
        assert Image.open(tmp_path / "run" / name).mode == "L"
    assert command("evaluate", "run", "--samples", 5000)[0] == 2


def test_differences_within_a_protocol(command, trained):
    assert command("evaluate", "run")[0] == 0
    code, out, _ = command("evaluate", "run", "--against", "run")
    assert code == 0
    assert all(line.endswith(": +0 against run") for line in out.splitlines()[:3])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("evaluate", "nowhere"), "nowhere is not a run"),
        (("evaluate", "run", "--against", "nowhere"), "nowhere is not a run"),
        (("evaluate", "run", "--against", "run"), "run has no scores.json to compare with"),
        (("evaluate", "run", "--samples", 0), "--samples must be 1 or more, got 0"),
        (("evaluate", "run", "--seed", -1), "seed"),
    ],
)
def test_bad_input_gets_one_line_and_exit_code_2(command, trained, words, message):
    code, out, err = command(*words)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1 and err.startswith("minigan evaluate: ")
    assert message in err


def test_a_run_without_a_checkpoint(command, trained):
    for path in (trained / "checkpoints").iterdir():
        path.unlink()
    code, _, err = command("evaluate", "run")
    assert code == 2
    assert "holds no checkpoint yet" in err


@pytest.mark.parametrize("text", ["{}", "[]", "scores", '{"scores": [{"name": "modes"}]}'])
def test_scores_that_cannot_be_read(command, trained, text):
    (trained / "scores.json").write_text(text)
    code, out, err = command("evaluate", "run", "--against", "run")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "run/scores.json holds no scores" in err


def test_data_that_moved_after_the_last_checkpoint(command, tmp_path):
    np.savez(tmp_path / "old.npz", images=IMAGES[:300])
    train = ("train", "--preset", "dcgan", "--batch-size", 2, "--data", "old.npz", "--steps", 1, "--threads", 1)
    assert command(*train, "--out", "run")[0] == 0
    (tmp_path / "old.npz").rename(tmp_path / "new.npz")
    assert command("evaluate", "run")[0] == 2
    assert command("train", "--resume", "--out", "run", "--data", "new.npz", "--threads", 1)[0] == 0
    code, out, _ = command("evaluate", "run")
    assert code == 0 and "data new.npz" in out


def test_scores_of_another_protocol_are_not_compared(command, trained):
    assert command("evaluate", "run")[0] == 0
    before = (trained / "scores.json").read_bytes()
    code, out, err = command("evaluate", "run", "--against", "run", "--samples", 100, "--seed", 3)
    assert (code, out) == (2, "")
    assert "protocols differ in N (100 and 2500), seed (3 and 0)" in err
    assert (trained / "scores.json").read_bytes() == before


def test_scores_of_other_data_are_not_compared(command, trained):
    assert command(*POINTS, "--steps", 1, "--data", "grid", "--out", "grid")[0] == 0
    assert command("evaluate", "grid")[0] == 0
    code, _, err = command("evaluate", "run", "--against", "grid")
    assert code == 2
    assert "data ('ring' and 'grid')" in err


# ---------------------------------------------------------------------------------- while training


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_scores_in_metrics_csv(command, tmp_path):
    assert command(*POINTS, "--steps", 9, "--evaluate-every", 3, "--out", "run")[0] == 0
    found = {int(row["step"]): row["modes"] for row in rows(tmp_path / "run" / "metrics.csv")}
    # Logged at 2, 4, ... and the end: 4 is the first from 3 on, 6 the first from 6 on, 9 the last.
    assert [step for step, modes in found.items() if modes != "nan"] == [4, 6, 9]
    _, out, _ = command("evaluate", "run", "--json")
    for score in json.loads(out)["scores"]:
        last = rows(tmp_path / "run" / "metrics.csv")[-1]
        assert float(last[column(score["name"])]) == pytest.approx(score["value"], rel=1e-5)


def test_scoring_changes_no_bit_and_a_resumed_run_writes_the_same(command, tmp_path):
    scored = (*POINTS, "--evaluate-every", 3, "--checkpoint-every", 4)
    assert command(*scored, "--steps", 8, "--out", "whole")[0] == 0
    assert command(*POINTS, "--steps", 8, "--out", "plain")[0] == 0
    assert command(*scored, "--steps", 4, "--out", "parts")[0] == 0
    assert command("train", "--steps", 8, "--out", "parts", "--resume", "--threads", 1)[0] == 0

    def kept(name, *dropped):
        return [
            {key: value for key, value in row.items() if key not in ("seconds", *dropped)}
            for row in rows(tmp_path / name / "metrics.csv")
        ]

    assert kept("parts") == kept("whole")
    assert kept("whole", "modes", "high_quality", "reverse_kl") == kept("plain")


def test_what_cannot_be_scored_makes_no_run(command, tmp_path):
    code, _, err = command(*POINTS, "--data", "swiss-roll", "--steps", 2, "--evaluate-every", 1, "--out", "run")
    assert code == 2
    assert "swiss-roll has no modes to count" in err
    assert not (tmp_path / "run").exists()
