import pytest

from minigan.backend import get_backend
from minigan.bench.parity import difference
from minigan.bench.training import prepare
from minigan.bench.workloads import DEFAULT, WORKLOADS, batch_sizes, select
from minigan.gan import presets

OPERATIONS = {  # the inputs and the cotangent that the first gradient in x depends on
    "dense": 2,  # it is linear in x: the weight and the cotangent
    "conv": 2,
    "conv_transpose": 2,
    "batch_norm": 3,  # x, the scale, and the cotangent
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_has_all_its_gradients(name):
    trial = WORKLOADS[name].prepare(get_backend("cpu"), 3)
    assert list(trial.phases) == ["forward", "backward", "second order"]
    y, gradients, second = (call() for call in trial.phases.values())
    assert len(y) == 3 and not y.requires_grad
    assert len(gradients) == 3 and gradients[0].shape[0] == 3
    assert len(second) == OPERATIONS[name]
    assert all(float(abs(t).max()) > 0 for t in (y, *gradients, *second))


@pytest.mark.parametrize("name", [*OPERATIONS, "adam", "mlp"])
def test_evidence_is_the_same_every_time(name):
    first, second = (WORKLOADS[name].prepare(get_backend("cpu"), 2).evidence() for _ in range(2))
    assert first.keys() == second.keys() and first
    assert all(difference(first[key], second[key]) == 0 for key in first)


def test_phases_can_be_called_again_and_again():
    for call in WORKLOADS["conv"].prepare(get_backend("cpu"), 2).phases.values():
        one, other = call(), call()
        one, other = (t if isinstance(t, tuple) else (t,) for t in (one, other))
        assert all(difference(a.numpy(), b.numpy()) == 0 for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("name", ["mlp", "mlp-2d", "acgan", "wgan-gp"])
def test_a_training_step_of_a_preset(name):
    """Dense, points, labels, and several steps of the discriminator with a second-order penalty."""
    algorithm, batch = prepare(name, get_backend("cpu"), 2)
    config = presets.configure(name, batch_size=2)
    assert batch.images.shape == (config.images_per_step, *presets.get(name).shape)
    assert (batch.labels is None) == (not config.classes)
    before = algorithm.optimizers["generator"].flat.copy()
    algorithm.step(batch)
    assert (algorithm.optimizers["generator"].flat != before).any()


def test_every_preset_can_be_timed_and_the_usual_ones_are():
    assert set(presets.PRESETS) <= WORKLOADS.keys()
    assert set(DEFAULT) <= WORKLOADS.keys()
    assert {"dense", "conv", "conv_transpose", "batch_norm", "adam", "mlp", "dcgan28", "dcgan64", "dcgan"} == {*DEFAULT}


def test_choosing():
    assert [w.name for w in select(["mlp", "conv", "mlp"])] == ["mlp", "conv"]
    with pytest.raises(
        ValueError, match="'gan' is not a workload; known: dense, conv, conv_transpose, batch_norm, adam"
    ):
        select(["conv", "gan"])
    assert batch_sizes(["64", "2", "16", "2"]) == [2, 16, 64]


@pytest.mark.parametrize("text", ["0", "1", "-4", "1.5", "x", "", "1e3"])
def test_a_bad_batch_size_is_refused(text):
    with pytest.raises(ValueError, match=rf"whole numbers from 2 on, as in --batch-sizes 16,64; got '{text}'"):
        batch_sizes(["16", text])
