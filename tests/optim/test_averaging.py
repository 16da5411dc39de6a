import numpy as np
import pytest

import minigan as mg
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
