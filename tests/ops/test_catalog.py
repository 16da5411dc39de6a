"""Every operation of the catalog, on random inputs in random memory layouts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigan as mg
from minigan.backend import get_backend
from minigan.testing import CATALOG, strategies
from minigan.testing.adjoint import rule_adjoint_check
from minigan.testing.check import kernels
from minigan.testing.gradcheck import gradcheck

CPU = get_backend("cpu")
every_operation = pytest.mark.parametrize("entry", CATALOG.values(), ids=CATALOG)


def leaves(arrays, dtype=np.float64):
    return [mg.Tensor(a.astype(dtype, copy=False), CPU, requires_grad=True) for a in arrays]


def size(*arrays):
    return max([np.abs(a).max(initial=0.0) for a in arrays])


@every_operation
@pytest.mark.parametrize("kernel_set", ["reference", "cpu"])
@given(data=st.data())
def test_value_is_the_oracles(entry, kernel_set, data):
    sample, arrays = data.draw(strategies.samples(entry))
    with kernels(kernel_set):
        value = sample.call(*leaves(arrays)).numpy()
    expected = sample.oracle(*sample.arrays)
    assert value.shape == expected.shape
    np.testing.assert_allclose(value, expected, rtol=0, atol=1e-12 * size(expected, *arrays))


@every_operation
@given(data=st.data())
def test_gradients_to_second_order(entry, data):
    sample, arrays = data.draw(strategies.samples(entry))
    rng = data.draw(st.integers(0, 2**32 - 1))
    gradcheck(sample.call, leaves(arrays), order=2, method=entry.method, rng=rng)


@every_operation
@given(data=st.data())
def test_gradients_of_single_precision(entry, data):
    sample, arrays = data.draw(strategies.samples(entry))
    gradcheck(sample.call, leaves(arrays, np.float32), order=2, method=entry.method)


@every_operation
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@given(data=st.data())
def test_the_rule_of_a_linear_operation_is_its_adjoint(entry, dtype, data):
    sample, arrays = data.draw(strategies.samples(entry))
    for group in entry.linear:
        rule_adjoint_check(sample.call, leaves(arrays, dtype), [k for k in group if k < len(arrays)])


@every_operation
@given(data=st.data())
def test_contracts(entry, data):
    """float32 stays float32; inputs and cotangent are left alone; results share memory only where declared."""
    sample, arrays = data.draw(strategies.samples(entry))
    inputs = leaves(arrays, np.float32)
    before = [t.numpy() for t in inputs]
    output = sample.call(*inputs)
    cotangent = mg.tensor(np.random.default_rng(0).standard_normal(output.shape).astype("float32"), requires_grad=True)
    kept = cotangent.numpy()
    gradients = mg.grad(output, inputs, cotangent, create_graph=True)
    second = mg.grad(sum([(g * g).sum() for g in gradients]) + 0.0 * cotangent.sum(), [*inputs, cotangent])
    assert {str(t.dtype) for t in (output, *gradients, *second)} == {"float32"}
    assert all(np.array_equal(t.numpy(), b) for t, b in zip(inputs, before, strict=True))
    assert np.array_equal(cotangent.numpy(), kept)
    views = entry.function is None or entry.function.view
    assert views or not any(np.shares_memory(output.data, t.data) for t in inputs)
    output = sample.call(*inputs)
    output.backward(cotangent)
    grads = [t.grad for t in inputs if t.grad is not None]
    for g in grads:
        others = [*inputs, cotangent, output, *[h for h in grads if h is not g]]
        assert not any(np.shares_memory(g.data, other.data) for other in others)


@every_operation
@given(data=st.data())
def test_memory_layout_does_not_matter(entry, data):
    """Inputs and cotangent in any layout: the same values, gradients and second derivatives as in C order."""
    sample, arrays = data.draw(strategies.samples(entry))
    plain = [np.array(a, order="C") for a in arrays]
    v = np.random.default_rng(0).standard_normal(sample.call(*leaves(plain)).shape)
    scattered = data.draw(strategies.layouts(v))

    def derivatives(arrays, v):
        inputs, cotangent = leaves(arrays), mg.Tensor(v, CPU, requires_grad=True)
        output = sample.call(*inputs)
        gradients = mg.grad(output, inputs, cotangent, create_graph=True)
        squares = sum([(g * g).sum() for g in gradients]) + 0.0 * cotangent.sum()
        return [output, *gradients, *mg.grad(squares, [*inputs, cotangent])]

    for one, other in zip(derivatives(arrays, scattered), derivatives(plain, v), strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=0, atol=1e-11 * (size(other.numpy()) + 1e-300))


@every_operation
@given(data=st.data())
def test_one_tensor_as_several_inputs(entry, data):
    """Where inputs fit each other, the gradients of a Tensor used for all of them add up."""
    sample, arrays = data.draw(strategies.samples(entry))
    fits = [k for k, a in enumerate(arrays) if a.shape == arrays[0].shape]
    separate = leaves([arrays[0] if k in fits else a for k, a in enumerate(arrays)])
    output = sample.call(*separate)
    v = mg.tensor(np.random.default_rng(0).standard_normal(output.shape))
    expected = sum([g.numpy() for g in mg.grad(output, [separate[k] for k in fits], v)])
    shared = separate[0]
    (found,) = mg.grad(sample.call(*[shared if k in fits else t for k, t in enumerate(separate)]), [shared], v)
    np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=1e-11 * (size(expected) + 1e-300))


@every_operation
@given(data=st.data())
def test_what_is_written_over_was_not_needed_or_is_refused(entry, data):
    """With any input, or the output, filled with NaN: the gradients of before, or an error, and no other gradients."""
    sample, arrays = data.draw(strategies.samples(entry))
    kept = leaves(arrays)
    output = sample.call(*kept)
    v = mg.tensor(np.random.default_rng(0).standard_normal(output.shape))
    expected = mg.grad(output, kept, v)
    for index in range(len(arrays) + 1):
        inputs = leaves([a.copy() for a in arrays])
        output = sample.call(*inputs)
        written = [*inputs, output][index]
        if written.data.flags.writeable:
            written.data[...] = np.nan
        written.version.bump("this test")
        try:
            found = mg.grad(output, inputs, v)
        except mg.GraphError as error:
            assert "this test wrote over" in str(error)
        else:
            for g, right in zip(found, expected, strict=True):
                atol = 1e-11 * (size(right.numpy()) + 1e-300)
                np.testing.assert_allclose(g.numpy(), right.numpy(), rtol=0, atol=atol)
