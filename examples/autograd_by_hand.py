"""Autograd by hand: a function, its gradient, its second derivative, and the graph in between."""

import minigan as mg
from minigan.observe import GraphPrinter

x = mg.tensor([0.5, 1.0, 2.0], requires_grad=True)

# Every operation is printed as it runs: forward, then the rules of the backward pass.
with mg.get_backend("cpu").observing(GraphPrinter()):
    y = (x.tanh() * x).sum()
    y.backward()

print("x           ", x)
print("dy/dx       ", x.grad)
t = x.tanh()
print("by hand     ", (t + x * (1 - t * t)).detach())

# A gradient computed with create_graph=True is a Tensor like any other, and can be differentiated again.
(first,) = mg.grad((x.tanh() * x).sum(), x, create_graph=True)
(second,) = mg.grad(first.sum(), x)
print("d2y/dx2     ", second)
print("by hand     ", (2 * (1 - t * t) * (1 - x * t)).detach())
