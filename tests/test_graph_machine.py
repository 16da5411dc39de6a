"""Random programs of operations, detach, no_grad, backward and higher gradients, against a naive scalar engine."""

import math

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

import minigan as mg

# ------------------------------------------------------- the naive engine: no sharing, no tricks, any order


class Scalar:
    """A number, and how it depends on others: (parent, a function that makes d self / d parent as a Scalar)."""

    def __init__(self, value, parents=()):
        self.value, self.parents = value, parents

    def __add__(self, other):
        return Scalar(self.value + other.value, [(self, ONE), (other, ONE)])

    def __sub__(self, other):
        return Scalar(self.value - other.value, [(self, ONE), (other, lambda: Scalar(-1.0))])

    def __mul__(self, other):
        return Scalar(self.value * other.value, [(self, lambda: other), (other, lambda: self)])

    def __truediv__(self, other):
        inverse = lambda: Scalar(1.0) / other  # noqa: E731
        return Scalar(
            self.value / other.value,
            [(self, inverse), (other, lambda: Scalar(-1.0) * self / (other * other))],
        )


def ONE():
    return Scalar(1.0)


def tanh(x):
    y = Scalar(math.tanh(x.value))
    y.parents = [(x, lambda: Scalar(1.0) - y * y)]
    return y


def softplus(x):
    y = Scalar(math.log1p(math.exp(x.value)))
    y.parents = [(x, lambda: Scalar(0.5) * tanh(Scalar(0.5) * x) + Scalar(0.5))]
    return y


def derivative(y, x, known=None):
    """d y / d x as a Scalar, by the chain rule over all paths."""
    known = {x: Scalar(1.0)} if known is None else known
    if y not in known:
        total = Scalar(0.0)
        for parent, local in y.parents:
            total = total + local() * derivative(parent, x, known)
        known[y] = total
    return known[y]


UNARY = {"tanh": (mg.tanh, tanh), "softplus": (mg.softplus, softplus)}
BINARY = {
    "+": (lambda a, b: a + b, lambda a, b: a + b),
    "-": (lambda a, b: a - b, lambda a, b: a - b),
    "*": (lambda a, b: a * b, lambda a, b: a * b),
    "/": (lambda a, b: a / (2.0 + b * b), lambda a, b: a / (Scalar(2.0) + b * b)),
}


def freed(t):
    """Whether an operation behind t has let go of its inputs."""
    stack, seen = [t.creator], set()
    while stack:
        function = stack.pop()
        if function is not None and function not in seen:
            seen.add(function)
            if not function.inputs:
                return True
            stack += [u.creator for u in function.inputs]
    return False


class Programs(RuleBasedStateMachine):
    """Every node is a pair: a Tensor of one element, and the Scalar that it should equal."""

    nodes = Bundle("nodes")

    def __init__(self):
        super().__init__()
        self.pairs, self.leaves = [], {}

    def add(self, t, scalar):
        self.pairs.append((t, scalar))
        return t, scalar

    @rule(target=nodes, value=st.floats(-2, 2), requires_grad=st.booleans())
    def make_leaf(self, value, requires_grad):
        t, scalar = mg.tensor(np.array(value), requires_grad=requires_grad), Scalar(value)
        self.leaves[t] = (scalar, None)
        return self.add(t, scalar)

    @rule(target=nodes, name=st.sampled_from(sorted(UNARY)), node=nodes)
    def apply_unary(self, name, node):
        ours, naive = UNARY[name]
        return self.add(ours(node[0]), naive(node[1]))

    @rule(target=nodes, name=st.sampled_from(sorted(BINARY)), a=nodes, b=nodes)
    def apply_binary(self, name, a, b):
        ours, naive = BINARY[name]
        x, y = naive(tanh(a[1]), b[1]), ours(mg.tanh(a[0]), b[0])
        return self.add(y, x)

    @rule(target=nodes, node=nodes)
    def detach(self, node):
        return self.add(node[0].detach(), Scalar(node[1].value))

    @rule(target=nodes, node=nodes)
    def apply_without_gradient(self, node):
        with mg.no_grad():
            t = mg.tanh(node[0]) * node[0]
        assert not t.requires_grad
        return self.add(t, Scalar((tanh(node[1]) * node[1]).value))

    @rule(node=nodes, retain_graph=st.booleans())
    def backward(self, node, retain_graph):
        t, scalar = node
        if not t.requires_grad or freed(t):
            try:
                t.backward(retain_graph=retain_graph)
            except mg.GraphError:
                return
            raise AssertionError("backward through a freed or absent graph went unnoticed")
        reached = self.reached(t)
        t.backward(retain_graph=retain_graph)
        for leaf, (value, total) in self.leaves.items():
            if leaf in reached:
                self.leaves[leaf] = (value, (total or 0.0) + derivative(scalar, value).value)

    @rule(target=nodes, y=nodes, x=nodes)
    def differentiate(self, y, x):
        if not x[0].requires_grad or freed(y[0]):
            return self.make_leaf(0.5, False)
        (g,) = mg.grad(y[0], x[0], create_graph=True)
        return self.add(g, derivative(y[1], x[1]))

    @rule(node=nodes)
    def forget_the_gradient(self, node):
        if node[0] in self.leaves:
            node[0].grad = None
            self.leaves[node[0]] = (node[1], None)

    def reached(self, t):
        """The leaves from which a recorded path leads to t."""
        stack, found, seen = [t], set(), set()
        while stack:
            u = stack.pop()
            if u in seen:
                continue
            seen.add(u)
            if u.creator is not None:
                stack += u.creator.inputs
            elif u.requires_grad:
                found.add(u)
        return found

    @invariant()
    def values_and_gradients_agree(self):
        for t, scalar in self.pairs[-3:]:
            np.testing.assert_allclose(t.item(), scalar.value, rtol=1e-9, atol=1e-12)
        for leaf, (_, total) in self.leaves.items():
            assert (leaf.grad is None) == (total is None)
            if total is not None:
                np.testing.assert_allclose(leaf.grad.item(), total, rtol=1e-8, atol=1e-10)


TestPrograms = Programs.TestCase
TestPrograms.settings = settings(stateful_step_count=25)
