import numpy as np
import pytest

from minigan.backend import get_backend
from minigan.bench import ParityError, run_suite
from minigan.bench.parity import TOLERANCES, check, difference
from minigan.bench.suite import Device, Results
from minigan.bench.workloads import WORKLOADS
from minigan.kernels.reference import ReferenceKernels


def test_the_difference_is_relative_to_the_norm():
    expected = np.array([[3.0, -4.0], [0.0, 0.0]])
    assert difference(expected + np.array([[0.0, 0.3], [0.4, 0.0]]), expected) == pytest.approx(0.1)
    assert difference(expected, expected) == 0
    assert difference(np.zeros(3), np.zeros(3)) == 0
    assert difference(np.full(4, 0.5), np.zeros(4)) == 1
    assert difference(np.zeros((0, 2)), np.zeros((0, 2))) == 0


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_what_is_not_finite_never_agrees(wrong):
    values = np.array([1.0, wrong])
    assert difference(values, np.ones(2)) == difference(np.ones(2), values) == difference(values, values) == np.inf


def test_another_shape_never_agrees():
    assert difference(np.ones((2, 1)), np.ones((1, 2))) == np.inf


def test_an_error_names_what_differs_where_and_by_how_much():
    expected = {"a": np.ones(3), "b": np.ones(2)}
    names = {"what": "conv at batch size 8", "device": "cuda:0", "against": "cpu"}
    assert check({"a": np.ones(3), "b": np.full(2, 1.0001)}, expected, 1e-3, **names) == pytest.approx(1e-4)
    assert check(expected, expected, 1e-3, **names) == 0
    with pytest.raises(
        ParityError, match=r"conv at batch size 8: b on cuda:0 differs from that of cpu by 1\.0e-01 .* 1e-03 is allowed"
    ):
        check({"a": np.ones(3), "b": np.full(2, 1.1)}, expected, 1e-3, **names)


def planted(name, wrong):
    """The reference kernels, with a wrong one of that name."""
    right = getattr(ReferenceKernels, name)
    return type("Planted", (ReferenceKernels,), {name: lambda self, *a, **k: wrong(right, self, *a, **k)})(np)


def one_percent_more(right, *args, **options):
    return 1.01 * right(*args, **options)


def without_bias(right, kernels, x, weight, bias, *rest):
    return right(kernels, x, weight, None, *rest)


def without_correction(right, *args, step, **options):
    return right(*args, step=1, **options)


def with_one_stuck(right, *args):
    bits = right(*args)
    bits.flat[0] = 0
    return bits


PLANTED = [
    ("dense", "linear", without_bias),
    ("dense", "matmul", one_percent_more),
    ("conv", "conv2d", without_bias),
    ("conv", "conv2d_weight_grad", one_percent_more),
    ("conv_transpose", "conv_transpose2d", without_bias),
    ("batch_norm", "batch_norm_scale_grad", one_percent_more),
    ("adam", "adam_step", without_correction),
    ("mlp", "leaky_relu_grad", one_percent_more),
    ("mlp", "tanh_grad", one_percent_more),
    ("mlp", "random_normal", with_one_stuck),
]


@pytest.mark.filterwarnings("ignore:training without a CUDA graph")  # this device has none
@pytest.mark.parametrize("workload, kernel, wrong", PLANTED)
def test_a_wrong_kernel_on_a_device_is_an_error_before_anything_is_timed(gpu, monkeypatch, workload, kernel, wrong):
    monkeypatch.setattr("minigan.bench.suite.measure", lambda *_, **__: pytest.fail("timed"))
    gpu.kernels = planted(kernel, wrong)
    devices = [Device("cpu", threads=1), Device("cuda:0", threads=1)]
    with pytest.raises(ParityError, match=rf"{workload} at batch size 4: .* on cuda:0 differs from that of the ref"):
        list(run_suite([WORKLOADS[workload]], [4], devices, Results({}), seconds=1e-6))


def test_a_wrong_kernel_of_the_cpu_is_caught_without_a_second_device(monkeypatch):
    cpu = get_backend("cpu")
    monkeypatch.setattr(Device, "open", lambda self: cpu)
    cpu.kernels = planted("linear", one_percent_more)
    with pytest.raises(ParityError, match=r"dense at batch size 2: .* on cpu differs"):
        list(run_suite([WORKLOADS["dense"]], [2], [Device("cpu", threads=1)], Results({}), seconds=1e-6))


def test_larger_batches_are_held_against_the_first_device(gpu):
    class WrongInLargeBatches(ReferenceKernels):
        def linear(self, x, weight, bias):
            return super().linear(x, weight, bias) * (1.01 if len(x) > 4 else 1)

    gpu.kernels = WrongInLargeBatches(np)
    devices = [Device("cpu", threads=1), Device("cuda:0", threads=1)]
    with pytest.raises(ParityError, match="dense at batch size 8: the output 0 on cuda:0 differs from that of cpu"):
        list(run_suite([WORKLOADS["dense"]], [4, 8], devices, Results({}), seconds=1e-6))


def test_the_arithmetic_says_how_much_is_allowed():
    for operations, steps in TOLERANCES.values():
        assert 1e-6 < operations < steps < 1
    assert max(TOLERANCES["float32"]) <= min(TOLERANCES["tf32"])
