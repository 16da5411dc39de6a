import re

import numpy as np
import pytest

import minigan as mg
from minigan import system


def test_everything_that_decides_speed_and_rounding_is_told():
    facts = system.describe()
    assert list(facts) == ["minigan", "software", "system", "processor", "threads", "BLAS", "GPU"]
    assert facts["minigan"] == mg.__version__
    assert f"NumPy {np.__version__}" in facts["software"]
    assert re.search(r"\d+ cores", facts["processor"])
    assert int(facts["threads"]) >= 1
    assert all(facts.values())


@pytest.mark.parametrize(
    "kernel, processor, warned",
    [
        ("Haswell", "Some CPU avx512f", True),
        ("SkylakeX", "Some CPU avx512f", False),
        ("skylakex", "Some CPU avx512f", False),
        ("Haswell", "Some CPU avx2", False),
        (None, "Some CPU avx512f", False),
    ],
)
def test_a_blas_that_is_held_back_is_warned_of(monkeypatch, kernel, processor, warned):
    monkeypatch.setattr(system, "processor", lambda: processor)
    monkeypatch.delenv("OPENBLAS_CORETYPE", raising=False)
    if kernel:
        monkeypatch.setenv("OPENBLAS_CORETYPE", kernel)
    warning = system.blas_warning()
    assert (warning is not None) == warned
    if warned:
        assert "OPENBLAS_CORETYPE=Haswell" in warning and "unset it" in warning
        assert warning in system.blas()


def test_without_a_known_blas(monkeypatch):
    monkeypatch.setattr(system, "threadpool_info", list)
    assert system.blas() == "unknown to threadpoolctl"
