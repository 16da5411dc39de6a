"""Samples from a trained generator, and the picture that shows them."""

from __future__ import annotations

import numpy as np
from PIL import Image

from .. import images
from ..autograd import Tensor
from ..data import load_points
from ..rng import Generator
from .algorithm import GAN
from .config import Config

STREAM = 101  # of the latents that users ask for
ROW = 8  # images in a row of an interpolation
BATCH = 256


def draw(algorithm: GAN, count: int, seed: int, *, interpolate: bool = False, label: int | None = None) -> np.ndarray:
    """`count` samples, images (count, C, H, W) in [-1, 1] or points (count, 2); the same for the same seed.

    interpolate: rows of 8 images, each from one latent to another along the sphere (count is rounded up to rows).
    label: the class of all (without it a conditional model draws its classes in turn, row by row in interpolations).
    Raises ValueError for a label that the model does not know.
    """
    rng = Generator(seed, algorithm.backend, stream=STREAM)
    if interpolate:
        rows = -(-count // ROW)
        latents = slerp(algorithm, algorithm.latents(rows, rng), algorithm.latents(rows, rng))
    else:
        latents = algorithm.latents(count, rng)
    labels = _labels(algorithm, len(latents), label, in_a_row=ROW if interpolate else 1)
    parts = []
    for start in range(0, len(latents), BATCH):
        part = slice(start, start + BATCH)
        parts.append(algorithm.sample(latents[part], None if labels is None else labels[part]).numpy())
    return np.concatenate(parts)


def _labels(algorithm: GAN, count: int, label: int | None, in_a_row: int) -> Tensor | None:
    classes, xp = algorithm.config.classes, algorithm.backend.xp
    if label is None:
        return Tensor(xp.arange(count) // in_a_row % classes, algorithm.backend) if classes else None
    if not classes:
        raise ValueError(f"the preset {algorithm.config.preset} has no labels to ask for: leave --label out")
    if not 0 <= label < classes:
        raise ValueError(f"label {label} is unknown: expected 0 to {classes - 1}")
    return Tensor(xp.full(count, label), algorithm.backend)


def picture(config: Config, samples: np.ndarray, columns: int | None = None) -> Image.Image:
    """A run's samples as a grid of images (N, C, H, W) or a plot of points (N, 2)."""
    if samples.ndim == 2:
        return images.scatter(samples, load_points(config.data).reach)
    return images.grid(samples, columns)


def slerp(algorithm: GAN, start: Tensor, end: Tensor) -> Tensor:
    """ROW latents from each row of `start` to that of `end`, at a constant angle to each other (Shoemake 1985).

    In a straight line where they point the same way or opposite ways, and so span no arc to follow.
    """
    a, b = start.numpy().astype(np.float64), end.numpy().astype(np.float64)
    cosine = (a * b).sum(1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))
    angle = np.arccos(cosine.clip(-1, 1))[:, None, None]
    t = np.linspace(0, 1, ROW)[None, :, None]
    straight = np.sin(angle) < 1e-6
    sine = np.where(straight, 1, np.sin(angle))
    to_a, to_b = (np.where(straight, part, np.sin(part * angle) / sine) for part in (1 - t, t))
    path = to_a * a[:, None] + to_b * b[:, None]
    return Tensor(algorithm.backend.asarray(path.reshape(-1, a.shape[1]).astype(np.float32)), algorithm.backend)
