"""An operation of one's own: its rule, a deliberate mistake in it, and the report that catches the mistake."""

import numpy as np

import minigan as mg
from minigan.testing import GradientError, gradcheck


class Sine(mg.Function):
    """y = sin(x);  dy/dx = cos(x)."""

    def forward(self, x):
        return self.backend.xp.sin(x)

    def backward(self, cotangent, needs):
        (x,) = self.inputs
        return (cotangent * Sine()(x + np.pi / 2),)  # in Tensor operations, so that it can be differentiated again


class SavedSine(Sine):
    """The mistake: the cosine is computed on the array, so the graph does not know that it depends on x."""

    def backward(self, cotangent, needs):
        cosine = self.backend.xp.cos(self.inputs[0].data)
        return (cotangent * self.constant(cosine),)


def sine(x):
    return Sine()(x)


def saved_sine(x):
    return SavedSine()(x)


x = mg.tensor(np.linspace(-2.0, 2.0, 5), requires_grad=True)

print("sine, three orders by the complex step, worst relative error:", gradcheck(sine, x, order=3, method="complex"))
print("saved_sine, first order:                                     ", gradcheck(saved_sine, x))
try:
    gradcheck(saved_sine, x, order=2)
except GradientError as error:
    print(f"saved_sine, second order: caught\n{error}")
else:
    raise SystemExit("the mistake went unnoticed")
