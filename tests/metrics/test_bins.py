"""NDB/K: the z test on known counts, the k-means bins, and the cases the score is meant to tell apart."""

import numpy as np
import pytest

from minigan.metrics import Bins, compare_bins, fit_bins, ndb


def blobs(rng, count, width=4, modes=5):
    """Images of a mixture of well separated modes."""
    centres = 50 * np.random.default_rng(99).standard_normal((modes, width))
    return centres[rng.integers(modes, size=count)] + rng.standard_normal((count, width))


@pytest.mark.parametrize(
    ("in_first", "significance", "different"),
    [
        (100, 0.05, 0),
        (125, 0.05, 0),  # z = 1.769
        (130, 0.05, 2),  # z = 2.103: both bins differ, since one's surplus is the other's lack
        (130, 0.03, 0),
        (70, 0.05, 2),
    ],
)
def test_the_two_proportion_test(in_first, significance, different):
    bins = Bins(np.array([[0.0], [10.0]]), np.array([100, 900]), np.dtype(float))
    fake = np.repeat([[1.0], [9.0]], [in_first, 1000 - in_first], axis=0)
    assert compare_bins(bins, fake, significance=significance) == (different, different / 2)


def test_bins_no_image_falls_in_are_not_different():
    bins = Bins(np.array([[0.0], [10.0], [20.0]]), np.array([0, 50, 50]), np.dtype(float))
    assert compare_bins(bins, np.repeat([[10.0], [20.0]], 50, axis=0)) == (0, 0)


def test_bins_find_separate_modes():
    rng = np.random.default_rng(0)
    train = blobs(rng, 500)
    bins = fit_bins(train, 5, rng=rng)
    distances = np.sqrt(((train[:, None] - bins.centres) ** 2).sum(axis=2))
    assert distances.min(axis=1).max() < 10
    assert (np.bincount(distances.argmin(axis=1), minlength=5) == bins.counts).all()
    for k in range(5):
        assert bins.centres[k] == pytest.approx(train[distances.argmin(axis=1) == k].mean(axis=0))


def test_bins_of_bytes_are_computed_in_float64():
    train = np.random.default_rng(0).integers(0, 256, (200, 4, 4), dtype=np.uint8)
    of_bytes, of_floats = (fit_bins(x, 10, rng=np.random.default_rng(1)) for x in (train, train * 1.0))
    assert (of_bytes.centres == of_floats.centres).all()


def test_bins_repeat_with_their_generator():
    train = np.random.default_rng(0).standard_normal((300, 4))
    first, second, third = (fit_bins(train, 10, rng=np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert (first.centres == second.centres).all()
    assert not (first.centres == third.centres).all()


def test_fresh_samples_of_the_training_distribution_score_the_significance():
    rng = np.random.default_rng(0)
    bins = fit_bins(rng.standard_normal((20_000, 3)), 50, rng=rng)
    shares = [compare_bins(bins, rng.standard_normal((5000, 3))).share for _ in range(40)]
    assert np.mean(shares) == pytest.approx(0.05, abs=0.025)


def test_the_training_images_themselves_score_zero():
    rng = np.random.default_rng(0)
    train = blobs(rng, 300)
    assert ndb(train, train, bins=10, rng=rng) == (0, 0)


def test_a_missing_mode_is_seen():
    rng = np.random.default_rng(0)
    train, fake = blobs(rng, 2000), blobs(rng, 2000)
    bins = fit_bins(train, 5, rng=rng)
    even = compare_bins(bins, fake)
    collapsed = compare_bins(bins, np.tile(fake[:1], (2000, 1)))
    assert even.different <= 1
    assert collapsed == (5, 1)


def test_scores_know_no_order():
    rng = np.random.default_rng(0)
    train, fake = rng.standard_normal((500, 3)), 0.8 * rng.standard_normal((500, 3))
    bins = fit_bins(train, 20, rng=rng)
    assert compare_bins(bins, fake) == compare_bins(bins, rng.permutation(fake))


def test_too_few_different_images():
    train = np.repeat(np.arange(3, dtype=np.uint8)[:, None], 20, axis=0)
    with pytest.raises(ValueError, match="only 3 different images, 4 are needed"):
        fit_bins(train, 4, rng=np.random.default_rng(0))
    assert sorted(fit_bins(train, 3, rng=np.random.default_rng(0)).counts) == [20, 20, 20]


@pytest.mark.parametrize("significance", [0, 1, -0.1, float("nan")])
def test_significance_is_a_probability(significance):
    train = np.random.default_rng(0).standard_normal((20, 3))
    with pytest.raises(ValueError, match="between 0 and 1"):
        ndb(train, train, bins=2, significance=significance, rng=np.random.default_rng(0))
