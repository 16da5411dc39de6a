"""The command line: what it makes, and what bad input gets (one clear line, exit code 2, nothing half-written)."""

import csv
import gzip
import json
import os
import resource
import shlex
import shutil
import signal
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny
from PIL import Image

import minigan as mg
from minigan import backend as backends
from minigan import checkpoint
from minigan.cli import main
from minigan.gan import Algorithm, Config, Run
from minigan.gan.reporters import Pictures, Progress, later


@pytest.fixture(autouse=True)
def surroundings(monkeypatch, tmp_path):
    """The tiny preset, an empty working directory with some images in it, and the CPU's kernels put back afterwards."""
    tiny.register(monkeypatch)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)  # drawing the plot takes longer than the run
    monkeypatch.chdir(tmp_path)
    tiny.save_images(tmp_path / "images.npz")
    cpu = mg.get_backend("cpu")
    kernels = cpu.kernels
    yield
    cpu.kernels = kernels


@pytest.fixture
def run(capsys):
    """Runs a command: exit code, standard output, standard error."""

    def run(*words):
        capsys.readouterr()
        try:
            code = main([str(word) for word in words])
        except SystemExit as stop:  # argparse
            code = stop.code
        return code, *capsys.readouterr()

    return run


TRAIN = ("train", "--preset", "tiny", "--data", "images.npz", "--threads", 1, "--device", "cpu")


@pytest.fixture
def refused(run, tmp_path):
    """Runs a command that must be refused in one line, changing no file; returns the line."""

    def snapshot():
        return {path: path.is_file() and path.read_bytes() for path in tmp_path.rglob("*")}

    def refused(*words):
        before = snapshot()
        code, _, errors = run(*words)
        assert code == 2
        assert errors.startswith(f"minigan {words[0]}: ")
        assert errors.count("\n") == 1 and errors.endswith("\n")
        assert snapshot() == before
        return errors

    return refused


@pytest.fixture
def trained(run, tmp_path):
    """A finished run of 8 steps with checkpoints at 3, 6 and 8."""
    code, _, _ = run(*TRAIN, "--out", "out")
    assert code == 0
    return tmp_path / "out"


def arrays(path):
    """Everything in a checkpoint, down to the bits."""

    def flat(node, name=""):
        if isinstance(node, dict):
            for key, value in node.items():
                yield from flat(value, f"{name}/{key}")
        else:
            yield name, node.tobytes() if isinstance(node, np.ndarray) else node

    return dict(flat(checkpoint.load(path)))


def metrics(directory):
    """metrics.csv without the seconds."""
    with (directory / "metrics.csv").open(newline="") as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


def checkpoints(directory):
    return sorted(path.name for path in (directory / "checkpoints").iterdir())


# ------------------------------------------------------------------------------------ what it makes


def test_train_fills_a_run_directory(run, tmp_path):
    code, output, _ = run(*TRAIN, "--out", "out", "--seed", 5)
    assert code == 0
    assert output.splitlines()[0] == "device cpu: as asked"
    assert "tiny on 20 images of images.npz, non_saturating, into out" in output
    out = tmp_path / "out"
    assert checkpoints(out) == ["step_00000003.npz", "step_00000006.npz", "step_00000008.npz"]
    names = ["step_00000000.png", "step_00000003.png", "step_00000006.png", "step_00000008.png"]
    assert sorted(path.name for path in (out / "samples").iterdir()) == names
    with Image.open(out / "samples" / "step_00000008.png") as image:
        assert image.size == (8 * 10 + 2, 8 * 10 + 2)  # 8 x 8 images of 8 x 8 pixels, 2 between
    with Image.open(out / "progress.gif") as gif:
        assert gif.n_frames == 4
    rows = metrics(out)
    assert [row["step"] for row in rows] == ["2", "4", "6", "8"]
    assert [row["images"] for row in rows] == ["8", "16", "24", "32"]
    assert list(rows[0])[2:7] == ["d_loss", "g_loss", "d_real", "d_fake_before", "d_fake_after"]
    assert all(0 < float(row["d_real"]) < 1 and float(row["d_loss"]) > 0 for row in rows)
    config = json.loads((out / "config.json").read_text())
    assert config["preset"] == "tiny" and config["seed"] == 5 and config["steps"] == 8


def test_the_losses_are_plotted_where_matplotlib_is(run, tmp_path, monkeypatch):
    assert run(*TRAIN, "--steps", 4, "--out", "out")[0] == 0
    assert not (tmp_path / "out" / "losses.png").exists()
    monkeypatch.delitem(sys.modules, "matplotlib.figure")
    pytest.importorskip("matplotlib.figure")
    assert run("train", "--out", "out", "--resume", "--steps", 8, "--threads", 1)[0] == 0
    with Image.open(tmp_path / "out" / "losses.png") as image:
        assert image.size == (880, 550)


def test_config_json_is_enough_to_run_it_again(run, tmp_path, trained):
    config = json.loads((trained / "config.json").read_text())
    words = []
    for name, value in config.items():
        option = "--" + name.replace("_", "-")
        if isinstance(value, bool):
            words.append(option if value else option.replace("--", "--no-", 1))
        else:
            words += [option, value]
    assert run("train", "--threads", 1, "--out", "again", *words)[0] == 0
    again = tmp_path / "again"
    assert arrays(again / "checkpoints/step_00000008.npz") == arrays(trained / "checkpoints/step_00000008.npz")
    assert metrics(again) == metrics(trained)
    assert Config.load(again / "config.json") == Config.load(trained / "config.json")


def test_the_seed_decides_all_bits(run, tmp_path, trained):
    run(*TRAIN, "--out", "same")
    run(*TRAIN, "--out", "other", "--seed", 1)
    last = "checkpoints/step_00000008.npz"
    assert arrays(tmp_path / "same" / last) == arrays(trained / last)
    assert (trained / "progress.gif").read_bytes() == (tmp_path / "same/progress.gif").read_bytes()
    one, other = arrays(trained / last), arrays(tmp_path / "other" / last)
    for name in ("generator/0.weight", "discriminator/0.weight", "discriminator/4.bias"):
        assert one[f"/modules/{name}"] != other[f"/modules/{name}"]


def test_runs_are_numbered(run, tmp_path):
    for _ in range(2):
        assert run(*TRAIN, "--steps", 1)[0] == 0
    (tmp_path / "runs" / "0041").mkdir()
    assert run(*TRAIN, "--steps", 1)[0] == 0
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["0001", "0002", "0041", "0042"]
    assert (tmp_path / "runs/0042/config.json").exists()


def test_an_empty_directory_can_be_used(run, tmp_path):
    (tmp_path / "out").mkdir()
    assert run(*TRAIN, "--steps", 1, "--out", "out")[0] == 0


def test_epochs_are_passes_over_the_data(run, tmp_path):
    assert run(*TRAIN, "--epochs", 2, "--batch-size", 6, "--out", "out")[0] == 0
    assert Config.load(tmp_path / "out" / "config.json").steps == 2 * (20 // 6)


def test_lr_is_that_of_both_players_unless_one_is_named(run, tmp_path):
    assert run(*TRAIN, "--steps", 1, "--lr", 0.5, "--lr-generator", 0.25, "--out", "out")[0] == 0
    config = Config.load(tmp_path / "out" / "config.json")
    assert (config.lr_generator, config.lr_discriminator) == (0.25, 0.5)


def test_no_steps_make_a_run_that_can_go_on(run, tmp_path):
    assert run(*TRAIN, "--steps", 0, "--out", "out")[0] == 0
    assert checkpoints(tmp_path / "out") == ["step_00000000.npz"]
    assert run("train", "--out", "out", "--resume", "--steps", 2, "--threads", 1)[0] == 0


def test_a_finished_run_can_be_made_longer_and_equals_a_long_one(run, tmp_path, trained):
    assert run("train", "--out", "out", "--resume", "--steps", 12, "--threads", 1)[0] == 0
    assert run(*TRAIN, "--steps", 12, "--out", "long")[0] == 0
    last = "checkpoints/step_00000012.npz"
    assert arrays(trained / last) == arrays(tmp_path / "long" / last)
    assert metrics(trained) == metrics(tmp_path / "long")


def test_going_back_to_an_earlier_checkpoint_forgets_what_came_after(run, tmp_path, trained):
    assert run(*TRAIN, "--steps", 5, "--out", "back")[0] == 0
    back = tmp_path / "back"
    assert [row["step"] for row in metrics(back)] == ["2", "4", "5"]
    earlier = back / "checkpoints/step_00000003.npz"
    words = ("train", "--out", "back", "--resume", "--checkpoint", earlier, "--steps", 8, "--threads", 1)
    assert run(*words)[0] == 0
    assert metrics(back) == metrics(trained)
    pictures = {path.name: path.read_bytes() for path in (trained / "samples").iterdir()}
    assert {path.name: path.read_bytes() for path in (back / "samples").iterdir()} == pictures


def test_ctrl_c_after_going_back_leaves_no_later_checkpoint_to_go_on_from(run, tmp_path, trained, monkeypatch):
    (trained / "checkpoints/step_mine.npz").write_bytes(b"a copy under a name of one's own")
    earlier = (trained / "checkpoints/step_00000003.npz").rename(tmp_path / "earlier.npz")
    with monkeypatch.context() as patch:
        interrupt_at(patch, [4])
        code, output, _ = run(*RESUME, "--checkpoint", earlier)
    assert code == 130 and "stopped after step 4" in output
    assert checkpoints(trained) == ["step_00000004.npz", "step_mine.npz"]
    (trained / "checkpoints/step_mine.npz").unlink()
    assert "generator of step 4" in run("sample", "out", "-o", "x.png")[1]


def test_a_run_stopped_right_after_going_back_holds_the_checkpoint_it_went_back_to(run, tmp_path, trained, monkeypatch):
    earlier = (trained / "checkpoints/step_00000003.npz").rename(tmp_path / "earlier.npz")
    with monkeypatch.context() as patch:
        patch.setattr(Progress, "start", lambda self, trainer: setattr(trainer, "stopping", True))
        patch.setattr(Progress, "finish", lambda *_: None)
        assert run(*RESUME, "--checkpoint", earlier)[0] == 130
    assert checkpoints(trained) == ["step_00000003.npz"]
    assert arrays(trained / "checkpoints/step_00000003.npz") == arrays(earlier)


def test_sample_draws_a_picture(run, tmp_path, trained):
    code, output, _ = run("sample", "out", "-n", 6, "-o", "six.png")
    assert code == 0 and output == "6 samples by the generator of step 8, seed 0: six.png\n"
    with Image.open(tmp_path / "six.png") as image:
        assert image.size == (3 * 10 + 2, 2 * 10 + 2)
    run("sample", "out", "-n", 6, "-o", "again.png")
    run("sample", "out", "-n", 6, "-o", "other.png", "--seed", 1)
    six, again, other = [(tmp_path / name).read_bytes() for name in ("six.png", "again.png", "other.png")]
    assert six == again != other
    assert run("sample", "out", "-n", 9, "--interpolate", "-o", "paths.png")[0] == 0
    with Image.open(tmp_path / "paths.png") as image:
        assert image.size == (8 * 10 + 2, 2 * 10 + 2)


def test_sample_from_an_earlier_checkpoint(run, trained):
    code, output, _ = run("sample", "out", "-o", "x.png", "--checkpoint", trained / "checkpoints/step_00000003.npz")
    assert code == 0 and "step 3" in output


def test_info_tells_the_machine_and_the_presets(run):
    code, output, errors = run("info")
    assert code == 0 and errors == ""
    for word in ("minigan", "Python", "NumPy", "processor", "threads", "BLAS", "GPU", "mlp", "dcgan28", "dcgan "):
        assert word in output
    assert mg.__version__ in output and np.__version__ in output


def test_python_m_minigan_is_the_same_command(tmp_path):
    def minigan(*words):
        environment = {**os.environ, "PYTHONPATH": str(Path(mg.__file__).parents[1])}
        return subprocess.run(
            [sys.executable, "-m", "minigan", *words], capture_output=True, text=True, env=environment
        )

    version = minigan("--version")
    assert (version.returncode, version.stdout) == (0, f"minigan {mg.__version__}\n")
    wrong = minigan("train", "--preset", "nothing")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr.startswith("minigan train: unknown preset 'nothing'; known: cgan, dcgan, ")
    assert wrong.stderr.count("\n") == 1


def test_help_names_every_setting(run):
    code, output, _ = run("train", "--help")
    assert code == 0
    for name in Config.__dataclass_fields__:
        assert "--" + name.replace("_", "-") in output


# ----------------------------------------------------------------------------------- what bad input gets


@pytest.mark.parametrize(
    "words, message",
    [
        (("--preset", "stylegan"), "unknown preset 'stylegan'; known: cgan, dcgan, dcgan28, mlp"),
        (("--objective", "luck"), "unknown objective 'luck'; known: minimax, non_saturating"),
        (("--device", "tpu"), "unknown device 'tpu'; known: cpu, cuda, cuda:N"),
        (("--out", ""), "--out is the directory of the run, but what was given is empty"),
        (("--data", ""), "the name of the data set is empty"),
        (("--data", "nowhere"), "unknown data set 'nowhere' (no such file or folder): known are mnist"),
        (("--batch-size", 21), "21 images a step from a data set of 20"),
        (("--batch-size", 0), "batch_size must be 1 or more, got 0"),
        (("--batch-size", "many"), "argument --batch-size: invalid int value: 'many'"),
        (("--lr", "fast"), "argument --lr: invalid float value: 'fast'"),
        (("--lr", -1), "must be 0 or more, got -1.0"),
        (("--lr", "nan"), "got nan"),
        (("--latent-size", 0), "latent_size must be 1 or more, got 0"),
        (("--steps", -1), "steps must be 0 or more, got -1"),
        (("--steps", 1, "--epochs", 1), "give --steps or --epochs, not both"),
        (("--seed", -1), "seed must be 0 or more, got -1"),
        (("--seed", 2**64), f"a seed is an integer from 0 to 2**64 - 1, got {2**64}"),
        (("--seed", 1.5), "argument --seed: invalid int value: '1.5'"),
        (("--threads", 0), "threads must be 1 or more, got 0"),
        (("--threads", "two"), "argument --threads: invalid int value: 'two'"),
        (("--conv-algorithm", "magic"), "magic"),
        (("--beta1", 1.5), "beta1 must be at least 0 and less than 1, got 1.5"),
        (("--update", "never"), "unknown update 'never'; known: alternating, simultaneous"),
        (("--log-every", 0), "log_every must be 1 or more, got 0"),
        (("--precision", "half"), "unknown precision 'half'; known: float32, tf32"),
        (("--precision", "tf32"), "--precision tf32 is for GPUs, and the device is cpu (as asked): use float32"),
        (("--sideways",), "minigan: unrecognized arguments: --sideways"),
        (("--resume",), "--resume needs --out DIR: the run to continue"),
        (("--checkpoint", "x.npz"), "--checkpoint is the file to --resume from: give both, or neither"),
    ],
)
def test_bad_options_of_train(run, tmp_path, words, message):
    code, _, errors = run(*TRAIN, *words)
    assert code == 2
    assert errors.startswith("minigan") and errors.count("\n") == 1
    assert message in errors
    assert [path.name for path in tmp_path.iterdir()] == ["images.npz"]


def test_a_command_must_be_named_and_known(run):
    for words in ((), ("dream",)):
        code, _, errors = run(*words)
        assert code == 2 and errors.startswith("minigan: ") and errors.count("\n") == 1


def test_cuda_without_a_gpu(refused, monkeypatch):
    monkeypatch.setattr(backends, "cuda_problem", lambda: "no GPU is plugged in")
    monkeypatch.setattr(backends, "_backends", dict(backends._backends))
    errors = refused(*TRAIN, "--device", "cuda", "--out", "out")
    assert "device 'cuda:0' cannot be used: no GPU is plugged in" in errors


def test_threads_of_the_environment(refused, monkeypatch):
    monkeypatch.setenv("MINIGAN_THREADS", "none")
    words = [word for word in TRAIN if word not in ("--threads", 1)]
    assert "MINIGAN_THREADS is the number of threads to use, 1 or more; got 'none'" in refused(*words)


@pytest.mark.parametrize("content", ["config.json", "anything"])
def test_out_exists(refused, tmp_path, content):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / content).write_text("precious")
    assert "out exists already: choose another --out, or add --resume to continue it" in refused(*TRAIN, "--out", "out")


def test_out_is_a_file_or_lies_in_one(refused, tmp_path):
    (tmp_path / "out").write_text("precious")
    assert "out exists already" in refused(*TRAIN, "--out", "out")
    assert "Not a directory: out/run" in refused(*TRAIN, "--out", "out/run")


def test_layers_that_do_not_fit_are_named_with_both_shapes(run, monkeypatch):
    def build(config, streams):
        players = tiny.build(config, streams)
        setattr(players["discriminator"], "4", mg.nn.Linear(31, 1))
        return players

    tiny.register(monkeypatch, replace(tiny.TINY, name="broken", build=build))
    error = stopped(run(*TRAIN, "--preset", "broken", "--out", "out"))
    assert "layer 'discriminator.4': linear expects" in error and "(1, 31)" in error and "(8, 32)" in error


def stopped(outcome):
    """The error line of a run that was stopped while the progress bar stood there: on a line of its own, the last."""
    code, _, errors = outcome
    assert code == 2
    *bar, last = errors.removesuffix("\n").split("\n")
    assert last.startswith("minigan train: ")
    assert not any("Traceback" in line or "minigan" in line for line in bar)
    return last


# --- data


def write_idx(folder, images=12, labels=12, magic=0x803, cut=0, kind="images"):
    """MNIST's files with faults: numbers of images and labels, the magic number, bytes cut off."""
    folder.mkdir()
    pixels = struct.pack(">4i", magic, images, 8, 8) + bytes(images * 64)
    classes = struct.pack(">2i", 0x801, labels) + bytes(labels)
    with gzip.open(folder / "train-images-idx3-ubyte.gz", "wb") as file:
        file.write(pixels[: len(pixels) - cut])
    with gzip.open(folder / "train-labels-idx1-ubyte.gz", "wb") as file:
        file.write(classes)


@pytest.mark.parametrize(
    "fault, message",
    [
        ({"magic": 0x801}, "train-images-idx3-ubyte.gz"),
        ({"magic": 0x12345678}, "magic"),
        ({"cut": 10}, "is truncated: 774 bytes, expected 784"),
        ({"cut": 780}, "train-images-idx3-ubyte.gz"),
        ({"labels": 11}, "11 labels"),
        ({"images": 0, "labels": 0}, "0"),
    ],
)
def test_faulty_idx_files(refused, tmp_path, fault, message):
    write_idx(tmp_path / "digits", **fault)
    assert message in refused(*TRAIN[:-6], "--data", "digits", "--out", "out")


def test_sound_idx_files_train(run, tmp_path):
    write_idx(tmp_path / "digits")
    assert run("train", "--preset", "tiny", "--data", "digits", "--steps", 1)[0] == 0


def test_gzip_cut_in_the_middle(refused, tmp_path):
    write_idx(tmp_path / "digits")
    path = tmp_path / "digits" / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-9])
    assert "train-images-idx3-ubyte.gz is broken gzip" in refused("train", "--preset", "tiny", "--data", "digits")


def test_a_folder_without_images_and_one_with_a_broken_image(refused, tmp_path):
    (tmp_path / "photos").mkdir()
    words = ("train", "--preset", "tiny", "--data", "photos", "--out", "out")
    assert "photos" in refused(*words)
    (tmp_path / "photos" / "one.png").write_bytes(b"this is no image")
    assert "one.png" in refused(*words)


@pytest.mark.parametrize(
    "images, message",
    [
        (np.full((20, 8, 8), np.nan, "float32"), "pixels are NaN or infinite, expected finite floats"),
        (np.full((20, 8, 8), 7.0), "floats from 7 to 7"),
        (np.zeros((0, 8, 8), "uint8"), "holds no images"),
        (np.zeros((20, 8, 8), "U1"), "wrong.npz"),
        (np.zeros(20, "uint8"), "wrong.npz"),
    ],
)
def test_faulty_npz_files(refused, tmp_path, images, message):
    np.savez(tmp_path / "wrong.npz", images=images)
    assert message in refused("train", "--preset", "tiny", "--data", "wrong.npz", "--out", "out")


def test_an_npz_that_is_none(refused, tmp_path):
    (tmp_path / "wrong.npz").write_bytes(b"PK" + bytes(100))
    assert "wrong.npz" in refused("train", "--preset", "tiny", "--data", "wrong.npz", "--out", "out")


# --- resuming and sampling


RESUME = ("train", "--out", "out", "--resume", "--threads", 1)


@pytest.mark.parametrize(
    "words, message",
    [
        (("--seed", 7), "a resumed run keeps its configuration, but seed: 0 -> 7"),
        (("--lr", 0.5), "lr_generator: 0.0002 -> 0.5; lr_discriminator: 0.0002 -> 0.5"),
        (("--preset", "mlp"), "preset: 'tiny' -> 'mlp'"),
        (("--preset", "none"), "preset: 'tiny' -> 'none'"),
        (("--objective", "minimax", "--data", "mnist"), "data: 'images.npz' -> 'mnist'; objective: 'non_saturating'"),
        (("--steps", 7), "the run has done 8 steps already, and cannot end at step 7"),
        (("--steps", 12, "--checkpoint", "none.npz"), "No such file or directory: none.npz"),
    ],
)
def test_a_resume_that_changes_the_run(refused, trained, words, message):
    assert message in refused(*RESUME, *words)


def test_a_resume_after_config_json_was_edited(refused, trained):
    path = trained / "config.json"
    path.write_text(path.read_text().replace('"batch_size": 4', '"batch_size": 5'))
    assert "keeps its configuration, but batch_size: 4 -> 5" in refused(*RESUME)
    path.write_text(path.read_text().replace('"batch_size": 5', '"batch_size": "5"'))
    assert "out/config.json: batch_size must be int, got '5'" in refused(*RESUME)
    path.write_text(path.read_text().replace('"batch_size": "5"', '"stile": 5'))
    assert "out/config.json has unknown settings stile" in refused(*RESUME)
    path.write_text(path.read_text()[:50])
    assert "out/config.json is not a configuration" in refused(*RESUME)
    for text in ("[]", "3", '"preset"'):
        path.write_text(text)
        assert "out/config.json is not a configuration" in refused(*RESUME)


def test_files_that_are_not_the_runs_own_are_left_alone(run, tmp_path, trained):
    for folder, ending in (("checkpoints", "npz"), ("samples", "png")):
        path = trained / folder / f"step_00000003.{ending}"
        path.with_stem("step_best").write_bytes(path.read_bytes())
    assert [path.name for path in later([Path("step_4.npz"), Path("step_00000004.npz")], 2)] == [
        "step_00000004.npz", "step_4.npz",
    ]  # fmt: skip
    code, output, _ = run(*RESUME, "--steps", 9)
    assert code == 0 and "removed" not in output
    names = [*(f"step_0000000{step}.npz" for step in (3, 6, 8, 9)), "step_best.npz"]
    assert checkpoints(trained) == names
    with Image.open(trained / "progress.gif") as gif:
        assert gif.n_frames == 5


@pytest.mark.parametrize("thrown_away", [["samples"], ["samples", "checkpoints"]])
def test_folders_that_were_thrown_away_are_made_again(run, trained, thrown_away):
    for name in thrown_away:
        shutil.rmtree(trained / name)
    assert run(*RESUME, "--steps", 9)[0] == 0
    assert checkpoints(trained)[-1] == "step_00000009.npz"


@pytest.mark.parametrize("row", ["8,1", "8,1,2", "8,one,2,3,4,5,6,7"])
def test_a_metrics_csv_that_was_changed(refused, trained, row):
    path = trained / "metrics.csv"
    path.write_text(path.read_text() + row + "\n")
    assert "out/metrics.csv was changed: expected the columns step,images,seconds first" in refused(
        *RESUME, "--steps", 9
    )


def test_a_resumed_diagnosis_goes_on_where_it_was(run, tmp_path, trained):
    run(*TRAIN, "--out", "parts", "--steps", 5)
    assert run("train", "--out", "parts", "--resume", "--steps", 8, "--threads", 1)[0] == 0
    whole, parts = (
        checkpoint.load(tmp_path / name / "checkpoints" / "step_00000008.npz")["reporters"]["Diagnosis"]
        for name in ("out", "parts")
    )
    assert len(whole["gradients"]) == 5  # at the first step, and at 2, 4, 6, 8
    np.testing.assert_array_equal(parts["gradients"], whole["gradients"])
    assert parts["random"] == whole["random"]


def test_no_output_at_all():
    line = f"{shlex.quote(sys.executable)} -m minigan info >&-"
    ended = subprocess.run(line, shell=True, capture_output=True, text=True, cwd=Path(mg.__file__).parents[1])
    assert (ended.returncode, ended.stderr) == (0, "")


def test_output_that_nobody_reads():
    line = f"{shlex.quote(sys.executable)} -m minigan info | head -n 1"
    ended = subprocess.run(line, shell=True, capture_output=True, text=True, cwd=Path(mg.__file__).parents[1])
    assert ended.stdout.startswith("minigan") and ended.stderr == ""


def test_a_resume_of_what_is_no_run(refused, tmp_path):
    assert "out is not a run: it has no config.json" in refused(*RESUME)
    (tmp_path / "out").mkdir()
    assert "out is not a run: it has no config.json" in refused(*RESUME)


def test_a_run_killed_before_its_first_checkpoint_starts_from_its_beginning(run, refused, tmp_path, trained):
    run(*TRAIN, "--out", "killed", "--steps", 2)
    killed = tmp_path / "killed"
    for path in (*(killed / "checkpoints").iterdir(), killed / "progress.gif"):
        path.unlink()
    error = refused("sample", "killed", "-o", "x.png")
    assert "killed holds no checkpoint yet: train it with --out killed --resume" in error
    resume = ("train", "--out", "killed", "--resume", "--threads", 1)
    assert "keeps its configuration, but seed: 0 -> 7" in refused(*resume, "--seed", 7)
    code, output, _ = run(*resume, "--steps", 8)
    assert code == 0 and "killed holds no checkpoint yet: it starts from its beginning" in output
    assert checkpoints(killed) == checkpoints(trained)
    assert arrays(killed / "checkpoints/step_00000008.npz") == arrays(trained / "checkpoints/step_00000008.npz")
    assert metrics(killed) == metrics(trained)
    assert (killed / "progress.gif").read_bytes() == (trained / "progress.gif").read_bytes()


def cut(path):
    path.write_bytes(path.read_bytes()[:-100])


def alter(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    "damage, fault", [(cut, "is truncated"), (alter, "was altered"), (lambda p: p.write_text(""), "")]
)
def test_a_damaged_checkpoint_is_refused_and_the_previous_one_offered(run, refused, trained, tmp_path, damage, fault):
    sound = arrays(trained / "checkpoints/step_00000008.npz")
    rows, names = metrics(trained), checkpoints(trained)
    damage(trained / "checkpoints/step_00000008.npz")
    previous = "out/checkpoints/step_00000006.npz"
    for words in (RESUME, ("sample", "out", "-o", "x.png")):
        error = refused(*words)
        assert "out/checkpoints/step_00000008.npz " + fault in error
        assert "the previous one, step_00000006.npz, is good: resume from it" in error
        assert error.endswith(f"(the same command with --checkpoint {previous})\n")
    assert run("sample", "out", "-o", "x.png", "--checkpoint", previous)[0] == 0
    assert run(*RESUME, "--checkpoint", previous)[0] == 0
    assert arrays(trained / "checkpoints/step_00000008.npz") == sound
    assert (metrics(trained), checkpoints(trained)) == (rows, names)


def test_when_all_checkpoints_are_damaged(refused, trained):
    for path in (trained / "checkpoints").iterdir():
        cut(path)
    error = refused(*RESUME)
    assert "step_00000008.npz is truncated" in error and "no earlier one beside it is good" in error


def test_a_checkpoint_of_something_else(refused, trained):
    state = checkpoint.load(trained / "checkpoints/step_00000008.npz")
    del state["optimizers"]["generator"]
    for other, missing in (({"step": 3}, "config"), (state, "generator")):
        checkpoint.save(trained / "other.npz", other)
        error = refused(*RESUME, "--checkpoint", "out/other.npz")
        assert f"out/other.npz is a checkpoint, but not one of a run: it has no '{missing}'" in error


@pytest.mark.parametrize(
    "words, message",
    [
        (("nothing", "-o", "x.png"), "nothing is not a run: it has no config.json"),
        (("out",), "the following arguments are required: -o/--output"),
        (("out", "-o", "x.png", "-n", 0), "-n must be 1 or more, got 0"),
        (("out", "-o", "x.png", "-n", "many"), "argument -n/--number: invalid int value: 'many'"),
        (("out", "-o", "x.png", "--seed", -1), "a seed is an integer from 0 to 2**64 - 1, got -1"),
        (("out", "-o", "nowhere/x.png"), "No such file or directory: nowhere/x.png"),
        (("out", "-o", "out"), "-o names a PNG to write: expected FILE.png, got out"),
        (("out", "-o", "x.jpg"), "-o names a PNG to write: expected FILE.png, got x.jpg"),
        (("nothing", "-o", "x.gif"), "expected FILE.png, got x.gif"),
        (("out", "-o", "x.png", "--label", 3), "has no labels to ask for"),
        (("out", "-o", "x.png", "--checkpoint", "config.json"), "No such file or directory: config.json"),
        (("out", "-o", "x.png", "--checkpoint", "images.npz"), "images.npz is not a checkpoint"),
    ],
)
def test_bad_options_of_sample(refused, trained, words, message):
    assert message in refused("sample", *words)


def test_sample_into_a_directory(refused, trained, tmp_path):
    (tmp_path / "x.png").mkdir()
    assert "Is a directory: x.png" in refused("sample", "out", "-o", "x.png")


def test_sample_under_a_name_in_capitals(run, trained, tmp_path):
    assert run("sample", "out", "-n", 1, "-o", "X.PNG")[0] == 0
    with Image.open(tmp_path / "X.PNG") as image:
        assert image.format == "PNG"


def test_sample_interpolates_where_there_is_but_one_latent(run, tmp_path):
    words = ("--latent-size", 1, "--steps", 1, "--sample-every", 1)
    assert run(*TRAIN, *words, "--out", "line")[0] == 0
    assert run("sample", "line", "-n", 64, "--interpolate", "-o", "paths.png")[0] == 0


# --- a run that fails on the way


@pytest.fixture
def file_size_limit():
    """Sets the most bytes that a file may have from now on: writing more fails as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_before_anything_is_written(run, tmp_path, file_size_limit):
    file_size_limit(0)
    code, _, errors = run(*TRAIN, "--out", "out")
    assert code == 2 and errors == "minigan train: File too large: out/config.json\n"
    assert list((tmp_path / "out").iterdir()) == []
    file_size_limit(10**9)
    assert run(*TRAIN, "--out", "out")[0] == 0  # the empty directory can be used


def test_a_full_disk_at_a_checkpoint_loses_nothing(run, tmp_path, trained, file_size_limit):
    expected = arrays(trained / "checkpoints/step_00000008.npz")
    size = (trained / "checkpoints/step_00000003.npz").stat().st_size
    assert max(path.stat().st_size for path in trained.rglob("*.*") if path.suffix != ".npz") < size
    file_size_limit(size - 1)
    error = stopped(run(*TRAIN, "--out", "full"))
    assert error == "minigan train: File too large: full/checkpoints/step_00000003.npz"
    full = tmp_path / "full"
    assert checkpoints(full) == []
    assert [row["step"] for row in metrics(full)] == ["2"]
    assert not [path for path in full.rglob("*") if "tmp" in path.name]
    # The disk is full at a later checkpoint, there is room again, and the run goes on as if nothing had been.
    file_size_limit(10**9)
    assert run(*TRAIN, "--out", "second", "--steps", 3)[0] == 0
    file_size_limit(size - 1)
    resume = ("train", "--out", "second", "--resume", "--steps", 8, "--threads", 1)
    assert "File too large: second/checkpoints/step_00000006.npz" in stopped(run(*resume))
    file_size_limit(10**9)
    second = tmp_path / "second"
    assert checkpoints(second) == ["step_00000003.npz"]
    assert run(*resume)[0] == 0
    assert arrays(second / "checkpoints/step_00000008.npz") == expected
    assert metrics(second)[-3:] == metrics(trained)[-3:]


def test_a_full_disk_at_metrics_csv_leaves_no_half_row(run, tmp_path, trained, monkeypatch):
    complete = metrics(trained)
    run(*TRAIN, "--out", "full", "--steps", 4, "--checkpoint-every", 4)
    path = tmp_path / "full" / "metrics.csv"
    before = path.read_bytes()
    real_open = type(path).open

    def full_open(self, mode="r", *arguments, **options):
        if mode == "a":
            resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 10, resource.RLIM_INFINITY))
        return real_open(self, mode, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(type(path), "open", full_open)
        resume = ("train", "--out", "full", "--resume", "--steps", 8, "--threads", 1)
        try:
            outcome = run(*resume)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert "File too large: full/" in stopped(outcome)
    assert path.read_bytes() == before
    assert run(*resume)[0] == 0
    assert metrics(tmp_path / "full") == complete


def test_a_row_torn_by_a_kill_is_dropped_on_resume(run, tmp_path, trained):
    run(*TRAIN, "--out", "killed", "--steps", 4)
    path = tmp_path / "killed" / "metrics.csv"
    path.write_text(path.read_text() + "6,24,0.0")
    assert run("train", "--out", "killed", "--resume", "--steps", 8, "--threads", 1)[0] == 0
    assert metrics(tmp_path / "killed") == metrics(trained)
    for text, steps in (("", 10), ("step,ima", 12)):
        path.write_text(text)
        assert run("train", "--out", "killed", "--resume", "--steps", steps, "--threads", 1)[0] == 0
        assert [row["step"] for row in metrics(tmp_path / "killed")] == [str(steps)]


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_last_good_checkpoint(run, tmp_path, monkeypatch):
    step = Algorithm.update

    def poisoned(self, player, losses):
        step(self, player, losses)
        if player == "generator" and self.steps_done == 5:
            self.optimizers["generator"].flat[0] = np.nan

    monkeypatch.setattr(Algorithm, "update", poisoned)
    error = stopped(run(*TRAIN, "--out", "out"))
    assert error.startswith("minigan train: training has diverged at step 6: ")
    assert "Checkpoints made before are kept. Start again with a lower --lr" in error
    out = tmp_path / "out"
    assert checkpoints(out) == ["step_00000003.npz"]
    assert [row["step"] for row in metrics(out)] == ["2", "4"]
    assert (out / "progress.gif").exists()
    assert run("sample", "out", "-o", "x.png")[0] == 0


def test_a_parameter_that_is_not_finite_is_not_saved(run, tmp_path, monkeypatch):
    step = Algorithm.update

    def poisoned(self, player, losses):
        step(self, player, losses)
        if player == "generator" and self.steps_done == 6:
            self.optimizers["generator"].flat[0] = np.nan  # after the losses of step 6

    monkeypatch.setattr(Algorithm, "update", poisoned)
    error = stopped(run(*TRAIN, "--out", "out", "--log-every", 100))
    assert "training has diverged at step 6: parameters of the generator are not finite" in error
    assert checkpoints(tmp_path / "out") == ["step_00000003.npz"]


def test_pictures_that_were_thrown_away_do_not_stop_a_run(run, trained):
    for path in (trained / "samples").iterdir():
        path.unlink()
    assert run(*RESUME)[0] == 0


# ------------------------------------------------------------------------------------------ Ctrl-C


@pytest.fixture(autouse=True)
def ctrl_c_interrupts():
    """Also where the tests run in the background, with Ctrl-C ignored from the start."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def interrupt_at(monkeypatch, steps, times=1):
    """Send Ctrl-C to this process when the generator's update of these steps is done."""
    update = Algorithm.update

    def interrupted(self, player, losses):
        update(self, player, losses)
        if player == "generator" and self.steps_done in steps:
            for _ in range(times):
                os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Algorithm, "update", interrupted)


def test_ctrl_c_saves_and_the_command_it_prints_goes_on_to_the_same_bits(run, tmp_path, trained, monkeypatch):
    handler = signal.getsignal(signal.SIGINT)
    interrupt_at(monkeypatch, [4, 7])
    code, output, errors = run(*TRAIN, "--out", "stopped run")
    *_, last = output.splitlines()
    start, command = last.split("; continue with: minigan ")
    stopped_run = tmp_path / "stopped run"
    assert code == 130 and start == "stopped after step 4" and "Traceback" not in errors
    assert checkpoints(stopped_run) == ["step_00000003.npz", "step_00000004.npz"]
    assert signal.getsignal(signal.SIGINT) is handler
    assert run(*shlex.split(command))[0] == 130
    assert checkpoints(stopped_run)[-1] == "step_00000007.npz"
    assert run(*shlex.split(command))[0] == 0
    last = "checkpoints/step_00000008.npz"
    assert arrays(stopped_run / last) == arrays(trained / last)
    assert metrics(stopped_run) == metrics(trained)
    for path in (trained / "samples").iterdir():
        assert (stopped_run / "samples" / path.name).read_bytes() == path.read_bytes()
    assert (stopped_run / "progress.gif").read_bytes() == (trained / "progress.gif").read_bytes()


def test_ctrl_c_before_the_first_step_saves_too(run, tmp_path, trained, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(Pictures, "draw", lambda *_: os.kill(os.getpid(), signal.SIGINT))
        code, output, _ = run(*TRAIN, "--out", "early")
    assert code == 130 and "stopped after step 0" in output
    assert run("train", "--out", "early", "--resume", "--threads", 1)[0] == 0
    last = "checkpoints/step_00000008.npz"
    assert arrays(tmp_path / "early" / last) == arrays(trained / last)


def test_ctrl_c_twice_stops_at_once_and_keeps_what_is_saved(run, tmp_path, monkeypatch):
    interrupt_at(monkeypatch, [5], times=2)
    code, _, errors = run(*TRAIN, "--out", "out")
    assert code == 130 and errors.endswith("\nminigan train: interrupted\n") and "Traceback" not in errors
    assert checkpoints(tmp_path / "out") == ["step_00000003.npz"]


def test_ctrl_c_while_the_data_is_read(run, tmp_path, monkeypatch):
    monkeypatch.setattr(mg.data, "load_dataset", lambda *_, **__: os.kill(os.getpid(), signal.SIGINT))
    code, _, errors = run(*TRAIN, "--out", "out")
    assert (code, errors) == (130, "minigan train: interrupted\n")
    assert not (tmp_path / "out").exists()


def test_sigterm_saves_too(run, tmp_path, monkeypatch):
    update = Algorithm.update

    def terminated(self, player, losses):
        update(self, player, losses)
        if player == "generator" and self.steps_done == 4:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(Algorithm, "update", terminated)
    code, output, _ = run(*TRAIN, "--out", "out")
    assert code == 143 and "stopped after step 4; continue with: minigan" in output
    assert checkpoints(tmp_path / "out") == ["step_00000003.npz", "step_00000004.npz"]


# ---------------------------------------------------------------------------------- one run, one process


def test_what_goes_back_says_what_it_removes(run, trained):
    code, output, _ = run(*RESUME, "--checkpoint", trained / "checkpoints/step_00000003.npz", "--steps", 4)
    assert code == 0
    assert "back to step 3: later samples and checkpoints are removed (step_00000006, step_00000008)" in output
    assert checkpoints(trained) == ["step_00000003.npz", "step_00000004.npz"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such locks")
def test_a_run_that_another_process_trains_is_left_alone(refused, run, trained):
    with Run.open("out").claimed():
        assert "another process trains in out: wait until it ends" in refused(*RESUME, "--steps", 12)
    assert run(*RESUME, "--steps", 12)[0] == 0


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such locks")
def test_a_new_run_claims_its_directory_before_and_while_it_trains(run, refused, tmp_path, monkeypatch):
    (tmp_path / "out").mkdir()
    with Run("out").claimed():
        assert "another process trains in out" in refused(*TRAIN, "--out", "out")
    tried = []

    def update(*_):
        with pytest.raises(ValueError, match="another process trains in out"), Run("out").claimed():
            tried.append("claimed it as well")
        tried.append("refused")
        raise OSError("that is enough")

    monkeypatch.setattr(Algorithm, "update", update)
    assert run(*TRAIN, "--out", "out")[0] == 2
    assert tried == ["refused"]


def test_a_broken_link_for_the_runs_is_no_endless_search(run, tmp_path):
    (tmp_path / "runs").symlink_to(tmp_path / "nowhere" / "else")
    code, _, errors = run(*TRAIN)
    assert code == 2 and "File exists: runs" in errors


def test_ctrl_c_while_a_command_loads(run, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("minigan.cli.importlib.import_module", interrupted)
    assert run("train") == (130, "", "minigan train: interrupted\n")


def test_runs_that_begin_at_once_get_numbers_of_their_own(run, tmp_path, monkeypatch):
    """The number that was free is taken by another run at the last moment."""
    mkdir = Path.mkdir

    def late(path, *args, **kwargs):
        if path == Path("runs/0001") and not path.exists():
            mkdir(path, parents=True)
        mkdir(path, *args, **kwargs)

    monkeypatch.setattr(Path, "mkdir", late)
    assert run(*TRAIN, "--steps", 1)[0] == 0
    assert list((tmp_path / "runs/0001").iterdir()) == []
    assert (tmp_path / "runs/0002/config.json").exists()


# ------------------------------------------------------------------------------- what belongs to a run


def test_a_forced_algorithm_stays_with_its_run(run, tmp_path):
    assert run(*TRAIN, "--out", "out", "--conv-algorithm", "reference")[0] == 0
    for words, algorithm in (((), "reference"), (("--conv-algorithm", "auto"), "auto"), ((), "auto")):
        assert run(*RESUME, "--steps", 9, *words)[0] == 0
        assert Config.load(tmp_path / "out/config.json").conv_algorithm == algorithm
        assert mg.get_backend("cpu").kernels.convolutions.forced == algorithm


def test_the_same_data_may_have_another_name(run, refused, tmp_path, trained):
    (tmp_path / "images.npz").rename(tmp_path / "moved.npz")
    assert run(*RESUME, "--steps", 9, "--data", "moved.npz")[0] == 0
    assert run(*RESUME, "--steps", 10)[0] == 0
    tiny.save_images(tmp_path / "others.npz", count=21)
    assert "data: 'moved.npz' -> 'others.npz'" in refused(*RESUME, "--steps", 11, "--data", "others.npz")


def test_an_earlier_checkpoint_can_be_scored(run, trained):
    code, _, errors = run("evaluate", trained, "--checkpoint", trained / "checkpoints/step_00000003.npz")
    assert code == 2 and "8x8" in errors  # of the right file, whose images cannot be scored
    assert "No such file" in run("evaluate", trained, "--checkpoint", "nothing.npz")[2]


def test_data_that_were_changed_meanwhile_are_noticed(run, tmp_path, trained):
    _, _, errors = run(*RESUME, "--steps", 9)
    assert "warning" not in errors
    images = np.load(tmp_path / "images.npz")["images"]
    np.savez(tmp_path / "images.npz", images=255 - images)
    code, _, errors = run(*RESUME, "--steps", 10)
    assert code == 0
    assert "minigan train: warning: images.npz holds other data than when the checkpoint was made" in errors
