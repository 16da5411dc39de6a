"""What reporters leave behind."""

import os
import resource
from types import SimpleNamespace

import pytest
from PIL import Image

from minigan.gan import Run, presets
from minigan.gan.reporters import Pictures


@pytest.fixture
def directory(tmp_path):
    """A new run without a step."""
    return Run.create(tmp_path / "run", presets.configure("mlp"))


@pytest.fixture
def few_open_files():
    """No more than ten files can be opened beside those that are."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.open(os.devnull, os.O_RDONLY)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + 10, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_gif_can_be_made_of_more_pictures_than_files_can_be_open(directory, few_open_files):
    for step in range(30):
        Image.new("L", (4, 4), step % 2 * 255).save(directory.samples / f"step_{step:08d}.png")
    Pictures(directory).finish(SimpleNamespace())
    with Image.open(directory.gif_path) as gif:
        assert gif.n_frames == 30
