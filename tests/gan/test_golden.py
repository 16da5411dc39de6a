"""One training step against numbers computed elsewhere, in float64: tests/golden/README.md says how."""

import itertools
from pathlib import Path

import numpy as np
import pytest

import minigan as mg
from minigan import nn
from minigan.gan import GAN, Batch, presets
from minigan.gan.presets.preset import Preset
from minigan.kernels.cpu import CpuKernels
from minigan.kernels.reference import ReferenceKernels

GOLDEN = Path(__file__).parents[1] / "golden"
CPU = mg.get_backend("cpu")
SETTINGS = {
    "lr_generator": 2e-4, "lr_discriminator": 2e-4, "beta1": 0.5, "beta2": 0.999, "adam_eps": 1e-8,
    "objective": "non_saturating", "update": "alternating", "real_target": 1.0,
}  # fmt: skip


class Masks:
    """In a random stream's place: the dropout masks given, one after another."""

    def __init__(self, *masks):
        self.masks = list(masks)

    def share(self, keep):
        return keep

    def mask(self, shape, keep):
        mask = self.masks.pop(0)
        assert mask.shape == shape and keep == 0.7
        return mask


def mlp(golden):
    def dense(*sizes, last):
        layers = []
        for i, o in itertools.pairwise(sizes):
            layers += [nn.Linear(i, o), nn.LeakyReLU(0.2)]
        return nn.Sequential(*layers[:-1], *last)

    return {"generator": dense(6, 7, 8, 10, 12, last=[nn.Tanh()]), "discriminator": dense(12, 10, 8, 7, 1, last=[])}


def dcgan28(golden):
    def dropout(layer):
        shown = np.concatenate([golden[f"mask.real.{layer}"], golden[f"mask.fake.{layer}"]])  # judged as one batch
        return nn.Dropout(0.3, rng=Masks(shown, golden[f"mask.generator.{layer}"]))

    options = {"padding": 2, "bias": False}
    generator = nn.Sequential(
        nn.Linear(5, 4 * 49, bias=False),
        nn.BatchNorm1d(4 * 49),
        nn.LeakyReLU(0.3),
        nn.Unflatten(1, (4, 7, 7)),
        nn.ConvTranspose2d(4, 3, 5, stride=1, **options),
        nn.BatchNorm2d(3),
        nn.LeakyReLU(0.3),
        nn.ConvTranspose2d(3, 2, 5, stride=2, output_padding=1, **options),
        nn.BatchNorm2d(2),
        nn.LeakyReLU(0.3),
        nn.ConvTranspose2d(2, 1, 5, stride=2, output_padding=1, **options),
        nn.Tanh(),
    )
    discriminator = nn.Sequential(
        nn.Conv2d(1, 2, 5, stride=2, padding=2),
        nn.LeakyReLU(0.3),
        dropout(2),
        nn.Conv2d(2, 3, 5, stride=2, padding=2),
        nn.LeakyReLU(0.3),
        dropout(5),
        nn.Flatten(),
        nn.Linear(3 * 49, 1),
    )
    return {"generator": generator, "discriminator": discriminator}


def load(name):
    with np.load(GOLDEN / f"{name}_step.npz") as file:
        return dict(file)


def assert_agrees(name, ours, golden):
    assert ours.dtype == np.float64 and ours.shape == golden.shape, name
    error = abs(ours - golden).max() / abs(golden).max()
    assert error <= 1e-9, f"{name}: {error:.1e}"


@pytest.fixture(params=["cpu", "reference"])
def kernels(request):
    before = CPU.kernels
    CPU.kernels = CpuKernels(2) if request.param == "cpu" else ReferenceKernels(np)
    yield
    CPU.kernels = before


@pytest.mark.parametrize("build, fresh_latents", [(mlp, True), (dcgan28, False)])
def test_losses_gradients_and_updates_agree_to_nine_digits(kernels, monkeypatch, build, fresh_latents):
    golden = load(build.__name__)

    def players(config, streams):
        networks = build(golden)
        for player, network in networks.items():
            network.astype("float64")
            start = {name: golden.get(f"{player}.{name}", array) for name, array in network.state_dict().items()}
            network.load_state_dict(start)
        return networks

    monkeypatch.setitem(presets.PRESETS, "golden", Preset("golden", "", (1, 28, 28), players, {}))
    gan = GAN(presets.configure("golden", fresh_latents=fresh_latents, **SETTINGS))
    latents = [golden["latents"]] + ([golden["fresh_latents"]] if fresh_latents else [])
    monkeypatch.setattr(gan, "latents", lambda count, rng=None: mg.tensor(latents.pop(0)))
    report = gan.step(Batch(mg.tensor(golden["real"])))
    assert latents == []

    ours = {
        "loss.discriminator": report.discriminator_loss,
        "loss.generator": report.generator_loss,
        "logits.real": report.real_logits,
        "logits.fake": report.fake_logits,
        "logits.generator": report.updated_fake_logits,
    }
    for player, network in gan.modules.items():
        ours |= {f"grad.{player}.{name}": p.grad for name, p in network.named_parameters()}
        ours |= {f"after.{player}.{name}": mg.tensor(a) for name, a in network.state_dict().items() if a.ndim}
    checked = [name for name in golden if name.startswith(("loss.", "logits.", "grad.", "after."))]
    assert set(checked) == set(ours)
    for name in checked:
        assert_agrees(name, ours[name].numpy(), golden[name])
    start = {name: array for name, array in golden.items() if f"after.{name}" in golden}
    assert len(start) > 10
    assert all((array != golden[f"after.{name}"]).any() for name, array in start.items())
