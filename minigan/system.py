"""What machine this is: what every benchmark and bug report should state."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_info

from . import __version__
from .backend import cuda_problem, default_threads


def describe() -> dict[str, str]:
    """Name and value of everything that decides speed and rounding on this machine."""
    problem = cuda_problem()
    return {
        "minigan": __version__,
        "software": f"Python {platform.python_version()}, NumPy {np.__version__}, CuPy {_version_of_cupy()}",
        "system": f"{platform.system()} {platform.release()}, {platform.machine()}",
        "processor": f"{processor()}, {os.cpu_count()} cores",
        "threads": str(default_threads()),
        "BLAS": blas(),
        "GPU": problem if problem else gpu(),
    }


def processor() -> str:
    """The processor's name, with the widest vector instructions that it has."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown"
    facts = dict([part.strip() for part in line.split(":", 1)] for line in lines if ":" in line)
    flags = facts.get("flags", "").split()
    vectors = next((v for v in ("avx512f", "avx2", "avx") if v in flags), "")
    return " ".join(filter(None, [facts.get("model name", platform.machine()), vectors]))


def blas() -> str:
    """The BLAS that NumPy uses and the kernel that it runs, with a warning when a variable holds it back."""
    libraries = [info for info in threadpool_info() if info["user_api"] == "blas"]
    if not libraries:
        return "unknown to threadpoolctl"
    info = libraries[0]
    text = f"{info['internal_api']} {info['version']}, kernel {info.get('architecture', 'unknown')}"
    warning = blas_warning()
    return f"{text}; WARNING: {warning}" if warning else text


def blas_warning() -> str | None:
    """Why BLAS runs slower kernels than this processor supports, or None."""
    pin = os.environ.get("OPENBLAS_CORETYPE")
    if not pin:
        return None
    if "avx512f" in processor() and pin.lower() not in ("skylakex", "cooperlake", "sapphirerapids"):
        return (
            f"OPENBLAS_CORETYPE={pin} keeps it off AVX-512, about half its speed: unset it (env -u OPENBLAS_CORETYPE)"
        )
    return None


def gpu() -> str:
    """Name and memory of GPU 0, CUDA and driver."""
    import cupy

    properties = cupy.cuda.runtime.getDeviceProperties(0)
    runtime, driver = cupy.cuda.runtime.runtimeGetVersion(), cupy.cuda.runtime.driverGetVersion()
    memory = properties["totalGlobalMem"] / 2**30
    return f"{properties['name'].decode()}, {memory:.0f} GiB, CUDA runtime {runtime}, driver {driver}"


def _version_of_cupy() -> str:
    for package in ("cupy-cuda13x", "cupy-cuda12x", "cupy"):
        try:
            return f"{version(package)} ({package})"
        except PackageNotFoundError:
            continue
    return "not installed"
