"""Check the gradient of a function of your own on inputs that Hypothesis chooses (pip install minigan[test])."""

from hypothesis import given, settings
from hypothesis import strategies as st

import minigan as mg
from minigan.testing import adjoint_check, gradcheck, strategies


def instance_norm(x, gain, eps=1e-3):
    """(N, C, H, W): every channel of every image to mean 0 and variance 1, times gain (C,)."""
    centred = x - x.mean((2, 3), keepdims=True)
    return centred * (x.var((2, 3), keepdims=True) + eps) ** -0.5 * gain.reshape(1, -1, 1, 1)


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def check_instance_norm(data):
    """To second order, in any memory layout, to 1e-12: everything in it is analytic, so the complex step applies."""
    n, c = data.draw(st.integers(1, 2)), data.draw(st.integers(1, 3))
    x = data.draw(strategies.tensors((n, c, 2, 3)))
    gain = data.draw(strategies.tensors((c,), "nonzero"))
    gradcheck(instance_norm, [x, gain], order=2, method="complex")


def blur(x):
    """(N, C, H, W): the mean of every pixel and its right neighbour, columns wrapping around."""
    return 0.5 * (x + mg.concatenate([x[..., 1:], x[..., :1]], axis=3))


def blur_back(y):
    return 0.5 * (y + mg.concatenate([y[..., -1:], y[..., :-1]], axis=3))


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def check_blur(data):
    """A linear map needs no difference quotient: <blur(x), y> = <x, blur_back(y)>, even in single precision."""
    x = data.draw(strategies.tensors(data.draw(strategies.shapes(4, 4)), dtype="float32"))
    adjoint_check(blur, blur_back, x)
    gradcheck(blur, x)


check_instance_norm()
print("instance_norm: 25 random cases, right to second order")
check_blur()
print("blur and blur_back: 25 random cases, adjoint")
