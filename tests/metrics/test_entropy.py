"""Inception score and divergence from uniform: exact cases, bounds, sampling noise."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigan.metrics import inception_score
from minigan.metrics.entropy import entropy, kl_to_uniform

few = settings(max_examples=25, deadline=None)
seeds = st.integers(0, 2**32 - 1)


def test_entropy_of_known_distributions():
    p = np.array([[0.25, 0.25, 0.25, 0.25], [1, 0, 0, 0], [0.5, 0.5, 0, 0]])
    assert entropy(p) == pytest.approx([np.log(4), 0, np.log(2)])


@pytest.mark.parametrize("classes", [2, 10])
def test_inception_score_of_sharp_and_even_answers_is_the_number_of_classes(classes):
    mean, std = inception_score(np.tile(np.eye(classes), (20, 1)))
    assert mean == pytest.approx(classes)
    assert std == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("answer", [[1.0, 0, 0], [1 / 3, 1 / 3, 1 / 3], [0.2, 0.5, 0.3]])
def test_inception_score_is_one_when_every_image_gets_the_same_answer(answer):
    assert inception_score(np.tile(answer, (50, 1))).mean == pytest.approx(1)


def test_inception_score_is_the_mean_divergence_from_the_marginal():
    p = np.array([[0.7, 0.3], [0.1, 0.9], [0.5, 0.5]])
    divergences = [sum(row * np.log(row / p.mean(axis=0))) for row in p]
    assert inception_score(p, splits=1).mean == pytest.approx(np.exp(np.mean(divergences)))


def test_inception_score_of_splits():
    collapsed, varied = np.tile([1.0, 0], (10, 1)), np.tile(np.eye(2), (5, 1))
    mean, std = inception_score(np.vstack([collapsed, varied]), splits=2)
    assert (mean, std) == pytest.approx((1.5, 0.5))  # 1 in the first split, 2 in the second


@few
@given(seeds, st.integers(2, 10))
def test_inception_score_is_bounded_and_knows_no_order(seed, classes):
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.full(classes, 0.3), size=60)
    score = inception_score(p, splits=1).mean
    assert 1 <= score <= classes
    shuffled = rng.permutation(p)[:, rng.permutation(classes)]
    assert inception_score(shuffled, splits=1).mean == pytest.approx(score)


@pytest.mark.parametrize("rows", [[[2.0, -1.0]], [[0.5, 0.6]], [[-0.5, 1.5]]])
def test_inception_score_refuses_logits(rows):
    with pytest.raises(ValueError, match="softmax"):
        inception_score(np.tile(rows, (10, 1)))


def test_divergence_from_uniform():
    assert kl_to_uniform(np.array([5, 5, 5])) == pytest.approx(0, abs=1e-12)
    assert kl_to_uniform(np.array([7, 0, 0])) == pytest.approx(np.log(3))
    assert kl_to_uniform(np.array([3, 1])) == pytest.approx(0.75 * np.log(1.5) + 0.25 * np.log(0.5))


@pytest.mark.parametrize(("modes", "count", "floor"), [(8, 2500, 0.0014), (25, 2500, 0.0048), (1000, 26_000, 0.0192)])
def test_sampling_noise_of_a_perfect_model(modes, count, floor):
    draws = np.random.default_rng(0).multinomial(count, np.full(modes, 1 / modes), size=500)
    assert np.mean([kl_to_uniform(counts) for counts in draws]) == pytest.approx(floor, rel=0.1)
