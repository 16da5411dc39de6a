"""The digit classifier that scores see images through. Its weights ship as digits.npz, made by

    python -m minigan.metrics.classifier

on the training images alone, in a few minutes: 99.5 % of the test images are classified right.
"""

from __future__ import annotations

import hashlib
import math
from functools import cache
from pathlib import Path

import numpy as np

from .. import data, nn, optim
from ..autograd import Tensor, no_grad
from ..backend import Backend, get_backend
from ..files import replacing
from ..nn import functional
from ..rng import Generator

WEIGHTS = Path(__file__).with_name("digits.npz")
SIZE, CLASSES, FEATURES = 28, 10, 64
EPOCHS, BATCH, LEARNING_RATE, SHIFT = 12, 100, 2e-3, 2


class DigitClassifier(nn.Module):
    """Two convolutions and two dense layers: images (N, 1, 28, 28) in [-1, 1] -> features (N, 64), logits (N, 10).

    The features are the activations before the last layer.
    """

    def __init__(self, *, rng: Generator | None = None):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 16, 5, stride=2, padding=2, bias=False, rng=rng),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.Conv2d(16, 32, 5, stride=2, padding=2, bias=False, rng=rng),
            nn.BatchNorm2d(32),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(32 * 7 * 7, FEATURES, bias=False, rng=rng),
            nn.BatchNorm1d(FEATURES),  # features of one scale, none of them dead
            nn.ReLU(),
        )
        self.head = nn.Linear(FEATURES, CLASSES, rng=rng)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        features = self.body(images)
        return features, self.head(features)


def extractor_name() -> str:
    """What a protocol calls the shipped weights: other weights give another name."""
    return f"digits-{hashlib.sha256(WEIGHTS.read_bytes()).hexdigest()[:8]}"


@cache
def load(backend: Backend) -> DigitClassifier:
    """The shipped classifier on a device, in evaluation mode."""
    classifier = DigitClassifier(rng=Generator(0, get_backend("cpu")))
    with np.load(WEIGHTS, allow_pickle=False) as archive:
        classifier.load_state_dict({name: archive[name] for name in archive})
    classifier.to(backend).eval()
    return classifier


def train(seed: int = 0) -> DigitClassifier:
    """Cross-entropy on randomly shifted training images, Adam with a learning rate that falls along a cosine."""
    backend = get_backend("cpu")
    images, labels = data.load_mnist("train")
    padded = np.pad(images, ((0, 0), (SHIFT, SHIFT), (SHIFT, SHIFT)))
    classifier = DigitClassifier(rng=Generator(seed, backend))
    optimizer = optim.Adam(classifier.parameters(), LEARNING_RATE)
    batches = data.Batches(len(images), BATCH, seed)
    shifts = np.random.default_rng(seed)
    steps = EPOCHS * batches.per_epoch
    for step in range(steps):
        chosen = batches[step]
        optimizer.lr = LEARNING_RATE * 0.5 * (1 + math.cos(math.pi * step / steps))
        _, logits = classifier(as_batch(_shifted(padded, chosen, shifts), backend))
        loss = functional.cross_entropy(logits, Tensor(labels[chosen].astype(np.int64), backend))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if (step + 1) % batches.per_epoch == 0:
            print(f"epoch {(step + 1) // batches.per_epoch} of {EPOCHS}: loss {loss.item():.4f}", flush=True)
    classifier.eval()
    return classifier


def _shifted(padded: np.ndarray, chosen: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The chosen images, each moved by up to SHIFT pixels along both axes: (B, 28, 28)."""
    top, left = rng.integers(2 * SHIFT + 1, size=(2, len(chosen), 1))
    rows, columns = top + np.arange(SIZE), left + np.arange(SIZE)  # (B, 28) each
    return padded[chosen[:, None, None], rows[:, :, None], columns[:, None, :]]


def as_batch(images: np.ndarray, backend: Backend) -> Tensor:
    """uint8 (B, 28, 28) -> float32 (B, 1, 28, 28) in [-1, 1]."""
    return Tensor(backend.asarray(images[:, None]).astype("float32") * (2 / 255) - 1, backend)


def save(classifier: DigitClassifier, path: Path) -> None:
    """All weights in half precision, which costs no accuracy that the test set can show."""
    state = classifier.state_dict()
    halves = {name: array.astype(np.float16) if array.dtype.kind == "f" else array for name, array in state.items()}
    with replacing(path) as file:
        np.savez_compressed(file, **halves)


def accuracy(classifier: DigitClassifier, images: np.ndarray, labels: np.ndarray) -> float:
    """Share of uint8 images (N, 28, 28) that are classified as their labels say."""
    backend = classifier.head.weight.backend
    with no_grad():
        answers = [
            classifier(as_batch(images[start : start + BATCH], backend))[1].numpy().argmax(axis=1)
            for start in range(0, len(images), BATCH)
        ]
    return float((np.concatenate(answers) == labels).mean())


def main() -> None:
    save(train(), WEIGHTS)
    score = accuracy(load(get_backend("cpu")), *data.load_mnist("test"))
    print(f"{WEIGHTS}: {WEIGHTS.stat().st_size / 1000:.0f} kB, {100 * score:.2f} % of the test images right")


if __name__ == "__main__":
    main()
