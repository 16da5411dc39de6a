"""Every differentiable operation of minigan, with all that is needed to test it.

The table drives the tests, the planted mutants and the command `minigan gradcheck`. A Function that is missing here
fails a test.
"""

from . import conv, elementwise, fused, linalg, norm, reduce, shape
from .entry import Entry, Sample

CATALOG: dict[str, Entry] = {
    entry.name: entry for module in (elementwise, shape, reduce, linalg, conv, norm, fused) for entry in module.ENTRIES
}

__all__ = ["CATALOG", "Entry", "Sample"]
