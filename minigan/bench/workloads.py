"""All workloads by name, and the choices a user makes among them."""

from __future__ import annotations

from collections.abc import Sequence

from .operations import OPERATIONS
from .training import TRAINING
from .workload import Workload

WORKLOADS = {workload.name: workload for workload in (*OPERATIONS, *TRAINING)}
DEFAULT = (*(workload.name for workload in OPERATIONS), "mlp", "dcgan", "dcgan28", "dcgan64")
BATCH_SIZES = (8, 32, 128)


def select(names: Sequence[str], known: dict[str, Workload] = WORKLOADS) -> list[Workload]:
    """The workloads of these names, each once; raises ValueError for an unknown one."""
    for name in names:
        if name not in known:
            what = "a training step, which alone is profiled" if name in WORKLOADS else "a workload"
            raise ValueError(f"{name!r} is not {what}; known: {', '.join(known)}")
    return [known[name] for name in dict.fromkeys(names)]


def batch_sizes(texts: Sequence[str]) -> list[int]:
    """Batch sizes, smallest first; raises ValueError for anything but whole numbers from 2 (for batch norm) on."""
    for text in texts:
        if not text.isdecimal() or int(text) < 2:
            raise ValueError(f"batch sizes are whole numbers from 2 on, as in --batch-sizes 16,64; got {text!r}")
    return sorted({int(text) for text in texts})
