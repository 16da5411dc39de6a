"""The experiments behind examples/wrong_formulas.md: each common mistake beside the correction."""

import math

import numpy as np
import pytest

import minigan as mg
from minigan import nn
from minigan.gan import GAN, presets
from minigan.gan.objectives import minimax


def logits(*values):
    return mg.tensor(values, dtype="float64", requires_grad=True)


def test_without_the_fake_term_the_best_discriminator_says_yes_to_everything():
    yes_to_all = logits(20.0, 20.0)
    undecided = logits(0.0, 0.0)

    def without_the_fake_term(real, fake):
        return mg.softplus(-real).mean()

    assert without_the_fake_term(yes_to_all, yes_to_all).item() < without_the_fake_term(undecided, undecided).item()
    assert minimax.discriminator_loss(yes_to_all, yes_to_all).item() > math.log(4)
    assert minimax.discriminator_loss(undecided, undecided).item() == pytest.approx(math.log(4))


def test_the_real_term_has_no_gradient_in_the_generator():
    mg.seed(0)
    generator, discriminator = nn.Linear(3, 2), nn.Linear(2, 1)
    z, real = (mg.tensor(np.random.default_rng(0).normal(size=(4, n)), dtype="float32") for n in (3, 2))
    weights = generator.parameters()

    def fake_term():
        return minimax.generator_loss(discriminator(generator(z)))

    with_real_term = fake_term() - mg.softplus(-discriminator(real)).mean()
    for a, b in zip(mg.grad(with_real_term, weights), mg.grad(fake_term(), weights), strict=True):
        assert (a.numpy() == b.numpy()).all()
        assert abs(b.numpy()).max() > 0


def test_minimising_log_d_teaches_the_discriminator_to_reject_real_images():
    real = logits(0.0)
    (wrong,) = mg.grad(-mg.softplus(-real).mean(), real)  # log D(x)
    (right,) = mg.grad(mg.softplus(-real).mean(), real)
    assert -wrong.item() < 0 < -right.item()  # the direction in which a step down moves C(x)


def test_squashing_twice_bounds_the_loss_away_from_zero():
    sure = logits(30.0)
    assert mg.binary_cross_entropy(sure, 1.0).item() < 1e-12
    assert mg.binary_cross_entropy(sure.sigmoid(), 1.0).item() == pytest.approx(math.log(1 + math.exp(-1)))
    mistaken = logits(-30.0)
    assert mg.grad(mg.binary_cross_entropy(mistaken, 1.0), mistaken)[0].item() == pytest.approx(-1)
    assert mg.grad(mg.binary_cross_entropy(mistaken.sigmoid(), 1.0), mistaken)[0].item() == pytest.approx(0, abs=1e-12)


def test_strides_1_2_2_2_from_7_give_56():
    def size(strides):
        x = mg.tensor(np.zeros((1, 1, 7, 7), np.float32))
        for stride in strides:
            x = nn.ConvTranspose2d(1, 1, 5, stride, padding="same")(x)
        return x.shape[2:]

    assert size((1, 2, 2, 2)) == (56, 56)
    assert size((1, 2, 2)) == (28, 28)


def test_a_sample_grid_holds_nothing_but_fakes():
    gan = GAN(presets.configure("mlp", latent_size=4))
    fakes = gan.sample(gan.fixed_latents(8)).numpy()
    other = GAN(presets.configure("mlp", latent_size=4))
    for parameter in other.generator.parameters():
        parameter.assign(0 * parameter.data)
    assert len(fakes) == 8
    assert abs(fakes).max() > 0
    assert (other.sample(other.fixed_latents(8)).numpy() == 0).all()  # every pixel comes from the generator
