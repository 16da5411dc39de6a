"""Fréchet and kernel distance against closed forms, the plain definitions, and their symmetries."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigan.metrics import frechet_distance, kernel_distance

few = settings(max_examples=25, deadline=None)
seeds = st.integers(0, 2**32 - 1)
widths = st.integers(1, 6)


def features(rng, count, width):
    """Correlated, off-centre features: rows of N(m, M M')."""
    return rng.standard_normal((count, width)) @ rng.standard_normal((width, width)) + rng.standard_normal(width)


def whitened(rng, count, width):
    """Samples whose mean is exactly 0 and whose covariance is exactly I."""
    x = rng.standard_normal((count, width))
    return np.linalg.qr(x - x.mean(axis=0))[0] * np.sqrt(count - 1)


def rotation(rng, width):
    return np.linalg.qr(rng.standard_normal((width, width)))[0]


def frechet_by_eigenvalues(a, b):
    """tr sqrt(S1 S2) = sum of the roots of the eigenvalues of sqrt(S1) S2 sqrt(S1)."""
    s1, s2 = np.atleast_2d(np.cov(a.T)), np.atleast_2d(np.cov(b.T))
    values, vectors = np.linalg.eigh(s1)
    root = vectors @ np.diag(np.sqrt(values.clip(0))) @ vectors.T
    overlap = np.sqrt(np.linalg.eigvalsh(root @ s2 @ root).clip(0)).sum()
    return ((a.mean(axis=0) - b.mean(axis=0)) ** 2).sum() + np.trace(s1) + np.trace(s2) - 2 * overlap


@pytest.mark.parametrize(("count", "width"), [(500, 8), (20, 64)])  # the second covariance is singular
def test_a_set_is_at_no_frechet_distance_from_itself(count, width):
    a = features(np.random.default_rng(0), count, width)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9 * a.var() * width)


@few
@given(seeds, widths)
def test_frechet_distance_of_gaussians_with_aligned_axes(seed, width):
    """|m1 - m2|^2 + sum (s1 - s2)^2 when both covariances have the same axes."""
    rng = np.random.default_rng(seed)
    mean_a, mean_b = rng.standard_normal((2, width))
    std_a, std_b = rng.uniform(0, 3, (2, width))
    axes = rotation(rng, width)
    a = (whitened(rng, 40, width) * std_a + mean_a) @ axes
    b = (whitened(rng, 30, width) * std_b + mean_b) @ axes
    expected = ((mean_a - mean_b) ** 2 + (std_a - std_b) ** 2).sum()
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-9, abs=1e-9)


@few
@given(seeds, widths)
def test_frechet_distance_is_the_formula_of_the_paper(seed, width):
    rng = np.random.default_rng(seed)
    a, b = features(rng, 50, width), features(rng, 60, width)
    assert frechet_distance(a, b) == pytest.approx(frechet_by_eigenvalues(a, b), rel=1e-6, abs=1e-6)


@few
@given(seeds, widths)
def test_frechet_distance_is_symmetric_and_knows_no_order_and_no_axes(seed, width):
    rng = np.random.default_rng(seed)
    a, b = features(rng, 50, width), features(rng, 60, width)
    distance = frechet_distance(a, b)
    turn, shift = rotation(rng, width), rng.standard_normal(width)
    for other in (
        frechet_distance(b, a),
        frechet_distance(rng.permutation(a), rng.permutation(b)),
        frechet_distance(a @ turn + shift, b @ turn + shift),
    ):
        assert other == pytest.approx(distance, rel=1e-9, abs=1e-9)


def test_frechet_distance_of_float32_features_is_computed_in_float64():
    rng = np.random.default_rng(0)
    a, b = (features(rng, 200, 8).astype(np.float32) + 1000 for _ in range(2))  # float32 keeps 4 digits of these
    assert frechet_distance(a, b) == frechet_distance(a.astype(np.float64), b.astype(np.float64))


def test_kernel_distance_is_the_unbiased_estimator():
    rng = np.random.default_rng(0)
    a, b = features(rng, 7, 3), features(rng, 7, 3)

    def kernel(x, y):
        return (sum(x * y) / 3 + 1) ** 3

    pairs = [(i, j) for i in range(7) for j in range(7)]
    within = sum(kernel(a[i], a[j]) + kernel(b[i], b[j]) for i, j in pairs if i != j) / 42
    expected = within - 2 * sum(kernel(a[i], b[j]) for i, j in pairs) / 49
    mean, std = kernel_distance(a, b, subsets=3, subset_size=7, rng=rng)
    assert mean == pytest.approx(expected)
    assert std == pytest.approx(0, abs=1e-9 * abs(expected))  # every subset is the whole set


def test_kernel_distance_of_equal_distributions_is_around_zero():
    rng = np.random.default_rng(0)
    draws = [
        kernel_distance(*rng.standard_normal((2, 100, 4)), subsets=1, subset_size=100, rng=rng).mean for _ in range(200)
    ]
    assert abs(np.mean(draws)) < 4 * np.std(draws) / np.sqrt(200)
    assert min(draws) < 0  # as an unbiased estimate of 0 must be


def test_kernel_distance_grows_with_the_shift():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 400, 4))
    near, far = (kernel_distance(a, b + shift, subsets=5, subset_size=200, rng=rng) for shift in (0.5, 1.0))
    assert 0 < near.mean < far.mean


@few
@given(seeds, widths)
def test_kernel_distance_knows_no_order_and_no_axes(seed, width):
    rng = np.random.default_rng(seed)
    a, b = features(rng, 20, width), features(rng, 20, width)
    turn = rotation(rng, width)
    distance = kernel_distance(a, b, subsets=1, subset_size=20, rng=rng).mean
    for c, d in ((b, a), (rng.permutation(a), rng.permutation(b)), (a @ turn, b @ turn)):
        other = kernel_distance(c, d, subsets=1, subset_size=20, rng=rng).mean
        assert other == pytest.approx(distance, rel=1e-6, abs=1e-6)


def test_kernel_distance_repeats_with_its_generator():
    a, b = np.random.default_rng(0).standard_normal((2, 50, 4))
    first, second, third = (
        kernel_distance(a, b, subsets=4, subset_size=20, rng=np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    assert first == second != third
