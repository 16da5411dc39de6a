import copy
import itertools
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigan as mg
from minigan import nn

CPU = mg.get_backend("cpu")


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3, padding=1)
        self.norm = nn.BatchNorm2d(2)
        self.scale = nn.Parameter(np.ones(2, "float32"))

    def forward(self, x):
        return self.norm(self.conv(x)) * self.scale.reshape(1, 2, 1, 1)


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = Block()
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(2 * 4 * 4, 3), nn.Dropout(), nn.Linear(3, 1, bias=False))
        self.shift = nn.Parameter(np.zeros(1, "float32"))

    def forward(self, x):
        return self.head(self.first(x)) + self.shift


def images(count=2, size=4):
    return mg.tensor(np.random.default_rng(0).standard_normal((count, 1, size, size)).astype("float32"))


def bits(module):
    return {name: array.tobytes() for name, array in module.state_dict().items()}


# ------------------------------------------------------------------------------- names


def test_state_dict_has_pytorchs_names_and_order():
    assert list(Network().state_dict()) == [
        "shift",
        "first.scale",
        "first.conv.weight",
        "first.conv.bias",
        "first.norm.weight",
        "first.norm.bias",
        "first.norm.running_mean",
        "first.norm.running_var",
        "first.norm.num_batches_tracked",
        "head.1.weight",
        "head.1.bias",
        "head.3.weight",
    ]


def test_parameters_and_buffers_are_listed_by_name():
    network = Network()
    names = [name for name in network.state_dict() if "running" not in name and "num_batches" not in name]
    assert [name for name, _ in network.named_parameters()] == names
    assert [name for name, _ in network.named_buffers()] == [
        "first.norm.running_mean",
        "first.norm.running_var",
        "first.norm.num_batches_tracked",
    ]
    assert network.parameters() == [parameter for _, parameter in network.named_parameters()]
    assert network.parameters()[1] is network.first.scale
    assert [name for name, _ in network.named_modules()] == [
        "", "first", "first.conv", "first.norm", "head", "head.0", "head.1", "head.2", "head.3",
    ]  # fmt: skip


def test_state_dict_holds_copies_of_every_kind():
    network = Network()
    state = network.state_dict()
    assert state["first.conv.weight"].dtype == np.float32
    assert state["first.norm.num_batches_tracked"].dtype == np.int64
    assert state["first.norm.num_batches_tracked"].shape == ()
    state["shift"][...] = 5
    assert network.shift.item() == 0


def test_what_is_no_parameter_is_not_listed():
    layer = nn.Linear(2, 2, bias=False)
    layer.note, layer.constant = "text", mg.tensor([1.0])
    assert list(layer.state_dict()) == ["weight"]


# ----------------------------------------------------------------------- load_state_dict


def test_load_state_dict_gives_the_same_bits_in_the_same_memory():
    source, target = Network(), Network()
    source(images())  # moves the running statistics
    memory = {name: parameter.data for name, parameter in target.named_parameters()}
    versions = {name: parameter.version.count for name, parameter in target.named_parameters()}
    target.load_state_dict(source.state_dict())
    assert bits(target) == bits(source)
    assert target.first.norm.num_batches_tracked == 1
    for name, parameter in target.named_parameters():
        assert parameter.data is memory[name]
        assert parameter.version.count > versions[name]
    np.testing.assert_array_equal(target.eval()(images()).numpy(), source.eval()(images()).numpy())


def test_load_state_dict_writes_through_to_the_optimizers_memory():
    network = nn.Linear(3, 2)
    optimizer = mg.optim.SGD(network.parameters(), lr=0.1)
    network.load_state_dict({"weight": np.full((2, 3), 7.0, "float32"), "bias": np.full(2, 8.0, "float32")})
    assert optimizer.flat.tolist() == [7.0] * 6 + [8.0] * 2


def test_load_state_dict_takes_tensors_and_other_float_types():
    layer = nn.Linear(2, 1)
    layer.load_state_dict({"weight": mg.tensor([[1.0, 2.0]]), "bias": np.array([0.1])})
    assert layer.weight.numpy().tolist() == [[1.0, 2.0]]
    assert layer.bias.dtype == np.float32 and layer.bias.numpy() == np.float32(0.1)


def damage(state, kind):
    if kind == "missing":
        del state["head.3.weight"]
    elif kind == "unexpected":
        state["head.4.weight"] = np.zeros(1)
    elif kind == "shape":
        state["head.3.weight"] = state["head.3.weight"].T
    elif kind == "counter":
        state["first.norm.num_batches_tracked"] = np.zeros(1, np.int64)
    elif kind == "dtype":
        state["head.3.weight"] = np.full((1, 3), "x")
    else:
        state["first.norm.num_batches_tracked"] = np.array(np.nan)


@pytest.mark.parametrize(
    "kind, error, message",
    [
        ("missing", ValueError, r"missing names \['head.3.weight'\], unexpected names \[\]"),
        ("unexpected", ValueError, r"missing names \[\], unexpected names \['head.4.weight'\]"),
        ("shape", mg.ShapeError, r"head.3.weight has shape \(1, 3\), got \(3, 1\)"),
        ("counter", mg.ShapeError, r"first.norm.num_batches_tracked has shape \(\), got \(1,\)"),
        ("dtype", TypeError, r"head.3.weight cannot hold values of dtype <U1"),
        ("nan", TypeError, r"num_batches_tracked cannot hold values of dtype float64"),
    ],
)
def test_a_state_dict_that_does_not_fit_is_refused_and_nothing_is_written(kind, error, message):
    network, other = Network(), Network()
    before, state = bits(network), other.state_dict()
    damage(state, kind)
    with pytest.raises(error, match=message):
        network.load_state_dict(state)
    assert bits(network) == before


def test_a_shared_parameter_is_one_parameter_under_two_names():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.encode, self.decode = nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False)
            self.decode.weight = self.encode.weight

    tied = Tied()
    assert list(tied.state_dict()) == ["encode.weight", "decode.weight"]
    assert tied.parameters() == [tied.encode.weight]
    state = {name: array + 1 for name, array in tied.state_dict().items()}
    tied.load_state_dict(state)
    np.testing.assert_array_equal(tied.encode.weight.numpy(), state["encode.weight"])


# ------------------------------------------------------------------------ modes and moving


def test_train_and_eval_reach_every_module():
    network = Network()
    assert all(module.training for _, module in network.named_modules())
    assert network.eval() is network
    assert not any(module.training for _, module in network.named_modules())
    network.train()
    assert all(module.training for _, module in network.named_modules())


def test_eval_is_deterministic_and_moves_no_statistics():
    network = Network().eval()
    before = bits(network)
    np.testing.assert_array_equal(network(images()).numpy(), network(images()).numpy())
    assert bits(network) == before
    network.train()
    assert (network(images()).numpy() != network(images()).numpy()).any()  # dropout
    assert network.first.norm.num_batches_tracked == 2


def test_frozen_parameters_get_no_gradient():
    network = Network()
    assert network.requires_grad_(False) is network
    assert not network(images()).requires_grad
    network.requires_grad_()
    network.first.requires_grad_(False)
    network(images()).sum().backward()
    assert {name for name, parameter in network.named_parameters() if parameter.grad is not None} == {
        "shift", "head.1.weight", "head.1.bias", "head.3.weight",
    }  # fmt: skip


def test_astype_converts_what_is_a_float_and_nothing_else():
    network = Network()
    state = network.state_dict()
    assert network.astype("float64") is network
    for name, array in network.state_dict().items():
        assert array.dtype == ("int64" if name.endswith("tracked") else "float64")
        np.testing.assert_array_equal(array, state[name])
    assert network.first.conv.weight.requires_grad
    output = network(images().astype("float64"))
    assert output.dtype == np.float64
    output.sum().backward()
    assert all(parameter.grad.dtype == np.float64 for parameter in network.parameters())


def test_to_the_same_device_keeps_the_memory():
    network = Network()
    memory = [parameter.data for parameter in network.parameters()]
    assert network.to("cpu") is network
    assert all(p.data is array for p, array in zip(network.parameters(), memory, strict=True))


def test_to_an_unknown_device_is_refused():
    with pytest.raises(mg.DeviceError, match="unknown device 'tpu'"):
        Network().to("tpu")


@pytest.mark.parametrize("change", [lambda m: m.to("cpu"), lambda m: m.astype("float64")])
def test_a_module_whose_memory_an_optimizer_owns_stays_where_it_is(change):
    network = Network()
    optimizer = mg.optim.Adam([network.shift])  # one parameter is enough
    before = bits(network)
    with pytest.raises(mg.GraphError, match=r"belong to an optimizer \(Adam\).*before the optimizer is made"):
        change(network)
    assert bits(network) == before
    assert np.shares_memory(network.shift.data, optimizer.flat)


# ---------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    "module, shape, path, message",
    [
        (nn.Linear(3, 2), (2, 4), "", r"linear expects .* \(\.\.\., 3\) for weight \(2, 3\), got \(2, 4\)"),
        (nn.Sequential(nn.Linear(4, 3), nn.Linear(2, 1)), (5, 4), "1", r"weight \(1, 2\), got \(5, 3\)"),
        (nn.Sequential(nn.Sequential(nn.Conv2d(3, 4, 3))), (1, 2, 8, 8), "0.0", r"\(4, 3, 3, 3\), got \(1, 2, 8, 8\)"),
        (nn.Sequential(nn.ConvTranspose2d(3, 4, 3)), (1, 2, 8, 8), "0", r"\(3, 4, 3, 3\), got \(1, 2, 8, 8\)"),
        (nn.Sequential(nn.Conv2d(1, 1, 9)), (1, 1, 4, 4), "0", r"a kernel \(9, 9\) .* does not fit into \(4, 4\)"),
        (nn.Sequential(nn.BatchNorm2d(3)), (2, 4, 5, 5), "0", r"3 channels on axis 1, got \(2, 4, 5, 5\)"),
        (nn.Sequential(nn.BatchNorm2d(3)), (2, 3), "0", r"BatchNorm2d expects 4 axes, .* got \(2, 3\)"),
        (
            nn.Sequential(nn.BatchNorm1d(3)),
            (2, 3, 4, 4),
            "0",
            r"expects 2 or 3 axes, .* got \(2, 3, 4, 4\)",
        ),
        (nn.Sequential(nn.BatchNorm1d(3)), (1, 3), "0", r"more than one value a channel, got shape \(1, 3\)"),
        (nn.Sequential(nn.Unflatten(1, (2, 3))), (4, 7), "0", r"shape \(4, 7\) into \(4, 2, 3\)"),
        (nn.Sequential(nn.Upsample(2)), (4, 7), "0", r"\(N, C, H, W\), got .*\(4, 7\)"),
        (nn.Sequential(nn.MaxPool2d(2)), (4, 7), "0", r"\(N, C, H, W\), got .*\(4, 7\)"),
    ],
)
def test_layers_that_do_not_fit_are_named_by_their_path_with_both_shapes(module, shape, path, message):
    with pytest.raises(mg.ShapeError, match=message) as caught:
        module(mg.tensor(np.zeros(shape, "float32")))
    assert caught.value.path == path
    assert str(caught.value).startswith(f"layer '{path}': " if path else "linear expects")


def test_a_network_in_a_network_is_named_with_its_whole_path():
    network = Network()
    with pytest.raises(mg.ShapeError, match=r"layer 'head\.1': linear expects .* \(3, 32\), got \(2, 50\)"):
        network(images(size=5))


def test_a_module_that_forgot_super_init_says_so():
    class Forgetful(nn.Module):
        def __init__(self):
            self.layer = nn.Linear(1, 1)

    with pytest.raises(mg.GraphError, match=r"Forgetful.__init__ must call super\(\).__init__\(\)"):
        Forgetful()


def test_a_module_without_forward_says_so():
    class Empty(nn.Module):
        pass

    with pytest.raises(NotImplementedError, match="Empty has no forward"):
        Empty()(images())


def test_printing_shows_the_tree():
    assert repr(nn.Sequential(nn.Linear(2, 3, bias=False), nn.Sequential(nn.LeakyReLU(0.2), nn.Dropout(0.3)))) == (
        "Sequential(\n  (0): Linear(2, 3, bias=False)\n"
        "  (1): Sequential(\n    (0): LeakyReLU(0.2)\n    (1): Dropout(p=0.3)\n  )\n)"
    )
    assert "running_mean" not in repr(Network())


def test_sequential_is_a_sequence():
    modules = [nn.Tanh(), nn.ReLU(), nn.Sigmoid()]
    network = nn.Sequential(*modules)
    assert len(network) == 3
    assert [network[i] for i in range(3)] == modules and network[-1] is modules[2]


@given(st.lists(st.sampled_from([2, 3, 5]), min_size=2, max_size=5))
def test_any_chain_of_layers_comes_back_from_its_state_dict(widths):
    def build():
        pairs = itertools.pairwise(widths)
        return nn.Sequential(*[layer for a, b in pairs for layer in (nn.Linear(a, b), nn.BatchNorm1d(b), nn.Tanh())])

    one, other = build(), build()
    x = mg.tensor(np.random.default_rng(1).standard_normal((4, widths[0])).astype("float32"))
    one(x)
    other.load_state_dict(one.state_dict())
    np.testing.assert_array_equal(one.eval()(x).numpy(), other.eval()(x).numpy())


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda network: pickle.loads(pickle.dumps(network))])
def test_a_module_can_be_copied(duplicate):
    network = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.Dropout(0.5, rng=mg.get_backend("cpu").generator))
    optimizer = mg.optim.SGD(network.parameters(), lr=0.1)
    other = duplicate(network)
    for (name, ours), (_, theirs) in zip(network.named_parameters(), other.named_parameters(), strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy(), err_msg=name)
        assert type(theirs) is nn.Parameter and theirs.requires_grad and theirs.backend is ours.backend
        assert not np.shares_memory(ours.data, theirs.data)
    mg.optim.Adam(other.parameters())  # nobody's
    images = mg.tensor(np.ones((1, 2, 4, 4), "float32"))
    np.testing.assert_array_equal(network.eval()(images).numpy(), other.eval()(images).numpy())
    assert optimizer.parameters == network.parameters()


def test_a_tensor_inside_a_graph_is_not_copied():
    with pytest.raises(mg.autograd.GraphError, match="cannot be copied or pickled: use detach"):
        copy.deepcopy(mg.tensor([1.0], requires_grad=True) * 2)


def test_a_parameter_of_a_tensor():
    x = mg.tensor([1.0])
    parameter = nn.Parameter(x)
    assert parameter.requires_grad and np.shares_memory(parameter.data, x.data)
    (parameter * 2.0).backward(inputs=parameter)
    assert parameter.grad.item() == 2


def test_a_buffer_is_a_tensor_or_a_counter():
    module = nn.Module()
    with pytest.raises(TypeError, match=r"buffer 'c' must be a Tensor or an int, got ndarray: wrap it with mg\.tensor"):
        module.register_buffer("c", np.zeros(2))


@pytest.mark.parametrize("wrong", [nn.Tanh, mg.tanh, [nn.Tanh()]])
def test_what_is_no_layer_is_refused(wrong):
    with pytest.raises(TypeError, match="Sequential takes Modules, such as"):
        nn.Sequential(nn.Linear(2, 2), wrong)
