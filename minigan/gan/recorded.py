"""A training step as the list of its array operations, run again without Tensors, graph and rules.

Of a step of small dense networks a quarter goes into finding out, once more, what is to be done. It is always the same:
where two steps came to one list, and a third, taken both ways, to the same bits, the list is run from then on. It holds
the forward method of every Function, draws of random numbers, and updates of the players, which stay the algorithm's.
Steps go on as they are where a Function keeps arrays for itself (in convolutions, batch norm, dropout), where one reads
an array that nothing in the list has made, and where anything but minigan's own code takes part.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

from ..autograd import Function, Tensor
from ..observe import Observer
from .algorithm import GAN
from .batch import Batch
from .captured import same_bits
from .contradictions import ConfigWarning
from .report import Report

DRAWS = ("normal", "uniform", "mask")  # what random streams are asked for
GRAPH = {"inputs", "needs", "generation", "backend", "kernels", "path", "_versions", "_output", "_output_version"}


class Operation(NamedTuple):
    """what: its name and settings, by which lists are compared; reads, makes: the numbers of its arrays."""

    what: tuple[Any, ...]
    call: Callable[..., Any]
    reads: tuple[int, ...]
    makes: int | None


class RecordedStep:
    """algorithm.step, from the fourth call on as a recorded list where that is possible.

    Everything but learning rates and the data has to stay as it is meanwhile: settings, networks, objective.
    """

    def __init__(self, algorithm: GAN):
        self.algorithm, self.backend = algorithm, algorithm.backend
        self.problem = _problem(algorithm)  # why steps are not run from a list
        self.recording: Recording | None = None
        self.recorded = 0  # steps that came to this list
        self.compared = False  # whether the list came to the bits of a step

    def __call__(self, batch: Batch) -> Report:
        recording = self.recording
        if self.problem or self.backend.observers:  # nobody could observe a list
            return self.algorithm.step(batch)
        if recording is None or self.recorded < 2:
            return self._record(batch)
        if not recording.takes(batch):
            return self.algorithm.step(batch)
        return recording.run(batch) if self.compared else self._compare(recording, batch)

    def _record(self, batch: Batch) -> Report:
        """A step, listened to."""
        before, self.recording = self.recording, Recording(self.algorithm, batch)
        report = self.recording.record(batch)
        self.recorded += 1
        self.problem = self.recording.problem
        if before is not None and not self.recording.same_as(before):
            self.problem = self.problem or "two steps did not do the same"
        if self.problem:
            self.recording = None
        return report

    def _compare(self, recording: Recording, batch: Batch) -> Report:
        """A step, taken both ways."""
        start = self.algorithm.state_dict()
        recording.run(batch)
        state = self.algorithm.state_dict()
        self.algorithm.load_state_dict(start)
        del start  # before another state is copied
        report = self.algorithm.step(batch)
        self.compared = same_bits(self.algorithm.state_dict(), state)
        if not self.compared:
            self.recording, self.problem = None, "the recorded step comes to other weights than the step itself"
            warnings.warn(f"training goes on without recorded steps: {self.problem}", ConfigWarning, stacklevel=3)
        return report


class Recording(Observer):
    """The list of one step. Arrays are numbered in the order in which they appear: those of the batch, parameters and
    buffers, which stay where they are, then what operations make, and constants without axes."""

    def __init__(self, algorithm: GAN, batch: Batch):
        self.algorithm, self.backend, self.kernels = algorithm, algorithm.backend, algorithm.backend.kernels
        self.problem: str | None = None  # why this step cannot be run from a list
        self.operations: list[Operation] = []
        self.arrays: list[Any] = []
        self.numbers: dict[int, int] = {}  # id of an array -> its number
        self.constants: list[int] = []
        self.program: list[tuple[Callable, tuple[int, ...], int | None, tuple[int, ...]]] = []
        self.batch = [(t.shape, t.dtype) for t in _of(batch)]
        state: list[Any] = [t for module in algorithm.modules.values() for t in module.parameters() + module.buffers()]
        for t in [*_of(batch), *state]:
            if isinstance(t, Tensor):
                self._number(t.data)

    # --------------------------------------------------------------- recording

    def record(self, batch: Batch) -> Report:
        """Take a step and write down what it does."""
        buffers = self._buffers()
        with self.backend.observing(self), self._listening():
            report = self.algorithm.step(batch)
        if self._buffers() != buffers:
            self._give_up("a network writes into its buffers")
        if not self.problem:
            self._finish(report)
        return report

    def after(self, function: Function, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        """An operation has run: a copy of its Function, without the graph, can run it again."""
        settings = {name: value for name, value in vars(function).items() if name not in GRAPH}
        if not all(map(_plain, settings.values())):
            self._give_up(f"{function.name} keeps arrays")
        if self.problem:
            return
        again = object.__new__(type(function))
        vars(again).update(settings, backend=self.backend, kernels=self.kernels)
        reads = tuple([self._read(t.data) for t in inputs])
        self._add((type(function), settings), again.forward, reads, output.data)

    @contextmanager
    def _listening(self) -> Iterator[None]:
        """Inside, draws and updates are written down, too."""
        owners: list[tuple[Any, str, Callable]] = [(self.algorithm, "advance", self._advancing)]
        for name, stream in self.algorithm.streams.items():
            owners += [(stream, draw, partial(self._drawing, name)) for draw in DRAWS]
        for owner, name, listener in owners:
            setattr(owner, name, partial(listener, getattr(owner, name)))
        try:
            yield
        finally:
            for owner, name, _ in owners:
                delattr(owner, name)

    def _drawing(self, stream: str, draw: Callable, *arguments: Any, **options: Any) -> Any:
        array = draw(*arguments, **options)
        self._add((stream, draw.__name__, arguments, options), partial(draw, *arguments, **options), (), array)
        return array

    def _advancing(self, advance: Callable, player: str) -> None:
        parameters = [p for p in self.algorithm.optimizers[player].parameters if p.grad is not None]
        gradients = tuple([self._read(p.grad.data) for p in parameters if p.grad is not None])

        def update(*gradients: Any) -> None:
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter.grad = Tensor(gradient, self.backend)
            advance(player)

        self._add((player,), update, gradients, None)
        advance(player)

    def _add(self, what: tuple[Any, ...], call: Callable, reads: tuple[int, ...], made: Any) -> None:
        if not self.problem:
            self.operations.append(Operation(what, call, reads, None if made is None else self._number(made)))

    def _number(self, array: Any) -> int:
        self.numbers[id(array)] = len(self.arrays)
        self.arrays.append(array)  # kept, so that no other array gets its id
        return len(self.arrays) - 1

    def _read(self, array: Any) -> int:
        if id(array) not in self.numbers:
            if array.ndim:
                self._give_up(f"an array {array.shape} of unknown origin is read")
            self.constants.append(self._number(array))
        return self.numbers[id(array)]

    def _give_up(self, problem: str) -> None:
        """For this reason, or the one before, no list will come of it: let all arrays go."""
        self.problem = self.problem or problem
        self.operations.clear()
        self.arrays.clear()
        self.numbers.clear()

    def _buffers(self) -> list[int]:
        """How often everything was written into that a network keeps and does not learn."""
        buffers = [t for name in self.algorithm.optimizers for t in self.algorithm.modules[name].buffers()]
        return [t.version.count if isinstance(t, Tensor) else t for t in buffers]

    def _finish(self, report: Report) -> None:
        """The list as it is run: each operation with the arrays that nobody needs after it."""
        self.results = tuple(self._read(t.data) for t in _tensors(report))
        self.losses = tuple(report.losses)
        made = {operation.makes for operation in self.operations if operation.makes is not None}
        needed = set(self.results)
        for _, call, reads, makes in reversed(self.operations):
            last = made.intersection((*reads, makes)) - needed
            needed |= last
            self.program.insert(0, (call, reads, makes, tuple(last)))
        for number in made:
            self.arrays[number] = None
        self.numbers.clear()

    def same_as(self, other: Recording) -> bool:
        """Whether both steps did the same, with the same numbers."""
        lists = [[(o.what, o.reads, o.makes) for o in recording.operations] for recording in (self, other)]
        constants = [[recording.arrays[n].item() for n in recording.constants] for recording in (self, other)]
        ends = [(recording.constants, recording.results, recording.losses) for recording in (self, other)]
        return lists[0] == lists[1] and constants[0] == constants[1] and ends[0] == ends[1]

    # ----------------------------------------------------------------- running

    def takes(self, batch: Batch) -> bool:
        """Whether the list is of such batches, and of the device as it is configured now."""
        return [(t.shape, t.dtype) for t in _of(batch)] == self.batch and self.backend.kernels is self.kernels

    def run(self, batch: Batch) -> Report:
        """The step, on another batch."""
        arrays = self.arrays
        for number, t in enumerate(_of(batch)):
            arrays[number] = t.data
        self.kernels.expect(self.algorithm.convolutional)
        self.algorithm.set_learning_rates(self.algorithm.steps_done)
        for optimizer in self.algorithm.optimizers.values():
            optimizer.zero_grad()  # their memory is free for the new ones
        for call, reads, makes, last in self.program:
            made = call(*[arrays[number] for number in reads])
            if makes is not None:
                arrays[makes] = made if made.shape else self.backend.xp.asarray(made)
            for number in last:
                arrays[number] = None
        *losses, real, fake, updated = [Tensor(arrays[number], self.backend) for number in self.results]
        return Report(dict(zip(self.losses, losses, strict=True)), real, fake, updated)


def _problem(algorithm: GAN) -> str | None:
    """Why a step of this algorithm cannot be known by heart."""
    if algorithm.backend.index is not None:
        return "on a GPU steps become CUDA graphs"
    layers = [layer for module in algorithm.modules.values() for _, layer in module.named_modules()]
    for part in (algorithm, algorithm.objective, *layers):
        if type(part).__module__.partition(".")[0] != __name__.partition(".")[0]:
            return f"{type(part).__name__} is not of minigan, and may do something else every time"
    return None


def _of(batch: Batch) -> list[Tensor]:
    return [batch.images] if batch.labels is None else [batch.images, batch.labels]


def _tensors(report: Report) -> list[Tensor]:
    return [*report.losses.values(), report.real_logits, report.fake_logits, report.updated_fake_logits]


def _plain(value: Any) -> bool:
    """Whether a setting of a Function is made of numbers, names and the like."""
    if isinstance(value, tuple):
        return all(map(_plain, value))
    return value is None or value is Ellipsis or isinstance(value, int | float | str | slice | type)
