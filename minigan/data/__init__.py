"""Data to train on: MNIST in the package, your own images, toy mixtures; and the order of the batches."""

from .batches import Batches
from .dataset import Dataset, load_dataset
from .idx import read_idx
from .mnist import load_idx_folder, load_mnist
from .toy import POINTS, Points, grid, grid_centres, load_points, ring, ring_centres, swiss_roll

__all__ = [
    "POINTS",
    "Batches",
    "Dataset",
    "Points",
    "grid",
    "grid_centres",
    "load_dataset",
    "load_idx_folder",
    "load_mnist",
    "load_points",
    "read_idx",
    "ring",
    "ring_centres",
    "swiss_roll",
]
