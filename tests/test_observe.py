import io
import re

import numpy as np
import pytest

import minigan as mg
from minigan import nn
from minigan.observe import FiniteCheck, GraphPrinter, NotFinite, Observer

CPU = mg.get_backend("cpu")
pytestmark = pytest.mark.filterwarnings("ignore:(overflow|divide by zero) encountered:RuntimeWarning")


def network():
    return nn.Sequential(nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)), nn.LeakyReLU(0.2), nn.Linear(4, 1))


def batch():
    return mg.tensor(np.random.default_rng(0).standard_normal((5, 3)).astype("float32"))


class Listener(Observer):
    """Writes down what it is told: (when, operation, path of the modules around, rule at work)."""

    def __init__(self):
        self.heard = []

    def before(self, function, inputs):
        self.heard.append(("before", function.name, ".".join(CPU.path), CPU.rule and CPU.rule.name))

    def after(self, function, inputs, output):
        self.heard.append(("after", function.name, ".".join(CPU.path), CPU.rule and CPU.rule.name))


# ------------------------------------------------------------------------------- the hook


def test_an_observer_hears_of_every_operation_before_and_after_in_the_order_they_run():
    listener = Listener()
    with CPU.observing(listener):
        ((mg.tensor([1.0]) + 2).exp() * 3).sum()
    names = [name for when, name, _, _ in listener.heard if when == "before"]
    assert [entry[1] for entry in listener.heard[::2]] == [entry[1] for entry in listener.heard[1::2]] == names
    assert [entry[0] for entry in listener.heard] == ["before", "after"] * len(names)
    assert [name for name in names if name in ("Exp", "Sum")] == ["Exp", "Sum"]


def test_layers_and_rules_are_named_while_they_work():
    listener, model = Listener(), network()
    with CPU.observing(listener):
        model(batch()).sum().backward()
    forward = [(name, path) for when, name, path, rule in listener.heard if when == "after" and rule is None]
    assert [entry for entry in forward if entry[0] in ("Linear", "BatchNorm", "LeakyReLU", "Sum")] == [
        ("Linear", "Sequential.0.0"),
        ("BatchNorm", "Sequential.0.1"),
        ("LeakyReLU", "Sequential.1"),
        ("Linear", "Sequential.2"),
        ("Sum", ""),
    ]
    rules = list(dict.fromkeys(rule for when, _, _, rule in listener.heard if rule is not None))
    assert [rule for rule in rules if rule in ("Linear", "LeakyReLU", "BatchNorm")] == [
        "Linear", "LeakyReLU", "BatchNorm",
    ]  # fmt: skip
    assert all(path == "" for _, _, path, rule in listener.heard if rule is not None)


def test_two_observers_both_hear_and_may_come_and_go():
    one, other = Listener(), Listener()
    with CPU.observing(one):
        mg.tensor([1.0]).exp()
        with CPU.observing(other):
            mg.tensor([1.0]).log()
        mg.tensor([1.0]).tanh()
    mg.tensor([1.0]).sqrt()
    assert [entry[1] for entry in one.heard[::2]] == ["Exp", "Log", "Tanh"]
    assert [entry[1] for entry in other.heard[::2]] == ["Log"]


def test_an_error_inside_leaves_nobody_watching_and_no_layer_entered():
    with pytest.raises(mg.ShapeError), CPU.observing(Listener()):
        network()(mg.tensor(np.zeros((2, 7), "float32")))
    x = mg.tensor([0.0], requires_grad=True)
    with pytest.raises(NotFinite), CPU.observing(FiniteCheck()):
        x.sqrt().sum().backward()
    assert (CPU.observers, CPU.path, CPU.rule) == ([], [], None)


def test_watching_changes_no_bit():
    def step():
        mg.seed(0)
        model = network()
        model(batch()).sum().backward()
        return [parameter.grad.numpy().tobytes() for parameter in model.parameters()]

    expected = step()
    with CPU.observing(Listener(), GraphPrinter(io.StringIO()), FiniteCheck()):
        assert step() == expected


def test_nothing_happens_when_nobody_watches(monkeypatch):
    """No observer is asked, no path kept, and operations reach the kernels of the device themselves."""

    class Untouchable(list):
        def append(self, item):
            raise AssertionError("a path is kept though nobody watches")

    seen = []
    real_call = mg.Function.__call__

    def call(function, *inputs):
        output = real_call(function, *inputs)
        seen.append(function.kernels)
        return output

    monkeypatch.setattr(CPU, "path", Untouchable())
    monkeypatch.setattr(mg.Function, "__call__", call)
    with CPU.observing(Listener()):
        pass
    network()(batch()).sum().backward()
    assert len(seen) > 10
    assert all(kernels is CPU.kernels for kernels in seen)


# -------------------------------------------------------------------------- graph printer


def test_the_graph_printer_prints_a_line_for_every_operation():
    stream, model = io.StringIO(), nn.Sequential(nn.Linear(3, 2, bias=False), nn.Tanh())
    with CPU.observing(GraphPrinter(stream)):
        model(batch()).sum().backward()
    lines = [re.sub(r" +", " ", line) for line in stream.getvalue().splitlines()]
    assert lines[:3] == [
        "Linear (5, 3), (2, 3) -> (5, 2) [Sequential.0]",
        "Tanh (5, 2) -> (5, 2) [Sequential.1]",
        "Sum (5, 2) -> () [outside any layer]",
    ]
    assert len(lines) > 6
    assert all(re.fullmatch(r".* -> \(.*\) \[.*, backward of (Linear|Tanh|Sum)\]", line) for line in lines[3:])
    assert any(line.endswith("[Sequential.0, backward of Linear]") for line in lines)
    assert lines[3].endswith("[outside any layer, backward of Sum]")


def test_the_graph_printer_prints_to_the_terminal(capsys):
    with CPU.observing(GraphPrinter()):
        mg.tensor([1.0]).exp()
    assert capsys.readouterr().out.split() == ["Exp", "(1,)", "->", "(1,)", "[outside", "any", "layer]"]


# --------------------------------------------------------------------------- finite check


def test_the_finite_check_names_operation_and_layer_in_the_forward_pass():
    model = network()
    model[2].weight.data[0, 1] = np.inf
    with pytest.raises(NotFinite) as caught, CPU.observing(FiniteCheck()):
        model(batch())
    assert re.fullmatch(
        r"Linear \(Sequential\.2\) gave -?(inf|nan) at \(0, 0\) of \(5, 1\): its input 1 was not finite already",
        str(caught.value),
    )


def test_the_finite_check_names_the_first_operation_of_several():
    x = mg.tensor([1.0, 200.0])
    with (
        pytest.raises(
            NotFinite, match=r"^Exp \(outside any layer\) gave inf at \(1,\) of \(2,\): its inputs were finite"
        ),
        CPU.observing(FiniteCheck()),
    ):
        (x.exp() - x.exp()).log()


class Root(nn.Module):
    def forward(self, x):
        return (x * x).sqrt()  # the gradient of the root of 0 is 1 / 0


def test_the_finite_check_names_operation_and_layer_in_the_backward_pass():
    model = nn.Sequential(nn.Linear(3, 2, bias=False), Root())
    x = mg.tensor(np.zeros((1, 3), "float32"))
    with CPU.observing(FiniteCheck()):
        loss = model(x).sum()
        with pytest.raises(
            NotFinite, match=r"^\w+ \(Sequential\.1, backward of Sqrt\) gave (inf|nan) at \(0, 0\) of \(1, 2\)"
        ):
            loss.backward()


def test_the_finite_check_lets_a_sound_step_pass():
    with CPU.observing(FiniteCheck()):
        model = network()
        model(batch()).sum().backward()
    assert all(np.isfinite(parameter.grad.numpy()).all() for parameter in model.parameters())
