"""The whole engine on the stand-in for CuPy: gradients, training steps, and what a step costs a GPU."""

from __future__ import annotations

import fake_cupy
import numpy as np
import pytest

import minigan as mg
from minigan import nn
from minigan.autograd import Tensor
from minigan.backend import DeviceError, get_backend
from minigan.gan import presets
from minigan.gan.algorithm import GAN
from minigan.gan.batch import Batch
from minigan.ops.elementwise import MaskScale
from minigan.testing import CATALOG
from minigan.testing.check import check_example
from minigan.testing.gradcheck import gradcheck


def new_gan(preset, backend, batch_size, **changes):
    return GAN(presets.configure(preset, batch_size=batch_size, **changes), backend)


def batch(backend, size, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (size, 1, 28, 28)).astype("float32")
    return Batch(Tensor(backend.asarray(pixels / 127.5 - 1), backend))


HOST_ARRAYS = {"MaskScale", "GetItem", "Scatter"}  # their samples hold masks and indices of the host: see below
DEVICE_ENTRIES = [entry for name, entry in CATALOG.items() if name not in HOST_ARRAYS]


@pytest.mark.parametrize("entry", DEVICE_ENTRIES, ids=lambda entry: entry.name)
def test_gradients_to_second_order(cuda, entry):
    for seed in range(2):
        check_example(entry, seed, order=2, dtype="float64", device="cuda")
    check_example(entry, 0, order=1, dtype="float32", device="cuda")


def test_gradients_of_masks_and_indices(cuda):
    x = mg.tensor(np.random.default_rng(0).standard_normal((4, 3)), requires_grad=True, device="cuda")
    mask = cuda.asarray(np.random.default_rng(1).random((4, 3)) < 0.7)
    rows = cuda.asarray(np.array([2, 0, 2]))
    for function in (
        lambda x: MaskScale(mask, 1 / 0.7)(x),
        lambda x: x[rows],
        lambda x: x[1:, ::2],
        lambda x: x[rows, 1],
    ):
        gradcheck(function, [x], order=2)


@pytest.mark.parametrize(("preset", "size", "launches"), [("mlp", 16, 92), ("dcgan28", 128, 142)])
def test_what_a_training_step_costs(cuda, monkeypatch, preset, size, launches):
    """Launches within the budget; the host never waits, and copies nothing but what it is given."""
    gan, real = new_gan(preset, cuda, size), batch(cuda, size)
    monkeypatch.setattr(fake_cupy, "computing", False)
    gan.step(real)
    with fake_cupy.counted() as counts:
        gan.step(real)
    assert counts["launch"] <= launches
    assert counts.keys() == {"launch"}


@pytest.mark.parametrize(("preset", "size", "steps"), [("mlp", 8, 5), ("dcgan28", 3, 2)])
def test_training_steps_are_those_of_the_cpu(cuda, preset, size, steps):
    """The same weights, latents and dropout masks; rounding grows, because Adam's first steps see little but signs."""
    gans = [new_gan(preset, backend, size) for backend in (cuda, get_backend("cpu"))]
    for step in range(steps):
        numbers = [gan.step(batch(gan.backend, size, step)).numbers() for gan in gans]
        for name, value in numbers[0].items():
            assert value == pytest.approx(numbers[1][name], abs=1e-5 if step == 0 else 1e-3), (step, name)
    for player, optimizer in gans[0].optimizers.items():
        difference = optimizer.flat.get() - gans[1].optimizers[player].flat
        assert np.abs(difference).mean() < 0.02 * steps * optimizer.lr


def test_a_resumed_run_is_the_uninterrupted_one(cuda):
    gan = new_gan("mlp", cuda, 8)
    gan.step(batch(cuda, 8))
    resumed = new_gan("mlp", cuda, 8, seed=1)
    resumed.load_state_dict(gan.state_dict())
    for run in (gan, resumed):
        run.step(batch(cuda, 8, seed=1))
    states = [run.state_dict()["modules"] for run in (gan, resumed)]
    for player, state in states[0].items():
        for name, value in state.items():
            np.testing.assert_array_equal(value, states[1][player][name])


def test_random_streams_are_those_of_the_cpu(cuda):
    streams = [mg.rng.Generator(7, backend, stream=2) for backend in (cuda, get_backend("cpu"))]
    for draw, tolerance in [
        (lambda s: s.uniform((3, 5), -0.1, 0.1), 0),
        (lambda s: s.normal((3, 5)), 1e-6),
        (lambda s: s.mask((2, 3, 4, 5), 0.7), 0),
    ]:
        on_device, on_host = (draw(stream) for stream in streams)
        np.testing.assert_allclose(on_device.get().astype(float), on_host.astype(float), rtol=0, atol=tolerance)
    assert streams[0].state_dict() == streams[1].state_dict()


def test_tensors_of_two_devices_do_not_meet(cuda):
    on_host, on_device = mg.tensor([1.0, 2.0]), mg.tensor([1.0, 2.0], device="cuda")
    with pytest.raises(DeviceError, match=r"(cpu.*cuda:0|cuda:0.*cpu)"):
        on_device * on_host
    with pytest.raises((DeviceError, TypeError)):
        on_device * np.ones(2, np.float32)
    np.testing.assert_array_equal((on_device.to("cpu") * on_host).numpy(), [1.0, 4.0])
    with pytest.raises(DeviceError, match="by itself: use"):
        np.asarray(on_device)


def test_two_devices_in_one_process(cuda):
    """New arrays, random numbers and results live where their backend is; Tensors of two devices do not meet."""
    x, y = (mg.tensor([1.0, 2.0], requires_grad=True, device=device) for device in ("cuda:0", "cuda:1"))
    for t, index in ((x, 0), (y, 1), (x, 0)):
        product = (t * t).sum()
        product.backward()
        noise = t.backend.generator.normal((3,))
        assert [a.device.id for a in (t.data, product.data, t.grad.data, noise)] == [index] * 4
    with pytest.raises(DeviceError, match="cuda:0 and cuda:1"):
        x * y
    assert y.to("cuda:0").data.device.id == 0


def test_weights_keep_their_memory_order_on_the_way_to_the_gpu(cuda):
    """CuPy by itself would lay channels-last weights out anew, and the average network beside an optimizer's."""
    layer = nn.Conv2d(3, 5, 3)
    on_gpu = nn.Conv2d(3, 5, 3).to(cuda)
    assert not layer.weight.data.flags.c_contiguous
    assert on_gpu.weight.data.strides == layer.weight.data.strides
    on_gpu.load_state_dict(layer.state_dict())
    np.testing.assert_array_equal(on_gpu.weight.numpy(), layer.weight.numpy())


def test_a_run_of_the_gpu_goes_on_on_the_cpu(cuda):
    """The moments of convolutions, too: Adam's state is flat."""
    gpu = new_gan("dcgan28", cuda, 8)
    for _ in range(2):
        gpu.step(batch(cuda, 8))
    cpu = new_gan("dcgan28", get_backend("cpu"), 8)
    cpu.load_state_dict(gpu.state_dict())
    for player, optimizer in gpu.optimizers.items():
        for slot, array in optimizer.state.items():
            np.testing.assert_array_equal(array.get(), cpu.optimizers[player].state[slot])
        for one, other in zip(optimizer.parameters, cpu.optimizers[player].parameters, strict=True):
            assert one.data.strides == other.data.strides
