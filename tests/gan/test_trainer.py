import gc
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import tiny

import minigan as mg
from minigan import nn
from minigan.data import load_dataset
from minigan.gan import GAN, Diverged, Reporter, Trainer, presets
from minigan.gan.reporters import Evaluation
from minigan.kernels.cpu import CpuKernels


@pytest.fixture
def make(monkeypatch, tmp_path):
    """make(reporters, step=0, **settings): a Trainer of the tiny GAN on random images."""
    tiny.register(monkeypatch)
    dataset = load_dataset(tiny.save_images(tmp_path / "images.npz"), size=8, channels=1)

    def make(reporters=(), step=0, preset="tiny", **settings):
        config = presets.configure(preset, **settings)
        return Trainer(config, GAN(config), dataset, reporters, step)

    return make


class Listener(Reporter):
    """Writes down what it is told, under its name, in a list that may be shared; fails when it is told to."""

    def __init__(self, name="listener", heard=None, fails=""):
        self.name, self.heard, self.fails = name, [] if heard is None else heard, fails

    def note(self, event, trainer):
        self.heard.append((self.name, event, trainer.step))
        if event == self.fails:
            raise OSError(f"{self.name} failed")

    def start(self, trainer):
        self.note("start", trainer)

    def log(self, trainer, numbers):
        self.note("log", trainer)
        self.numbers = numbers

    def after_step(self, trainer, report):
        self.note("step", trainer)

    def finish(self, trainer):
        self.note("finish", trainer)


def test_reporters_hear_of_every_step_and_of_logged_ones_before(make):
    listener = Listener()
    make([listener], steps=5, log_every=2).run()
    assert [(event, step) for _, event, step in listener.heard] == [
        ("start", 0), ("step", 1), ("log", 2), ("step", 2), ("step", 3), ("log", 4), ("step", 4), ("log", 5),
        ("step", 5), ("finish", 5),
    ]  # fmt: skip
    assert list(listener.numbers) == ["d_loss", "g_loss", "d_real", "d_fake_before", "d_fake_after"]
    assert all(type(number) is float for number in listener.numbers.values())


@pytest.mark.filterwarnings("ignore:nothing bounds the slope")
@pytest.mark.parametrize(
    "objective", ["minimax", "non_saturating", "least_squares", "wasserstein", "hinge", "relativistic"]
)
def test_the_discriminators_numbers_are_probabilities_only_where_its_objective_makes_them(make, objective):
    listener = Listener()
    listener.after_step = lambda trainer, report: setattr(listener, "report", report)
    make([listener], steps=1, objective=objective).run()
    report = listener.report
    logits = [c.numpy() for c in (report.real_logits, report.fake_logits, report.updated_fake_logits)]
    said = [listener.numbers[name] for name in ("d_real", "d_fake_before", "d_fake_after")]
    if objective in ("minimax", "non_saturating"):
        logits = [1 / (1 + np.exp(-c)) for c in logits]
    assert said == pytest.approx([c.mean() for c in logits], rel=1e-5, abs=1e-7)


def test_reporters_finish_in_reverse_order_also_when_one_fails(make):
    heard = []
    reporters = [Listener("a", heard), Listener("b", heard, fails="finish"), Listener("c", heard)]
    with pytest.raises(OSError, match="b failed"):
        make(reporters, steps=1).run()
    assert [name for name, event, _ in heard if event == "start"] == ["a", "b", "c"]
    assert [name for name, event, _ in heard if event == "finish"] == ["c", "b", "a"]


@pytest.mark.parametrize("event", ["start", "step", "log"])
def test_those_that_have_started_finish_whatever_fails(make, event):
    heard = []
    trainer = make([Listener("a", heard), Listener("b", heard, fails=event), Listener("c", heard)], log_every=1)
    with pytest.raises(OSError, match="b failed"):
        trainer.run()
    finished = [name for name, what, _ in heard if what == "finish"]
    assert finished == (["a"] if event == "start" else ["c", "b", "a"])
    assert trainer.failed == (event != "start")


def test_a_run_can_be_stopped_after_the_current_step(make):
    class Stop(Reporter):
        def after_step(self, trainer, report):
            trainer.stopping = trainer.step == 3

    listener = Listener()
    trainer = make([Stop(), listener])
    trainer.run()
    assert trainer.step == 3 and not trainer.failed
    assert listener.heard[-1] == ("listener", "finish", 3)


def test_a_run_begins_at_its_step(make):
    listener = Listener()
    make([listener], step=6).run()
    assert [step for _, event, step in listener.heard if event == "step"] == [7, 8]


def test_images_become_floats_from_minus_one_to_one(make):
    trainer = make()
    batch = trainer.batch(0).images
    pixels, _ = trainer.dataset.batches(4, 0)(0)
    assert batch.dtype == np.float32 and batch.shape == (4, 1, 8, 8) and pixels.dtype == np.uint8
    np.testing.assert_allclose(batch.numpy(), pixels / 127.5 - 1, atol=1e-6)
    extremes = np.array([0, 255], np.uint8).astype("float32") * (2 / 255) - 1
    assert extremes.tolist() == [-1, 1]


def test_the_batch_of_a_step_is_the_same_whenever_it_is_asked_for(make):
    one, other = make(), make()
    one.batch(3)
    np.testing.assert_array_equal(one.batch(7).images.numpy(), other.batch(7).images.numpy())
    assert (make(seed=1).batch(7).images.numpy() != one.batch(7).images.numpy()).any()


def test_a_batch_larger_than_the_data_is_refused(make):
    with pytest.raises(ValueError, match="21 images a step from a data set of 20"):
        make(batch_size=21)


@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_loss_that_is_not_finite_stops_the_run_at_the_next_logged_step(make, value):
    class Poison(Reporter):
        def after_step(self, trainer, report):
            if trainer.step == 3:
                trainer.algorithm.optimizers["discriminator"].flat[...] = value

    trainer = make([Poison()], log_every=5)
    with pytest.raises(Diverged, match=r"diverged at step 5: d_loss = (nan|inf), .*Checkpoints made before are kept"):
        trainer.run()
    assert trainer.failed


@pytest.mark.parametrize("player", ["generator", "discriminator"])
def test_a_parameter_that_is_not_finite_is_found(make, player):
    trainer = make()
    trainer.check_parameters()
    trainer.algorithm.optimizers[player].flat[-1] = np.inf
    with pytest.raises(Diverged, match=f"diverged at step 0: parameters of the {player} are not finite"):
        trainer.check_parameters()


class Judge:
    """Scores nothing, and remembers when."""

    names = ("Score",)

    def __init__(self):
        self.steps = []

    def fakes(self, algorithm):
        return algorithm.optimizers["generator"].steps

    def scores(self, step):
        self.steps.append(step)
        return [SimpleNamespace(name="Score", value=0.5)]


def test_a_resumed_run_is_scored_at_the_steps_of_one_that_was_not(make):
    def scored(step):
        judge, listener = Judge(), Listener()
        trainer = make([Evaluation(judge), listener], step=step, steps=20, log_every=3, evaluate_every=4)
        trainer.algorithm.optimizers["generator"].steps = step
        trainer.run()
        assert listener.numbers["score"] == 0.5  # at the end
        return judge.steps

    whole = scored(0)
    assert whole == [6, 9, 12, 18, 20]  # the first logged steps after 4, 8, 12, 16, and the last
    for step in (4, 5, 6, 8, 11, 13, 19):
        assert scored(step) == [s for s in whole if s > step]


# -------------------------------------------------------------------------------------- memory


def dense(config, streams):
    return {
        "generator": nn.Sequential(
            nn.Linear(3, 8), nn.BatchNorm1d(8), nn.LeakyReLU(0.2), nn.Linear(8, 64), nn.Unflatten(1, (1, 8, 8))
        ),
        "discriminator": nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.Dropout(0.3), nn.Linear(8, 1)),
    }


def tensors():
    return sum(isinstance(thing, mg.Tensor) for thing in gc.get_objects())


@pytest.mark.parametrize(
    "steps, settings",
    [
        (1000, {"preset": "dense"}),
        (100, {}),
        (100, {"fresh_latents": True}),
        (100, {"update": "simultaneous"}),
        (100, {"penalty": "wgan_gp", "objective": "wasserstein", "dropout": 0.3}),
    ],
)
def test_a_step_makes_no_reference_cycles_and_leaves_nothing_behind(make, monkeypatch, steps, settings):
    cpu = mg.get_backend("cpu")
    monkeypatch.setattr(cpu, "kernels", CpuKernels(1))
    tiny.register(monkeypatch, replace(tiny.TINY, name="dense", build=dense))
    trainer = make(steps=steps, **settings)
    algorithm = trainer.algorithm
    gc.collect()
    gc.freeze()  # what is there already is not looked at
    gc.disable()
    try:
        counts = []
        for step in range(steps):
            algorithm.step(trainer.batch(step))
            if step % (steps // 10) == 0:
                counts.append((tensors(), len(gc.get_objects())))
        assert gc.collect() == 0  # nothing was left to the collector
    finally:
        gc.enable()
        gc.unfreeze()
    live, objects = zip(*counts[1:], strict=True)
    assert len(set(live)) == 1
    assert min(objects[-4:]) - min(objects[:4]) < steps // 5  # the least of several: other threads come and go
