"""What scores compare instead of pixels: the digit classifier's features and class probabilities."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..autograd import no_grad
from ..backend import Backend, get_backend
from ..images import to_uint8
from .classifier import SIZE, as_batch, load
from .neighbours import blocks

BATCH = 250  # images a forward pass: their activations stay in the processor's caches


class DigitFeatures(NamedTuple):
    features: np.ndarray  # (N, 64) float32
    probabilities: np.ndarray  # (N, 10) float32, each row sums to 1


def digit_features(images: np.ndarray, device: str | Backend = "cpu") -> DigitFeatures:
    """Features and p(digit | image), 64 and 10 numbers an image, by the classifier that ships with minigan.

    images: gray, (N, 28, 28) or (N, 1, 28, 28), uint8, or floats in [-1, 1], which are rounded to bytes first, as
    picture files are. Raises ValueError for any other size.
    """
    check_shape(images.shape[1:])
    classifier = load(get_backend(device))
    images = to_uint8(images).reshape(-1, SIZE, SIZE)
    features, probabilities = [], []
    with no_grad():
        for rows in blocks(len(images), BATCH):
            activations, logits = classifier(as_batch(images[rows], get_backend(device)))
            features.append(activations.numpy())
            probabilities.append(logits.softmax(axis=1).numpy())
    return DigitFeatures(np.concatenate(features), np.concatenate(probabilities))


def check_shape(shape: tuple[int, ...]) -> None:
    """Raises ValueError unless `shape` is that of a gray image of the classifier's size."""
    if shape not in ((SIZE, SIZE), (1, SIZE, SIZE)):
        raise ValueError(
            f"images of shape {'x'.join(map(str, shape))}: the digit classifier, whose features are scored, takes gray "
            f"images of {SIZE}x{SIZE} pixels"
        )
