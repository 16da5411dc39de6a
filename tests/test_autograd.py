"""The graph: who gets a gradient, what is kept, what is freed, and what is refused."""

import gc
import threading
import weakref

import numpy as np
import pytest

import minigan as mg
from minigan.testing import CATALOG, Draw


def leaf(values, **options):
    return mg.tensor(np.array(values, dtype=float), requires_grad=True, **options)


class Square(mg.Function):
    """y = x^2, as a user would write it."""

    def forward(self, x):
        return x * x

    def backward(self, cotangent, needs):
        return (cotangent * self.inputs[0] * 2.0,)


# ------------------------------------------------------------------------------------ gradients


def test_backward_adds_to_the_leaves():
    x, y, frozen = leaf([1.0, 2.0]), leaf([3.0, 4.0]), mg.tensor(np.ones(2))
    for times in (1, 2):
        (x * y + frozen).sum().backward()
        np.testing.assert_array_equal(x.grad.numpy(), times * y.numpy())
        np.testing.assert_array_equal(y.grad.numpy(), times * x.numpy())
    assert frozen.grad is None


def test_backward_of_some_inputs_only():
    x, y = leaf([1.0]), leaf([2.0])
    (x * y).backward(inputs=[y])
    assert x.grad is None and y.grad.item() == 1.0
    with pytest.raises(mg.GraphError, match="leaves"):
        (x * y).backward(inputs=[x * 1.0])


def test_backward_of_a_leaf():
    x = leaf([1.0, 2.0])
    x.backward(mg.tensor(np.array([3.0, 4.0])))
    np.testing.assert_array_equal(x.grad.numpy(), [3, 4])


def test_grad_reaches_intermediate_tensors_and_leaves_grad_alone():
    x = leaf(2.0)
    y = x * x
    dx, dy = mg.grad(y * y * x, (x, y))
    assert (dx.item(), dy.item()) == (5 * 16.0, 2 * 4.0 * 2.0)
    assert x.grad is None


def test_grad_of_several_outputs_and_an_input_that_is_not_used():
    x, unused = leaf([1.0, 2.0]), leaf([5.0])
    outputs = (x * 2.0, (x * x).sum())
    dx, nothing = mg.grad(outputs, (x, unused), (mg.tensor(np.array([1.0, 10.0])), None))
    np.testing.assert_array_equal(dx.numpy(), [2 + 2, 20 + 4])
    np.testing.assert_array_equal(nothing.numpy(), [0.0])


def test_the_same_tensor_twice():
    x = leaf(3.0)
    (x * x + x / x + (x - x)).backward()
    assert x.grad.item() == 6.0


def test_a_diamond_of_sixty_floors():
    """2^60 paths, but every operation is walked once."""
    x = leaf(1.0)
    y = x
    for _ in range(60):
        y = y + y
    y.backward()
    assert x.grad.item() == 2.0**60


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_orders(order):
    x = leaf(0.3)
    y, expected = mg.exp(x * 2.0), np.exp(0.6)
    for _ in range(order):
        (y,) = mg.grad(y, x, create_graph=True)
        expected *= 2
    np.testing.assert_allclose(y.item(), expected)


def test_rules_are_told_what_is_needed():
    seen = []

    class Product(mg.Function):
        def forward(self, a, b):
            return a * b

        def backward(self, cotangent, needs):
            seen.append(needs)
            a, b = self.inputs
            return cotangent * b if needs[0] else None, cotangent * a if needs[1] else None

    x, y, frozen = leaf(2.0), leaf(3.0), mg.tensor(np.array(5.0))
    Product()(x, frozen).backward()
    mg.grad(Product()(x, y), y)
    Product()(x, y).backward(inputs=[x])
    assert seen == [(True, False), (False, True), (True, False)]


def test_a_frozen_input_costs_no_operation():
    """The weights of a frozen network are never differentiated: no rule asks for what nobody needs."""
    x = leaf(np.ones((2, 3)))
    weight = mg.tensor(np.ones((4, 3)))
    names = []

    class Names:
        def before(self, function, inputs):
            names.append(function.name)

        def after(self, function, inputs, output):
            assert output.data is not None

    with x.backend.observing(Names()):
        mg.linear(x, weight).sum().backward()
    assert "MatMul" in names and "LinearWeightGrad" not in names


# ------------------------------------------------------------------------------ recorded or not


def test_no_grad_and_detach_cut_the_graph():
    x = leaf([2.0])
    with mg.no_grad():
        assert not (x * x).requires_grad
        assert mg.tensor(1.0, requires_grad=True).requires_grad
    assert (x * x).requires_grad

    @mg.no_grad()
    def square(t):
        return t * t

    assert not square(x).requires_grad
    (x * x.detach()).backward()
    assert x.grad.item() == 2.0


def test_no_grad_ends_with_an_exception():
    with pytest.raises(KeyError), mg.no_grad():
        raise KeyError
    assert (leaf(1.0) * 2.0).requires_grad


def test_gradients_are_recorded_only_when_asked():
    x = leaf(2.0)
    assert not mg.grad(x**3, x)[0].requires_grad
    assert mg.grad(x**3, x, create_graph=True)[0].requires_grad
    (x**3).backward()
    assert not x.grad.requires_grad


def test_requires_grad_belongs_to_leaves():
    x = leaf(1.0)
    with pytest.raises(mg.GraphError, match=r"leaves only.*Scale"):
        (x * 2.0).requires_grad = False
    x.requires_grad = False
    assert not (x * 2.0).requires_grad


# -------------------------------------------------------------------------------- kept and freed


def test_backward_twice_is_refused_unless_the_graph_is_kept():
    x = leaf(3.0)
    y = x * x
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.item() == 12.0
    with pytest.raises(mg.GraphError, match=r"freed by an earlier backward pass.*retain_graph=True"):
        y.backward()
    with pytest.raises(mg.GraphError, match="freed"):
        mg.grad(y + 1.0, x)
    assert x.grad.item() == 12.0


def test_grad_twice_is_refused_unless_the_graph_is_kept():
    for keep in ({"retain_graph": True}, {"create_graph": True}):
        x = leaf(3.0)
        y = x * x
        assert mg.grad(y, x, **keep)[0].item() == 6.0
        assert mg.grad(y, x)[0].item() == 6.0
        with pytest.raises(mg.GraphError, match=r"freed by an earlier backward pass.*retain_graph=True"):
            mg.grad(y, x)


def live():
    """How many Tensors and Functions there are."""
    return sum(isinstance(o, (mg.Tensor, mg.Function)) for o in gc.get_objects())


def use(entry):
    """A discarded pass, a pass with backward, and second derivatives."""
    sample = entry.sample(Draw.seeded(1))
    inputs = [leaf(a) for a in sample.arrays]
    sample.call(*inputs)
    sample.call(*inputs).sum().backward()
    gradients = mg.grad(sample.call(*inputs).sum(), inputs, create_graph=True)
    mg.grad(sum([(g * g).sum() for g in gradients]), inputs)


def test_nothing_is_left_behind():
    """All memory goes with the last reference: the garbage collector, switched off here, has nothing to do."""

    def left_by(entries):
        before = live()
        for entry in entries:
            use(entry)
        return live() - before

    gc.collect()
    gc.disable()
    try:
        if left_by(CATALOG.values()):
            raise AssertionError(f"left behind by {[name for name, entry in CATALOG.items() if left_by([entry])]}")
    finally:
        gc.enable()


def test_activations_are_freed_on_the_way_back():
    x = leaf(np.ones(3))
    middle = mg.tanh(x)
    watched = weakref.ref(middle)
    y = mg.exp(middle).sum()
    del middle
    assert watched() is not None
    y.backward()
    assert watched() is None


def test_a_gradient_with_create_graph_keeps_its_graph_alive_by_itself():
    x = leaf(0.5)
    (g,) = mg.grad(mg.tanh(x), x, create_graph=True)
    (h,) = mg.grad(g, x)
    np.testing.assert_allclose(h.item(), -2 * np.tanh(0.5) * (1 - np.tanh(0.5) ** 2))


def test_a_chain_of_twenty_thousand_operations():
    """Forward, backward, and letting go of it, without recursion."""
    x = leaf(1.0)
    y = x
    for _ in range(20_000):
        y = y + 1e-6
    y.backward(retain_graph=True)
    assert x.grad.item() == 1.0
    del y


# ---------------------------------------------------------------------- memory that was written over


def test_memory_written_over_after_the_forward_pass_is_noticed():
    x, y = leaf([1.0]), leaf([2.0])
    product = x * y
    y.assign(np.array([5.0]), writer="the optimizer")
    with pytest.raises(mg.GraphError, match=r"Multiply needs its input 1 .* which the optimizer wrote over"):
        product.backward()


def test_views_share_their_version():
    x = leaf([[1.0, 2.0]])
    y = x.reshape(2)[:1].exp() * x.detach().T[1]
    x.detach().assign(np.array([[3.0, 4.0]]))
    with pytest.raises(mg.GraphError, match="wrote over"):
        y.sum().backward()


def test_an_output_that_is_needed_and_was_written_over():
    x = leaf([1.0])
    y = mg.exp(x)
    y.detach().assign(np.array([9.0]))
    with pytest.raises(mg.GraphError, match="Exp needs its output"):
        y.backward()


def test_writing_over_what_no_rule_reads_is_fine():
    x, y = leaf([1.0]), leaf([2.0])
    total = x + y
    y.assign(np.array([5.0]))
    total.backward()
    assert x.grad.item() == y.grad.item() == 1.0


def test_assign_checks_the_shape():
    with pytest.raises(mg.ShapeError, match=r"\(2,\) into a Tensor of shape \(1,\)"):
        leaf([1.0]).assign(np.ones(2))


def test_gradients_own_their_memory():
    """Leaves that receive one and the same array can be clipped in place one by one."""
    x, y = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    v = mg.tensor(np.array([1.0, 1.0]))
    (x + y).backward(v)
    x.grad.data[...] = 7.0
    np.testing.assert_array_equal(y.grad.numpy(), [1, 1])
    np.testing.assert_array_equal(v.numpy(), [1, 1])
    z = leaf(np.ones(3))
    z.sum().backward()
    z.grad.data[0] = 5.0
    np.testing.assert_array_equal(z.grad.numpy(), [5, 1, 1])


# ------------------------------------------------------------------------------- what is refused


def test_a_cotangent_must_fit():
    x = leaf([1.0, 2.0])
    with pytest.raises(mg.ShapeError, match=r"shape \(2,\) needs a gradient"):
        (x * 2.0).backward()
    with pytest.raises(mg.ShapeError, match=r"float64 of shape \(2,\).*got float32"):
        (x * 2.0).backward(mg.tensor([1.0, 2.0]))
    with pytest.raises(mg.ShapeError, match=r"got float64 of shape \(1,\)"):
        (x * 2.0).backward(mg.tensor(np.ones(1)))
    with pytest.raises(ValueError, match="2 outputs, but 1 grad_outputs"):
        mg.grad((x * 1.0, x * 2.0), x, (None,))


def test_nothing_to_differentiate():
    with pytest.raises(mg.GraphError, match="does not depend on anything"):
        mg.tensor(1.0).backward()
    with pytest.raises(mg.GraphError, match=r"input 0.*requires_grad=True"):
        mg.grad(leaf(1.0) * 2.0, mg.tensor(1.0))


@pytest.mark.parametrize(
    ("gradients", "error", "message"),
    [
        (lambda v: (v.reshape(1, 2),), mg.ShapeError, r"rule of Wrong returned float64 \(1, 2\)"),
        (lambda v: (v.astype("float32"),), mg.ShapeError, "returned float32"),
        (lambda v: v, TypeError, "must return a tuple of 1"),
        (lambda v: (v, v), TypeError, "must return a tuple of 1"),
    ],
)
def test_rules_that_return_what_does_not_fit(gradients, error, message):
    class Wrong(mg.Function):
        def forward(self, x):
            return x * 1.0

        def backward(self, cotangent, needs):
            return gradients(cotangent)

    with pytest.raises(error, match=message):
        Wrong()(leaf([1.0, 2.0])).sum().backward()


def test_a_function_without_its_methods():
    class Empty(mg.Function):
        pass

    class NoRule(mg.Function):
        def forward(self, x):
            return x + 0.0

    with pytest.raises(NotImplementedError, match="Empty has no forward"):
        Empty()(leaf(1.0))
    with pytest.raises(NotImplementedError, match="NoRule has no backward"):
        NoRule()(leaf(1.0)).backward()


def test_one_instance_for_every_call():
    square = Square()
    y = square(leaf(3.0))
    with pytest.raises(mg.GraphError, match="already stands in a graph"):
        square(leaf(4.0))
    assert y.item() == 9.0


def test_an_output_read_too_late():
    tanh = mg.ops.elementwise.Tanh()
    tanh(leaf(1.0))
    with pytest.raises(mg.GraphError, match="output of Tanh is gone"):
        _ = tanh.output


# ------------------------------------------------------------------------------ the Tensor itself


def test_tensor_copies_and_chooses_its_type():
    a = np.ones(2)
    t = mg.tensor(a)
    a[0] = 5.0
    assert t.numpy()[0] == 1.0 and t.dtype == np.float64
    assert mg.tensor([1.0]).dtype == mg.tensor(2.5).dtype == np.float32
    assert mg.tensor([1]).dtype.kind == "i"
    assert mg.tensor([1], dtype="float64").dtype == np.float64
    source = leaf([1.0])
    copy = mg.tensor(source)
    assert not np.shares_memory(copy.data, source.data) and not copy.requires_grad


def test_numpy_gives_a_copy():
    t = mg.tensor([1.0])
    t.numpy()[0] = 5.0
    assert t.item() == 1.0
    np.testing.assert_array_equal(np.asarray(t), [1.0])


def test_length_truth_and_numbers():
    assert len(leaf([1.0, 2.0])) == 2 and bool(leaf(1.0)) and not bool(leaf(0.0))
    assert float(leaf([2.5])) == 2.5 and int(leaf(2.5)) == 2
    with pytest.raises(mg.ShapeError):
        bool(leaf([1.0, 2.0]))
    with pytest.raises(TypeError):
        len(leaf(1.0))


def test_hash_is_identity():
    a, b = leaf([1.0]), leaf([1.0])
    assert len({a, b, a}) == 2


def test_repr_says_what_matters():
    x = leaf([1.5])
    assert repr(x) == "tensor([1.5], dtype=float64, requires_grad=True)"
    assert repr(x * 2.0) == "tensor([3.], dtype=float64, creator=Scale)"
    assert repr(mg.tensor([1.0])) == "tensor([1.])"


def test_a_tensor_is_a_copy_of_any_array(tmp_path):
    for kind in (np.ndarray, np.recarray, np.matrix):
        array = np.ones((2, 2)).view(kind)
        x = mg.tensor(array)
        array[0, 0] = 7
        assert type(x.data) is np.ndarray and x.numpy()[0, 0] == 1
    file = np.memmap(tmp_path / "array", "float32", "w+", shape=(2,))
    x = mg.tensor(file)
    file[0] = 7
    assert x.numpy()[0] == 0


def test_every_thread_has_a_gradient_mode_of_its_own():
    inside, leave = threading.Event(), threading.Event()

    def other():
        with mg.no_grad():
            inside.set()
            leave.wait(10)

    x = mg.tensor([1.0], requires_grad=True)
    thread = threading.Thread(target=other)
    thread.start()
    inside.wait(10)
    with mg.no_grad():
        assert not (x * 2).requires_grad
    assert (x * 2).requires_grad
    leave.set()
    thread.join()
    assert (x * 2).requires_grad


def test_a_gathered_copy_is_not_written_over():
    x = mg.tensor([1.0, 2.0, 3.0], requires_grad=True)
    for index, shares in (([0, 2], False), (slice(0, 2), True)):
        y = x[index]
        z = (y * y).sum()
        x.assign(np.ones(3))
        if shares:
            with pytest.raises(mg.GraphError, match="assign wrote over"):
                z.backward()
        else:
            z.backward()


def test_a_tensor_without_axes_holds_an_array_that_can_be_written():
    for t in (mg.tensor([1.0, 2.0]).sum(), mg.tensor([1.0, 2.0])[0], mg.tensor(3.0) * 2.0):
        assert isinstance(t.data, np.ndarray) and t.shape == ()
        t.assign(np.array(7.0))
        assert t.item() == 7


def test_a_copy_is_not_taken_for_a_view():
    a = mg.tensor([1.0, 2.0, 3.0, 4.0])
    w = mg.tensor(2.0, requires_grad=True)
    turned = a.reshape(2, 2).T.reshape(4)  # this reshape copies
    y = (w * turned).sum()
    a.assign(np.zeros(4))
    y.backward()
    assert w.grad.item() == 10


def test_a_rule_and_a_forward_that_give_something_else_are_named():
    class Cube(mg.Function):
        def forward(self, x):
            return x**3

        def backward(self, cotangent, needs):
            return (cotangent.data * 3 * self.inputs[0].data ** 2,)

    class Number(mg.Function):
        def forward(self, x):
            return 1.0

    x = mg.tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(TypeError, match=r"the rule of Cube must return Tensors, got ndarray: .* self\.constant"):
        Cube()(x).sum().backward()
    with pytest.raises(TypeError, match=r"Number\.forward must return an array of cpu, got float"):
        Number()(x)


def test_views_without_axes_share_their_memory():
    source = mg.tensor(3.0)
    source.detach().assign(np.array(5.0))
    assert source.item() == 5
    vector = mg.tensor([1.0, 2.0])
    vector[0].assign(np.array(7.0))
    np.testing.assert_array_equal(vector.numpy(), [7, 2])
    w = mg.tensor(1.0, requires_grad=True)
    y = w * vector[0]
    vector.assign(np.zeros(2))
    with pytest.raises(mg.GraphError, match="assign wrote over"):
        y.backward()


def test_a_list_can_be_assigned():
    t = mg.tensor([1.0, 2.0])
    t.assign([3, 4])
    np.testing.assert_array_equal(t.numpy(), [3, 4])
    with pytest.raises(mg.ShapeError, match=r"values of shape \(3,\)"):
        t.assign([1, 2, 3])


def test_a_tensor_is_a_copy_of_what_says_it_is_an_array():
    class Foreign:
        dtype = np.dtype("float32")

        def __init__(self):
            self.own = np.ones(2, "float32")

        def __array__(self, dtype=None, copy=None):
            return self.own

    foreign = Foreign()
    t = mg.tensor(foreign)
    foreign.own[0] = 5
    np.testing.assert_array_equal(t.numpy(), [1, 1])


def test_a_parameter_and_what_it_was_made_of_share_their_version():
    a = mg.tensor([1.0, 2.0])
    b = mg.nn.Parameter(a)
    y = (b * b).sum()
    a.assign([3.0, 4.0])
    with pytest.raises(mg.GraphError, match="wrote over"):
        y.backward()
