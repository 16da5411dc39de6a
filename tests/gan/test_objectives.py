"""Objectives: golden values, values and signs the formulas demand, gradients."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigan as mg
from minigan.gan import objectives
from minigan.testing import gradcheck

REAL, FAKE = [-5.0, 1.4, 12.5, 2.7], [10.0, 4.4, -5.5, 3.6]
every = pytest.mark.parametrize("objective", objectives.ALL.values(), ids=objectives.ALL)
logits = st.lists(st.floats(-30, 30), min_size=1, max_size=6)


def column(values):
    return mg.tensor(np.array(values, np.float64).reshape(-1, 1))


def sigmoid(c):
    return 1 / (1 + math.exp(-c))


@pytest.mark.parametrize(
    "name, real, generator, discriminator",
    [
        ("minimax", REAL, -4.51082, 5.83387),
        ("non_saturating", REAL, 1.38582, 5.83387),
        ("least_squares", REAL, 17.69625, 41.73375),
        ("wasserstein", REAL, -3.125, 0.225),
        ("hinge", REAL, -3.125, 6.75),
        ("relativistic", [-2.0, 0.4, 12.5, 2.7], 4.9401135, 4.390114),
    ],
)
def test_golden_values(name, real, generator, discriminator):
    objective = getattr(objectives, name)
    assert objective is objectives.get(name)
    losses = (
        objective.generator_loss(column(FAKE), column(real)),
        objective.discriminator_loss(column(real), column(FAKE)),
    )
    assert losses[0].shape == losses[1].shape == ()
    assert losses[0].item() == pytest.approx(generator, abs=6e-6)
    assert losses[1].item() == pytest.approx(discriminator, abs=6e-6)


@pytest.mark.parametrize(
    "name, optimum, generator, discriminator",
    [
        ("minimax", 0.0, -math.log(2), math.log(4)),
        ("non_saturating", 0.0, math.log(2), math.log(4)),
        ("least_squares", 0.5, 1 / 8, 1 / 4),
        ("wasserstein", 0.3, -0.3, 0.0),
        ("hinge", 0.0, 0.0, 2.0),
        ("relativistic", 0.7, math.log(4), math.log(4)),
    ],
)
def test_values_at_the_optimum(name, optimum, generator, discriminator):
    objective, same = objectives.get(name), column([optimum] * 3)
    assert objective.generator_loss(same, same).item() == pytest.approx(generator)
    assert objective.discriminator_loss(same, same).item() == pytest.approx(discriminator)


@every
@given(real=logits, fake=logits)
def test_the_discriminator_gains_when_real_logits_rise_and_fake_ones_fall(objective, real, fake):
    gaining = np.inf if objective.name != "least_squares" else 1.0  # which has targets to overshoot
    real, fake = [min(c, gaining - 0.5) for c in real], [max(c, 0.5 if gaining == 1.0 else -np.inf) for c in fake]
    before = objective.discriminator_loss(column(real), column(fake)).item()
    after = objective.discriminator_loss(column([c + 0.25 for c in real]), column([c - 0.25 for c in fake])).item()
    assert after <= before


@every
@given(real=logits, fake=logits)
def test_the_generator_gains_when_its_logits_rise(objective, real, fake):
    fake = [min(c, 0.5) if objective.name == "least_squares" else c for c in fake]
    before = objective.generator_loss(column(fake), column(real)).item()
    assert objective.generator_loss(column([c + 0.25 for c in fake]), column(real)).item() <= before


@every
def test_second_derivatives(objective):
    rng = np.random.default_rng(0)
    real, fake = (mg.tensor(rng.normal(size=(5, 1)) * 3, requires_grad=True) for _ in range(2))
    gradcheck(lambda r, f: objective.discriminator_loss(r, f), [real, fake], order=2)
    gradcheck(lambda f, r: objective.generator_loss(f, r), [fake, real], order=2)


@every
@pytest.mark.parametrize("size", [1e4, -1e4])
def test_huge_logits_leave_losses_and_gradients_finite(objective, size):
    real, fake = (mg.tensor(np.full((2, 1), sign * size, np.float32), requires_grad=True) for sign in (1, -1))
    for loss in (objective.discriminator_loss(real, fake), objective.generator_loss(fake, real)):
        assert math.isfinite(loss.item())
        assert all(np.isfinite(g.numpy()).all() for g in mg.grad(loss, [real, fake]))


@given(st.lists(st.floats(-15, 15), min_size=1, max_size=8))
def test_saturating_and_non_saturating_gradients_differ_by_minus_the_odds(values):
    fake = column(values)
    fake.requires_grad = True
    (saturating,) = mg.grad(objectives.minimax.generator_loss(fake), fake)
    (strong,) = mg.grad(objectives.non_saturating.generator_loss(fake), fake)
    odds = np.exp(fake.numpy())  # s(C) / (1 - s(C))
    np.testing.assert_allclose(saturating.numpy(), strong.numpy() * odds, rtol=1e-9)


@given(target=st.floats(0, 1), real=logits, fake=logits)
def test_one_sided_label_smoothing_is_the_cross_entropy_with_that_target(target, real, fake):
    def cross_entropy(c, t):
        return -t * math.log(sigmoid(c)) - (1 - t) * math.log(sigmoid(-c))

    expected = np.mean([cross_entropy(c, target) for c in real]) + np.mean([cross_entropy(c, 0) for c in fake])
    loss = objectives.non_saturating.discriminator_loss(column(real), column(fake), real_target=target)
    assert loss.item() == pytest.approx(expected, rel=1e-9)


def test_least_squares_smoothing_moves_the_target():
    loss = objectives.least_squares.discriminator_loss(column([0.9]), column([0.0]), real_target=0.9)
    assert loss.item() == pytest.approx(0)


@pytest.mark.parametrize("name", ["wasserstein", "hinge"])
def test_objectives_without_a_target_refuse_smoothing(name):
    assert not objectives.get(name).has_target
    with pytest.raises(ValueError, match=f"{name} objective has no target to smooth"):
        objectives.get(name).discriminator_loss(column(REAL), column(FAKE), real_target=0.9)


def test_the_relativistic_generator_needs_real_logits():
    with pytest.raises(ValueError, match="pass real_logits"):
        objectives.relativistic.generator_loss(column(FAKE))


def test_unknown_names_list_the_known():
    with pytest.raises(ValueError, match=r"unknown objective 'wgan'; known: minimax, non_saturating, .*relativistic"):
        objectives.get("wgan")


CLOSED_FORMS = {  # d loss / d C: real and fake sample of the discriminator, sample of the generator
    "minimax": (lambda c: sigmoid(c) - 1, lambda c: sigmoid(c), lambda c: -sigmoid(c)),
    "non_saturating": (lambda c: sigmoid(c) - 1, lambda c: sigmoid(c), lambda c: sigmoid(c) - 1),
    "least_squares": (lambda c: c - 1, lambda c: c, lambda c: c - 1),
    "wasserstein": (lambda c: -1, lambda c: 1, lambda c: -1),
    "hinge": (lambda c: -1 if c < 1 else 0, lambda c: 1 if c > -1 else 0, lambda c: -1),
    "relativistic": (lambda c: -2 * sigmoid(-c), lambda c: 2 * sigmoid(c), lambda c: -2 * sigmoid(-c)),
}


@every
def test_logit_gradients_have_their_closed_forms(objective):
    points = [-8.0, -2.5, -0.3, 0.0, 0.6, 4.0]
    gradients = objectives.logit_gradients(objective, points)
    for kind, form in zip(("real", "fake", "generator"), CLOSED_FORMS[objective.name], strict=True):
        assert gradients[kind] == pytest.approx([form(c) for c in points], abs=1e-6), kind


def test_the_saturating_generator_starves_where_the_discriminator_is_sure():
    sure = [-10.0]  # D(G(z)) = 0.00005
    starved, fed = (objectives.logit_gradients(objectives.get(name), sure) for name in ("minimax", "non_saturating"))
    assert abs(starved["generator"][0]) < 1e-4
    assert fed["generator"][0] == pytest.approx(-1, abs=1e-4)
