"""How many modes of a known distribution a generator reaches, how evenly, and how closely."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from .entropy import kl_to_uniform
from .inputs import as_samples, check_width
from .neighbours import squared_distances


class MixtureScores(NamedTuple):
    modes: int  # modes that are nearest to at least one high-quality sample
    high_quality: float  # share of the samples within the threshold of their nearest mode
    reverse_kl: float  # KL in nats of the samples' nearest modes to the uniform distribution


def mixture_scores(samples: ArrayLike, centres: ArrayLike, std: float, threshold: float = 3.0) -> MixtureScores:
    """Scores of samples of an even mixture of Gaussians N(centre, std^2 I).

    Each sample belongs to its nearest centre, and is of high quality when at most `threshold` std away
    (Euclidean), as in VEEGAN and its successors. For these round modes that is PacGAN's Mahalanobis distance
    too, so one definition serves both protocols. The reverse KL counts every sample, of high quality or not,
    as PacGAN's text has it (its published code counts only those of high quality).

    A perfect sampler in two dimensions has 1 - exp(-threshold^2 / 2) of high quality, 98.89 % for 3, and a
    reverse KL of about (K - 1) / 2N. samples: (N, d), centres: (K, d).
    Srivastava et al. 2017 (VEEGAN); Lin et al. 2018 (PacGAN).
    """
    samples = as_samples(samples, "samples")
    centres = as_samples(centres, "centres")
    check_width(samples, "samples", centres, "centres")
    if not std > 0 or not threshold > 0:
        raise ValueError(f"std and threshold must be positive, got {std} and {threshold}")
    squared = squared_distances(samples, centres)  # (N, K)
    nearest = squared.argmin(axis=1)
    high_quality = squared.min(axis=1) <= (threshold * std) ** 2
    return MixtureScores(
        modes=len(np.unique(nearest[high_quality])),
        high_quality=float(high_quality.mean()),
        reverse_kl=kl_to_uniform(np.bincount(nearest, minlength=len(centres))),
    )


class StackedModes(NamedTuple):
    modes: int  # how many of the 1,000 occur
    reverse_kl: float  # KL in nats of their frequencies to the uniform distribution


def stacked_modes(classes: ArrayLike) -> StackedModes:
    """Modes of stacked MNIST that are reached: each of the 1,000 triples of digits is a mode.

    classes: (N, 3) integers 0 to 9, the digit a classifier sees in each channel. The usual N is 26,000, for
    which a perfect sampler has a reverse KL of .0192. Metz et al. 2017; Srivastava et al. 2017.
    """
    digits = as_samples(classes, "classes")
    if digits.shape[1] != 3 or digits.dtype.kind not in "iu" or digits.min() < 0 or digits.max() > 9:
        raise ValueError(f"classes must be digits 0 to 9 of shape (N, 3), got {digits.dtype} of {digits.shape}")
    counts = np.bincount(digits.astype(np.intp) @ np.array([100, 10, 1]), minlength=1000)
    return StackedModes(modes=int(np.count_nonzero(counts)), reverse_kl=kl_to_uniform(counts))
