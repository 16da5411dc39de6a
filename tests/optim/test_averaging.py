import numpy as np
import pytest

import minigan as mg
from minigan import nn, optim
from minigan.backend import get_backend
from minigan.optim import averaging_rate, update_average
from minigan.rng import Generator


def network(seed):
    rng = Generator(seed, get_backend("cpu"))
    layers = mg.nn.Conv2d(2, 3, 3, rng=rng), mg.nn.BatchNorm2d(3), mg.nn.Flatten(), mg.nn.Linear(12, 1, rng=rng)
    return mg.nn.Sequential(*layers)


def run(module, seed):
    module(mg.tensor(np.random.default_rng(seed).normal(size=(4, 2, 4, 4)).astype(np.float32)))


@pytest.mark.parametrize("updates, d", [(0, 0.1), (8, 0.5), (10**6, 0.9)])
def test_parameters_and_buffers_move_by_the_same_share(updates, d):
    average, module = network(0), network(1)
    run(module, 0)
    before, now = average.state_dict(), module.state_dict()
    update_average(average, module, averaging_rate(0.9, updates))
    for name, value in average.state_dict().items():
        if name != "1.num_batches_tracked":
            np.testing.assert_allclose(value, d * before[name] + (1 - d) * now[name], rtol=1e-5, atol=1e-6)
    assert average.state_dict()["1.num_batches_tracked"] == 1
    for name, value in module.state_dict().items():
        np.testing.assert_array_equal(value, now[name])  # the module itself is left alone


def test_the_average_of_what_does_not_move_is_that():
    average, module = network(0), network(0)
    for step in range(5):
        update_average(average, module, averaging_rate(0.999, step))
    for name, value in average.state_dict().items():
        np.testing.assert_array_equal(value, module.state_dict()[name])


class Shared(nn.Module):
    """A batch norm under two names; buffers of other kinds."""

    def __init__(self, start):
        super().__init__()
        self.a = nn.BatchNorm1d(2)
        self.b = self.a
        self.register_buffer("mask", mg.tensor(np.array([True, start > 0])))
        self.register_buffer("place", mg.tensor(np.array([start])))
        self.register_buffer("mean", self.a.running_mean)


def test_what_stands_twice_is_averaged_once_and_what_is_no_float_is_copied():
    average, module = Shared(0), Shared(7)
    module.a.running_mean.assign(np.ones(2, "float32"))
    optim.update_average(average, module, 0.25)
    np.testing.assert_array_equal(average.a.running_mean.numpy(), [0.25, 0.25])
    assert average.mean is average.a.running_mean
    np.testing.assert_array_equal(average.mask.numpy(), [True, True])
    np.testing.assert_array_equal(average.place.numpy(), [7])
    names = ["mask", "place", "mean", "a.running_var", "a.num_batches_tracked"]
    assert [name for name, _ in average.named_buffers()] == names


def test_buffers_of_all_kinds_make_the_round_trip():
    one, other = Shared(0), Shared(7)
    other.load_state_dict(one.state_dict())
    np.testing.assert_array_equal(other.mask.numpy(), [True, False])
    np.testing.assert_array_equal(other.place.numpy(), [0])
    state = one.state_dict()
    for name, wrong in (("place", np.array([1.7])), ("mask", np.array([1, 0])), ("mask", [True, False])):
        with pytest.raises(TypeError, match=f"state_dict does not fit: {name}"):
            other.load_state_dict({**state, name: wrong})
