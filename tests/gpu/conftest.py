"""The stand-in for CuPy, and g++, which its kernels need to run."""

from __future__ import annotations

import shutil

import fake_cupy
import pytest
import shim


@pytest.fixture(scope="session")
def gxx() -> None:
    shim.require(shutil.which("g++"), "g++ is not installed, so CUDA kernels cannot run on the CPU")


@pytest.fixture
def cupy(gxx):
    """The stand-in for the module."""
    return fake_cupy
