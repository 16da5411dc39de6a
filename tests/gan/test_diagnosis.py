"""Each fault is provoked by a tiny run and named; a sound run is left in peace; watching changes nothing."""

import argparse
import re

import numpy as np
import pytest

from minigan import data
from minigan.commands import train
from minigan.gan import Config, Trainer, create, presets
from minigan.gan.diagnosis import FINDINGS, SAMPLES, WINDOW, Diagnosis, Observation
from minigan.gan.objectives import Wasserstein

NAMES = {finding.name for finding in FINDINGS}


def watched(config, *, before=None, path=None):
    """A run with a diagnosis: (the names of what was found, the diagnosis)."""
    algorithm = create(config, "cpu")
    if before:
        before(algorithm)
    diagnosis = Diagnosis(path)
    Trainer(config, algorithm, presets.get(config.preset).load_data(config.data), [diagnosis]).run()
    return {name for name in NAMES for message in diagnosis.messages if f": {name}\n" in message}, diagnosis


def points(**settings):
    return presets.configure("mlp-2d", **{"batch_size": 64, "latent_size": 16, "log_every": 1, "steps": 40, **settings})


def digits(**settings):
    return presets.configure("mlp", **{"batch_size": 32, "log_every": 5, "steps": 200, **settings})


@pytest.fixture(scope="module", autouse=True)
def few_digits():
    """Reading 60,000 images takes longer than these runs."""
    with pytest.MonkeyPatch.context() as patch:
        images, labels = data.load_mnist("test")
        patch.setattr("minigan.data.dataset.load_mnist", lambda split: (images[:2000], labels[:2000]))
        yield


def test_discriminator_saturated():
    found, _ = watched(digits(lr_generator=0.0, lr_discriminator=1e-3, steps=75))
    assert found == {"discriminator saturated"}


def test_generators_gradient_vanished():
    """Minimax starves the generator as soon as the discriminator is sure; non-saturating does not."""
    settings = {"lr_generator": 1e-5, "lr_discriminator": 1e-3, "steps": 75}
    assert "generator's gradient vanished" in watched(digits(objective="minimax", **settings))[0]
    assert "generator's gradient vanished" not in watched(digits(**settings))[0]


def test_collapse_of_the_spread(monkeypatch):
    """Against a discriminator that does not learn, every latent ends at the image it likes best."""
    monkeypatch.setattr("minigan.gan.diagnosis.WARM_UP", 50)
    found, diagnosis = watched(digits(lr_discriminator=0.0, lr_generator=3e-3, steps=120))
    assert "collapse" in found
    assert "times as far as real samples" in next(m for m in diagnosis.messages if ": collapse\n" in m)


def test_collapse_onto_some_of_the_classes(monkeypatch):
    """The dense pair begins with one and the same shape for every latent."""
    monkeypatch.setattr("minigan.gan.diagnosis.WARM_UP", 50)
    found, diagnosis = watched(digits(steps=120))
    assert "collapse" in found
    assert "of 10 classes are missing" in next(m for m in diagnosis.messages if ": collapse\n" in m)


def test_oscillation():
    """Large steps at one and the same point, with momentum: the players go round in ever wider circles."""
    rates = {"lr_generator": 2e-2, "lr_discriminator": 2e-2, "beta1": 0.9}
    found, _ = watched(points(steps=700, log_every=10, update="simultaneous", **rates))
    assert "oscillation" in found


def test_fresh_weights_may_swing():
    """A run that goes to and fro at first, and then settles."""
    rates = {"lr_generator": 5e-3, "lr_discriminator": 5e-3, "beta1": 0.9}
    found, _ = watched(points(steps=700, log_every=10, **rates))
    assert "oscillation" not in found


class Reversed(Wasserstein):
    def discriminator_loss(self, real_logits, fake_logits, *, real_target=1.0):
        return -super().discriminator_loss(real_logits, fake_logits)


def test_critics_sign_reversed():
    config = points(objective="wasserstein", penalty="wgan_gp", lr_discriminator=1e-3)

    def swap(algorithm):
        algorithm.objective = Reversed()

    assert "critic's sign reversed" in watched(config, before=swap)[0]
    assert "critic's sign reversed" not in watched(config)[0]


def test_a_sound_run_is_left_in_peace(capsys):
    found, diagnosis = watched(points(data="swiss-roll", penalty="r1", penalty_weight=0.1, steps=200, log_every=4))
    assert found == set()
    assert diagnosis.messages == []
    assert capsys.readouterr().err == ""


def test_a_finding_is_told_once_on_stderr_and_in_the_file(tmp_path, capsys):
    path = tmp_path / "diagnosis.txt"
    _, diagnosis = watched(digits(lr_generator=0.0, lr_discriminator=1e-3, steps=90), path=path)
    (message,) = diagnosis.messages
    assert re.match(r"step \d+: discriminator saturated\n  seen:  .*\n  means: .*\n  try:   .*$", message)
    assert path.read_text() == message + "\n"
    assert message in capsys.readouterr().err


def test_a_resumed_run_tells_again_what_it_has_yet_to_come_to(tmp_path):
    path = tmp_path / "diagnosis.txt"
    findings = [
        f"step {step}: {name}\n  seen:  s\n  means: m\n  try:   t\n" for step, name in (("90", "a"), ("1,200", "b"))
    ]
    notes = "my notes: keep, step ,: 5\n"
    path.write_text(notes + "".join(findings))
    assert Diagnosis(path).told_before(1200) == {"a", "b"}
    assert path.read_text() == notes + "".join(findings)
    assert Diagnosis(path).told_before(1199) == {"a"}
    assert path.read_text() == notes + findings[0]
    assert Diagnosis(tmp_path / "none.txt").told_before(5) == set()
    config = digits(lr_generator=0.0, lr_discriminator=1e-3, steps=90)
    path.write_text(findings[0].replace(": a", ": discriminator saturated").replace("90", "0"))
    assert watched(config, path=path)[0] == set()


def test_a_resumed_run_remembers_what_it_has_seen():
    config = points(steps=30, log_every=2)
    dataset = presets.get(config.preset).load_data(config.data)

    def trained(algorithm, step, steps, remembered=None):
        diagnosis = Diagnosis()
        Trainer(config.replace(steps=steps), algorithm, dataset, [diagnosis], step, remembered).run()
        return diagnosis.state_dict()

    whole = trained(create(config, "cpu"), 0, 30)
    parts = create(config, "cpu")
    resumed = trained(parts, 13, 30, {"Diagnosis": trained(parts, 0, 13)})
    assert resumed["random"] == whole["random"] and resumed["best_spread"] == whole["best_spread"]
    np.testing.assert_array_equal(resumed["gradients"], whole["gradients"])
    for name, values in whole["window"].items():
        np.testing.assert_array_equal(resumed["window"][name], values)
    wide = {**trained(create(config, "cpu"), 0, 13), "best_spread": 1e6}
    assert trained(create(config, "cpu"), 13, 30, {"Diagnosis": wide})["best_spread"] == 1e6


def test_watching_changes_no_bit():
    config = points(steps=12, log_every=3)
    dataset = presets.get(config.preset).load_data(config.data)
    states = []
    for reporters in ([], [Diagnosis()]):
        algorithm = create(config, "cpu")
        Trainer(config, algorithm, dataset, reporters).run()
        states.append(algorithm.state_dict())
    alone, observed = states
    for player in alone["modules"]:
        for name, weights in alone["modules"][player].items():
            np.testing.assert_array_equal(weights, observed["modules"][player][name])
    assert alone["streams"] == observed["streams"]


def test_nothing_is_read_between_logged_steps():
    config = points(steps=20, log_every=5)
    algorithm = create(config, "cpu")
    trainer = Trainer(config, algorithm, presets.get(config.preset).load_data(config.data), [diagnosis := Diagnosis()])
    trainer.run()
    read = [observation.step for observation in diagnosis.window]
    assert read == [5, 10, 15, 20]
    for step in (21, 24):
        trainer.step = step
        diagnosis.after_step(trainer, None)  # a report that cannot be read


def test_every_option_that_is_advised_exists():
    """Whatever a finding advises is taken by `minigan train`, with the value that it names."""
    parser = argparse.ArgumentParser()
    train.add_arguments(parser)
    advised = {
        option.strip()
        for finding in FINDINGS
        for option in re.findall(r"--[a-z0-9-]+(?: [a-z0-9_.]+)?", finding.advice)
    }
    assert len(advised) > 12
    wordless = {"--lr-discriminator": "1", "--lr-generator": "1", "--batch-size": "1", "--seed": "1", "--preset": "mlp"}
    for option in sorted(advised):
        name, _, value = option.partition(" ")
        if name in wordless:
            value = wordless[name]
        args = parser.parse_args([name, value] if value else [name])
        (given,) = ((k, v) for k, v in vars(args).items() if v is not None and k in Config.__dataclass_fields__)
        Config(**dict([given]))


# ------------------------------------------------------------ thresholds, on made-up observations


def window(steps=None, **changes):
    """WINDOW observations of a sound run, with changes: a value, or one for each."""
    sound = {
        "loss": 0.8, "gap": 1.0, "push": 1.0, "pull": 1.0, "gradient": 1e-2, "usual_gradient": 1e-2, "spread": 1.0,
        "best_spread": 1.1, "mean": np.zeros(2), "modes": np.full(10, SAMPLES // 10),
    }  # fmt: skip
    return [
        Observation(
            step=(steps or range(1000, 1000 + WINDOW))[i],
            **{**sound, **{name: value[i] if isinstance(value, list) else value for name, value in changes.items()}},
        )
        for i in range(WINDOW)
    ]


def seen(observations):
    return {finding.name for finding in FINDINGS if finding.see(observations)}


def all_but_one(value, other):
    return [value] * (WINDOW - 1) + [other]


FIRST = list(range(1, WINDOW + 1))  # steps at the start of a run
MISSING = np.array([0, *[7] * 9])
CIRCLE = [2 * np.array([np.cos(a), np.sin(a)]) for a in np.arange(WINDOW)]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, set()),
        ({"loss": 0.019}, {"discriminator saturated"}),
        ({"loss": all_but_one(0.0, 0.021)}, set()),
        ({"loss": float("nan")}, set()),  # Wasserstein's critic
        ({"gradient": 0.9e-5}, {"generator's gradient vanished"}),
        ({"gradient": all_but_one(0.0, 1.1e-5)}, set()),
        ({"spread": 0.09}, {"collapse"}),
        ({"spread": all_but_one(0.0, 0.11)}, set()),
        ({"spread": 0.09, "best_spread": 0.5, "steps": FIRST}, set()),  # it may still grow
        ({"spread": 0.04, "best_spread": 0.5, "steps": FIRST}, {"collapse"}),  # it fell
        ({"modes": MISSING}, {"collapse"}),
        ({"modes": all_but_one(MISSING, np.ones(10, int))}, set()),
        ({"modes": MISSING, "steps": FIRST}, set()),
        ({"modes": np.empty(0, int)}, set()),
        ({"pull": 0.009}, {"generator's gradient vanished"}),
        ({"pull": all_but_one(0.0, 0.011)}, set()),
        ({"gap": -0.1, "push": -1.0}, {"critic's sign reversed"}),
        ({"gap": -0.1}, set()),  # it has fallen behind, and catches up
        ({"push": -1.0}, set()),  # least squares beyond its targets
        ({"gap": all_but_one(-2.0, 0.1), "push": -1.0}, set()),
        ({"mean": CIRCLE}, {"oscillation"}),
        ({"mean": CIRCLE, "steps": FIRST}, set()),  # fresh weights find their way
        ({"mean": [0.2 * place for place in CIRCLE]}, set()),  # too near to matter
        ({"mean": [np.array([0.5 * i, 0.0]) for i in range(WINDOW)]}, set()),  # a way straight on
        ({"mean": [np.array([1.1 * (i % 2), 0.0]) for i in range(WINDOW)]}, {"oscillation"}),
    ],
)
def test_thresholds(changes, expected):
    assert seen(window(**changes)) == expected


def test_missing_classes_are_named():
    modes = np.array([14, 0, 14, 14, 14, 0, 14, 14, 14, 14])
    (message,) = (text for finding in FINDINGS if (text := finding.see(window(modes=modes))))
    assert "none of 640 fakes is of 1, 5: 2 of 10 classes are missing" in message
