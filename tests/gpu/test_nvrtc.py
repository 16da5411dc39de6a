"""Every CUDA source compiles as CuPy would compile it on a GPU."""

from __future__ import annotations

import re

import nvrtc
import pytest
import shim

from minigan.kernels.gpu import SOURCES

NAMES = sorted(path.stem for path in SOURCES.glob("*.cu"))
CUPY_OPTIONS = ("-std=c++17", "-ftz=true", "--device-as-default-execution-space")


@pytest.fixture(scope="module")
def compiler():
    library = nvrtc.find_library()
    shim.require(library, "NVRTC is not installed (pip install nvidia-cuda-nvrtc-cu12)")
    return nvrtc.Compiler(library)


def test_there_are_sources():
    assert NAMES == ["convolution", "elementwise", "normalisation", "optimizers", "random"]


@pytest.mark.parametrize("arch", ["compute_80", "compute_90"])
@pytest.mark.parametrize("real", ["float", "double"])
@pytest.mark.parametrize("name", NAMES)
def test_source_compiles(compiler, name, real, arch):
    code = (SOURCES / f"{name}.cu").read_text()
    ptx = compiler.compile(code, f"-DREAL={real}", f"-arch={arch}", *CUPY_OPTIONS)
    entries = set(re.findall(r"\.entry (\w+)", ptx))
    assert entries == set(re.findall(r'extern "C" __global__ void (\w+)\(', code))
    if real == "float" and name != "random":  # parameters may be double, arithmetic on arrays may not
        arithmetic = set(re.findall(r"\b(?:mul|div|fma|sqrt|add|sub)\.\S*f64", ptx))
        assert arithmetic <= {"sub.f64"}  # 1 - parameter


def test_a_broken_source_is_noticed(compiler):
    with pytest.raises(RuntimeError, match=r"identifier .* is undefined"):
        compiler.compile("__global__ void f(float *x) { *x = undefined; }")
