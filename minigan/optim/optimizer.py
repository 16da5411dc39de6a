"""What all optimizers share: parameters as views of one flat buffer, state as flat arrays of the same length."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import combinations
from typing import Any

from ..autograd import Tensor
from ..kernels.layout import inverse


class Optimizer:
    """Owns the memory of its parameters: one flat array, of which every parameter is a view.

    Subclasses name their state arrays in `slots` (each flat, zero at first) and update a piece of it in `_update`.
    lr: the learning rate; may be set between steps.
    """

    slots: tuple[str, ...] = ()
    recorder: Callable[[int], Any] | None = None  # turns the number of a step into what that step has in place of lr

    def __init__(self, parameters: Iterable[Tensor], lr: float, weight_decay: float = 0.0):
        self.parameters = list(parameters)
        if not self.parameters:
            raise ValueError("an optimizer needs at least one parameter")
        if not lr >= 0:
            raise ValueError(f"the learning rate must be 0 or more, got {lr}")
        if not weight_decay >= 0:
            raise ValueError(f"weight_decay must be 0 or more, got {weight_decay}")
        self.lr, self.weight_decay, self.steps = lr, weight_decay, 0
        self.flat, self._pieces = _flatten(self)
        xp = self.parameters[0].backend.xp
        self.state = {slot: xp.zeros_like(self.flat) for slot in self.slots}

    def step(self) -> None:
        """Update every parameter that has a gradient, in place."""
        self.steps += 1
        self.parameters[0].backend.use()
        kernels, gradients = self.parameters[0].backend.kernels, []
        for parameter, (view, piece, order) in zip(self.parameters, self._pieces, strict=True):
            if parameter.data is not view:
                raise ValueError(
                    f"parameter {parameter.name or parameter.shape} has been given another array since this optimizer "
                    "took it: write into it with assign() or load_state_dict()"
                )
            if parameter.grad is not None:
                gradient = parameter.grad.data
                if gradient.shape != view.shape or gradient.dtype != view.dtype:
                    raise ValueError(
                        f"parameter {parameter.name or ''} is {view.dtype} {view.shape}, but its gradient is "
                        f"{gradient.dtype} {gradient.shape}"
                    )
                gradients.append((piece, gradient.transpose(order).reshape(-1)))
                parameter.version.bump(f"{type(self).__name__}.step")
        for piece, gradient in kernels.gathered(gradients):
            self._update(kernels, self.flat[piece], gradient, *[array[piece] for array in self.state.values()])

    def _update(self, kernels: Any, p: Any, g: Any, *state: Any) -> None:
        """Update a piece p of the flat buffer by its gradient g and its piece of every state array."""
        raise NotImplementedError

    def _rate(self) -> Any:
        """lr; while a step is recorded, a device array of the numbers that change from step to step."""
        return self.lr if self.recorder is None else self.recorder(self.steps)

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    def state_dict(self) -> dict[str, Any]:
        """Number of steps, learning rate, and copies of the flat state arrays on the host."""
        backend = self.parameters[0].backend
        arrays = {slot: backend.to_host(array) for slot, array in self.state.items()}
        return {"steps": self.steps, "lr": self.lr, **arrays}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Write the state in place; names and sizes are checked first."""
        backend = self.parameters[0].backend
        expected = {"steps", "lr", *self.slots}
        if state.keys() != expected:
            raise ValueError(f"optimizer state does not fit: expected {sorted(expected)}, got {sorted(state)}")
        for slot, array in self.state.items():
            if state[slot].shape != array.shape:
                raise ValueError(f"optimizer state {slot!r} has {state[slot].size} numbers, expected {array.size}")
        for slot, array in self.state.items():
            array[...] = backend.asarray(state[slot])
        self.steps, self.lr = int(state["steps"]), float(state["lr"])


def _flatten(optimizer: Optimizer) -> tuple[Any, list[tuple[Any, slice, tuple[int, ...]]]]:
    """One flat array behind all parameters; for each its view, slice, and axes in the order of its memory."""
    parameters, first = optimizer.parameters, optimizer.parameters[0]
    xp = first.backend.xp
    for t in parameters:
        if t.creator is not None or not t.requires_grad:
            raise ValueError("an optimizer takes leaves with requires_grad=True")
        if t.backend is not first.backend or t.dtype != first.dtype:
            raise ValueError("the parameters of one optimizer must be on one device and of one dtype")
        if t.owner is not None:
            owner = type(t.owner).__name__
            raise ValueError(f"parameter {t.name or t.shape} belongs to another optimizer ({owner}) already")
    if len(set(parameters)) < len(parameters):
        raise ValueError("a parameter is named twice")
    for a, b in combinations(parameters, 2):
        if xp.may_share_memory(a.data, b.data) and xp.shares_memory(a.data, b.data):
            names = f"{a.name or a.shape} and {b.name or b.shape}"
            raise ValueError(f"parameters {names} share memory, and would not any longer: give it one of them")
    flat = xp.empty(sum(t.size for t in parameters), first.dtype)
    pieces, start = [], 0
    for t in parameters:
        # One order for all devices and histories, since saved states are flat: for a convolution, channels last.
        order = (0, *range(2, t.ndim), 1) if t.ndim > 2 else tuple(range(t.ndim))
        piece = slice(start, start + t.size)
        view = flat[piece].reshape([t.shape[axis] for axis in order])
        view[...] = t.data.transpose(order)
        t.data, t.owner = view.transpose(inverse(order)), optimizer
        t.version = t.version.apart()
        pieces.append((t.data, piece, order))
        start += t.size
    return flat, pieces
