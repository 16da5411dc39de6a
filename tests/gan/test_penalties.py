"""Gradient penalties: golden value, closed form on a linear critic, gradient with respect to the critic's weights."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigan as mg
from minigan.backend import get_backend
from minigan.gan import penalties
from minigan.rng import Generator

every = pytest.mark.parametrize("name", penalties.ALL)


def stream(seed=0):
    return Generator(seed, get_backend("cpu"))


def samples(seed, shape):
    return mg.tensor(np.random.default_rng(seed).normal(size=shape))


def linear(weight):
    """C(x) = w . x for every sample."""
    return lambda x: (x * weight).sum(axis=tuple(range(1, x.ndim))).reshape(-1, 1)


@pytest.mark.parametrize("name", ["wgan_gp", "dragan"])
def test_golden_value(name):
    critic = linear(mg.tensor(np.full((1, 4), 2.0)))  # gradient norm 4
    penalty = getattr(penalties, name)(critic, samples(0, (1, 4)), samples(1, (1, 4)))
    assert penalty.shape == ()
    assert penalty.item() == pytest.approx(9, abs=1e-9)


@every
@given(seed=st.integers(0, 99), n=st.integers(1, 5), shape=st.sampled_from([(3,), (2, 3, 4)]))
def test_closed_form_on_a_linear_critic(name, seed, n, shape):
    weight = samples(seed, (1, *shape))
    norm = math.sqrt((weight.numpy() ** 2).sum())  # of one sample's gradient, however many samples there are
    penalty = penalties.get(name)(linear(weight), samples(1, (n, *shape)), samples(2, (n, *shape)), rng=stream())
    expected = norm**2 / 2 if name in ("r1", "r2") else (norm - 1) ** 2
    assert penalty.item() == pytest.approx(expected, rel=1e-9)


def test_norms_are_taken_sample_by_sample():
    x = mg.tensor([[3.0], [5.0]], dtype=np.float64)  # C(x) = x^2 / 2 has the gradient x: norms 3 and 5, not sqrt(34)
    penalty = penalties.r1(lambda t: 0.5 * t * t, x, x)
    assert penalty.item() == pytest.approx((9 + 25) / 4)


@pytest.mark.parametrize("name, place", [("r1", "real"), ("r2", "fake")])
def test_r1_looks_at_real_and_r2_at_generated_samples(name, place):
    seen = []

    def critic(x):
        seen.append(x.numpy())
        return x

    sets = {"real": samples(0, (4, 1)), "fake": samples(1, (4, 1))}
    penalties.get(name)(critic, sets["real"], sets["fake"])
    np.testing.assert_array_equal(seen, [sets[place].numpy()])


def points_seen(name, real, fake, rng):
    seen = []

    def critic(x):
        seen.append(x.numpy())
        return x.sum(axis=1, keepdims=True)

    penalties.get(name)(critic, real, fake, rng=rng)
    return seen[0]


def test_wgan_gp_looks_between_pairs_at_one_point_each():
    real, fake = mg.tensor(np.zeros((500, 3))), mg.tensor(np.tile([1.0, 2.0, 4.0], (500, 1)))
    seen = points_seen("wgan_gp", real, fake, stream())
    share = seen[:, 0]  # 1 - e
    np.testing.assert_allclose(seen, share[:, None] * [1, 2, 4], rtol=1e-12)
    assert 0 <= share.min() < 0.02
    assert 0.98 < share.max() <= 1
    assert share.mean() == pytest.approx(0.5, abs=4 / math.sqrt(12 * 500))


def test_dragan_looks_around_real_samples():
    real = samples(3, (4000, 2))
    moved = points_seen("dragan", real, samples(4, (4000, 2)), stream()) - real.numpy()
    reach = 0.5 * real.numpy().std()
    assert moved.min() >= 0
    assert 0.9 * reach < moved.max() <= reach
    assert moved.mean() == pytest.approx(reach / 4, rel=0.05)  # a U(0, 1) times a U(0, 1)
    assert np.corrcoef(moved.T)[0, 1] > 0.2  # the two elements of a sample share their a


@every
def test_the_random_points_come_from_the_stream(name):
    real, fake = samples(0, (3, 2)), samples(1, (3, 2))
    a, b, c = (points_seen(name, real, fake, rng) for rng in (stream(1), stream(1), stream(2)))
    np.testing.assert_array_equal(a, b)
    assert (a != c).any() == (name in ("wgan_gp", "dragan"))


def critic_of_both_kinds(seed):
    """A convolution and a dense layer with smooth activations, in float64."""
    rng = Generator(seed, get_backend("cpu"))
    network = mg.nn.Sequential(
        mg.nn.Conv2d(2, 3, 3, stride=2, padding=1, rng=rng),
        mg.nn.Softplus(),
        mg.nn.Flatten(),
        mg.nn.Linear(3 * 2 * 2, 4, rng=rng),
        mg.nn.Tanh(),
        mg.nn.Linear(4, 1, rng=rng),
    )
    return network.astype("float64")


@every
def test_the_gradient_for_the_weights_against_finite_differences(name):
    critic, real, fake = critic_of_both_kinds(0), samples(0, (3, 2, 4, 4)), samples(1, (3, 2, 4, 4))

    def penalty():
        return penalties.get(name)(critic, real, fake, rng=stream())

    parameters = critic.parameters()
    gradients = [g.numpy() for g in mg.grad(penalty(), parameters)]
    rng, step = np.random.default_rng(0), 1e-5
    for parameter, gradient in zip(parameters, gradients, strict=True):
        start = parameter.numpy()
        direction = rng.normal(size=start.shape)
        values = []
        for sign in (1, -1):
            parameter.assign(start + sign * step * direction)
            values.append(penalty().item())
        parameter.assign(start)
        slope, expected = (gradient * direction).sum(), (values[0] - values[1]) / (2 * step)
        assert slope == pytest.approx(expected, rel=1e-6, abs=1e-10)
    assert any(abs(gradient).max() > 1e-3 for gradient in gradients)


@every
def test_a_flat_critic_has_a_finite_gradient(name):
    weight = mg.tensor(np.zeros((1, 3)), requires_grad=True)
    penalty = penalties.get(name)(linear(weight), samples(0, (2, 3)), samples(1, (2, 3)))
    assert penalty.item() == pytest.approx(0 if name in ("r1", "r2") else 1, abs=1e-5)
    assert np.isfinite(mg.grad(penalty, weight)[0].numpy()).all()


@every
def test_samples_get_no_gradient_and_keep_their_mode(name):
    real, fake = samples(0, (2, 3)), samples(1, (2, 3))
    fake.requires_grad = True
    weight = mg.tensor(np.ones((1, 3)), requires_grad=True)
    penalties.get(name)(linear(weight), real, fake).backward()
    assert fake.grad is None
    assert not real.requires_grad


@every
def test_float32_stays_float32(name):
    real = mg.tensor(np.ones((2, 3), np.float32))
    assert penalties.get(name)(linear(mg.tensor(np.ones((1, 3), np.float32))), real, real).dtype == np.float32


def test_l1_and_l2():
    parameters = [mg.tensor([[1.0, -2.0], [0.5, 0.0]], dtype=np.float64), mg.tensor([3.0], dtype=np.float64)]
    assert penalties.l1(parameters).item() == 6.5
    assert penalties.l2(parameters).item() == 14.25


def test_unknown_names_list_the_known():
    with pytest.raises(ValueError, match="unknown penalty 'gp'; known: wgan_gp, r1, r2, dragan"):
        penalties.get("gp")


def test_a_penalty_inside_no_grad_is_refused():
    images = mg.tensor(np.ones((2, 3), "float32"))
    with mg.no_grad(), pytest.raises(mg.GraphError, match="inside no_grad nothing was recorded"):
        penalties.r1(lambda x: (x * x).sum(axis=1), images, images)
