"""minigan gradcheck: tables, exit codes, reports."""

import argparse
import json

import pytest

from minigan import ops
from minigan.backend import get_backend
from minigan.testing import command


def run(*words):
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return command.run(parser.parse_args(words))


def wrong_tanh(self, cotangent, needs):
    return (cotangent * (1.0 - self.output),)


def test_a_table_of_what_holds(capsys):
    assert run("--ops", "tanh", "Conv2d", "--examples", "2", "--order", "3") == 0
    out = capsys.readouterr().out
    header, *lines = out.splitlines()
    assert " ".join(header.split()) == "operation reference value order 1 order 2 order 3 adjoint examples"
    assert [line.split()[0] for line in lines[:3]] == ["Tanh", "Conv2d", "conv2d"]
    assert all(line.endswith("ok") for line in lines[:3])
    assert "3 of 3 operations hold" in out


@pytest.mark.parametrize("words", [("--dtype", "float32"), ("--kernels", "reference"), ("--seed", "5")])
def test_options(words, capsys):
    kernels = get_backend("cpu").kernels
    assert run("--ops", "linear", "--examples", "2", *words) == 0
    assert get_backend("cpu").kernels is kernels


def test_a_failure_prints_its_report_and_a_line_that_reproduces_it(monkeypatch, capsys):
    monkeypatch.setattr(ops.elementwise.Tanh, "backward", wrong_tanh)
    assert run("--ops", "tanh", "exp", "--examples", "3", "--seed", "4") == 1
    out = capsys.readouterr().out
    assert "1 of 2 operations hold" in out and "FAILED" in out
    assert "Tanh, order 1" in out and "by the complex step" in out
    (line,) = [line for line in out.splitlines() if "reproduce with" in line]
    words = line.split("minigan gradcheck ")[1].split()
    assert run(*words) == 1
    (again,) = [line for line in capsys.readouterr().out.splitlines() if "worst element" in line]
    assert again in out


def test_a_rule_that_does_not_run_is_a_failure_too(monkeypatch, capsys):
    monkeypatch.setattr(ops.elementwise.Tanh, "backward", lambda self, cotangent, needs: (cotangent.no_such_thing,))
    assert run("--ops", "tanh", "--examples", "1") == 1
    out = capsys.readouterr().out
    assert "AttributeError" in out and "no_such_thing" in out and "--seed 0" in out


def test_a_wrong_value_is_a_failure_too(monkeypatch, capsys):
    monkeypatch.setattr(ops.elementwise.Tanh, "forward", lambda self, x: self.kernels.tanh(x) * 1.0000001)
    assert run("--ops", "tanh", "--examples", "1") == 1
    assert "Tanh: the value is" in capsys.readouterr().out


def test_json(tmp_path, capsys):
    assert run("--ops", "exp", "--examples", "2", "--json", str(tmp_path / "table.json")) == 0
    (row,) = json.loads((tmp_path / "table.json").read_text())
    assert row["operation"] == "Exp" and row["passed"] and row["examples"] == 2
    assert len(row["errors"]["orders"]) == 2 and max(row["errors"]["orders"]) < 1e-12


def test_mutants(capsys):
    assert run("--ops", "leakyrelu", "--mutants") == 0
    out = capsys.readouterr().out
    assert "LeakyReLU" in out and "10/10" in out and "locally constant" in out


def test_a_mutant_that_survives_fails_the_command(monkeypatch, capsys):
    monkeypatch.setattr(command.Mutant, "killed", lambda self, order, examples: False)
    assert run("--ops", "exp", "--mutants") == 1
    assert "survived at order 1" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words", [("--examples", "25"), ("--seed", "3"), ("--dtype", "float32"), ("--order", "2"), ("--device", "cpu")]
)
def test_mutants_refuse_the_options_that_they_do_not_follow(words):
    with pytest.raises(ValueError, match=rf"--mutants checks examples of its own, .*: leave {words[0]} out$"):
        run("--ops", "exp", "--mutants", *words)


def test_unknown_operations_are_listed():
    with pytest.raises(ValueError, match="unknown operation 'tahn'; known: Add, Subtract"):
        run("--ops", "tahn")
    with pytest.raises(ValueError, match="composed of other operations"):
        run("--ops", "softmax", "--mutants")


@pytest.mark.parametrize("words", [("--order", "0"), ("--examples", "x"), ("--dtype", "int8"), ("--kernels", "fast")])
def test_options_that_make_no_sense(words, capsys):
    with pytest.raises(SystemExit) as stop:
        run(*words)
    assert stop.value.code == 2


def test_unknown_devices_are_refused():
    with pytest.raises(ValueError, match="unknown device 'tpu'"):
        run("--device", "tpu")


@pytest.mark.parametrize("words", [("--seed", "-1"), ("--order", "0"), ("--examples", "few")])
def test_numbers_that_are_none(words, capsys):
    with pytest.raises(SystemExit):
        run("--ops", "tanh", *words)
    assert f"or more, got {words[1]!r}" in capsys.readouterr().err
