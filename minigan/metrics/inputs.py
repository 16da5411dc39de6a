"""What every score asks of its inputs: enough samples, all finite, of one width."""

import numpy as np
from numpy.typing import ArrayLike


def as_samples(values: ArrayLike, name: str, needed: int = 1) -> np.ndarray:
    """`values` as a matrix with one sample a row, in its own dtype: (N, ...) -> (N, width).

    Raises ValueError for fewer than `needed` samples and for values that are not finite numbers.
    """
    array = np.asarray(values)
    if array.ndim < 2 or array.dtype.kind not in "biuf":
        raise ValueError(f"{name} must be numbers of shape (N, ...), got {array.dtype} of shape {array.shape}")
    if len(array) < needed:
        raise ValueError(f"{name} has {len(array)} samples, {needed} are needed: give more of them")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ValueError(f"{name} has values that are not finite: the network that made them has diverged")
    return array.reshape(len(array), -1)


def check_width(a: np.ndarray, a_name: str, b: np.ndarray, b_name: str) -> None:
    """Raises ValueError unless the rows of both are equally long."""
    if a.shape[1] != b.shape[1]:
        raise ValueError(
            f"{a_name} has {a.shape[1]} values a sample and {b_name} {b.shape[1]}: "
            f"give images of one size, or features of one extractor"
        )


def check_range(a: np.dtype, a_name: str, b: np.dtype, b_name: str) -> None:
    """Raises ValueError when one holds whole numbers (0 to 255) and the other floats (-1 to 1)."""
    if (a.kind == "f") != (b.kind == "f"):
        raise ValueError(f"{a_name} is {a} and {b_name} {b}: give both in one range of values")
