import numpy as np
import pytest

from minigan.backend import get_backend
from minigan.bench.memory import peak_memory


def test_the_peak_is_what_was_in_use_at_once_not_in_all():
    with peak_memory(get_backend("cpu")) as peak:
        for _ in range(3):
            np.empty(4_000_000, np.uint8)
    assert 4_000_000 <= peak.bytes < 5_000_000


def test_the_peak_counts_the_buffers_of_the_kernels():
    backend = get_backend("cpu")
    with peak_memory(backend) as peak:
        backend.kernels.empty((3_000_000,), np.uint8)
    assert 3_000_000 <= peak.bytes < 4_000_000


def test_an_error_passes_through_and_tracing_ends():
    import tracemalloc

    with pytest.raises(ZeroDivisionError), peak_memory(get_backend("cpu")):
        raise ZeroDivisionError
    assert not tracemalloc.is_tracing()


def test_on_a_gpu_it_is_the_size_of_the_pool(gpu):
    with peak_memory(gpu) as peak:
        pass
    assert peak.bytes == 7_000_000
