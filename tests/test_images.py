import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from minigan import images
from minigan.data import load_dataset


@given(
    pixels=hnp.arrays(np.uint8, st.tuples(st.integers(1, 7), st.sampled_from([1, 3]), st.just(3), st.just(4))),
    columns=st.none() | st.integers(1, 9),
    padding=st.integers(0, 3),
    floats=st.booleans(),
)
def test_a_grid_shows_every_image_in_its_place(pixels, columns, padding, floats):
    n, c, h, w = pixels.shape
    picture = images.grid((pixels / 127.5 - 1).astype(np.float32) if floats else pixels, columns, padding)
    assert picture.mode == ("L" if c == 1 else "RGB")
    canvas = np.asarray(picture).reshape(picture.height, picture.width, c).astype(int)
    columns = columns or int(np.ceil(np.sqrt(n)))
    rows = -(-n // columns)
    assert canvas.shape[:2] == (rows * (h + padding) + padding, columns * (w + padding) + padding)
    for i, image in enumerate(pixels):
        row_and_column = divmod(i, columns)
        top, left = (place * (side + padding) + padding for place, side in zip(row_and_column, (h, w), strict=True))
        np.testing.assert_array_equal(canvas[top : top + h, left : left + w], image.transpose(1, 2, 0))
    assert canvas.sum() == pixels.sum(dtype=int)  # and nothing else


def test_floats_are_taken_from_minus_one_to_one_and_clipped():
    floats = np.array([-5, -1, 0, 1, np.inf], np.float32)
    assert images.to_uint8(floats).tolist() == [0, 0, 128, 255, 255]


@pytest.mark.parametrize(
    "batch, message",
    [
        (np.zeros((2, 28, 28), np.uint8), r"shape \(2, 28, 28\), expected \(N, C, H, W\)"),
        (np.zeros((2, 2, 28, 28), np.uint8), "expected .* 1 or 3 channels"),
        (np.zeros((0, 1, 28, 28), np.uint8), r"shape \(0, 1, 28, 28\)"),
        (np.zeros((2, 1, 28, 28), int), "images are int64, expected uint8 or floats"),
        (np.full((1, 1, 2, 2), np.nan), "4 of 4 pixels are NaN"),
    ],
)
def test_what_is_no_image_is_refused(batch, message):
    with pytest.raises(ValueError, match=message):
        images.grid(batch)


def test_a_scatter_plot_has_a_dot_for_every_point_at_its_place():
    empty = np.asarray(images.scatter(np.array([[99.0, 99.0]]), reach=2, size=200)).astype(int)
    for x, y, column, row in ((0, 1, 100, 50), (-1.5, -0.5, 25, 125), (1, 1, 150, 50)):
        canvas = np.asarray(images.scatter(np.array([[x, y]]), reach=2, size=200)).astype(int)
        rows, columns = np.nonzero((canvas != empty).any(axis=2))
        assert abs(rows - row).max() <= 2
        assert abs(columns - column).max() <= 2


@pytest.mark.parametrize("shape", [(3,), (3, 3), (0, 2), (2, 2, 1)])
def test_what_are_no_points_is_refused(shape):
    with pytest.raises(ValueError, match=r"expected \(N, 2\)"):
        images.scatter(np.zeros(shape), reach=1)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_points_that_are_not_finite_are_refused(value):
    with pytest.raises(ValueError, match="1 of 4 coordinates are NaN or infinite"):
        images.scatter(np.array([[0, 1], [value, 0]]), reach=1)


@pytest.mark.parametrize("modes", [("L", "L"), ("L", "RGB")])
def test_side_by_side_holds_both_pictures_and_their_titles(modes):
    left, right = Image.new(modes[0], (30, 20), "black"), Image.new(modes[1], (50, 40), "black")
    picture = images.side_by_side(left, right, ("generated", "real"))
    assert picture.mode == modes[1]
    black = np.asarray(picture.convert("L")) == 0
    assert black[-48:-8, 46:96].all()  # the right one, 8 pixels from the edge
    assert black[-48:-28, 8:38].all()  # the left one, their tops level
    title = np.asarray(picture.convert("L"))[:-48] < 128
    assert title[:, :46].sum() > 20
    assert title[:, 46:].sum() > 20


def test_a_png_is_read_back_to_the_pixel(tmp_path):
    for name in ("mnist", "stacked-mnist"):
        picture = images.grid(load_dataset(name, split="test").batch(np.arange(20)), columns=5)
        images.save_png(picture, tmp_path / "digits.png")
        with Image.open(tmp_path / "digits.png") as read:
            assert read.mode == picture.mode
            np.testing.assert_array_equal(np.asarray(read), np.asarray(picture))
    assert [path.name for path in tmp_path.iterdir()] == ["digits.png"]


@pytest.mark.parametrize("name, tolerance", [("mnist", 0.5), ("stacked-mnist", 6)])
def test_a_gif_plays_its_frames(tmp_path, name, tolerance):
    digits = load_dataset(name, split="test")
    frames = [images.grid(digits.batch(np.arange(16) + 16 * i)) for i in range(5)]
    images.save_gif(frames, tmp_path / "progress.gif", duration=50, hold=1000)
    with Image.open(tmp_path / "progress.gif") as gif:
        assert gif.n_frames == 5
        assert gif.info["loop"] == 0
        for index, frame in enumerate(frames):
            gif.seek(index)
            assert gif.info["duration"] == (1000 if index == 4 else 50)
            difference = np.asarray(gif.convert("RGB"), int) - np.asarray(frame.convert("RGB"), int)
            assert abs(difference).mean() < tolerance
    assert [path.name for path in tmp_path.iterdir()] == ["progress.gif"]


def test_a_gif_of_one_frame(tmp_path):
    images.save_gif([Image.new("L", (4, 4), 200)], tmp_path / "one.gif")
    with Image.open(tmp_path / "one.gif") as gif:
        assert gif.n_frames == 1
        assert (np.asarray(gif.convert("L")) == 200).all()


@pytest.mark.parametrize("frames", [[], [Image.new("L", (4, 4)), Image.new("L", (5, 4))]])
def test_a_gif_needs_frames_of_one_size(tmp_path, frames):
    with pytest.raises(ValueError, match="expected at least one, all of one mode and size"):
        images.save_gif(frames, tmp_path / "x.gif")


def test_a_failing_write_leaves_the_old_picture_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "digits.png"
    images.save_png(Image.new("L", (4, 4), 7), path)

    def full_disk(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match=r"No space left on device: .*digits\.png'$"):
        images.save_png(Image.new("L", (4, 4), 9), path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["digits.png"]
    with Image.open(path) as image:
        assert image.getpixel((0, 0)) == 7


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"absent.x\.png'$"):
        images.save_png(Image.new("L", (4, 4)), tmp_path / "absent" / "x.png")
