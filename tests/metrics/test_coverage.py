"""Precision, recall, density and coverage against the definitions, and in the cases that define them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigan.metrics import coverage, neighbours, precision_recall_density_coverage

few = settings(max_examples=25, deadline=None)
seeds = st.integers(0, 2**32 - 1)


def by_definition(real, fake, k):
    def distances(x, y):
        return np.sqrt(((x[:, None] - y) ** 2).sum(axis=2))

    def radii(x):
        return np.sort(distances(x, x), axis=1)[:, k]  # column 0 is the sample itself

    between = distances(real, fake)
    in_real = between < radii(real)[:, None]
    precision = np.mean([(between[:, j] <= radii(real)).any() for j in range(len(fake))])
    recall = np.mean([(between[i] <= radii(fake)).any() for i in range(len(real))])
    density = np.mean([in_real[:, j].sum() / k for j in range(len(fake))])
    covered = np.mean([in_real[i].any() for i in range(len(real))])
    return precision, recall, density, covered


@few
@given(seeds, st.integers(1, 6), st.integers(7, 30), st.integers(7, 30), st.integers(1, 4))
def test_scores_are_their_definitions(seed, k, reals, fakes, width):
    rng = np.random.default_rng(seed)
    real, fake = rng.standard_normal((reals, width)), 0.7 * rng.standard_normal((fakes, width)) + 0.3
    assert precision_recall_density_coverage(real, fake, k) == pytest.approx(by_definition(real, fake, k))


def test_scores_across_blocks(monkeypatch):
    for module in (coverage, neighbours):
        monkeypatch.setattr(module, "ROWS", 16)
        monkeypatch.setattr(module, "COLUMNS", 40)
    rng = np.random.default_rng(0)
    real, fake = rng.standard_normal((50, 2)), 0.5 * rng.standard_normal((90, 2))
    assert precision_recall_density_coverage(real, fake) == pytest.approx(by_definition(real, fake, 5))


@few
@given(seeds)
def test_scores_know_no_order_and_no_axes(seed):
    rng = np.random.default_rng(seed)
    real, fake = rng.standard_normal((40, 3)), 0.7 * rng.standard_normal((50, 3))
    turn = np.linalg.qr(rng.standard_normal((3, 3)))[0]
    scores = precision_recall_density_coverage(real, fake)
    assert precision_recall_density_coverage(rng.permutation(real), rng.permutation(fake)) == scores
    assert precision_recall_density_coverage(real @ turn + 1, fake @ turn + 1) == pytest.approx(scores)


def test_a_set_beside_itself():
    real = np.random.default_rng(0).integers(0, 1_000_000, (300, 4))  # whole numbers: no rounding at the rims
    assert precision_recall_density_coverage(real, real.copy()) == (1, 1, 1, 1)


def test_equal_distributions():
    """Expected density 1 and coverage 1 - (N-1)...(N-k) / (2N-1)...(2N-k), in any number of dimensions."""
    rng = np.random.default_rng(0)
    n, k = 400, 5
    scores = [precision_recall_density_coverage(*rng.standard_normal((2, n, 4)), k) for _ in range(20)]
    expected = 1 - np.prod((n - np.arange(1, k + 1)) / (2 * n - np.arange(1, k + 1)))
    assert np.mean([score.density for score in scores]) == pytest.approx(1, abs=0.02)
    assert np.mean([score.coverage for score in scores]) == pytest.approx(expected, abs=0.005)


def test_a_sample_on_the_rim_counts_for_precision_and_recall_alone():
    """Kynkäänniemi et al. 2019, equation 1, has at most; Naeem et al. 2020 and their code less."""
    copies = np.repeat(np.arange(4.0)[:, None], 6, axis=0)  # balls of radius 0
    assert precision_recall_density_coverage(copies, copies.copy(), k=5) == (1, 1, 0, 0)


def test_distant_sets_share_nothing():
    real, fake = np.random.default_rng(0).standard_normal((2, 50, 3))
    assert precision_recall_density_coverage(real, fake + 100) == (0, 0, 0, 0)


def test_collapse_keeps_precision_and_loses_recall_and_coverage():
    real = np.random.default_rng(0).standard_normal((300, 3))
    fake = np.tile(real.mean(axis=0), (300, 1))
    scores = precision_recall_density_coverage(real, fake)
    assert scores.precision == 1
    assert scores.recall == 0
    assert scores.coverage < 0.2


def test_noise_keeps_recall_and_loses_precision():
    rng = np.random.default_rng(0)
    real, fake = rng.standard_normal((300, 3)), 10 * rng.standard_normal((300, 3))
    scores = precision_recall_density_coverage(real, fake)
    assert scores.precision < 0.3 < 0.9 < scores.recall
