"""NDB/K: does each region of pixel space hold as large a share of the fakes as of the training images?"""

from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from .inputs import as_samples, check_range, check_width
from .neighbours import COLUMNS, blocks, squared_distances

# k-means ends when at most this share of the images change their bin, or after so many steps.
SETTLED, MAX_ITERATIONS = 0.01, 100


class Bins(NamedTuple):
    """Regions of pixel space, each nearest to one of K centres."""

    centres: np.ndarray  # (K, pixels)
    counts: np.ndarray  # (K,) training images in each
    dtype: np.dtype  # of the training images


class NDB(NamedTuple):
    different: int  # bins whose two proportions differ significantly
    share: float  # the same divided by the number of bins: NDB/K


def ndb(
    train: ArrayLike,
    fake: ArrayLike,
    bins: int = 100,
    *,
    significance: float = 0.05,
    rng: np.random.Generator,
) -> NDB:
    """Number of statistically different bins: k-means on training images, a z test in each bin.

    Needs no network. Fresh samples of the training distribution score about `significance`; a collapsed model
    scores near 1. The tests grow sharper with the number of samples: compare only scores of equal numbers.
    To score several models on the same bins, call `fit_bins` once and `compare_bins` for each.

    train: (N, ...), fake: (M, ...) in the same range of values. Richardson and Weiss 2018.
    """
    return compare_bins(fit_bins(train, bins, rng=rng), fake, significance=significance)


def fit_bins(train: ArrayLike, bins: int = 100, *, rng: np.random.Generator) -> Bins:
    """k-means on pixels: k-means++ start, then Lloyd's steps until at most 1 % of the images change their bin.

    Any partition makes a valid test, so the last few images need not settle. Arthur and Vassilvitskii 2007.
    """
    if bins < 2:
        raise ValueError(f"bins must be at least 2, got {bins}")
    points = as_samples(train, "train", needed=bins)
    centres = _spread_start(points, bins, rng)
    nearest = _nearest_centre(points, centres)
    for _ in range(MAX_ITERATIONS):
        centres = _means(points, nearest, centres)
        previous, nearest = nearest, _nearest_centre(points, centres)
        if np.count_nonzero(nearest != previous) <= SETTLED * len(points):
            break
    return Bins(centres, np.bincount(nearest, minlength=bins), points.dtype)


def compare_bins(bins: Bins, fake: ArrayLike, *, significance: float = 0.05) -> NDB:
    """The two-proportion z test in every bin.

    z = (p1 - p2) / sqrt(p (1 - p) (1/n1 + 1/n2)), p the share of the bin in both sets together; two-sided.
    """
    if not 0 < significance < 1:
        raise ValueError(f"significance must lie between 0 and 1, got {significance}")
    fake = as_samples(fake, "fake")
    check_width(fake, "fake", bins.centres, "train")
    check_range(fake.dtype, "fake", bins.dtype, "train")
    fake_counts = np.bincount(_nearest_centre(fake, bins.centres), minlength=len(bins.counts))
    n1, n2 = bins.counts.sum(), fake_counts.sum()
    pooled = (bins.counts + fake_counts) / (n1 + n2)
    standard_error = np.sqrt(pooled * (1 - pooled) * (1 / n1 + 1 / n2))
    critical = NormalDist().inv_cdf(1 - significance / 2)
    difference = np.abs(bins.counts / n1 - fake_counts / n2)
    different = int(np.count_nonzero(difference > critical * standard_error))
    return NDB(different, different / len(bins.counts))


def _spread_start(points: np.ndarray, k: int, rng: np.random.Generator) -> np.ndarray:
    """k-means++: the next centre is a point drawn in proportion to its squared distance to those so far."""
    chosen = [int(rng.integers(len(points)))]
    gap = np.full(len(points), np.inf)
    while len(chosen) < k:
        for rows in blocks(len(points), COLUMNS):
            gap[rows] = np.minimum(gap[rows], squared_distances(points[rows], points[chosen[-1:]])[:, 0])
        gap[chosen] = 0
        if not gap.any():
            raise ValueError(f"train has only {len(chosen)} different images, {k} are needed: ask for fewer bins")
        chosen.append(int(rng.choice(len(points), p=gap / gap.sum())))
    return points[chosen].astype(np.float64)


def _nearest_centre(points: np.ndarray, centres: np.ndarray) -> np.ndarray:
    return np.concatenate(
        [squared_distances(points[rows], centres).argmin(axis=1) for rows in blocks(len(points), COLUMNS)]
    )


def _means(points: np.ndarray, nearest: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Mean of the points of each centre; a centre without points stays where it is."""
    means = centres.copy()
    for k in np.unique(nearest):
        means[k] = points[nearest == k].mean(axis=0, dtype=np.float64)
    return means
