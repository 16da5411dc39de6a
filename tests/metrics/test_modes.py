"""Modes, high quality and reverse KL of mixtures and of stacked MNIST."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigan.metrics import mixture_scores, stacked_modes

few = settings(max_examples=25, deadline=None)
seeds = st.integers(0, 2**32 - 1)

ANGLES = 2 * np.pi * np.arange(8) / 8
RING = np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1)
GRID = np.array([(x, y) for x in (-4, -2, 0, 2, 4) for y in (-4, -2, 0, 2, 4)])


def draw(rng, centres, std, count):
    return centres[rng.integers(len(centres), size=count)] + std * rng.standard_normal((count, 2))


@pytest.mark.parametrize(("centres", "std"), [(RING, 0.01), (GRID, 0.05)])
def test_a_perfect_sampler(centres, std):
    count = 100_000
    scores = mixture_scores(draw(np.random.default_rng(0), centres, std, count), centres, std)
    share = 1 - np.exp(-4.5)  # of a round Gaussian within 3 std
    assert scores.modes == len(centres)
    assert scores.high_quality == pytest.approx(share, abs=4 * np.sqrt(share * (1 - share) / count))
    assert scores.reverse_kl < 3 * (len(centres) - 1) / (2 * count)


@pytest.mark.parametrize(("centres", "std", "floor"), [(RING, 0.01, 0.0014), (GRID, 0.05, 0.0048)])
def test_the_floor_of_the_reverse_kl(centres, std, floor):
    rng = np.random.default_rng(0)
    values = [mixture_scores(draw(rng, centres, std, 2500), centres, std).reverse_kl for _ in range(100)]
    assert np.mean(values) == pytest.approx(floor, rel=0.15)


def test_collapse_to_one_mode():
    scores = mixture_scores(np.tile(RING[3], (100, 1)), RING, 0.01)
    assert scores == (1, 1.0, pytest.approx(np.log(8)))


def test_a_mode_counts_only_with_a_sample_of_high_quality():
    samples = np.vstack([RING[:4], 1.05 * RING[4:]])  # the last four lie 5 std outside
    scores = mixture_scores(samples, RING, 0.01)
    assert scores == (4, 0.5, pytest.approx(0, abs=1e-12))  # yet every mode is nearest to one sample


@pytest.mark.parametrize(("distance", "share"), [(2.99, 1), (3.01, 0)])
@pytest.mark.parametrize("std", [0.01, 2.0])
def test_the_threshold_is_a_distance_in_std(distance, share, std):
    samples = np.array([[np.cos(0.3), np.sin(0.3)]]) * distance * std
    assert mixture_scores(samples, np.zeros((1, 2)), std).high_quality == share
    assert mixture_scores(samples, np.zeros((1, 2)), std, threshold=2).high_quality == 0


@few
@given(seeds)
def test_mixture_scores_know_no_order_and_no_axes(seed):
    rng = np.random.default_rng(seed)
    samples = draw(rng, RING, 0.05, 200)
    turn = np.linalg.qr(rng.standard_normal((2, 2)))[0]
    scores = mixture_scores(samples, RING, 0.05)
    assert mixture_scores(rng.permutation(samples), rng.permutation(RING), 0.05) == pytest.approx(scores)
    assert mixture_scores(samples @ turn, RING @ turn, 0.05) == pytest.approx(scores)


@pytest.mark.parametrize(("std", "threshold"), [(0, 3), (-1, 3), (1, 0), (float("nan"), 3)])
def test_std_and_threshold_must_be_positive(std, threshold):
    with pytest.raises(ValueError, match="positive"):
        mixture_scores(RING, RING, std, threshold)


def test_all_thousand_modes():
    classes = np.stack(np.meshgrid(*[np.arange(10)] * 3), axis=-1).reshape(1000, 3)
    assert stacked_modes(classes) == (1000, pytest.approx(0, abs=1e-12))


def test_the_order_of_the_digits_matters():
    assert stacked_modes([[1, 2, 3], [3, 2, 1], [1, 2, 3], [3, 2, 1]]) == (2, pytest.approx(np.log(500)))


def test_one_mode():
    assert stacked_modes(np.full((50, 3), 7, np.uint8)) == (1, pytest.approx(np.log(1000)))


def test_a_perfect_stacked_sampler():
    classes = np.random.default_rng(0).integers(0, 10, (26_000, 3))
    assert stacked_modes(classes) == (1000, pytest.approx(0.0192, rel=0.15))


@pytest.mark.parametrize("classes", [[[1, 2]], [[1, 2, 10]], [[-1, 2, 3]], [[1.0, 2.0, 3.0]]])
def test_stacked_classes_are_three_digits(classes):
    with pytest.raises(ValueError, match="digits 0 to 9"):
        stacked_modes(classes)
