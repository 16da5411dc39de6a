import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigan as mg
from minigan import nn
from minigan.nn import init
from minigan.rng import Generator

CPU = mg.get_backend("cpu")
SHAPES = [(300, 200), (64, 32, 5, 4)]  # out, in, ...
FANS = {SHAPES[0]: (200, 300), SHAPES[1]: (32 * 20, 64 * 20)}


def parameter(*shape, dtype="float32"):
    return nn.Parameter(np.zeros(shape, dtype))


def rng(seed=0):
    return Generator(seed, CPU)


def assert_normal(values, std, mean=0.0):
    z = (values.astype("float64").ravel() - mean) / std
    for power, moment, spread in ((1, 0, 1), (2, 1, 2), (4, 3, 96)):
        assert abs((z**power).mean() - moment) < 6 * math.sqrt(spread / z.size)


def assert_uniform(values, low, high):
    u = (values.astype("float64").ravel() - low) / (high - low)
    assert u.min() >= -1e-6 and u.max() <= 1 + 1e-6
    counts = np.histogram(u, 10, (0, 1))[0]
    assert (abs(counts - u.size / 10) < 6 * math.sqrt(u.size / 10)).all()


@pytest.mark.parametrize("shape", SHAPES)
def test_fans(shape):
    assert init.fans(parameter(*shape)) == FANS[shape]


def test_fans_of_a_vector_are_refused():
    with pytest.raises(ValueError, match=r"two axes or more, got shape \(3,\)"):
        init.xavier_uniform_(parameter(3))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("seed", range(3))
def test_statistics(shape, seed):
    fan_in, fan_out = FANS[shape]
    p, stream = parameter(*shape), rng(seed)
    assert_normal(init.normal_(p, std=0.02, rng=stream).numpy(), 0.02)
    assert_normal(init.normal_(p, 3.0, 0.5, rng=stream).numpy(), 0.5, mean=3.0)
    assert_uniform(init.uniform_(p, -2.0, 1.0, rng=stream).numpy(), -2, 1)
    bound = 2 * math.sqrt(6 / (fan_in + fan_out))
    assert_uniform(init.xavier_uniform_(p, gain=2.0, rng=stream).numpy(), -bound, bound)
    assert_normal(init.xavier_normal_(p, rng=stream).numpy(), math.sqrt(2 / (fan_in + fan_out)))
    bound = math.sqrt(6 / fan_in)
    assert_uniform(init.kaiming_uniform_(p, rng=stream).numpy(), -bound, bound)
    assert_normal(init.kaiming_normal_(p, 0.2, rng=stream).numpy(), math.sqrt(2 / (1.04 * fan_in)))
    assert (init.constant_(p, 0.25).numpy() == 0.25).all()


@settings(max_examples=20)
@given(st.integers(1, 12), st.lists(st.integers(1, 5), min_size=1, max_size=3), st.integers(0, 99))
def test_orthogonal_has_orthonormal_rows_or_columns(rows, rest, seed):
    p = init.orthogonal_(parameter(rows, *rest, dtype="float64"), gain=1.5, rng=rng(seed))
    matrix = p.numpy().reshape(rows, -1) / 1.5
    gram = matrix @ matrix.T if rows <= matrix.shape[1] else matrix.T @ matrix
    np.testing.assert_allclose(gram, np.eye(len(gram)), atol=1e-13)


def test_orthogonal_is_uniform_among_rotations():
    stream = rng(5)
    matrices = np.array([init.orthogonal_(parameter(2, 2, dtype="float64"), rng=stream).numpy() for _ in range(2000)])
    angles = np.arctan2(matrices[:, 1, 0], matrices[:, 0, 0])  # of the first column
    assert_uniform(angles, -math.pi, math.pi)
    assert abs((np.linalg.det(matrices) > 0).mean() - 0.5) < 6 * 0.5 / math.sqrt(2000)


@pytest.mark.parametrize(
    "initialise",
    [
        init.normal_, init.uniform_, init.xavier_uniform_, init.xavier_normal_, init.kaiming_uniform_,
        init.kaiming_normal_, init.orthogonal_,
    ],
)  # fmt: skip
def test_initialisers_fill_in_place_from_the_stream_they_are_given(initialise):
    p, other = parameter(6, 4), parameter(6, 4)
    memory, version, default = p.data, p.version.count, CPU.generator.counter
    assert initialise(p, rng=rng(1)) is p
    initialise(other, rng=rng(1))
    np.testing.assert_array_equal(p.numpy(), other.numpy())
    assert p.data is memory and p.version.count > version and p.dtype == np.float32
    assert CPU.generator.counter == default
    initialise(other)
    assert CPU.generator.counter > default
    assert (p.numpy() != other.numpy()).any()


def test_channels_last_memory_gets_the_same_values():
    one, other = nn.Conv2d(3, 4, 5).weight, parameter(4, 3, 5, 5)
    assert one.data.strides != other.data.strides
    init.normal_(one, rng=rng(1))
    init.normal_(other, rng=rng(1))
    np.testing.assert_array_equal(one.numpy(), other.numpy())


@pytest.mark.parametrize("make", [nn.Linear, lambda i, o, rng: nn.Conv2d(i, o, 5, rng=rng)])
def test_layers_start_uniform_by_their_fan_in(make):
    layer = make(80, 2000, rng=rng(3))
    bound = 1 / math.sqrt(init.fans(layer.weight)[0])
    assert_uniform(layer.weight.numpy(), -bound, bound)
    assert_uniform(layer.bias.numpy(), -bound, bound)


def test_layers_draw_from_the_stream_they_are_given():
    one, other = [nn.Sequential(nn.Linear(3, 2, rng=s), nn.Conv2d(1, 1, 2, rng=s)) for s in (rng(1), rng(1))]
    for name, array in one.state_dict().items():
        np.testing.assert_array_equal(array, other.state_dict()[name])
