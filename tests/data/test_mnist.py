import gzip
import hashlib
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest

import minigan.data.mnist
from minigan.data import load_idx_folder, load_mnist

FILES = Path(minigan.data.mnist.__file__).parent / "mnist"


def write_digits(folder, *, count=3, split="train", labels=None, side=28):
    images_name, labels_name = minigan.data.mnist.FILES[split]
    labels = list(range(count)) if labels is None else labels
    pixels = np.arange(count * side * side, dtype=np.uint8).tobytes()
    (folder / images_name).write_bytes(struct.pack(">4B3I", 0, 0, 8, 3, count, side, side) + pixels)
    (folder / labels_name).write_bytes(struct.pack(">4BI", 0, 0, 8, 1, len(labels)) + bytes(labels))


@pytest.mark.parametrize(
    "split, counts",
    [
        ("train", [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]),
        ("test", [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]),
    ],
)
def test_mnist_has_its_images_and_classes(split, counts):
    images, labels = load_mnist(split)
    assert images.shape == (sum(counts), 28, 28)
    assert images.dtype == labels.dtype == np.uint8
    assert np.bincount(labels).tolist() == counts
    assert (images.min(), images.max()) == (0, 255)


def test_the_shipped_files_are_the_ones_the_notice_describes():
    notice = (FILES / "NOTICE.md").read_text()
    for path in FILES.glob("*.gz"):
        assert hashlib.md5(gzip.decompress(path.read_bytes())).hexdigest() in notice
    assert "CC BY-SA 3.0" in notice


def test_known_first_digits():
    images, labels = load_mnist("train")
    assert labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert abs(images.mean() / 255 - 0.1307) < 1e-4


def test_an_idx_folder_may_mix_raw_and_gzipped_files(tmp_path):
    write_digits(tmp_path, count=3, split="test")
    labels = tmp_path / "t10k-labels-idx1-ubyte"
    (tmp_path / f"{labels.name}.gz").write_bytes(gzip.compress(labels.read_bytes()))
    labels.unlink()
    images, labels = load_idx_folder(tmp_path, "test")
    assert images.shape == (3, 28, 28)
    assert labels.tolist() == [0, 1, 2]


def test_unknown_split_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"unknown split 'validation': known are train, test"):
        load_mnist("validation")


def test_a_missing_file_is_named(tmp_path):
    write_digits(tmp_path)
    (tmp_path / "train-labels-idx1-ubyte").unlink()
    with pytest.raises(FileNotFoundError, match=r"has no file train-labels-idx1-ubyte or train-labels-idx1-ubyte\.gz"):
        load_idx_folder(tmp_path)


def test_images_and_labels_must_agree_in_number(tmp_path):
    write_digits(tmp_path, count=3, labels=[1, 2])
    with pytest.raises(ValueError, match="has 3 images, but train-labels-idx1-ubyte has 2 labels"):
        load_idx_folder(tmp_path)


@pytest.mark.parametrize(
    "source, target, message",
    [
        ("labels-idx1", "images-idx3", r"train-images-idx3-ubyte holds uint8 of shape \(3,\), expected images"),
        ("images-idx3", "labels-idx1", r"train-labels-idx1-ubyte holds uint8 of shape \(3, 28, 28\), expected labels"),
    ],
)
def test_a_mislabelled_file_is_refused(tmp_path, source, target, message):
    write_digits(tmp_path)
    shutil.copy(tmp_path / f"train-{source}-ubyte", tmp_path / f"train-{target}-ubyte")
    with pytest.raises(ValueError, match=message):
        load_idx_folder(tmp_path)
