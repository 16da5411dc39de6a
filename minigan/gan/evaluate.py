"""Scores of a generator, each with its protocol, and the pictures that show what the scores speak of."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image

from .. import data, images, metrics
from ..backend import Backend, get_backend
from ..data.mnist import is_idx_folder
from ..metrics import Score
from ..metrics.classifier import extractor_name
from ..metrics.features import check_shape, digit_features
from ..metrics.score import Entry
from . import presets
from .algorithm import GAN
from .config import Config
from .sampling import draw, picture

Protocol = dict[str, Entry]

FEWEST = 1000  # images: KID compares subsets of as many
LEAST_SHARE = 0.01  # of the fakes that a class must have to count as covered
SHOWN, ROWS, NEIGHBOURS = 64, 10, 8  # images in a comparison; rows and columns of the sheet of nearest images


class Evaluator:
    """Real samples to hold fakes against, read once, and what makes the scores comparable.

    samples: fakes to score, None for the usual number. Raises ValueError for fewer than 1.
    """

    names: list[str]  # of the scores, in their order
    usual: int  # samples in the literature

    def __init__(self, config: Config, samples: int | None, seed: int, backend: Backend):
        self.samples = self.usual if samples is None else samples
        if self.samples < 1:
            raise ValueError(f"--samples must be 1 or more, got {samples}")
        self.config, self.seed, self.backend = config, seed, backend

    def fakes(self, algorithm: GAN) -> np.ndarray:
        return draw(algorithm, self.samples, self.seed)

    def scores(self, fakes: np.ndarray) -> list[Score]:
        """All scores of `samples` fakes as `minigan.gan.sampling.draw` returns them."""
        raise NotImplementedError

    def pictures(self, fakes: np.ndarray) -> dict[str, Image.Image]:
        """Pictures to save, by file name."""
        raise NotImplementedError

    def score(self, name: str, value: float, protocol: Protocol, spread: float | None = None) -> Score:
        """A figure with the protocol that all share, and what it has of its own."""
        shared: Protocol = {"N": self.samples, "seed": self.seed, "batch norm": "running statistics"}
        return Score(name, value, spread, shared | protocol)

    def beside(self, fakes: np.ndarray, reals: np.ndarray) -> Image.Image:
        """Fakes on the left, real samples on the right."""
        return images.side_by_side(picture(self.config, fakes), picture(self.config, reals), ("generated", "real"))

    def rng(self) -> np.random.Generator:
        """The same stream for every score: no score depends on which others are asked for."""
        return np.random.default_rng(self.seed)


class Digits(Evaluator):
    """Gray images of 28x28 pixels, on the features of the digit classifier.

    Fakes are held against as many images of the test set (of the training set, where the data have no other): the
    usual number, or all images where there are fewer. What speaks of digits, Inception score and classes, is given for
    MNIST alone. Raises ValueError for images of another size, for fewer samples than KID needs, and for more than the
    data have.
    """

    usual = 10_000

    def __init__(self, config: Config, samples: int | None, seed: int, backend: Backend):
        super().__init__(config, samples, seed, backend)
        preset = presets.get(config.preset)
        check_shape(preset.shape)
        self.has_classes = config.data == "mnist"
        split = "test" if self.has_classes or is_idx_folder(Path(config.data), "test") else "train"
        self.train = data.load_dataset(config.data, channels=1)
        self.real = data.load_dataset(config.data, channels=1, split=split) if split == "test" else self.train
        if len(self.real) < FEWEST:
            raise ValueError(
                f"the {split} images of {config.data} are {len(self.real):,}, too few to be scored against: KID "
                f"compares subsets of {FEWEST:,}"
            )
        if samples is None:
            self.samples = min(self.usual, len(self.real))
        elif samples < FEWEST:
            raise ValueError(f"--samples {samples} is too few for KID, which compares subsets of {FEWEST:,}: give more")
        elif samples > len(self.real):
            raise ValueError(
                f"the {split} images of {config.data} are {len(self.real):,}, but {samples:,} fakes are held against "
                f"as many real images: give --samples {len(self.real)} or fewer"
            )
        self.basis: Protocol = {"data": f"{self.identity(self.real)} {split}", "extractor": extractor_name()}
        binned = self.some(self.train, min(self.samples, len(self.train)))
        self.bins = metrics.fit_bins(binned, 100, rng=self.rng())  # refuses images too few of which differ
        self.names = ["FID", "KID", *metrics.PRDC._fields, "NDB/K"]
        if self.has_classes:
            self.names += ["inception score", "classes covered", "smallest class"]

    def identity(self, dataset: data.Dataset) -> str:
        """Its name; of data that are not in the package, whose names tell nothing, also the checksum."""
        return dataset.name if self.has_classes else f"{dataset.name} {dataset.checksum:08x}"

    def some(self, dataset: data.Dataset, count: int) -> np.ndarray:
        """That many images of a data set, drawn without replacement: uint8 (count, 1, 28, 28)."""
        return dataset.batch(np.sort(self.rng().choice(len(dataset), count, replace=False)))

    @cached_property
    def real_features(self) -> np.ndarray:
        return digit_features(self.some(self.real, self.samples), self.backend).features

    def scores(self, fakes: np.ndarray) -> list[Score]:
        fakes = images.to_uint8(fakes)
        features, probabilities = digit_features(fakes, self.backend)
        fid = metrics.frechet_distance(self.real_features, features)
        kid = metrics.kernel_distance(self.real_features, features, subsets=100, subset_size=FEWEST, rng=self.rng())
        spread = kid.std if len(features) > FEWEST else None  # else every subset is the whole
        prdc = metrics.precision_recall_density_coverage(self.real_features, features, k=5)
        ndb = metrics.compare_bins(self.bins, fakes, significance=0.05)
        binned: Protocol = {"data": f"{self.identity(self.train)} train", "bins of": int(self.bins.counts.sum())}
        return [
            self.score("FID", fid, self.basis),
            self.score("KID", kid.mean, self.basis | {"subsets": 100, "subset size": FEWEST}, spread),
            *(self.score(name, value, self.basis | {"k": 5}) for name, value in prdc._asdict().items()),
            self.score("NDB/K", ndb.share, binned | {"K": 100, "significance": 0.05}),
            *(self.class_scores(probabilities) if self.has_classes else []),
        ]

    def class_scores(self, probabilities: np.ndarray) -> list[Score]:
        extractor: Protocol = {"extractor": extractor_name()}
        inception = metrics.inception_score(probabilities, splits=10)
        shares = np.bincount(probabilities.argmax(axis=1), minlength=10) / len(probabilities)
        covered = int((shares >= LEAST_SHARE).sum())
        return [
            self.score("inception score", inception.mean, extractor | {"splits": 10}, inception.std),
            self.score("classes covered", covered, extractor | {"least share": LEAST_SHARE}),
            self.score("smallest class", float(shares.min()), extractor),
        ]

    def pictures(self, fakes: np.ndarray) -> dict[str, Image.Image]:
        fakes = images.to_uint8(fakes)
        reals = self.some(self.real, SHOWN)
        train = self.train.batch(np.arange(len(self.train)))
        nearest = train[metrics.nearest_neighbours(fakes[:ROWS], train, NEIGHBOURS).indices.ravel()]
        left, right = images.grid(fakes[:ROWS], columns=1), images.grid(nearest, columns=NEIGHBOURS)
        return {
            "comparison.png": self.beside(fakes[:SHOWN], reals),
            "neighbours.png": images.side_by_side(_doubled(left), _doubled(right), ("fake", "nearest training images")),
        }


class StackedDigits(Evaluator):
    """Three digits as the colours of an image, 1,000 modes, told by the digit classifier channel by channel."""

    names = ["modes", "reverse KL"]
    usual = 26_000

    def __init__(self, config: Config, samples: int | None, seed: int, backend: Backend):
        super().__init__(config, samples, seed, backend)
        channels, *size = presets.get(config.preset).shape
        check_shape(tuple(size))
        self.dataset = data.load_dataset(config.data, channels=channels)

    def scores(self, fakes: np.ndarray) -> list[Score]:
        planes = images.to_uint8(fakes).reshape(-1, *fakes.shape[2:])  # (3N, 28, 28)
        digits = digit_features(planes, self.backend).probabilities.argmax(axis=1).reshape(-1, 3)
        modes, kl = metrics.stacked_modes(digits)
        extractor: Protocol = {"extractor": extractor_name()}
        return [self.score("modes", modes, extractor | {"of": 1000}), self.score("reverse KL", kl, extractor)]

    def pictures(self, fakes: np.ndarray) -> dict[str, Image.Image]:
        return {"comparison.png": self.beside(fakes[:SHOWN], self.dataset.batch(np.arange(SHOWN)))}


class Mixture(Evaluator):
    """Points of a mixture of Gaussians whose centres are known."""

    names = ["modes", "high quality", "reverse KL"]
    usual = 2_500

    def __init__(self, config: Config, samples: int | None, seed: int, backend: Backend):
        super().__init__(config, samples, seed, backend)
        self.points = data.load_points(config.data)
        centres, std = self.points.centres, self.points.std
        if centres is None or std is None:
            raise ValueError(f"{config.data} has no modes to count: only ring and grid are scored")
        self.centres, self.std = centres, std

    def scores(self, fakes: np.ndarray) -> list[Score]:
        modes, high_quality, kl = metrics.mixture_scores(fakes, self.centres, self.std, threshold=3.0)
        mixture: Protocol = {"data": self.points.name, "threshold": "3 std"}
        return [
            self.score("modes", modes, mixture | {"of": len(self.centres)}),
            self.score("high quality", high_quality, mixture),
            self.score("reverse KL", kl, {"data": self.points.name}),
        ]

    def pictures(self, fakes: np.ndarray) -> dict[str, Image.Image]:
        return {"comparison.png": self.beside(fakes, self.points.draw(len(fakes), self.rng()))}


def evaluator(config: Config, samples: int | None = None, seed: int = 0, device: str | Backend = "cpu") -> Evaluator:
    """What scores a run of that configuration, with by default the number of samples that the literature uses.

    Raises ValueError for data that cannot be scored, and for a number of samples that cannot be.
    """
    kinds = {"stacked-mnist": StackedDigits, **dict.fromkeys(data.POINTS, Mixture)}
    return kinds.get(config.data, Digits)(config, samples, seed, get_backend(device))


def _doubled(image: Image.Image) -> Image.Image:
    return image.resize((2 * image.width, 2 * image.height), Image.Resampling.NEAREST)
