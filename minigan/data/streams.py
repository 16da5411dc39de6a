"""Random streams of the data: one for every (seed, purpose, number), independent of one another."""

import numpy as np

SHUFFLE, STACK, COLOUR, TOY = 1, 2, 3, 4


def stream(seed: int, purpose: int, number: int = 0) -> np.random.Generator:
    """A Philox generator with the key (seed, number) whose counter starts at purpose * 2**192.

    Raises ValueError for a seed that is not in 0 <= seed < 2**64.
    """
    if not 0 <= seed < 2**64:
        raise ValueError(f"seed {seed}: expected 0 <= seed < 2**64")
    key = np.array([seed, number], np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=np.array([0, 0, 0, purpose], np.uint64)))
