import math

import numpy as np
import pytest

import minigan as mg
from minigan import nn
from minigan.observe import Observer
from minigan.profile import Profile, Work

CPU = mg.get_backend("cpu")


class Counter(Observer):
    """Counts operations by (name, pass)."""

    def __init__(self):
        self.calls = {}

    def after(self, function, inputs, output):
        key = function.name, "forward" if CPU.rule is None else "backward"
        self.calls[key] = self.calls.get(key, 0) + 1


def network():
    mg.seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.LeakyReLU(0.2), nn.Linear(4, 1))


def batch():
    return mg.tensor(np.random.default_rng(0).standard_normal((5, 3)).astype("float32"))


def step(model):
    optimizer = mg.optim.Adam(model.parameters())
    model(batch()).sum().backward()
    optimizer.step()


def test_every_operation_is_counted_and_the_times_add_up():
    counter, model = Counter(), network()
    with CPU.observing(counter), Profile(CPU) as profile:
        step(model)
    assert {key: work.calls for key, work in profile.operations.items()} == counter.calls
    assert profile.operations["Linear", "forward"].calls == 2
    in_operations = sum(work.seconds for work in profile.operations.values())
    in_layers = sum(work.seconds for work in profile.layers.values())
    in_kernels = sum(work.seconds for work in profile.kernels.values())
    assert in_layers == pytest.approx(in_operations)
    assert 0 < in_kernels - profile.outside.seconds <= in_operations
    assert in_operations + profile.outside.seconds < profile.seconds


def test_layers_are_named_in_both_passes():
    model = network()
    with CPU.observing(counter := Counter()), Profile(CPU) as profile:
        model(batch()).sum().backward()
    assert set(profile.layers) == {f"Sequential.{i}" for i in range(4)} | {"(no layer)"}
    assert sum(work.calls for work in profile.layers.values()) == sum(counter.calls.values())
    assert profile.layers["Sequential.3"].calls > 1  # forward and backward


def test_kernels_outside_operations_are_heard_of_too():
    model = network()
    with Profile(CPU) as profile:
        step(model)
        CPU.generator.normal((7,))
    calls = [profile.kernels[name].calls for name in ("adam_step", "random_normal")]
    assert calls[0] > 0 and calls[1] == 1
    assert profile.outside.calls >= sum(calls)
    with Profile(CPU) as profile:
        CPU.generator.normal((7,))
    assert profile.outside.seconds == profile.kernels["random_normal"].seconds and profile.operations == {}


def test_watching_changes_no_bit_and_leaves_nothing_behind():
    kernels = CPU.kernels
    expected = network()
    step(expected)
    with Profile(CPU):
        watched = network()
        step(watched)
    for a, b in zip(expected.parameters(), watched.parameters(), strict=True):
        assert a.numpy().tobytes() == b.numpy().tobytes()
    assert CPU.kernels is kernels and CPU.observers == []
    with pytest.raises(ZeroDivisionError), Profile(CPU):
        raise ZeroDivisionError
    assert CPU.kernels is kernels and CPU.observers == []


def multiplications(layer, shape):
    """Of a layer's forward pass, by how the plain loops of its definition are nested."""
    x = mg.tensor(np.zeros(shape, "float32"))
    with Profile(CPU) as profile:
        y = layer(x)
    (work,) = [work for work in profile.kernels.values() if work.operations]
    return work, y.shape


@pytest.mark.parametrize(
    "layer, shape, loops",
    [
        (nn.Linear(3, 4), (5, 3), lambda y: y * 3),
        (nn.Conv2d(2, 6, 3, stride=2, padding=1), (5, 2, 7, 7), lambda y: y * 2 * 9),
        (nn.ConvTranspose2d(6, 2, 4, stride=2, padding=1), (5, 6, 7, 7), lambda y: 5 * 6 * 49 * 2 * 16),
    ],
)
def test_operations_are_those_of_the_plain_algorithm(layer, shape, loops):
    work, shape_of_output = multiplications(layer, shape)
    assert work.operations == 2 * loops(math.prod(shape_of_output))
    parameters = sum(p.data.nbytes for p in layer.parameters())
    assert work.bytes == 4 * math.prod(shape) + 4 * math.prod(shape_of_output) + parameters


def test_the_weight_gradient_does_as_many_operations_as_the_layer():
    for layer, shape, names in (
        (nn.Linear(3, 4), (5, 3), ("linear", "linear_weight_grad")),
        (nn.Conv2d(2, 6, 3, stride=2, padding=1), (5, 2, 7, 7), ("conv2d", "conv2d_weight_grad")),
    ):
        with Profile(CPU) as profile:
            layer(mg.tensor(np.zeros(shape, "float32"))).sum().backward()
        forward, weight_grad = (profile.kernels[name].operations for name in names)
        assert forward == weight_grad > 0


def test_the_table():
    profile = Profile(CPU, {"generator": network()})
    profile.seconds = 1.0
    profile.operations = {("Tanh", "forward"): Work(4, 0.2), ("Linear", "backward"): Work(2, 0.5)}
    profile.kernels = {"tanh": Work(4, 0.1, 10**9), "matmul": Work(2, 0.4, 10**9, 3 * 10**9), "adam_step": Work(2, 0.1)}
    profile.layers = {"generator.1": Work(4, 0.2)}
    profile.outside = Work(2, 0.1)
    table = profile.table(steps=2)
    lines = [line.split() for line in table.splitlines()]
    assert max(map(len, table.splitlines())) <= 100
    assert table.startswith("500.000 ms a step, watched, over 2 steps on cpu\n")
    assert lines[3] == ["Linear", "(backward)", "1.0", "250.000", "50.0%"]
    assert lines[4] == ["Tanh", "(forward)", "2.0", "100.000", "20.0%"]
    assert lines[5][-3:] == ["1.0", "50.000", "10.0%"]
    assert lines[6][-2:] == ["100.000", "20.0%"]  # what is left of the second
    assert ["matmul", "1.0", "200.000", "40.0%", "2.5", "7.5"] in lines
    assert ["tanh", "2.0", "50.000", "10.0%", "10.0"] in lines
    assert lines[-1] == ["generator.1", "BatchNorm1d", "2.0", "100.000", "20.0%"]
