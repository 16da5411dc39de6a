"""A whole GAN: gradients of both players by differences, one player's step leaving the other alone, known optima."""

import math
from contextlib import contextmanager

import numpy as np
import pytest
import tiny

import minigan as mg
from minigan import nn
from minigan.backend import get_backend
from minigan.gan import GAN, Batch, objectives, penalties, presets
from minigan.gan.presets.preset import Preset
from minigan.nn.module import Parameter
from minigan.optim import SGD
from minigan.rng import Generator
from minigan.testing import GradientError, gradcheck

every_objective = pytest.mark.parametrize("objective", objectives.ALL.values(), ids=objectives.ALL)


def players(seed=0):
    """Convolutions in both directions, batch norm in both players, dropout in the discriminator: 28 + 27 numbers."""
    rng = Generator(seed, get_backend("cpu"))
    generator = nn.Sequential(
        nn.Linear(2, 2 * 2, bias=False, rng=rng),
        nn.Unflatten(1, (1, 2, 2)),
        nn.BatchNorm2d(1),
        nn.LeakyReLU(0.2),
        nn.ConvTranspose2d(1, 1, 3, stride=2, padding=1, output_padding=1, rng=rng),
        nn.Tanh(),
    )
    discriminator = nn.Sequential(
        nn.Conv2d(1, 2, (2, 3), stride=2, padding=(0, 1), rng=rng),
        nn.BatchNorm2d(2),
        nn.LeakyReLU(0.2),
        nn.Dropout(0.3, rng=Generator(9, get_backend("cpu"))),
        nn.Flatten(),
        nn.Linear(2 * 2 * 2, 1, rng=rng),
    )
    return generator.astype("float64"), discriminator.astype("float64")


def places(*modules):
    """Where every parameter is kept: (the Module that holds it, its attribute)."""
    return [
        (inner, name)
        for module in modules
        for _, inner in module.named_modules()
        for name, value in inner.__dict__.items()
        if isinstance(value, Parameter)
    ]


@contextmanager
def replaced(spots, tensors):
    """The modules compute with the given Tensors in place of their parameters."""
    kept = [getattr(module, name) for module, name in spots]
    try:
        for (module, name), t in zip(spots, tensors, strict=True):
            setattr(module, name, t)
        yield
    finally:
        for (module, name), parameter in zip(spots, kept, strict=True):
            setattr(module, name, parameter)


def of_parameters(loss, *modules):
    """The loss as a function of all parameters, dropout drawn alike at every call, and the parameters."""
    spots = places(*modules)
    dropouts = [m for module in modules for _, m in module.named_modules() if isinstance(m, nn.Dropout)]

    def function(*tensors):
        for dropout in dropouts:
            dropout.rng.counter = 0
        with replaced(spots, tensors):
            return loss()

    return function, [mg.tensor(getattr(*spot).numpy(), requires_grad=True) for spot in spots]


def latents_and_images(n=3):
    rng = np.random.default_rng(0)
    return mg.tensor(rng.standard_normal((n, 2))), mg.tensor(rng.uniform(-1, 1, (n, 1, 4, 4)))


# ------------------------------------------------------------------------------- by differences


@every_objective
def test_both_losses_in_the_parameters_of_both_players(objective):
    generator, discriminator = players()
    z, real = latents_and_images()

    def losses():
        judged, fakes = discriminator(real), discriminator(generator(z))
        return objective.discriminator_loss(judged, fakes), objective.generator_loss(fakes, judged)

    gradcheck(*of_parameters(losses, generator, discriminator))


def test_second_derivatives_of_a_whole_game():
    """What unrolled GANs and consensus optimisation need: gradients of gradients through both players."""
    generator, discriminator = players()
    z, real = latents_and_images()

    def loss():
        logits = discriminator(real), discriminator(generator(z))
        return objectives.non_saturating.discriminator_loss(*logits)

    gradcheck(*of_parameters(loss, generator, discriminator), order=2)


def test_the_game_in_evaluation_mode():
    """Frozen batch norm, as when one player is probed: an affine function, not the training one."""
    generator, discriminator = players()
    generator.eval()
    discriminator.eval()
    z, real = latents_and_images()

    def loss():
        return objectives.hinge.discriminator_loss(discriminator(real), discriminator(generator(z)))

    gradcheck(*of_parameters(loss, generator, discriminator), order=2)


@pytest.mark.parametrize("name", penalties.ALL)
def test_penalties_in_the_critics_parameters(name):
    """A third derivative of the convolutions: the gradient of a norm of a gradient, differentiated once more."""
    _, critic = players()
    critic = nn.Sequential(*[m for _, m in critic.children() if not isinstance(m, nn.BatchNorm2d | nn.Dropout)])
    _, real = latents_and_images()
    fake = real * 0.5 + 0.1

    def loss():
        return penalties.get(name)(critic, real, fake, rng=Generator(3, get_backend("cpu")))

    gradcheck(*of_parameters(loss, critic), order=2)


def test_a_wrong_batch_norm_rule_is_noticed_in_the_whole_game(monkeypatch):
    from minigan.ops import norm

    monkeypatch.setattr(norm, "_project", lambda g, xhat: g)
    generator, discriminator = players()
    z, real = latents_and_images()

    def loss():
        return objectives.non_saturating.discriminator_loss(discriminator(real), discriminator(generator(z)))

    with pytest.raises(GradientError):
        gradcheck(*of_parameters(loss, generator, discriminator), order=2)


# ------------------------------------------------------------------------- one player at a time


def build(config, streams):
    generator, discriminator = players()
    return {"generator": generator.astype("float32"), "discriminator": discriminator.astype("float32")}


@pytest.fixture
def gan(monkeypatch):
    tiny.register(monkeypatch, Preset("both-norm", "for tests", (1, 4, 4), build, {"batch_size": 4, "latent_size": 2}))
    return lambda **settings: GAN(presets.configure("both-norm", **settings))


def real_batch():
    return Batch(mg.tensor(np.random.default_rng(1).uniform(-1, 1, (4, 1, 4, 4)).astype("float32")))


def learnt(gan, player):
    """Parameters, gradients and optimizer state of a player, as bytes."""
    module, optimizer = gan.modules[player], gan.optimizers[player]
    arrays = [p.numpy() for p in module.parameters()]
    arrays += [p.grad.numpy() for p in module.parameters() if p.grad is not None]
    arrays += [np.asarray(value) for value in flattened(optimizer.state_dict())]
    return [a.tobytes() for a in arrays]


def flattened(state):
    if isinstance(state, dict):
        return [leaf for key in sorted(state) for leaf in flattened(state[key])]
    return [state]


def statistics(gan, player):
    """Running statistics and counters of a player, as bytes."""
    state = gan.modules[player].state_dict()
    return [v.tobytes() for k, v in state.items() if "running" in k or "tracked" in k]


def test_a_discriminator_step_leaves_the_generator_alone(gan):
    gan = gan()
    gan.step(real_batch())  # gradients and moments exist
    fake = gan.fakes(real_batch())
    before = learnt(gan, "generator"), statistics(gan, "generator")
    own = learnt(gan, "discriminator")
    gan._discriminator_step(real_batch(), fake)
    assert (learnt(gan, "generator"), statistics(gan, "generator")) == before
    assert learnt(gan, "discriminator") != own


def test_a_generator_step_leaves_what_the_discriminator_learnt_alone(gan):
    gan = gan()
    gan.step(real_batch())
    fake = gan.fakes(real_batch())
    verdict = gan.judge(real_batch(), fake.detach())
    before, own = learnt(gan, "discriminator"), learnt(gan, "generator")
    gan._generator_step(fake, verdict)
    assert learnt(gan, "discriminator") == before
    assert learnt(gan, "generator") != own


@pytest.mark.parametrize(
    ("settings", "passes"),
    [
        ({}, (1, 3)),  # G(z) once; D(x), D(G(z)), and D(G(z)) again after its update
        ({"fresh_latents": True}, (2, 3)),
        ({"update": "simultaneous"}, (1, 2)),
        ({"discriminator_steps": 2}, (2, 5)),
    ],
)
def test_every_pass_in_training_updates_running_statistics_once(gan, settings, passes):
    gan = gan(**settings)
    real = real_batch() if gan.config.discriminator_steps == 1 else real_batch().followed_by(real_batch())
    counts = [gan.modules[player].state_dict() for player in ("generator", "discriminator")]
    assert [c[k] for c in counts for k in c if "tracked" in k] == [0, 0]
    for steps in (1, 2):
        gan.step(real)
        counts = [gan.modules[player].state_dict() for player in ("generator", "discriminator")]
        assert [int(c[k]) for c in counts for k in c if "tracked" in k] == [steps * n for n in passes]


def test_the_running_mean_follows_every_pass():
    """Two passes in training: (1 - m)^2 running + (1 - m) m first + m second, with PyTorch's m = 0.1."""
    norm = nn.BatchNorm1d(1)
    for value in (10.0, 20.0):
        norm(mg.tensor([[value - 1], [value + 1]]))
    assert norm.running_mean.numpy()[0] == pytest.approx(0.9 * 0.1 * 10 + 0.1 * 20)
    assert norm.running_var.numpy()[0] == pytest.approx(0.81 * 1 + 0.09 * 2 + 0.1 * 2)
    norm.eval()
    norm(mg.tensor([[5.0], [6.0]]))
    assert norm.running_mean.numpy()[0] == pytest.approx(0.9 * 0.1 * 10 + 0.1 * 20)


def test_sampling_moves_no_statistics(gan):
    gan = gan()
    before = statistics(gan, "generator")
    gan.sample(gan.fixed_latents(4))
    assert statistics(gan, "generator") == before


def test_the_players_pull_in_opposite_directions():
    """In the minimax game the generator's gradient is the negative of the discriminator's, through the same fakes."""
    generator, discriminator = players()
    z, real = latents_and_images()
    discriminator.eval()
    weights = generator.parameters()
    fake = discriminator(generator(z))
    theirs = mg.grad(objectives.minimax.discriminator_loss(discriminator(real), fake), weights, retain_graph=True)
    ours = mg.grad(objectives.minimax.generator_loss(fake), weights)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a.numpy(), -b.numpy(), rtol=1e-12, atol=1e-15)


# ------------------------------------------------------------------------------------ known optima

P, Q = np.array([6, 3, 2, 1]), np.array([1, 2, 3, 6])  # how often each of four values is real, and is generated


def logits_of(table):
    """The logits of twelve real and twelve generated samples, by a discriminator that is a table."""
    return (table[np.repeat(np.arange(4), counts)] for counts in (P, Q))


def test_the_optimal_discriminator_of_two_known_densities():
    """C = log p / q, so D = p / (p + q), where the loss is log 4 - 2 JS(p, q) (Goodfellow et al. 2014, prop. 1)."""
    p, q = P / P.sum(), Q / Q.sum()
    table = mg.tensor(np.log(p / q), requires_grad=True)
    loss = objectives.minimax.discriminator_loss(*logits_of(table))
    (g,) = mg.grad(loss, table)
    np.testing.assert_allclose(g.numpy(), 0.0, atol=1e-15)
    m = (p + q) / 2
    divergence = 0.5 * (p * np.log(p / m)).sum() + 0.5 * (q * np.log(q / m)).sum()
    assert loss.item() == pytest.approx(math.log(4) - 2 * divergence)


@pytest.mark.parametrize(
    ("objective", "optimum"),
    [
        (objectives.minimax, np.log(P / Q)),
        (objectives.non_saturating, np.log(P / Q)),
        (objectives.least_squares, P / (P + Q)),
    ],
    ids=["minimax", "non_saturating", "least_squares"],
)
def test_training_finds_the_optimal_discriminator(objective, optimum):
    table = Parameter(np.zeros(4))
    optimizer = SGD([table], lr=2.0)
    for _ in range(400):
        optimizer.zero_grad()
        objective.discriminator_loss(*logits_of(table)).backward()
        optimizer.step()
    np.testing.assert_allclose(table.numpy(), optimum, atol=1e-3)
