"""Optimizers against their formulas as papers state them, in plain NumPy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigan as mg
from minigan import nn, optim
from minigan.kernels.cpu import CpuKernels
from minigan.kernels.reference import ReferenceKernels

CPU = mg.get_backend("cpu")
SHAPES = [(3,), (4, 3), (2, 3, 4, 5), (), (1, 2, 1, 3)]


@pytest.fixture(params=["cpu", "reference"])
def kernels(request):
    """Both kernels of the CPU in turn."""
    before = CPU.kernels
    CPU.kernels = CpuKernels(2) if request.param == "cpu" else ReferenceKernels(np)
    yield
    CPU.kernels = before


def channels_last(array):
    """The same numbers, the channels (axis 1) of four axes last in memory."""
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(array, 1, -1)), -1, 1) if array.ndim == 4 else array


def parameters(dtype="float64", seed=0):
    """Parameters of all shapes."""
    rng = np.random.default_rng(seed)
    arrays = [np.asarray(rng.standard_normal(shape), dtype) for shape in SHAPES]
    return [mg.Tensor(channels_last(array), CPU, requires_grad=True) for array in arrays]


def gradients(step, dtype="float64"):
    """A gradient for every parameter, now in one memory order and now in the other."""
    rng = np.random.default_rng(100 + step)
    arrays = [np.asarray(rng.standard_normal(shape), dtype) for shape in SHAPES]
    return [channels_last(array) if step % 2 else array for array in arrays]


def give(tensors, arrays):
    for t, array in zip(tensors, arrays, strict=True):
        t.grad = None if array is None else mg.Tensor(np.asarray(array), CPU)


# One parameter at a time, a generator each: takes gradients, yields parameters.


def sgd(p, lr, momentum=0.0, weight_decay=0.0, nesterov=False):
    velocity = np.zeros_like(p)
    while True:
        g = (yield p) + weight_decay * p
        velocity = momentum * velocity + g
        p = p - lr * (g + momentum * velocity if nesterov else velocity)


def rmsprop(p, lr, alpha=0.99, eps=1e-8, weight_decay=0.0):
    square = np.zeros_like(p)
    while True:
        g = (yield p) + weight_decay * p
        square = alpha * square + (1 - alpha) * g**2
        p = p - lr * g / (np.sqrt(square) + eps)


def adam(p, lr, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, decay_apart=0.0):
    m, v, step = np.zeros_like(p), np.zeros_like(p), 0
    while True:
        g = yield p
        p = p - lr * decay_apart * p
        g = g + weight_decay * p
        step += 1
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g**2
        corrected_m, corrected_v = m / (1 - betas[0] ** step), v / (1 - betas[1] ** step)
        p = p - lr * corrected_m / (np.sqrt(corrected_v) + eps)


def adamw(p, lr, weight_decay=0.01, **options):
    return adam(p, lr, decay_apart=weight_decay, **options)


CASES = [
    (optim.SGD, sgd, {"lr": 0.1}),
    (optim.SGD, sgd, {"lr": 0.1, "weight_decay": 0.3}),
    (optim.SGD, sgd, {"lr": 0.1, "momentum": 0.9}),
    (optim.SGD, sgd, {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.3}),
    (optim.SGD, sgd, {"lr": 0.1, "momentum": 0.8, "weight_decay": 0.3, "nesterov": True}),
    (optim.RMSprop, rmsprop, {"lr": 0.01}),
    (optim.RMSprop, rmsprop, {"lr": 0.05, "alpha": 0.5, "eps": 1e-2, "weight_decay": 0.3}),
    (optim.Adam, adam, {"lr": 1e-3}),
    (optim.Adam, adam, {"lr": 0.1, "betas": (0.5, 0.9), "eps": 1e-2, "weight_decay": 0.3}),
    (optim.Adam, adam, {"lr": 0.1, "betas": (0.0, 0.0)}),
    (optim.AdamW, adamw, {"lr": 1e-3}),
    (optim.AdamW, adamw, {"lr": 0.1, "betas": (0.5, 0.9), "eps": 1e-2, "weight_decay": 0.3}),
]


@pytest.mark.parametrize("optimizer, formula, options", CASES)
def test_five_steps_are_the_formula(kernels, optimizer, formula, options):
    tensors = parameters()
    expected = [formula(t.numpy(), **options) for t in tensors]
    for sequence in expected:
        next(sequence)
    optimizer = optimizer(tensors, **options)
    for step in range(5):
        arrays = gradients(step)
        give(tensors, arrays)
        optimizer.step()
        for t, sequence, g in zip(tensors, expected, arrays, strict=True):
            np.testing.assert_allclose(t.numpy(), sequence.send(g), rtol=1e-12, atol=1e-14)
    assert optimizer.steps == 5


@pytest.mark.parametrize("optimizer, formula, options", CASES)
def test_float32_stays_float32_and_near_the_formula(optimizer, formula, options):
    tensors = parameters("float32")
    expected = [formula(t.numpy().astype("float64"), **options) for t in tensors]
    for sequence in expected:
        next(sequence)
    optimizer = optimizer(tensors, **options)
    for step in range(3):
        give(tensors, gradients(step, "float32"))
        optimizer.step()
        last = [
            sequence.send(g.astype("float64")) for sequence, g in zip(expected, gradients(step, "float32"), strict=True)
        ]
    for t, p in zip(tensors, last, strict=True):
        assert t.dtype == np.float32
        np.testing.assert_allclose(t.numpy(), p, rtol=2e-5, atol=2e-6)
    assert {array.dtype.name for array in optimizer.state.values()} <= {"float32"}


@settings(max_examples=30, deadline=None)
@given(st.floats(1e-4, 1.0), st.floats(0, 0.99), st.floats(0, 0.9999), st.floats(1e-8, 1.0), st.floats(0, 1))
def test_adam_is_its_formula_whatever_the_settings(lr, beta1, beta2, eps, weight_decay):
    options = {"lr": lr, "betas": (beta1, beta2), "eps": eps, "weight_decay": weight_decay}
    t = mg.tensor(np.linspace(-1, 1, 7), requires_grad=True)
    expected = adam(t.numpy(), **options)
    next(expected)
    optimizer = optim.Adam([t], **options)
    for step in range(3):
        g = np.random.default_rng(step).standard_normal(7)
        give([t], [g])
        optimizer.step()
        np.testing.assert_allclose(t.numpy(), expected.send(g), rtol=1e-9, atol=1e-12)


def test_the_defaults_are_pytorchs():
    def defaults(optimizer):
        settings = vars(optimizer([mg.tensor([1.0], requires_grad=True)]))
        return {k: v for k, v in settings.items() if isinstance(v, int | float) and k != "steps"}

    assert defaults(optim.SGD) == {"lr": 1e-3, "momentum": 0, "weight_decay": 0, "nesterov": False}
    assert defaults(optim.RMSprop) == {"lr": 1e-2, "alpha": 0.99, "eps": 1e-8, "weight_decay": 0}
    assert defaults(optim.Adam) == {"lr": 1e-3, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0}
    assert defaults(optim.AdamW) == {"lr": 1e-3, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 1e-2}


def test_the_first_step_of_adam_is_the_learning_rate_whatever_the_gradients_size():
    t = mg.tensor([1.0, 1.0, 1.0], requires_grad=True)
    optimizer = optim.Adam([t], lr=0.1, eps=0.0)
    give([t], [np.array([1e-12, -3.0, 1e12], "float32")])
    optimizer.step()
    np.testing.assert_allclose(t.numpy(), [0.9, 1.1, 0.9], rtol=1e-6)


# ---------------------------------------------------------------------------------- the memory


def test_parameters_become_views_of_one_flat_buffer_and_keep_values_and_memory_order():
    tensors = parameters()
    before, strides = [t.numpy() for t in tensors], tensors[2].data.strides
    optimizer = optim.SGD(tensors)
    assert optimizer.flat.size == sum(t.size for t in tensors)
    for t, values in zip(tensors, before, strict=True):
        np.testing.assert_array_equal(t.numpy(), values)
        assert np.shares_memory(t.data, optimizer.flat)
        assert t.shape == values.shape
    assert tensors[2].data.strides == strides
    optimizer.flat[...] = 5
    assert all((t.numpy() == 5).all() for t in tensors)


def test_a_parameter_without_a_gradient_and_its_state_stay_as_they_are():
    tensors = parameters()
    optimizer = optim.Adam(tensors, lr=0.1)
    arrays = gradients(0)
    give(tensors, [*arrays[:2], None, *arrays[3:]])
    before, version = tensors[2].numpy(), tensors[2].version.count
    optimizer.step()
    np.testing.assert_array_equal(tensors[2].numpy(), before)
    assert tensors[2].version.count == version
    assert np.count_nonzero(optimizer.state["m"]) == optimizer.flat.size - tensors[2].size


def test_gradients_are_not_written_to():
    tensors = parameters()
    optimizer = optim.AdamW(tensors, weight_decay=0.5)
    arrays = gradients(1)
    give(tensors, arrays)
    optimizer.step()
    for array, expected in zip(arrays, gradients(1), strict=True):
        np.testing.assert_array_equal(array, expected)


def test_zero_grad_forgets_all_gradients():
    tensors = parameters()
    optimizer = optim.SGD(tensors)
    give(tensors, gradients(0))
    optimizer.zero_grad()
    assert all(t.grad is None for t in tensors)


def test_lr_can_be_set_between_steps():
    t = mg.tensor([1.0], requires_grad=True)
    optimizer = optim.SGD([t], lr=0.5)
    for lr, value in ((0.5, 0.5), (0.25, 0.25), (0.0, 0.25)):
        optimizer.lr = lr
        give([t], [np.ones(1, "float32")])
        optimizer.step()
        assert t.item() == value


def test_a_step_between_forward_and_backward_is_noticed():
    w = mg.tensor([2.0], requires_grad=True)
    w.name = "weight"
    optimizer = optim.SGD([w], lr=0.1)
    loss = (w * w).sum()
    give([w], [np.ones(1, "float32")])
    optimizer.step()
    with pytest.raises(mg.GraphError, match=r"Multiply needs its input 0 'weight' \(1,\), which SGD.step wrote over"):
        loss.backward()


def test_training_a_layer_by_hand():
    rng = np.random.default_rng(0)
    x, slope = mg.tensor(rng.standard_normal((64, 3))), mg.tensor([[1.0, -2.0, 3.0]], dtype="float64")
    layer = mg.nn.Linear(3, 1).astype("float64")
    optimizer = optim.Adam(layer.parameters(), lr=0.05)
    for _ in range(400):
        optimizer.zero_grad()
        loss = mg.nn.functional.mse_loss(layer(x), x @ slope.T + 0.5)
        loss.backward()
        optimizer.step()
    np.testing.assert_allclose(layer.weight.numpy(), slope.numpy(), atol=1e-3)
    np.testing.assert_allclose(layer.bias.numpy(), 0.5, atol=1e-3)


# ----------------------------------------------------------------------------------- the state


@pytest.mark.parametrize("optimizer, formula, options", CASES)
def test_a_restored_state_goes_on_to_the_same_bits(optimizer, formula, options):
    def step(tensors, opt, number):
        give(tensors, gradients(number))
        opt.step()

    tensors, others = parameters(), parameters(seed=9)
    opt, other = optimizer(tensors, **options), optimizer(others, **options)
    step(tensors, opt, 0)
    step(tensors, opt, 1)
    opt.lr = 0.07
    state, values = opt.state_dict(), [t.numpy() for t in tensors]
    step(tensors, opt, 2)  # the state holds copies, which this does not change
    other.load_state_dict(state)
    for t, array in zip(others, values, strict=True):
        t.assign(array)
    assert (other.steps, other.lr) == (2, 0.07)
    step(others, other, 2)
    for one, two in zip(tensors, others, strict=True):
        np.testing.assert_array_equal(one.numpy(), two.numpy())
    for slot in opt.state:
        np.testing.assert_array_equal(opt.state[slot], other.state[slot])


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda s: s.pop("v"), r"expected \['lr', 'm', 'steps', 'v'\], got \['lr', 'm', 'steps'\]"),
        (lambda s: s.update(velocity=s["m"]), r"got \['lr', 'm', 'steps', 'v', 'velocity'\]"),
        (lambda s: s.update(v=s["v"][:-1]), r"state 'v' has \d+ numbers, expected \d+"),
    ],
)
def test_a_state_that_does_not_fit_is_refused_and_nothing_is_written(change, message):
    tensors = parameters()
    optimizer = optim.Adam(tensors)
    state = {**optimizer.state_dict(), "m": np.ones_like(optimizer.flat), "steps": 9}
    change(state)
    with pytest.raises(ValueError, match=message):
        optimizer.load_state_dict(state)
    assert not optimizer.state["m"].any() and optimizer.steps == 0


# ---------------------------------------------------------------------------------- bad input


def leaf(**options):
    return mg.tensor([1.0], requires_grad=True, **options)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: optim.SGD([]), "an optimizer needs at least one parameter"),
        (lambda: optim.SGD([leaf()], lr=-1), "the learning rate must be 0 or more, got -1"),
        (lambda: optim.SGD([leaf()], lr=float("nan")), "the learning rate must be 0 or more, got nan"),
        (lambda: optim.SGD([leaf()], momentum=1.0), "momentum must be at least 0 and less than 1, got 1.0"),
        (lambda: optim.SGD([leaf()], nesterov=True), "Nesterov's method needs a momentum above 0"),
        (lambda: optim.SGD([leaf()], weight_decay=-1), "weight_decay must be 0 or more, got -1"),
        (lambda: optim.RMSprop([leaf()], alpha=1.5), "alpha must be at least 0 and less than 1, got 1.5"),
        (lambda: optim.RMSprop([leaf()], eps=-1e-8), "eps must be 0 or more, got -1e-08"),
        (lambda: optim.Adam([leaf()], betas=(-0.1, 0.9)), "beta1 must be at least 0 and less than 1, got -0.1"),
        (lambda: optim.Adam([leaf()], betas=(0.9, 1.0)), "beta2 must be at least 0 and less than 1, got 1.0"),
        (lambda: optim.Adam([leaf()], eps=-1.0), "eps must be 0 or more, got -1.0"),
        (lambda: optim.Adam([mg.tensor([1.0])]), "leaves with requires_grad=True"),
        (lambda: optim.Adam([leaf() * 2]), "leaves with requires_grad=True"),
        (lambda: optim.Adam([leaf(), leaf(dtype="float64")]), "on one device and of one dtype"),
        (lambda: optim.Adam([leaf()] * 2), "a parameter is named twice"),
    ],
)
def test_bad_input_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_two_optimizers_cannot_own_one_parameter_and_the_loser_takes_nothing():
    free, taken = leaf(), leaf()
    taken.name = "discriminator.0.bias"
    owner = optim.SGD([taken])
    memory = free.data
    with pytest.raises(ValueError, match=r"discriminator.0.bias belongs to another optimizer \(SGD\) already"):
        optim.Adam([free, taken])
    assert free.data is memory and free.owner is None
    optim.Adam([free])
    del owner
    optim.Adam([taken])


def test_a_parameter_that_was_given_another_array_is_not_lost_silently():
    parameter = leaf()
    optimizer = optim.SGD([parameter], lr=0.1)
    parameter.data = np.zeros_like(parameter.data)
    with pytest.raises(ValueError, match="another array since this optimizer took it: write into it with assign"):
        optimizer.step()


@pytest.mark.parametrize("gradient", [np.ones((3, 2), "float32"), np.ones(1, "float32"), np.ones((2, 3))])
def test_a_gradient_of_another_shape_or_type_is_refused(gradient):
    parameter = mg.tensor(np.zeros((2, 3), "float32"), requires_grad=True)
    parameter.name = "0.weight"
    optimizer = optim.SGD([parameter], lr=0.1)
    parameter.grad = mg.tensor(gradient)
    with pytest.raises(ValueError, match=r"0\.weight is float32 .*, but its gradient is float"):
        optimizer.step()
    assert (parameter.numpy() == 0).all()


def test_a_state_fits_whatever_the_memory_order_of_the_weights():
    """Pickling, and the way to a GPU and back, may leave weights in another order."""
    net = nn.Conv2d(3, 5, 3)
    optimizer = optim.Adam(net.parameters(), lr=0.1)
    rng = np.random.default_rng(0)

    def step(net, optimizer, gradients):
        for parameter, gradient in zip(net.parameters(), gradients, strict=True):
            parameter.grad = mg.tensor(gradient)
        optimizer.step()

    def gradients():
        return [rng.standard_normal(p.shape).astype("float32") for p in net.parameters()]

    for _ in range(3):
        step(net, optimizer, gradients())
    other = nn.Conv2d(3, 5, 3)
    for parameter, own in zip(other.parameters(), net.parameters(), strict=True):
        parameter.data = np.array(own.data, order="C")
    resumed = optim.Adam(other.parameters(), lr=0.1)
    resumed.load_state_dict(optimizer.state_dict())
    same = gradients()
    step(net, optimizer, same)
    step(other, resumed, same)
    for one, two in zip(net.parameters(), other.parameters(), strict=True):
        np.testing.assert_array_equal(one.numpy(), two.numpy())


def test_parameters_that_share_memory_are_refused():
    a = nn.Parameter(mg.tensor([1.0, 2.0]))
    with pytest.raises(ValueError, match=r"parameters \(2,\) and \(2,\) share memory, and would not any longer"):
        optim.SGD([a, nn.Parameter(a)], lr=0.1)
    with pytest.raises(ValueError, match="share memory"):
        optim.SGD([nn.Parameter(a), nn.Parameter(a[:1].detach())], lr=0.1)


def test_parameters_that_lie_between_each_other_are_apart():
    columns = np.zeros((10, 2), "float32")
    optimizer = optim.SGD([nn.Parameter(columns[:, 0]), nn.Parameter(columns[:, 1])], lr=0.1)
    assert optimizer.flat.size == 20


def test_an_optimizer_takes_a_copy_and_leaves_what_it_was_made_of():
    a = mg.tensor([1.0, 2.0], requires_grad=True)
    parameter = nn.Parameter(a)
    optimizer = optim.SGD([parameter], lr=0.1)
    y = (a * a).sum()
    parameter.grad = mg.tensor([1.0, 1.0])
    optimizer.step()
    y.backward()
    np.testing.assert_array_equal(a.grad.numpy(), [2, 4])
