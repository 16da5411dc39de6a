"""Scores of generated samples, each a function of host arrays, and `Score`, which carries their protocol."""

from .bins import NDB, Bins, compare_bins, fit_bins, ndb
from .coverage import PRDC, precision_recall_density_coverage
from .distances import KernelDistance, frechet_distance, kernel_distance
from .entropy import InceptionScore, inception_score
from .modes import MixtureScores, StackedModes, mixture_scores, stacked_modes
from .neighbours import Neighbours, class_counts_by_nearest_neighbours, nearest_neighbours
from .score import ProtocolError, Score, compare

__all__ = [
    "NDB",
    "PRDC",
    "Bins",
    "InceptionScore",
    "KernelDistance",
    "MixtureScores",
    "Neighbours",
    "ProtocolError",
    "Score",
    "StackedModes",
    "class_counts_by_nearest_neighbours",
    "compare",
    "compare_bins",
    "fit_bins",
    "frechet_distance",
    "inception_score",
    "kernel_distance",
    "mixture_scores",
    "ndb",
    "nearest_neighbours",
    "precision_recall_density_coverage",
    "stacked_modes",
]
