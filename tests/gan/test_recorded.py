"""Steps of dense networks as recorded lists of array operations."""

import gc
import threading
import warnings
import weakref
from dataclasses import replace

import numpy as np
import pytest
import tiny

import minigan as mg
from minigan import nn
from minigan.data import dataset as datasets
from minigan.gan import Batch, Trainer, create, penalties, presets
from minigan.gan import recorded as recorded_module
from minigan.gan.contradictions import ConfigWarning
from minigan.gan.presets.preset import Preset
from minigan.gan.recorded import Program, Recorder
from minigan.kernels.reference import ReferenceKernels
from minigan.observe import GraphPrinter
from minigan.rng import Generator

PIXELS = np.random.default_rng(0).integers(0, 256, (60, 1, 8, 8), np.uint8)
STEPS = 6


def build(config, streams):
    rng = streams["init"]
    generator = nn.Sequential(
        nn.Linear(config.latent_size, 5, rng=rng),
        nn.ReLU(),
        nn.Linear(5, 64, rng=rng),
        nn.Tanh(),
        nn.Unflatten(1, (1, 8, 8)),
    )
    layers = [nn.Flatten(), nn.Linear(64 * config.packing, 5, rng=rng), nn.LeakyReLU(0.2), nn.Linear(5, 1, rng=rng)]
    return {"generator": generator, "discriminator": nn.Sequential(*layers)}


DENSE = Preset("dense", "for tests", (1, 8, 8), build, {"batch_size": 4, "latent_size": 3, "log_every": 100})


@pytest.fixture(autouse=True)
def known(monkeypatch):
    tiny.register(monkeypatch)
    tiny.register(monkeypatch, DENSE)


def training(preset="dense", **settings):
    config = presets.configure(preset, **settings)
    return Trainer(config, create(config), datasets.stored("x", PIXELS, np.arange(60) % 10))


def trained_alike(recorded, eager, steps=STEPS):
    """Both trainers take these steps, the second one by its algorithm's own method: all comes to the same bits."""
    for step in range(steps):
        one, other = recorded._take_step(recorded.batch(step)), eager.algorithm.step(eager.batch(step))
        np.testing.assert_equal(one.numbers(), other.numbers())
        assert_equal(recorded.algorithm.state_dict(), eager.algorithm.state_dict())
        for name, optimizer in recorded.algorithm.optimizers.items():
            for p, q in zip(optimizer.parameters, eager.algorithm.optimizers[name].parameters, strict=True):
                np.testing.assert_array_equal(p.grad.numpy(), q.grad.numpy())


def assert_equal(state, expected):
    if isinstance(expected, dict):
        assert state.keys() == expected.keys()
        for name in expected:
            assert_equal(state[name], expected[name])
    else:
        np.testing.assert_array_equal(state, expected)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"update": "simultaneous"},
        {"fresh_latents": True, "real_target": 0.9},
        {"lr_schedule": "linear", "steps": 5},
        {"optimizer": "rmsprop", "lr_schedule": "cosine", "steps": 7},
        {"optimizer": "sgd", "momentum": 0.5, "clip_norm": 0.1},
        {"discriminator_steps": 2, "clip_value": 0.01},
        {"ema": 0.15},  # another rate in every step
        {"objective": "wasserstein", "weight_clip": 0.01, "beta1": 0.0},
        {"objective": "wasserstein", "penalty": "wgan_gp"},
        {"objective": "hinge", "penalty": "r1"},
        {"objective": "relativistic", "penalty": "dragan"},
        {"objective": "least_squares", "packing": 2},
        {"l2": 0.01},
    ],
    ids=str,
)
def test_a_recorded_step_comes_to_the_bits_of_the_step_itself(settings, monkeypatch):
    recorded, eager = training(**settings), training(**settings)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trained_alike(recorded, eager, steps=3)  # two to record, one to compare
        monkeypatch.setattr(recorded.algorithm, "step", None)
        trained_alike(recorded, eager)


class Wobbly(nn.Module):
    """A layer of somebody else, which does something else every time."""

    def __init__(self):
        super().__init__()
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        return x * (1.0 if self.calls < 20 else 0.5)


def wobbly(config, streams):
    players = build(config, streams)
    return {**players, "discriminator": nn.Sequential(Wobbly(), players["discriminator"])}


@pytest.mark.parametrize(
    ("preset", "settings", "problem"),
    [
        ("tiny", {}, "BatchNorm keeps arrays"),
        ("dense", {"instance_noise": 0.1}, "an array (4, 1, 8, 8) of unknown origin is read"),
        ("dense", {"spectral_norm": True}, "a network writes into its buffers"),
        ("dense", {"l1": 0.01}, "an array (5, 64) of unknown origin is read"),  # signs
        ("wobbly", {}, "Wobbly is not of minigan, and may do something else every time"),
    ],
)
def test_other_steps_stay_as_they_are(preset, settings, problem, monkeypatch):
    tiny.register(monkeypatch, replace(DENSE, name="wobbly", build=wobbly))
    recorded, eager = training(preset, **settings), training(preset, **settings)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trained_alike(recorded, eager, steps=12)
    assert recorded._take_step.problem == problem and recorded._take_step.program is None


@pytest.mark.parametrize("changes", [{"real_target": 0.8}, {"penalty": "r1"}, {"fresh_latents": True}])
def test_a_step_that_changes_is_not_recorded(changes):
    """Between the first step and the second, and so between what was written down of them."""
    recorded, eager = training(), training()
    trained_alike(recorded, eager, steps=1)
    for trainer in (recorded, eager):
        trainer.algorithm.config = replace(trainer.algorithm.config, **changes)
    trained_alike(recorded, eager)
    assert recorded._take_step.problem == "two steps did not do the same"


def test_another_batch_size_is_a_step_of_its_own():
    recorded, eager = training(), training()
    trained_alike(recorded, eager, steps=4)
    few = [Batch(t.batch(4).images[:2]) for t in (recorded, eager)]
    assert recorded._take_step(few[0]).numbers() == eager.algorithm.step(few[1]).numbers()
    trained_alike(recorded, eager)


def test_a_list_that_comes_to_other_weights_is_noticed(monkeypatch):
    run = Program.run

    def wrong(self, batch):
        report = run(self, batch)
        self.algorithm.optimizers["generator"].flat[0] += 1e-6
        return report

    monkeypatch.setattr(Program, "run", wrong)
    recorded, eager = training(), training()
    trained_alike(recorded, eager, steps=2)
    with pytest.warns(
        ConfigWarning,
        match="training goes on without recorded steps: the recorded step comes to other weights than the step itself",
    ):
        recorded._take_step(recorded.batch(2))
    eager.algorithm.step(eager.batch(2))
    trained_alike(recorded, eager)


def test_weights_that_are_not_finite_are_compared_too():
    recorded, eager = (training(lr_generator=1e30, lr_discriminator=1e30, optimizer="sgd") for _ in range(2))
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.filterwarnings("error", category=ConfigWarning)
        trained_alike(recorded, eager)
    assert np.isnan(recorded.algorithm.optimizers["generator"].flat).any()
    assert recorded._take_step.shown == 3


def test_kernels_that_are_configured_anew_are_taken(monkeypatch):
    recorded, eager = training(), training()
    trained_alike(recorded, eager, steps=4)
    monkeypatch.setattr(mg.get_backend("cpu"), "kernels", ReferenceKernels(np))
    trained_alike(recorded, eager)
    assert recorded._take_step.program.kernels.name == "reference"


def test_who_observes_sees_operations(capsys):
    recorded, eager = training(), training()
    trained_alike(recorded, eager, steps=4)
    capsys.readouterr()
    with mg.get_backend("cpu").observing(GraphPrinter()):
        recorded._take_step(recorded.batch(4))
    assert "LeakyReLU" in capsys.readouterr().out
    eager.algorithm.step(eager.batch(4))
    trained_alike(recorded, eager)


def test_a_resumed_run_is_the_uninterrupted_one():
    whole, first, second = training(), training(), training()
    for trainer, steps in ((whole, range(9)), (first, range(5))):
        for step in steps:
            trainer._take_step(trainer.batch(step))
    second.algorithm.load_state_dict(first.algorithm.state_dict())
    for step in range(5, 9):
        second._take_step(second.batch(step))
    assert_equal(second.algorithm.state_dict(), whole.algorithm.state_dict())


def test_no_array_is_held_longer_than_it_is_needed(monkeypatch):
    """While a list runs: no more than half of what it makes; between two runs: what is there before every step."""
    trainer = training(batch_size=30)
    for step in range(4):
        trainer._take_step(trainer.batch(step))
    program, held = trainer._take_step.program, []

    class Watched(list):
        def copy(self):
            return Watched(self)

        def __setitem__(self, index, array):
            super().__setitem__(index, array)
            held.append(sum(a is not None for a in self))

    before = program.arrays
    program.arrays = Watched(before)
    trainer._take_step(trainer.batch(4))
    made = [operation.makes for operation in program.operations if operation.makes is not None]
    assert max(held) - min(held) < len(made) / 2
    assert program.arrays == before and not [n for n in made if program.arrays[n] is not None]
    assert program.arrays[0] is None  # the batch


def test_nothing_stays_of_a_recorder(monkeypatch):
    """It holds every array of a step."""
    recorders = []

    program = Recorder.program

    def watched(self, report):
        recorders.append(weakref.ref(self))
        return program(self, report)

    monkeypatch.setattr(Recorder, "program", watched)
    trainer = training()
    for step in range(3):
        trainer._take_step(trainer.batch(step))
    gc.collect()
    assert trainer._take_step.program and [recorder() for recorder in recorders] == [None, None]


def failing(monkeypatch, trainer, call, error=MemoryError):
    """The kernel `linear` fails at that call of it, once."""
    linear, calls = trainer.algorithm.backend.kernels.linear, []

    def fails(*arguments):
        calls.append(1)
        if len(calls) == call:
            raise error("for this test")
        return linear(*arguments)

    monkeypatch.setattr(trainer.algorithm.backend.kernels, "linear", fails)


@pytest.mark.parametrize("call", [1, 3, 5])
@pytest.mark.parametrize("step", range(5))
def test_a_step_that_fails_can_be_taken_again(step, call, monkeypatch):
    """Also that in which both ways are compared: nothing is taken twice."""
    recorded, eager = training(), training()
    trained_alike(recorded, eager, steps=step)
    for trainer, take in ((recorded, recorded._take_step), (eager, eager.algorithm.step)):
        with monkeypatch.context() as patch:
            failing(patch, trainer, call, KeyboardInterrupt)
            with pytest.raises(KeyboardInterrupt):
                take(trainer.batch(step))
    if step == 2:  # the list was tried first, and has left nothing behind
        eager = training()
        trained_alike(training(), eager, steps=step)
    assert_equal(recorded.algorithm.state_dict(), eager.algorithm.state_dict())
    assert not {"advance", "normal"} & (
        vars(recorded.algorithm).keys() | vars(recorded.algorithm.streams["latents"]).keys()
    )
    trained_alike(recorded, eager)
    assert recorded._take_step.shown == 3


def test_without_memory_for_a_comparison_training_goes_on(monkeypatch):
    recorded, eager = training(), training()
    trained_alike(recorded, eager, steps=2)
    failing(monkeypatch, recorded, 3)
    trained_alike(recorded, eager)
    assert recorded._take_step.problem == "there is no memory for a comparison"


def test_steps_with_much_memory_are_not_kept(monkeypatch):
    monkeypatch.setattr(recorded_module, "LARGE", 1000)
    recorded, eager = training(), training()
    trained_alike(recorded, eager, steps=2)
    assert recorded._take_step.problem == "its arrays are large"


def replaced_optimizer(trainer):
    generator = trainer.algorithm.generator
    trainer.algorithm.optimizers.pop("generator")
    trainer.algorithm.optimizers["generator"] = mg.optim.SGD(generator.parameters(), 1e-2)


def replaced_stream(trainer):
    trainer.algorithm.streams["latents"] = Generator(77, trainer.algorithm.backend)


def evaluating(trainer):
    trainer.algorithm.discriminator.eval()


@pytest.mark.parametrize("change", [replaced_optimizer, replaced_stream, evaluating])
def test_pieces_that_are_replaced_are_noticed(change):
    recorded, eager = training(), training()
    trained_alike(recorded, eager, steps=5)
    change(recorded)
    change(eager)
    trained_alike(recorded, eager)
    assert recorded._take_step.shown == 3


def test_dropout_that_is_switched_on_again_is_noticed():
    recorded, eager = training(dropout=0.5), training(dropout=0.5)
    for trainer in (recorded, eager):
        trainer.algorithm.discriminator.eval()
    trained_alike(recorded, eager)
    assert recorded._take_step.shown == 3
    for trainer in (recorded, eager):
        trainer.algorithm.discriminator.train()
    trained_alike(recorded, eager)
    assert recorded._take_step.problem == "MaskScale keeps arrays"


def test_the_last_gradients_are_gone_before_new_ones_are_made():
    trainer = training()
    for step in range(4):
        trainer._take_step(trainer.batch(step))
    program, seen = trainer._take_step.program, []
    parameters = [p for optimizer in trainer.algorithm.optimizers.values() for p in optimizer.parameters]
    first, *others = program.operations

    def call(*arrays):
        seen.extend(p.grad for p in parameters)
        return first.call(*arrays)

    program.operations = [first._replace(call=call), *others]
    trainer._take_step(trainer.batch(4))
    assert seen == [None] * len(parameters) and all(p.grad is not None for p in parameters)


class Counting(mg.optim.Adam):
    def step(self):
        self.calls = getattr(self, "calls", 0) + 1
        super().step()


def foreign_optimizer(trainer, monkeypatch):
    trainer.algorithm.optimizers["generator"].__class__ = Counting


def foreign_penalty(trainer, monkeypatch):
    def r1(*arguments, rng=None, original=penalties.ALL["r1"]):
        return original(*arguments, rng=rng)

    monkeypatch.setitem(penalties.ALL, "r1", r1)


def patched_stream(trainer, monkeypatch):
    stream = trainer.algorithm.streams["latents"]
    stream.normal = stream.normal


def patched_layer(trainer, monkeypatch):
    layer = trainer.algorithm.discriminator[1]
    layer.forward = layer.forward


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (foreign_optimizer, "Counting is not of minigan"),
        (foreign_penalty, "r1 is not of minigan"),
        (patched_stream, "normal of a Generator was replaced"),
        (patched_layer, "forward of a Linear was replaced"),
    ],
)
def test_other_code_is_run_every_time(change, problem, monkeypatch):
    recorded, eager = training(penalty="r1"), training(penalty="r1")
    for trainer in (recorded, eager):
        change(trainer, monkeypatch)
    trained_alike(recorded, eager)
    assert recorded._take_step.problem.startswith(problem)


def test_other_threads_are_not_listened_to():
    """One samples from a network of its own while steps are recorded."""
    recorded, eager, other = training(), training(), training().algorithm
    sampled = []
    after = Recorder.after

    def sample():
        sampled.append(other.sample(other.fixed_latents(2)))

    def beside(self, *arguments):
        after(self, *arguments)
        if threading.current_thread() is threading.main_thread():
            thread = threading.Thread(target=sample)
            thread.start()
            thread.join()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Recorder, "after", beside)
        trained_alike(recorded, eager, steps=2)
    trained_alike(recorded, eager)
    assert sampled and recorded._take_step.shown == 3
