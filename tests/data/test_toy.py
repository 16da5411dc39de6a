import numpy as np
import pytest

from minigan.data import grid, grid_centres, ring, ring_centres, swiss_roll


def generator():
    return np.random.default_rng(0)


def test_the_ring_has_eight_distinct_centres_on_the_circle():
    centres = ring_centres()
    assert centres.shape == (8, 2)
    assert centres.dtype == np.float32
    distances = np.linalg.norm(centres[:, None] - centres, axis=-1)[~np.eye(8, dtype=bool)]
    assert distances.min() == pytest.approx(2 * np.sin(np.pi / 8), abs=1e-6)
    np.testing.assert_allclose(np.linalg.norm(ring_centres(modes=5, radius=3), axis=1), 3, rtol=1e-6)


def test_the_grid_has_its_25_centres():
    expected = {(x, y) for x in (-4, -2, 0, 2, 4) for y in (-4, -2, 0, 2, 4)}
    assert set(map(tuple, grid_centres().tolist())) == expected
    assert len(grid_centres(side=2, spacing=1)) == 4


@pytest.mark.parametrize(
    "sample, centres, std",
    [(ring, ring_centres(), 0.01), (grid, grid_centres(), 0.05)],
)
def test_a_mixture_has_equal_modes_of_the_stated_width(sample, centres, std):
    points = sample(20_000, generator())
    assert points.shape == (20_000, 2)
    assert points.dtype == np.float32
    offsets = points[:, None] - centres  # (n, modes, 2)
    nearest = np.linalg.norm(offsets, axis=-1).argmin(axis=1)
    expected = 20_000 / len(centres)
    assert abs(np.bincount(nearest, minlength=len(centres)) - expected).max() < 5 * np.sqrt(expected)
    residual = offsets[np.arange(20_000), nearest]
    np.testing.assert_allclose(residual.std(axis=0), std, rtol=0.03)
    np.testing.assert_allclose(residual.mean(axis=0), 0, atol=0.04 * std)
    within = np.linalg.norm(residual, axis=1) <= 3 * std
    assert within.mean() == pytest.approx(1 - np.exp(-4.5), abs=0.004)  # 98.89 % in two dimensions


def test_the_same_generator_state_gives_the_same_points():
    for sample in (ring, grid, swiss_roll):
        np.testing.assert_array_equal(sample(10, generator()), sample(10, generator()))
        assert (sample(10, generator()) != sample(10, np.random.default_rng(1))).any()


def test_the_swiss_roll_winds_as_its_formula_says():
    points = swiss_roll(5000, generator(), std=0)
    t = 7.5 * np.linalg.norm(points, axis=1)
    assert points.dtype == np.float32
    assert t.min() >= 1.5 * np.pi - 1e-4
    assert t.max() <= 4.5 * np.pi + 1e-4
    np.testing.assert_allclose(points, (t / 7.5)[:, None] * np.stack([np.cos(t), np.sin(t)], 1), atol=1e-4)
    noisy = swiss_roll(5000, generator())
    assert np.linalg.norm(noisy - points, axis=1).mean() == pytest.approx(np.sqrt(np.pi / 2) / 30, rel=0.05)
