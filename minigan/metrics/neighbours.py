"""Nearest neighbours by blocks of distances: is the model memorising, and which classes does it draw?"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from .inputs import as_samples, check_range, check_width

ROWS, COLUMNS = 1024, 4096  # a tile of float64 distances takes 32 MB


def blocks(length: int, size: int) -> Iterator[slice]:
    """Consecutive slices of at most `size` that cover range(length)."""
    return (slice(start, min(start + size, length)) for start in range(0, length, size))


def squared_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """|x - y|^2 = |x|^2 + |y|^2 - 2 x.y for every row x of a and y of b: (N, d), (M, d) -> (N, M) float64."""
    a = a.astype(np.float64, copy=False)
    b = b.astype(np.float64, copy=False)
    distances = a @ b.T
    distances *= -2
    distances += np.einsum("nd,nd->n", a, a)[:, None]
    distances += np.einsum("md,md->m", b, b)
    return np.maximum(distances, 0, out=distances)  # rounding may leave a little less than 0


class Neighbours(NamedTuple):
    """Row numbers in the reference and Euclidean distances, nearest first: (N, k) each."""

    indices: np.ndarray
    distances: np.ndarray


def nearest_rows(samples: np.ndarray, reference: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices and *squared* distances of the k nearest rows of `reference`, nearest first: (N, k) each."""
    indices = np.empty((len(samples), k), np.intp)
    squared = np.empty((len(samples), k))
    for rows in blocks(len(samples), ROWS):
        near_indices, near_squared = [], []  # k candidates from each tile hold the k nearest of all
        for columns in blocks(len(reference), COLUMNS):
            tile = squared_distances(samples[rows], reference[columns])
            kept = min(k, tile.shape[1])
            near = np.argpartition(tile, kept - 1, axis=1)[:, :kept]
            near_indices.append(near + columns.start)
            near_squared.append(np.take_along_axis(tile, near, axis=1))
        candidates, distances = np.hstack(near_indices), np.hstack(near_squared)
        order = np.lexsort((candidates, distances), axis=1)[:, :k]  # at equal distance the lower index of those kept
        indices[rows] = np.take_along_axis(candidates, order, axis=1)
        squared[rows] = np.take_along_axis(distances, order, axis=1)
    return indices, squared


def nearest_neighbours(images: ArrayLike, train_images: ArrayLike, k: int) -> Neighbours:
    """The k training images nearest to each image in Euclidean pixel distance, for the memorisation sheet.

    images: (N, ...), train_images: (M, ...) in the same range of values, M >= k.
    """
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    images = as_samples(images, "images")
    train_images = as_samples(train_images, "train_images", needed=k)
    check_width(images, "images", train_images, "train_images")
    check_range(images.dtype, "images", train_images.dtype, "train_images")
    indices, squared = nearest_rows(images, train_images, k)
    return Neighbours(indices, np.sqrt(squared))


def class_counts_by_nearest_neighbours(
    images: ArrayLike, train_images: ArrayLike, train_labels: ArrayLike, k: int = 5
) -> np.ndarray:
    """How many images fall in each class by the vote of their k nearest training images: (classes,) integers.

    Needs no network, so it can tell missing classes from a classifier's mistakes. Of classes with equally
    many votes, the one whose neighbours rank nearer wins. train_labels: (M,) integers from 0.
    """
    labels = np.asarray(train_labels)
    if labels.shape != np.shape(train_images)[:1] or labels.dtype.kind not in "iu" or labels.min(initial=0) < 0:
        raise ValueError(
            f"train_labels must be one integer from 0 per training image, "
            f"got {labels.dtype} of shape {labels.shape} for images of shape {np.shape(train_images)}"
        )
    neighbour_labels = labels[nearest_neighbours(images, train_images, k).indices]  # (N, k)
    classes = int(labels.max()) + 1
    # The rank adds half a vote at most: it only breaks ties.
    weights = 1 + (k - np.arange(k)) / (k * (k + 1))
    votes = np.stack([((neighbour_labels == label) * weights).sum(axis=1) for label in range(classes)], axis=1)
    return np.bincount(votes.argmax(axis=1), minlength=classes)
