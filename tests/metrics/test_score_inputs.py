"""Every score refuses what it cannot measure, in one line that says what to do."""

import numpy as np
import pytest

from minigan import metrics

RNG = np.random.default_rng(0)
FEATURES = RNG.standard_normal((30, 4))
LABELS = np.arange(30) % 3

PAIRS = {  # every score of two sets of samples
    "frechet_distance": metrics.frechet_distance,
    "kernel_distance": lambda a, b: metrics.kernel_distance(a, b, subsets=2, subset_size=8, rng=RNG),
    "precision_recall_density_coverage": metrics.precision_recall_density_coverage,
    "ndb": lambda a, b: metrics.ndb(a, b, bins=3, rng=RNG),
    "mixture_scores": lambda a, b: metrics.mixture_scores(a, b, std=0.1),
    "nearest_neighbours": lambda a, b: metrics.nearest_neighbours(a, b, 2),
    "class_counts": lambda a, b: metrics.class_counts_by_nearest_neighbours(a, b, LABELS),
}
SINGLES = {
    "inception_score": metrics.inception_score,
    "stacked_modes": metrics.stacked_modes,
}

pairs = pytest.mark.parametrize("score", PAIRS.values(), ids=PAIRS)


def broken(value):
    array = FEATURES.copy()
    array[3, 1] = value
    return array


@pairs
def test_sound_input_is_scored(score):
    score(FEATURES, FEATURES)


@pairs
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite(score, value):
    for a, b in ((FEATURES, broken(value)), (broken(value), FEATURES)):
        with pytest.raises(ValueError, match="not finite"):
            score(a, b)


@pairs
def test_unequal_widths(score):
    with pytest.raises(ValueError, match="give images of one size, or features of one extractor"):
        score(FEATURES, FEATURES[:, :3])


@pairs
def test_no_samples(score):
    for a, b in ((FEATURES, FEATURES[:0]), (FEATURES[:0], FEATURES)):
        with pytest.raises(ValueError, match=r"needed|one integer"):
            score(a, b)


@pairs
def test_samples_must_be_numbers_in_rows(score):
    for wrong in (FEATURES[:, 0], np.full((30, 4), "a"), FEATURES + 0j):
        with pytest.raises(ValueError, match="shape"):
            score(wrong, FEATURES)


@pytest.mark.parametrize("score", SINGLES.values(), ids=SINGLES)
def test_scores_of_one_set(score):
    with pytest.raises(ValueError, match="needed"):
        score(np.zeros((0, 3)))
    with pytest.raises(ValueError, match="not finite"):
        score(np.full((20, 3), np.nan))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: metrics.frechet_distance(FEATURES, FEATURES[:1]), "b has 1 samples, 2 are needed"),
        (lambda: metrics.kernel_distance(FEATURES, FEATURES, rng=RNG), "a has 30 samples, 1000 are needed"),
        (
            lambda: metrics.precision_recall_density_coverage(FEATURES, FEATURES[:5], k=5),
            "fake has 5 samples, 6 are needed",
        ),
        (lambda: metrics.ndb(FEATURES, FEATURES, rng=RNG), "train has 30 samples, 100 are needed"),
        (lambda: metrics.nearest_neighbours(FEATURES, FEATURES, 31), "train_images has 30 samples, 31 are"),
        (lambda: metrics.inception_score(np.eye(9)), "probabilities has 9 samples, 10 are needed"),
    ],
)
def test_fewer_samples_than_needed(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    "call",
    [
        lambda: metrics.precision_recall_density_coverage(FEATURES, FEATURES, k=0),
        lambda: metrics.nearest_neighbours(FEATURES, FEATURES, 0),
        lambda: metrics.inception_score(np.eye(10), splits=0),
        lambda: metrics.kernel_distance(FEATURES, FEATURES, subsets=0, subset_size=8, rng=RNG),
        lambda: metrics.kernel_distance(FEATURES, FEATURES, subset_size=1, rng=RNG),
        lambda: metrics.fit_bins(FEATURES, 1, rng=RNG),
    ],
)
def test_counts_that_make_no_sense(call):
    with pytest.raises(ValueError, match=r"must be|needs"):
        call()


@pytest.mark.parametrize("name", ["ndb", "nearest_neighbours", "class_counts"])
def test_bytes_beside_floats(name):
    """Bytes of 0 to 255 beside floats of -1 to 1: every distance would be meaningless."""
    with pytest.raises(ValueError, match="range of values"):
        PAIRS[name](FEATURES, RNG.integers(0, 256, (30, 4), dtype=np.uint8))


@pytest.mark.parametrize("labels", [LABELS[:-1], LABELS * 1.0, LABELS - 1, LABELS[:, None]])
def test_labels_must_be_one_integer_per_image(labels):
    with pytest.raises(ValueError, match="one integer from 0 per training image"):
        metrics.class_counts_by_nearest_neighbours(FEATURES, FEATURES, labels)
