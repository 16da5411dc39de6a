import numpy as np
import pytest
import tiny

import minigan as mg
from minigan.gan import GAN, create, presets, sampling
from minigan.gan.sampling import BATCH, ROW, draw, slerp


@pytest.fixture
def gan(monkeypatch):
    tiny.register(monkeypatch)
    return GAN(presets.configure("tiny", seed=3))


def test_the_seed_decides_the_samples(gan):
    samples = draw(gan, 5, seed=1)
    assert samples.shape == (5, 1, 8, 8) and samples.dtype == np.float32
    assert (abs(samples) <= 1).all()
    np.testing.assert_array_equal(draw(gan, 5, seed=1), samples)
    assert (draw(gan, 5, seed=2) != samples).any(axis=(1, 2, 3)).all()


def test_more_samples_begin_with_the_same_ones_in_batches_of_any_size(gan, monkeypatch):
    samples = draw(gan, BATCH + 10, seed=1)
    assert len(samples) == BATCH + 10
    monkeypatch.setattr(sampling, "BATCH", 7)
    np.testing.assert_allclose(draw(gan, 20, seed=1), samples[:20], atol=1e-6)


def test_sampling_disturbs_no_training(gan):
    before = {name: stream.state_dict() for name, stream in gan.streams.items()}
    state = {name: array.tobytes() for name, array in gan.generator.state_dict().items()}
    draw(gan, 5, seed=1)
    assert {name: stream.state_dict() for name, stream in gan.streams.items()} == before
    assert {name: array.tobytes() for name, array in gan.generator.state_dict().items()} == state
    assert all(module.training for _, module in gan.generator.named_modules())
    assert not gan.sample(gan.fixed_latents(2)).requires_grad


def test_fixed_latents_are_the_same_whenever_they_are_asked_for(gan):
    fixed = gan.fixed_latents(6).numpy()
    gan.latents(9)
    np.testing.assert_array_equal(gan.fixed_latents(6).numpy(), fixed)
    np.testing.assert_array_equal(gan.fixed_latents(3).numpy(), fixed[:3])
    assert (gan.latents(6).numpy() != fixed).all()


def test_interpolation_goes_from_one_latent_to_another_on_the_arc_between(gan):
    rng = np.random.default_rng(0)
    start, end = rng.standard_normal((2, 4, 50)).astype("float32")
    path = slerp(gan, mg.tensor(start), mg.tensor(end)).numpy().reshape(4, ROW, 50)
    np.testing.assert_allclose(path[:, 0], start, atol=1e-6)
    np.testing.assert_allclose(path[:, -1], end, atol=1e-6)
    # At the part t of the angle w from a to b: <path, a> = (sin((1 - t) w) |a|^2 + sin(t w) <a, b>) / sin w.
    a, b = start.astype("float64"), end.astype("float64")
    w = np.arccos((a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1))[:, None]
    t = np.arange(ROW) / (ROW - 1)
    expected = (np.sin((1 - t) * w) * (a * a).sum(1)[:, None] + np.sin(t * w) * (a * b).sum(1)[:, None]) / np.sin(w)
    np.testing.assert_allclose((path * a[:, None]).sum(2), expected, rtol=1e-4, atol=1e-3)


def test_interpolation_of_unit_vectors_has_equal_angles(gan):
    path = slerp(gan, mg.tensor([[1.0, 0.0, 0.0]]), mg.tensor([[0.0, 0.6, 0.8]])).numpy()
    np.testing.assert_allclose(np.linalg.norm(path, axis=1), 1, atol=1e-6)
    cosines = (path[1:] * path[:-1]).sum(1)
    np.testing.assert_allclose(cosines, np.cos(np.pi / 2 / (ROW - 1)), atol=1e-6)


@pytest.mark.parametrize(
    "ends", [([2.0], [3.0]), ([2.0], [-1.0]), ([0.6, 0.8], [0.6, 0.8]), ([0.6, 0.8], [-0.6, -0.8])]
)
def test_interpolation_of_latents_without_an_arc_between_is_straight(gan, ends):
    start, end = ends
    path = slerp(gan, mg.tensor([start]), mg.tensor([end])).numpy()
    np.testing.assert_allclose(path, np.linspace(start, end, ROW), atol=1e-6)


def test_interpolation_fills_whole_rows(gan):
    assert draw(gan, 9, seed=0, interpolate=True).shape == (16, 1, 8, 8)
    one = draw(gan, 8, seed=0, interpolate=True)
    steps = abs(np.diff(one.reshape(8, -1), axis=0)).mean(axis=1)
    assert (steps < abs(one[0] - one[-1]).mean()).all()  # from one end to the other in small steps


class Labels:
    """In a conditional generator's place: gives the label it is asked for as the image."""

    def __call__(self, latents, labels):
        return labels.reshape(-1, 1, 1, 1)

    def train(self):
        pass

    eval = train


@pytest.fixture
def conditional(monkeypatch):
    algorithm = create(presets.configure("cgan", ema=0.0))
    algorithm.generator = Labels()
    return algorithm


def test_labels_come_in_turn_or_are_the_one_asked_for(conditional):
    assert draw(conditional, 12, 0).ravel().tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]
    assert draw(conditional, 3, 0, label=7).ravel().tolist() == [7, 7, 7]
    assert draw(conditional, 16, 0, interpolate=True).ravel().tolist() == [0] * ROW + [1] * ROW


def test_labels_that_cannot_be_are_refused(conditional, gan):
    for label in (-1, 10):
        with pytest.raises(ValueError, match=f"label {label} is unknown: expected 0 to 9"):
            draw(conditional, 3, 0, label=label)
    with pytest.raises(ValueError, match="the preset tiny has no labels to ask for: leave --label out"):
        draw(gan, 3, 0, label=1)
