"""Scores that are differences of entropies: Inception score, and divergence from the uniform distribution."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from .inputs import as_samples


def entropy(probabilities: np.ndarray) -> np.ndarray:
    """-sum p log p over the last axis, in nats, with 0 log 0 = 0."""
    logarithms = np.log(probabilities, out=np.zeros_like(probabilities), where=probabilities > 0)
    return -(probabilities * logarithms).sum(axis=-1)


def kl_to_uniform(counts: np.ndarray) -> float:
    """KL(q || uniform) = log K - H(q) of the frequencies q = counts / N over K modes, in nats.

    The frequencies come first: GAN papers call this the reverse KL. N samples of a perfect model score about
    (K - 1) / 2N rather than 0.
    """
    return max(float(np.log(len(counts)) - entropy(counts / counts.sum())), 0.0)


class InceptionScore(NamedTuple):
    """Mean over the splits, and the standard deviation between them."""

    mean: float
    std: float


def inception_score(probabilities: ArrayLike, splits: int = 10) -> InceptionScore:
    """exp(mean KL(p(y|x) || p(y))): sharp answers for every image, all classes in equal shares.

    probabilities: (N, classes), a classifier's p(y|x) in each row; p(y) is the mean of a split's rows. From 1
    to the number of classes. Salimans et al. 2016.
    """
    p = as_samples(probabilities, "probabilities", needed=max(splits, 1)).astype(np.float64)
    if splits < 1:
        raise ValueError(f"splits must be at least 1, got {splits}")
    if p.min() < 0 or not np.allclose(p.sum(axis=1), 1, atol=1e-3):
        raise ValueError("probabilities must not be negative and each row must sum to 1: apply a softmax first")
    # mean KL(p(y|x) || p(y)) = H(mean p) - mean H(p)
    scores = [np.exp(entropy(part.mean(axis=0)) - entropy(part).mean()) for part in np.array_split(p, splits)]
    return InceptionScore(float(np.mean(scores)), float(np.std(scores)))
