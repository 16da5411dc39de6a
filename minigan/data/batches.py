"""The images of a step's batch: a pure function of the step, so a resumed run needs that number alone."""

import numpy as np

from .streams import SHUFFLE, stream


class Batches:
    """`batches[step]` -> int64 (batch_size,): every index once an epoch, in an order of the epoch's own.

    The step belongs to epoch step // per_epoch; an incomplete batch at the end of an epoch is dropped.
    The same for the same (size, batch_size, seed, step), in whatever order steps are asked for.
    Raises ValueError for a batch larger than the data set, IndexError for a negative step.
    """

    def __init__(self, size: int, batch_size: int, seed: int) -> None:
        if not 1 <= batch_size <= size:
            raise ValueError(f"{batch_size} images a step from a data set of {size}: expected 1 to {size}")
        self.size, self.batch_size, self.seed = size, batch_size, seed
        self.per_epoch = size // batch_size
        self._epoch = -1  # the epoch whose order is kept, so that a step costs microseconds
        self._order = np.empty(0, np.int64)

    def __getitem__(self, step: int) -> np.ndarray:
        if step < 0:
            raise IndexError(f"step {step}: expected step >= 0")
        epoch, batch = divmod(step, self.per_epoch)
        if epoch != self._epoch:
            self._order = stream(self.seed, SHUFFLE, epoch).permutation(self.size)
            self._epoch = epoch
        return self._order[batch * self.batch_size : (batch + 1) * self.batch_size]
