"""The stand-in for CuPy, and g++, which its kernels need to run."""

from __future__ import annotations

import shutil

import fake_cupy
import pytest
import shim

from minigan import backend as devices
from minigan.backend import get_backend


@pytest.fixture(scope="session")
def gxx() -> None:
    shim.require(shutil.which("g++"), "g++ is not installed, so CUDA kernels cannot run on the CPU")


@pytest.fixture
def cupy(gxx):
    """The stand-in for the module."""
    return fake_cupy


@pytest.fixture
def cuda(gxx, monkeypatch):
    """The backend of device "cuda", which is the stand-in."""
    fake_cupy.installed(monkeypatch)
    monkeypatch.setattr(devices, "_backends", {"cpu": get_backend("cpu")})
    return get_backend("cuda")
