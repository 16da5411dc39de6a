"""What reporters leave behind."""

import os
import resource
from types import SimpleNamespace

import pytest
from PIL import Image

from minigan.gan import Run, objectives, presets
from minigan.gan.reporters import LossPlot, Metrics, Pictures, Progress


@pytest.fixture
def directory(tmp_path):
    """A new run without a step."""
    return Run.create(tmp_path / "run", presets.configure("mlp"))


@pytest.fixture
def clock(monkeypatch):
    """clock.seconds is the time of the reporters."""
    clock = SimpleNamespace(seconds=100.0)
    monkeypatch.setattr("minigan.gan.reporters.time", SimpleNamespace(perf_counter=lambda: clock.seconds))
    return clock


@pytest.fixture
def few_open_files():
    """No more than ten files can be opened beside those that are."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.open(os.devnull, os.O_RDONLY)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + 10, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_gif_can_be_made_of_more_pictures_than_files_can_be_open(directory, few_open_files):
    for step in range(30):
        Image.new("L", (4, 4), step % 2 * 255).save(directory.samples / f"step_{step:08d}.png")
    Pictures(directory).finish(SimpleNamespace())
    with Image.open(directory.gif_path) as gif:
        assert gif.n_frames == 30


NUMBERS = {"d_loss": 1.5, "g_loss": 2.5, "d_real": 0.25, "d_fake_before": -3.5, "d_fake_after": -4.5}
LETTERS = {
    "minimax": "D", "non_saturating": "D", "least_squares": "C", "wasserstein": "C", "hinge": "C", "relativistic": "C",
}  # fmt: skip


def trained_by(objective):
    config = SimpleNamespace(steps=10, images_per_step=4)
    return SimpleNamespace(step=0, config=config, algorithm=SimpleNamespace(objective=objectives.get(objective)))


@pytest.mark.parametrize("objective", objectives.ALL)
def test_the_progress_line_calls_only_a_probability_d(objective, capsys):
    progress, trainer, c = Progress(), trained_by(objective), LETTERS[objective]
    progress.start(trainer)
    progress.log(trainer, NUMBERS)
    progress.finish(trainer)
    assert f"D 1.50 G 2.50 {c}(x) 0.25 {c}(G(z)) -3.50/-4.50 0 images/s" in capsys.readouterr().err


def test_the_rate_of_a_resumed_run_is_that_of_the_steps_it_took(clock, capsys):
    progress, trainer = Progress(), trained_by("hinge")
    trainer.step = 6
    progress.start(trainer)
    trainer.step, clock.seconds = 10, 102.0
    progress.log(trainer, NUMBERS)
    progress.finish(trainer)
    assert " 8 images/s" in capsys.readouterr().err  # 4 steps of 4 images in 2 seconds


def test_the_seconds_of_a_resumed_run_go_on_from_the_last_row_that_it_keeps(directory, clock):
    def logged(step, *times):
        metrics, trainer = Metrics(directory.metrics_path), trained_by("hinge")
        trainer.step = step
        metrics.start(trainer)
        for clock.seconds in times:
            trainer.step += 1
            metrics.log(trainer, NUMBERS)

    logged(0, 107.5, 110.0)
    clock.seconds = 1000.0
    logged(1, 1002.0)
    rows = [line.split(",")[:3] for line in directory.metrics_path.read_text().splitlines()]
    assert rows == [["step", "images", "seconds"], ["1", "4", "7.500"], ["2", "8", "9.500"]]


@pytest.mark.parametrize("objective", ["non_saturating", "hinge"])
def test_the_plot_of_the_metrics_calls_only_a_probability_d(objective, directory, monkeypatch):
    figure = pytest.importorskip("matplotlib.figure")
    drawn = []
    monkeypatch.setattr(figure.Figure, "savefig", lambda self, *_, **__: drawn.append(self))
    rows = [["step", *NUMBERS], ["25", *map(str, NUMBERS.values())], ["50", *map(str, NUMBERS.values())]]
    directory.metrics_path.write_text("".join(",".join(row) + "\n" for row in rows))
    LossPlot(directory).finish(trained_by(objective))
    losses, outputs = drawn[0].axes
    assert [line.get_label() for line in losses.lines] == ["discriminator", "generator"]
    c = LETTERS[objective]
    assert outputs.get_ylabel() == f"mean {c}"
    curves = {line.get_label(): list(line.get_ydata()) for line in outputs.lines}
    assert curves == {f"{c}(x)": [0.25] * 2, f"{c}(G(z)) before": [-3.5] * 2, f"{c}(G(z)) after": [-4.5] * 2}


@pytest.mark.parametrize("text", ["\ufeffstep,images,seconds\n2,4,0.1\n", "step,images,seconds\n\n2,4,0.1\n"])
def test_a_metrics_file_that_another_program_changed_is_refused(tmp_path, text):
    path = tmp_path / "metrics.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"metrics\.csv was changed: expected the columns step,images,seconds first"):
        Metrics(path).start(None)
