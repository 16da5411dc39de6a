"""The contestants of `compare_frameworks.py`: one class per framework, all with the same few methods.

    Contestant(workload, update, *, threads, device="cpu", **variant)
        Build the networks and optimizers of a `Workload`; update is "alternating" or "simultaneous".
        Raises Unavailable, with the reason, when it cannot run here.
    load(state)
        Set the parameters (float32 arrays under PyTorch's names) and forget the optimizers' history.
    use_dropout(active)
        Dropout off makes the losses comparable: engines draw different masks. Called before the first step.
    prepare(real, latents, fresh_latents) -> batch
        Put one batch where and how the framework likes it best (device, memory layout); not timed.
        Shapes: real (N, *image) in [-1, 1], both latents (N, 100); workloads that reuse the fakes, and
        the simultaneous update, ignore fresh_latents.
    step(batch) -> losses
        One training step of both players, timed; the result may still be pending.
    read(losses) -> (discriminator's loss, generator's loss)
        As floats, waiting for the step where it is still pending.
    details() -> dict
        Versions and choices worth a line in the report.

Each contestant does what it can to be fast as its users would run it, and computes nothing it need not.
"""

from __future__ import annotations

import importlib
from typing import Any

from contestants.workloads import Workload

# row -> module, class, keyword arguments
CONTESTANTS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "minigan": ("minigan", "Minigan", {}),
    "minigan-graph": ("minigan", "Minigan", {"graph": True}),
    "pytorch": ("pytorch", "PyTorch", {}),
    "pytorch-channels-last": ("pytorch", "PyTorch", {"channels_last": True}),
    "pytorch-compile": ("pytorch", "PyTorch", {"compiled": True}),
    "pytorch-graph": ("pytorch", "PyTorch", {"graph": True}),
    "tensorflow": ("tensorflow", "TensorFlow", {}),
    "numpy-by-hand": ("by_hand", "ByHand", {}),
}


def contestants_for(device: str) -> list[str]:
    """The rows of a race on the device "cpu" or "cuda": graphs are of GPUs."""
    return [name for name, (_, _, variant) in CONTESTANTS.items() if device == "cuda" or "graph" not in variant]


class Unavailable(Exception):
    """A contestant that cannot run here or has nothing of its own to show; the message says why."""


def build(name: str, workload: Workload, update: str, *, threads: int, device: str) -> Any:
    """The contestant of that row, its framework imported only now."""
    module_name, class_name, variant = CONTESTANTS[name]
    try:
        module = importlib.import_module(f"contestants.{module_name}")
    except ImportError as error:
        raise Unavailable(str(error)) from error
    return getattr(module, class_name)(workload, update, threads=threads, device=device, **variant)
