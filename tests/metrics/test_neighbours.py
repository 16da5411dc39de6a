"""Nearest neighbours by blocks against a plain search, and the class vote."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigan.metrics import class_counts_by_nearest_neighbours, nearest_neighbours
from minigan.metrics.neighbours import COLUMNS, ROWS

few = settings(max_examples=25, deadline=None)
seeds = st.integers(0, 2**32 - 1)


def plain_distances(images, train_images):
    difference = images[:, None].astype(float) - train_images[None].astype(float)
    return np.sqrt((difference**2).sum(axis=tuple(range(2, difference.ndim))))


@few
@given(seeds, st.integers(1, 6))
def test_neighbours_of_bytes_are_exact(seed, k):
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (9, 4, 4), dtype=np.uint8)
    train_images = rng.integers(0, 256, (6, 4, 4), dtype=np.uint8)
    distances = plain_distances(images, train_images)
    found = nearest_neighbours(images, train_images, k)
    assert (found.distances == np.sort(distances, axis=1)[:, :k]).all()
    assert (np.take_along_axis(distances, found.indices, axis=1) == found.distances).all()


def test_neighbours_across_blocks():
    rng = np.random.default_rng(0)
    images, train_images = rng.standard_normal((ROWS + 3, 2)), rng.standard_normal((2 * COLUMNS + 3, 2))
    found = nearest_neighbours(images, train_images, 3)
    sample = rng.choice(len(images), 20)
    distances = plain_distances(images[sample], train_images)
    assert (found.indices[sample] == np.argsort(distances, axis=1)[:, :3]).all()
    assert found.distances[sample] == pytest.approx(np.sort(distances, axis=1)[:, :3])
    last = nearest_neighbours(images[-2:], train_images, 3)  # the rows of the last block
    assert (found.indices[-2:] == last.indices).all()


def test_a_training_image_is_found_again():
    train_images = np.random.default_rng(0).integers(0, 256, (50, 28, 28), dtype=np.uint8)
    found = nearest_neighbours(train_images[[7, 31]], train_images, 1)
    assert found.indices.tolist() == [[7], [31]]
    assert found.distances.tolist() == [[0], [0]]


def test_equally_near_images_come_in_their_order():
    found = nearest_neighbours(np.zeros((1, 2)), np.array([[0, 2], [1, 0], [0, 1]]) * 1.0, 3)
    assert found.indices.tolist() == [[1, 2, 0]]


def test_class_counts_of_separate_classes():
    rng = np.random.default_rng(0)
    corners = 100.0 * np.eye(4)[:3]
    labels = rng.integers(0, 3, 60)
    train_images = corners[labels] + rng.standard_normal((60, 4))
    images = np.repeat(corners, [5, 0, 2], axis=0) + rng.standard_normal((7, 4))
    assert class_counts_by_nearest_neighbours(images, train_images, labels).tolist() == [5, 0, 2]


@pytest.mark.parametrize(
    ("labels", "winner"),
    [
        ([1, 0, 1, 0, 2], 1),  # 0 and 1 twice each, 1 nearer
        ([2, 1, 1, 1, 2], 1),  # the majority wins over the nearest
        ([0, 0, 1, 1, 1], 1),
        ([3, 1, 1, 2, 2], 1),  # of 1 and 2, 1 is nearer
        ([3, 2, 2, 1, 1], 2),
    ],
)
def test_majority_wins_and_rank_breaks_ties(labels, winner):
    train_images = np.arange(1.0, 6)[:, None]  # nearest to 0 first
    counts = class_counts_by_nearest_neighbours(np.zeros((1, 1)), train_images, np.array(labels))
    assert counts.argmax() == winner
    assert counts.sum() == 1
