import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigan as mg
from minigan.backend import Backend
from minigan.kernels.cpu import CpuKernels
from minigan.kernels.reference import ReferenceKernels
from minigan.rng import Generator

seeds = st.integers(0, 2**64 - 1)
streams = st.integers(0, 2**64 - 1)
shapes = st.lists(st.integers(0, 7), max_size=3).map(tuple)
dtypes = st.sampled_from(["float32", "float64"])
CPU = mg.get_backend("cpu")
BACKENDS = {"cpu": CPU, "reference": Backend("cpu", np, ReferenceKernels(np))}
both_kernels = pytest.mark.parametrize("kernels", BACKENDS)


def generator(seed=0, stream=0, kernels="cpu"):
    return Generator(seed, BACKENDS[kernels], stream)


def numpy_words(seed, stream, block, count):
    """NumPy's own stream of the same key, from a block on."""
    return np.random.Philox(key=seed | stream << 64, counter=block).random_raw(count)


def draw(rng, kind, shape, dtype):
    return rng.mask(shape, 0.7) if kind == "mask" else getattr(rng, kind)(shape, dtype=dtype)


kinds = st.sampled_from(["uniform", "normal", "mask"])
draws = st.lists(st.tuples(kinds, shapes, dtypes), max_size=5)


@both_kernels
@given(seed=seeds, stream=streams, before=draws, dtype=dtypes)
def test_uniform_is_the_top_bits_of_numpys_philox_wherever_the_stream_stands(kernels, seed, stream, before, dtype):
    rng = generator(seed, stream, kernels)
    for arguments in before:
        draw(rng, *arguments)
    words = numpy_words(seed, stream, rng.counter, 9)
    bits = 24 if dtype == "float32" else 53
    expected = ((words >> np.uint64(64 - bits)).astype("float64") / 2**bits).astype(dtype)
    np.testing.assert_array_equal(rng.uniform((3, 3), dtype=dtype), expected.reshape(3, 3), strict=True)


@both_kernels
@given(seed=seeds, stream=streams, count=st.sampled_from([1, 7, 8, 1001, 300_001]), dtype=dtypes)
@settings(max_examples=30)
def test_normal_is_box_and_muller_on_the_halves_of_numpys_philox(kernels, seed, stream, count, dtype):
    words = numpy_words(seed, stream, 0, count // 2 + 1)
    u, v = ((words >> np.uint64(32)).astype("float64") + 1) / 2**32, (words % np.uint64(2**32)) / 2**32
    radius = np.sqrt(-2 * np.log(u))
    expected = np.stack([radius * np.cos(2 * np.pi * v), radius * np.sin(2 * np.pi * v)], axis=1).reshape(-1)[:count]
    found = generator(seed, stream, kernels).normal((count,), dtype=dtype)
    assert found.dtype == dtype
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12 if dtype == "float64" else 2e-6)


@both_kernels
@given(seed=seeds, stream=streams, rank=st.integers(0, 41), above=st.booleans())
def test_mask_compares_the_digits_of_numpys_philox(kernels, seed, stream, rank, above):
    digits = numpy_words(seed, stream, 0, 11).view("<u2")[:42]
    level = int(digits[rank]) + above  # where one of them makes the difference
    mask = generator(seed, stream, kernels).mask((6, 7), level / 2**16)
    np.testing.assert_array_equal(mask, (digits < level).reshape(6, 7), strict=True)


@given(seeds, streams, draws, draws)
def test_a_restored_state_goes_on_to_the_same_bits(seed, stream, before, after):
    rng, other = generator(seed, stream), generator(1)
    for arguments in before:
        draw(rng, *arguments)
    state = rng.state_dict()
    expected = [draw(rng, *arguments) for arguments in after]
    other.load_state_dict(state)
    for arguments, array in zip(after, expected, strict=True):
        np.testing.assert_array_equal(draw(other, *arguments), array, strict=True)
    assert other.state_dict() == rng.state_dict()
    assert all(type(value) is int for value in state.values())  # a checkpoint's JSON holds it


@given(seeds, streams, draws.filter(bool))
def test_the_counter_only_moves_forward_and_no_word_is_used_twice(seed, stream, arguments):
    rng = generator(seed, stream)
    used = 0
    for kind, shape, dtype in arguments:
        start = rng.counter
        assert start >= used
        draw(rng, kind, shape, dtype)
        numbers = int(np.prod(shape))
        words = {"uniform": numbers, "normal": (numbers + 1) // 2, "mask": (numbers + 3) // 4}[kind]
        used = start + (words + 3) // 4  # blocks of four words
    assert rng.counter >= used


def correlation(a, b):
    return np.corrcoef(a.ravel(), b.ravel())[0, 1]


@pytest.mark.parametrize("one, other", [((0, 0), (1, 0)), ((0, 0), (0, 1)), ((0, 1), (1, 0)), ((3, 7), (7, 3))])
def test_other_seeds_and_other_streams_are_independent(one, other):
    a, b = generator(*one).normal((20_000,)), generator(*other).normal((20_000,))
    assert abs(correlation(a, b)) < 5 / np.sqrt(a.size)
    assert len(np.intersect1d(a, b)) < 20  # of 20,000 in float32 a few meet by chance


def test_a_stream_is_not_correlated_with_itself_later():
    rng = generator(5)
    a, b = rng.normal((20_000,)), rng.normal((20_000,))
    for lag in (1, 2, 3, 4, 8):
        assert abs(correlation(a[lag:], a[:-lag])) < 5 / np.sqrt(a.size)
    assert abs(correlation(a, b)) < 5 / np.sqrt(a.size)


@settings(max_examples=10)
@given(seeds)
def test_moments_of_uniform_numbers(seed):
    n = 100_000
    x = generator(seed).uniform((n,), -1.0, 3.0).astype("float64")
    assert x.min() >= -1 and x.max() <= 3
    assert abs(x.mean() - 1) < 6 * (4 / np.sqrt(12)) / np.sqrt(n)
    assert abs(x.var() - 16 / 12) < 6 * 16 * np.sqrt(1 / 180) / np.sqrt(n)  # var of (u - 1/2)^2 is 1/180
    counts = np.histogram(x, 16, (-1, 3))[0]
    assert (abs(counts - n / 16) < 6 * np.sqrt(n / 16)).all()


@settings(max_examples=10)
@given(seeds)
def test_moments_of_normal_numbers(seed):
    n = 100_000
    x = generator(seed).normal((n,), std=0.5).astype("float64") / 0.5
    for power, moment, spread in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):  # spread: variance of x^power
        assert abs((x**power).mean() - moment) < 6 * np.sqrt(spread / n)
    assert abs((x[::2] * x[1::2]).mean()) < 6 / np.sqrt(n // 2)  # cosine and sine of one pair


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.7, 0.99])
def test_share_of_a_mask(keep):
    mask = generator(2).mask((400, 500), keep)
    assert abs(mask.mean() - keep) < 5 * np.sqrt(keep * (1 - keep) / mask.size)


def test_the_same_seed_gives_the_same_bits_and_another_seed_others():
    np.testing.assert_array_equal(generator(9).normal((50,)), generator(9).normal((50,)))
    assert (generator(9).normal((50,)) != generator(10).normal((50,))).all()
    assert (generator(9).normal((50,)) != generator(9, stream=1).normal((50,))).all()


def test_mg_seed_restarts_the_default_stream():
    mg.seed(3)
    first = mg.nn.Linear(4, 5).weight.numpy()
    second = mg.nn.Linear(4, 5).weight.numpy()
    mg.seed(3)
    np.testing.assert_array_equal(mg.nn.Linear(4, 5).weight.numpy(), first)
    assert (first != second).all()
    mg.seed(4)
    assert (mg.nn.Linear(4, 5).weight.numpy() != first).all()


@pytest.mark.parametrize("seed", [-1, 2**64, 10**30])
def test_a_seed_out_of_range_is_refused(seed):
    with pytest.raises(ValueError, match=rf"a seed is an integer from 0 to 2\*\*64 - 1, got {seed}"):
        generator(seed)
    with pytest.raises(ValueError, match="a seed is an integer"):
        mg.seed(seed)


@pytest.mark.parametrize("seed", [1.0, "1", None])
def test_a_seed_that_is_no_integer_is_refused(seed):
    with pytest.raises(TypeError):
        generator(seed)


def test_numpys_integers_are_seeds_too():
    rng = generator(np.int64(3), stream=2)
    np.testing.assert_array_equal(rng.normal((5,)), generator(3, stream=2).normal((5,)))
    assert type(rng.state_dict()["seed"]) is int


@pytest.mark.parametrize("kernels", [ReferenceKernels(np), CpuKernels(1)])
def test_masks_of_images_count_the_channels_fastest(kernels):
    flat = kernels.dropout_mask(5, 2, (2 * 4 * 5 * 3,), 0.5)
    np.testing.assert_array_equal(
        kernels.dropout_mask(5, 2, (2, 3, 4, 5), 0.5), flat.reshape(2, 4, 5, 3).transpose(0, 3, 1, 2)
    )


def test_a_mask_keeps_the_share_that_it_says():
    generator = Generator(0, mg.get_backend("cpu"))
    assert generator.share(1e-6) == 2**-16
    assert generator.mask((1 << 22,), 1e-6).sum() == pytest.approx(64, abs=48)
