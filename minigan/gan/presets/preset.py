"""What a preset is, and what all presets share: initialisers, and the dropout and spectral norm any may be given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ... import data, nn
from ...autograd import Tensor
from ...data import Dataset, Points
from ...rng import Generator
from ..config import Config

Streams = dict[str, Generator]
Players = dict[str, nn.Module]

WEIGHTED = nn.Linear | nn.Conv2d | nn.ConvTranspose2d
ACTIVATIONS = nn.LeakyReLU | nn.ReLU | nn.Tanh


@dataclass(frozen=True)
class Preset:
    """A pair of networks under a name, and the settings they are trained with.

    shape: of one sample, an image (C, H, W) or a point (2,); build(config, streams) makes the networks; settings
    override Config's defaults; algorithm: a name in minigan.gan.algorithms. A preset whose settings have `classes` is
    conditional: its networks take labels.
    """

    name: str
    summary: str
    shape: tuple[int, ...]
    build: Callable[[Config, Streams], Players]
    settings: dict[str, Any]
    algorithm: str = "gan"

    @property
    def conditional(self) -> bool:
        return "classes" in self.settings

    def players(self, config: Config, streams: Streams) -> Players:
        """The networks, the discriminator with the dropout and spectral norm that the configuration asks for.

        Raises ValueError for classes asked of an unconditional preset, and the other way round.
        """
        if self.conditional != (config.classes > 0):
            expected = "is conditional: --classes must be 1 or more" if self.conditional else "has no classes"
            raise ValueError(f"the preset {self.name} {expected}, got {config.classes}")
        players = self.build(config, streams)
        if config.dropout:
            _add_dropout(players["discriminator"], config.dropout, streams["dropout"])
        if config.spectral_norm:
            nn.spectral.normalise(players["discriminator"], rng=streams["init"])
        return players

    def load_data(self, source: str) -> Dataset | Points:
        """The data set of that name, its samples in this preset's shape."""
        if len(self.shape) == 1:
            return data.load_points(source)
        channels, size, _ = self.shape
        return data.load_dataset(source, size=size, channels=channels)


def _add_dropout(network: nn.Module, p: float, rng: Generator) -> None:
    """The network's own dropout with probability p; in one that has none, dropout behind every activation."""
    modules = [module for _, module in network.named_modules()]
    own = [module for module in modules if isinstance(module, nn.Dropout)]
    for layer in own:
        layer.p = p
    for module in [] if own else modules:
        for name, child in list(module.children()):
            if isinstance(child, ACTIVATIONS):
                setattr(module, name, nn.Sequential(child, nn.Dropout(p, rng=rng)))


def initialised(players: Players, initialise: Callable[..., Any], rng: Generator) -> Players:
    """All weights of layers by one initialiser, all biases 0 (batch norm keeps 1 and 0)."""
    for player in players.values():
        for _, module in player.named_modules():
            if isinstance(module, WEIGHTED):
                initialise(module.weight, rng=rng)
                if module.bias is not None:
                    nn.init.constant_(module.bias, 0.0)
    return players


def normal_002(weight: Tensor, *, rng: Generator) -> None:
    """N(0, 0.02^2), as Radford et al. 2016 (DCGAN) start."""
    nn.init.normal_(weight, std=0.02, rng=rng)
