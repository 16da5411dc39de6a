import struct

import numpy as np
import pytest
from PIL import Image

from minigan.data import POINTS, Batches, load_dataset, load_mnist
from minigan.data.dataset import coloured, stacked, stored

DIGITS = np.random.default_rng(0).integers(256, size=(50, 1, 6, 6), dtype=np.uint8)
LABELS = np.random.default_rng(1).integers(10, size=50, dtype=np.uint8)


@pytest.mark.parametrize(
    "source, channels, length",
    [("mnist", 1, 10_000), ("mnist-rgb", 3, 10_000), ("coloured-mnist", 3, 10_000), ("stacked-mnist", 3, 128_000)],
)
def test_every_named_data_set_has_the_same_face(source, channels, length):
    dataset = load_dataset(source, split="test")
    assert dataset.name == source
    assert len(dataset) == length
    assert dataset.shape == (channels, 28, 28)
    assert dataset.labels.shape == (length,)
    assert dataset.labels.dtype == np.int64
    batch = dataset.batch(np.array([0, length - 1, 3, 3]))
    assert batch.shape == (4, channels, 28, 28)
    assert batch.dtype == np.uint8
    assert batch.flags.c_contiguous
    np.testing.assert_array_equal(batch[2], batch[3])
    np.testing.assert_array_equal(batch[:1], dataset.batch(np.array([0])))  # whatever else is in the batch


def test_mnist_is_mnist_gray_and_replicated():
    images, labels = load_mnist("test")
    indices = np.array([5, 9_999, 0])
    gray, rgb = load_dataset("mnist", split="test"), load_dataset("mnist", channels=3, split="test")
    np.testing.assert_array_equal(gray.batch(indices), images[indices][:, None])
    np.testing.assert_array_equal(gray.labels, labels)
    for channel in range(3):
        np.testing.assert_array_equal(rgb.batch(indices)[:, channel], images[indices])


def test_mnist_in_another_size_is_resized_by_pillow():
    images, _ = load_mnist("test")
    batch = load_dataset("mnist", size=64, split="test").batch(np.array([7]))
    expected = Image.fromarray(images[7]).resize((64, 64), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(batch[0, 0], np.asarray(expected))


def test_coloured_digits_have_the_shape_of_the_digit_and_one_pure_colour():
    dataset = coloured(DIGITS, LABELS)
    batch = dataset.batch(np.arange(50))
    np.testing.assert_array_equal(batch.max(axis=1), DIGITS[:, 0])  # a pure colour's largest part is full
    assert (batch.min(axis=1) == 0).all()
    bright = batch.reshape(50, 3, 36)[np.arange(50), :, DIGITS.reshape(50, 36).argmax(axis=1)]  # (50, 3)
    assert len(np.unique(bright // 32, axis=0)) > 10
    assert (bright.argmax(axis=1)[:, None] == np.arange(3)).any(axis=0).all()


def test_stacked_digits_are_three_digits_and_their_labels():
    dataset = stacked(DIGITS, LABELS, length=400)
    assert len(dataset) == 400
    owner = {image.tobytes(): label for image, label in zip(DIGITS, LABELS.tolist(), strict=True)}
    batch = dataset.batch(np.arange(400))
    for image, label in zip(batch, dataset.labels, strict=True):
        r, g, b = (owner[channel.tobytes()] for channel in image)
        assert label == 100 * r + 10 * g + b
    assert len(np.unique(batch.reshape(400, -1), axis=0)) > 390


def test_a_stacked_sample_is_a_function_of_seed_and_index_alone():
    short, long = stacked(DIGITS, LABELS, length=100, seed=3), stacked(DIGITS, LABELS, length=1000, seed=3)
    order = np.random.default_rng(2).permutation(100)
    np.testing.assert_array_equal(short.batch(order), long.batch(np.arange(1000))[order])
    np.testing.assert_array_equal(short.labels, long.labels[:100])
    other = stacked(DIGITS, LABELS, length=100, seed=4)
    assert (short.batch(order) != other.batch(order)).any()


def test_stacked_mnist_covers_its_thousand_modes():
    labels = load_dataset("stacked-mnist", split="test").labels
    counts = np.bincount(labels, minlength=1000)
    assert counts.shape == (1000,)
    assert counts.min() > 40  # 128 expected


def test_stored_images_are_converted_to_the_channels_asked_for():
    rgb = np.random.default_rng(0).integers(256, size=(4, 3, 5, 5), dtype=np.uint8)
    indices = np.array([2, 0])
    np.testing.assert_array_equal(stored("x", rgb, None).batch(indices), rgb[indices])
    assert stored("x", rgb, None, 1).shape == (1, 5, 5)
    luma = rgb[indices].transpose(0, 2, 3, 1) @ np.array([0.299, 0.587, 0.114])
    assert abs(stored("x", rgb, None, 1).batch(indices)[:, 0] - luma).max() < 1
    assert stored("x", rgb[:, :1], None, 3).batch(indices).shape == (2, 3, 5, 5)
    assert stored("x", rgb, None).labels is None


def test_a_folder_of_images(tmp_path):
    for level in (10, 20):
        Image.new("RGB", (40, 30), (level, level, level)).save(tmp_path / f"{level}.png")
    dataset = load_dataset(tmp_path, size=16, channels=1)
    assert (len(dataset), dataset.shape, dataset.name, dataset.labels) == (2, (1, 16, 16), tmp_path.name, None)
    assert dataset.batch(np.array([1, 0]))[:, 0, 3, 3].tolist() == [20, 10]
    assert load_dataset(str(tmp_path)).shape == (3, 28, 28)


def test_a_folder_of_idx_files(tmp_path):
    for name, header in {
        "t10k-images-idx3-ubyte": struct.pack(">4B3I", 0, 0, 8, 3, 2, 1, 1),
        "t10k-labels-idx1-ubyte": struct.pack(">4BI", 0, 0, 8, 1, 2),
    }.items():
        (tmp_path / name).write_bytes(header + b"\7\11")
    dataset = load_dataset(tmp_path, size=4, split="test")
    assert dataset.shape == (1, 4, 4)
    assert dataset.labels.tolist() == [7, 9]
    with pytest.raises(FileNotFoundError, match="has no file train-images-idx3-ubyte"):
        load_dataset(tmp_path)


def test_an_npz(tmp_path):
    np.savez(tmp_path / "own.npz", images=np.full((3, 20, 30, 3), 1.0), labels=[1, 2, 3])
    dataset = load_dataset(tmp_path / "own.npz", size=10)
    assert dataset.shape == (3, 10, 10)
    assert dataset.labels.tolist() == [1, 2, 3]
    assert (dataset.batch(np.array([0])) == 255).all()


def test_an_unknown_source_lists_the_known_ones(tmp_path):
    known = "known are mnist, mnist-rgb, coloured-mnist, stacked-mnist, a folder of IDX files, .* an .npz file"
    with pytest.raises(ValueError, match=rf"unknown data set 'minst' \(no such file or folder\): {known}"):
        load_dataset("minst")
    (tmp_path / "digits.csv").write_text("0,0,0")
    with pytest.raises(ValueError, match=r"digits\.csv' \(that file is no \.npz\): known are"):
        load_dataset(tmp_path / "digits.csv")


@pytest.mark.parametrize(
    "options, message",
    [
        ({"source": "stacked-mnist", "channels": 1}, "stacked-mnist is RGB, expected gray images: use mnist"),
        ({"source": "mnist", "channels": 2}, "images of 2 channels and size 28"),
        ({"source": "mnist", "size": 0}, "size 0: expected 1 or 3 channels and a size of 1 or more"),
        ({"source": "mnist", "split": "dev"}, "unknown split 'dev'"),
        ({"source": ".", "split": "test"}, "has no split 'test': only the MNIST sets and folders of IDX files"),
    ],
)
def test_what_cannot_be_had_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        load_dataset(**options)


def test_an_empty_npz_is_refused(tmp_path):
    np.savez(tmp_path / "none.npz", images=np.zeros((0, 28, 28), np.uint8))
    with pytest.raises(ValueError, match=r"none\.npz holds no images: shape \(0, 1, 28, 28\)"):
        load_dataset(tmp_path / "none.npz")


def test_batches_hold_the_images_and_labels_of_the_step():
    images = np.arange(10, dtype=np.uint8).reshape(10, 1, 1, 1)
    batch = stored("counted", images, np.arange(10) + 100).batches(4, seed=3)
    for step in (0, 1, 2, 7, 1):  # a pure function of the step
        pixels, labels = batch(step)
        np.testing.assert_array_equal(pixels[:, 0, 0, 0], Batches(10, 4, 3)[step])
        np.testing.assert_array_equal(labels, pixels[:, 0, 0, 0] + 100)
    assert stored("bare", images, None).batches(4, seed=3)(0)[1] is None


def test_points_are_no_images():
    with pytest.raises(ValueError, match="ring is a set of points, expected images: points need --preset mlp-2d"):
        load_dataset("ring")


def test_the_checksum_tells_all_that_images_are_made_of():
    digits, labels = np.arange(8, dtype=np.uint8).reshape(2, 1, 2, 2), np.array([3, 4])
    made = [
        stored("a", digits, labels), stored("a", digits + 1, labels), stored("a", digits, labels + 1),
        stored("a", digits, None), coloured(digits, labels, seed=0), coloured(digits, labels, seed=1),
        stacked(digits, labels, length=9, seed=0), stacked(digits, labels, length=9, seed=1),
    ]  # fmt: skip
    assert len({dataset.checksum for dataset in made}) == len(made)
    assert stored("b", digits.copy(), labels.copy()).checksum == made[0].checksum
    assert len({points.checksum for points in POINTS.values()}) == len(POINTS)
