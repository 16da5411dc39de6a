"""How far apart two sets of features are: Fréchet distance (FID) and kernel distance (KID)."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from .inputs import as_samples, check_width


def frechet_distance(a: ArrayLike, b: ArrayLike) -> float:
    """Squared Fréchet (2-Wasserstein) distance of the Gaussians fitted to two sets of features: FID.

        |m1 - m2|^2 + tr S1 + tr S2 - 2 tr sqrt(S1 S2)

    m and S are the mean and the unbiased covariance. Biased upwards in N: compare only scores of equal N.
    a: (N, d), b: (M, d), at least 2 samples each. Heusel et al. 2017.
    """
    a = as_samples(a, "a", needed=2)
    b = as_samples(b, "b", needed=2)
    check_width(a, "a", b, "b")
    mean_a, root_a = _mean_and_root(a)
    mean_b, root_b = _mean_and_root(b)
    # S1 S2 = Ra'Ra Rb'Rb has the eigenvalues of (Ra Rb')(Ra Rb')': the trace of its square root is the sum of
    # the singular values of Ra Rb'. No eigenvalue is ever squared, which keeps all digits when S is singular.
    overlap = np.linalg.svd(root_a @ root_b.T, compute_uv=False).sum()
    distance = ((mean_a - mean_b) ** 2).sum() + (root_a**2).sum() + (root_b**2).sum() - 2 * overlap
    return max(float(distance), 0.0)  # never negative but for rounding


def _mean_and_root(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean, and an upper triangular R with R'R = the covariance."""
    features = features.astype(np.float64)
    mean = features.mean(axis=0)
    return mean, np.linalg.qr(features - mean, mode="r") / np.sqrt(len(features) - 1)


class KernelDistance(NamedTuple):
    """Mean over the subsets, and the standard deviation between them."""

    mean: float
    std: float


def kernel_distance(
    a: ArrayLike, b: ArrayLike, *, subsets: int = 100, subset_size: int = 1000, rng: np.random.Generator
) -> KernelDistance:
    """Squared maximum mean discrepancy under the kernel k(x, y) = (x.y / d + 1)^3: KID.

        mean k(x, x') + mean k(y, y') - 2 mean k(x, y)      (x != x', y != y')

    averaged over random subsets. Unbiased, so about 0 (and as often below it) for equal distributions: the
    distance to use with few samples. a: (N, d), b: (M, d), at least `subset_size` samples each.
    Bińkowski et al. 2018.
    """
    if subsets < 1 or subset_size < 2:
        raise ValueError(f"needs subsets >= 1 and subset_size >= 2, got {subsets} and {subset_size}")
    a = as_samples(a, "a", needed=subset_size).astype(np.float64)
    b = as_samples(b, "b", needed=subset_size).astype(np.float64)
    check_width(a, "a", b, "b")
    values = [
        _squared_discrepancy(
            a[rng.choice(len(a), subset_size, replace=False)],
            b[rng.choice(len(b), subset_size, replace=False)],
        )
        for _ in range(subsets)
    ]
    return KernelDistance(float(np.mean(values)), float(np.std(values)))


def _squared_discrepancy(x: np.ndarray, y: np.ndarray) -> float:
    n = len(x)
    within_x, within_y = _kernel(x, x), _kernel(y, y)
    pairs = n * (n - 1)  # without the diagonal, where a sample meets itself
    within = (within_x.sum() - within_x.trace()) / pairs + (within_y.sum() - within_y.trace()) / pairs
    return within - 2 * _kernel(x, y).mean()


def _kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    affinity = x @ y.T / x.shape[1] + 1
    return affinity * affinity * affinity
