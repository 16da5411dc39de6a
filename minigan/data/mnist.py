"""The MNIST digits that ship with the package, and folders of files under the same names."""

from pathlib import Path

import numpy as np

from .idx import read_idx

FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}


def load_mnist(split: str = "train") -> tuple[np.ndarray, np.ndarray]:
    """MNIST: images uint8 (N, 28, 28), 0 background to 255 ink, and labels uint8 (N,).

    N is 60,000 for split "train" and 10,000 for "test".
    """
    return load_idx_folder(Path(__file__).parent / "mnist", split)


def load_idx_folder(folder: str | Path, split: str = "train") -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 (N, H, W) and labels uint8 (N,) from a folder of IDX files named as MNIST's, raw or .gz.

    Fashion-MNIST and KMNIST come that way. Raises FileNotFoundError for a missing file, ValueError for a file
    that does not hold what its name says and when images and labels differ in number.
    """
    if split not in FILES:
        raise ValueError(f"unknown split {split!r}: known are {', '.join(FILES)}")
    images_path, labels_path = (_find(Path(folder), name) for name in FILES[split])
    images, labels = read_idx(images_path), read_idx(labels_path)
    _expect(images_path, images, "images: uint8 (N, H, W)", dimensions=3)
    _expect(labels_path, labels, "labels: uint8 (N,)", dimensions=1)
    if len(images) != len(labels):
        raise ValueError(
            f"{images_path} has {len(images)} images, but {labels_path.name} has {len(labels)} labels: "
            "expected one label an image"
        )
    return images, labels


def is_idx_folder(folder: Path, *splits: str) -> bool:
    """Whether the folder has at least one of the files that `load_idx_folder` reads for these splits (all)."""
    names = [name for split in splits or FILES for name in FILES[split]]
    return any((folder / (name + ending)).is_file() for name in names for ending in ("", ".gz"))


def _find(folder: Path, name: str) -> Path:
    for candidate in (folder / name, folder / f"{name}.gz"):
        if candidate.is_file():
            return candidate
    raise FileNotFoundError(f"{folder} has no file {name} or {name}.gz")


def _expect(path: Path, array: np.ndarray, meaning: str, *, dimensions: int) -> None:
    if array.ndim != dimensions or array.dtype != np.uint8:
        raise ValueError(f"{path} holds {array.dtype} of shape {array.shape}, expected {meaning}")
