"""One entry point for everything that images are drawn from, and the data sets composed of MNIST's digits."""

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from .batches import Batches
from .images import load_image_folder, load_npz, resize, to_gray
from .mnist import is_idx_folder, load_idx_folder, load_mnist
from .streams import COLOUR, STACK, stream
from .toy import POINTS

CHANNELS = {"mnist": 1, "mnist-rgb": 3, "coloured-mnist": 3, "stacked-mnist": 3}


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images that stay uint8, and are composed only when a batch is drawn.

    shape: (C, H, W) of an image; length: how many there are; labels: int64 (length,) or None; arrays: what images are
    made of; compose(indices (B,), *arrays) -> uint8 (B, C, H, W), in operations that arrays of every device have.
    """

    name: str
    shape: tuple[int, ...]
    length: int
    labels: np.ndarray | None
    arrays: tuple[np.ndarray, ...]
    compose: Callable[..., Any]

    def __len__(self) -> int:
        return self.length

    @cached_property
    def checksum(self) -> int:
        """CRC-32 of all that images and labels are made of: other data hardly have the same."""
        crc = 0
        for array in self.arrays if self.labels is None else (*self.arrays, self.labels):
            crc = zlib.crc32(np.ascontiguousarray(array).data, crc)
        return crc

    def batch(self, indices: np.ndarray) -> np.ndarray:
        """Images uint8 (B, C, H, W): the same index always gives the same one."""
        return self.compose(indices, *self.arrays)

    def batches(
        self, batch_size: int, seed: int, asarray: Callable[[Any], Any] = np.asarray
    ) -> Callable[[int], tuple[Any, Any]]:
        """A pure function of the step: its images uint8 (B, C, H, W), and their labels (B,) or None.

        asarray: what makes arrays of a device, where the data set is then kept; a step copies its indices alone.
        """
        order = Batches(len(self), batch_size, seed)
        arrays = [asarray(array) for array in self.arrays]
        labels = None if self.labels is None else asarray(self.labels)

        def batch(step: int) -> tuple[Any, Any]:
            indices = asarray(order[step])
            return self.compose(indices, *arrays), None if labels is None else labels[indices]

        return batch


def load_dataset(source: str | Path, *, size: int = 28, channels: int | None = None, split: str = "train") -> Dataset:
    """The data set `source`, its images brought to (channels, size, size).

    source: "mnist", "mnist-rgb", "coloured-mnist" or "stacked-mnist", a folder of IDX files named as MNIST's
    are, a folder of images, or an .npz file (see `minigan.data.images.load_npz`).
    channels: 1 (gray; your own RGB images are converted), 3 (RGB; gray is replicated), None (those of the
    source; RGB for a folder of images).
    split: "train", or "test" for the MNIST sets and IDX folders.
    Raises ValueError or OSError when there is no such source, or it is not as it should be.
    """
    if channels not in (1, 3, None) or size < 1:
        raise ValueError(
            f"images of {channels} channels and size {size}: expected 1 or 3 channels and a size of 1 or more"
        )
    name, path, labels = str(source), Path(source), None
    if not name:
        raise ValueError("the name of the data set is empty")
    if name in POINTS:
        raise ValueError(f"{name} is a set of points, expected images: points need --preset mlp-2d")
    if name in CHANNELS:
        return _load_digits(name, size, channels, split)
    if path.is_dir() and is_idx_folder(path):
        images, labels = load_idx_folder(path, split)
        images = images[:, None]
    elif split != "train":
        raise ValueError(f"{source} has no split {split!r}: only the MNIST sets and folders of IDX files have")
    elif path.is_dir():
        images = load_image_folder(path, size, channels or 3)
    elif path.is_file() and path.suffix == ".npz":
        images, labels = load_npz(path)
    else:
        found = "that file is no .npz" if path.is_file() else "no such file or folder"
        raise ValueError(
            f"unknown data set {name!r} ({found}): known are {', '.join(CHANNELS)}, a folder of IDX files, "
            "a folder of images, an .npz file"
        )
    if 0 in images.shape:
        raise ValueError(f"{source} holds no images: shape {images.shape}")
    return stored(path.name, resize(images, size), labels, channels)


def _load_digits(name: str, size: int, channels: int | None, split: str) -> Dataset:
    if channels == 1 < CHANNELS[name]:
        raise ValueError(f"{name} is RGB, expected gray images: use mnist, or a model of RGB images")
    images, labels = load_mnist(split)
    digits = resize(images[:, None], size)
    if name == "coloured-mnist":
        return coloured(digits, labels)
    if name == "stacked-mnist":
        return stacked(digits, labels)
    return stored(name, digits, labels, channels or CHANNELS[name])


def stored(name: str, images: np.ndarray, labels: np.ndarray | None, channels: int | None = None) -> Dataset:
    """The data set of an array uint8 (N, 1 or 3, H, W), as gray (channels 1), RGB (3) or as it is (None)."""
    channels = channels or images.shape[1]
    if channels < images.shape[1]:
        images = to_gray(images)
    copies = channels // images.shape[1]  # made at the batch: the array stays small

    def compose(indices: Any, images: Any) -> Any:
        chosen = images[indices]
        return chosen if copies == 1 else chosen.repeat(copies, axis=1)

    labels = None if labels is None else labels.astype(np.int64)
    return Dataset(name, (channels, *images.shape[2:]), len(images), labels, (images,), compose)


def coloured(digits: np.ndarray, labels: np.ndarray, *, seed: int = 0) -> Dataset:
    """Coloured MNIST: each digit, uint8 (N, 1, H, W), on black in a pure colour of uniformly random hue."""
    hue = 6 * stream(seed, COLOUR).random((len(digits), 1))
    distance = abs((hue - np.array([0, 2, 4]) + 3) % 6 - 3)  # (N, 3), from red, green, blue on the circle of hues
    colours = np.rint(255 * (2 - distance).clip(0, 1)).astype(np.uint16)

    def compose(indices: Any, digits: Any, colours: Any) -> Any:
        return ((digits[indices] * colours[indices][:, :, None, None] + 127) // 255).astype("uint8")

    shape = (3, *digits.shape[2:])
    return Dataset("coloured-mnist", shape, len(digits), labels.astype(np.int64), (digits, colours), compose)


def stacked(digits: np.ndarray, labels: np.ndarray, *, length: int = 128_000, seed: int = 0) -> Dataset:
    """Stacked MNIST: three random digits, uint8 (N, 1, H, W), as red, green and blue; label 100 r + 10 g + b.

    It has 1,000 modes to be counted. Sample i is a fixed function of (seed, i), whatever the length.
    L. Metz et al. 2017, arXiv:1611.02163.
    """
    picks = stream(seed, STACK).integers(len(digits), size=(length, 3))

    def compose(indices: Any, planes: Any, picks: Any) -> Any:
        return planes[picks[indices]]  # (B, 3, H, W)

    modes = labels[picks].astype(np.int64) @ np.array([100, 10, 1])
    return Dataset("stacked-mnist", (3, *digits.shape[2:]), length, modes, (digits[:, 0], picks), compose)
