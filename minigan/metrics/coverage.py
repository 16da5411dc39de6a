"""Fidelity apart from diversity: precision, recall, density and coverage."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from .inputs import as_samples, check_width
from .neighbours import COLUMNS, ROWS, blocks, nearest_rows, squared_distances


class PRDC(NamedTuple):
    """Shares between 0 and 1, but for the density, which may pass 1."""

    precision: float
    recall: float
    density: float
    coverage: float


def precision_recall_density_coverage(real: ArrayLike, fake: ArrayLike, k: int = 5) -> PRDC:
    """How real and fake features lie in each other's k-nearest-neighbour balls.

    The ball of a sample reaches to its k-th neighbour in its own set. Precision and recall count what lies on its
    surface, density and coverage do not.

        precision   share of fakes in the ball of at least one real sample
        recall      share of real samples in the ball of at least one fake
        density     mean number of real balls that hold a fake, divided by k; 1 for equal distributions
        coverage    share of real balls that hold at least one fake; about 1 - 2^-k for equal distributions

    real: (N, d), fake: (M, d), more than k samples each. Takes O(N M d) time, and memory for one tile of
    distances at a time. Kynkäänniemi et al. 2019 (precision, recall); Naeem et al. 2020 (density, coverage).
    """
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    real = as_samples(real, "real", needed=k + 1)
    fake = as_samples(fake, "fake", needed=k + 1)
    check_width(real, "real", fake, "fake")
    real_reach, fake_reach = _squared_radii(real, k), _squared_radii(fake, k)

    precise = np.zeros(len(fake), bool)
    recalled = np.zeros(len(real), bool)
    covered = np.zeros(len(real), bool)
    hits = 0
    for rows in blocks(len(real), ROWS):
        for columns in blocks(len(fake), COLUMNS):
            squared = squared_distances(real[rows], fake[columns])
            in_real_ball = squared < real_reach[rows, None]
            precise[columns] |= (squared <= real_reach[rows, None]).any(axis=0)
            covered[rows] |= in_real_ball.any(axis=1)
            recalled[rows] |= (squared <= fake_reach[columns]).any(axis=1)
            hits += int(np.count_nonzero(in_real_ball))
    return PRDC(
        precision=float(precise.mean()),
        recall=float(recalled.mean()),
        density=hits / (k * len(fake)),
        coverage=float(covered.mean()),
    )


def _squared_radii(features: np.ndarray, k: int) -> np.ndarray:
    """Squared distance of each row to its k-th neighbour; the nearest row of all is the row itself."""
    return nearest_rows(features, features, k + 1)[1][:, -1]
