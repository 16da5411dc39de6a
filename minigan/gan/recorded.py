"""A training step as the list of its array operations, run again without Tensors, graph and rules.

Of a step of small dense networks a quarter goes into finding out, once more, what is to be done. It is always the same:
where two steps came to one list, and a third, taken both ways, to the same bits, the list is run from then on. It holds
the forward method of every Function, draws of random numbers, and updates of the players, which stay the algorithm's.
Steps go on as they are where a Function keeps arrays for itself (in convolutions, batch norm, dropout), where one reads
an array that nothing in the list has made, and where anything but minigan's own code decides what is done.
"""

from __future__ import annotations

import threading
import warnings
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from operator import is_
from typing import Any, NamedTuple

from ..autograd import Function, Tensor
from ..observe import Observer
from . import penalties
from .algorithm import GAN
from .batch import Batch
from .captured import same_bits
from .contradictions import ConfigWarning
from .report import Report

ALIKE = 2  # steps that have to come to the same list
LARGE = 1 << 26  # bytes of a step's arrays: where there are more, what Python takes beside them is little
DRAWS = ("normal", "uniform", "mask")  # what random streams are asked for
GRAPH = {"inputs", "needs", "generation", "backend", "kernels", "path", "_versions", "_output", "_output_version"}


class RecordedStep:
    """algorithm.step, from the fourth call on as a recorded list where that is possible (problem: why it is not).

    A list is of the configuration and the layers that were there when it was recorded. Learning rates and values may
    change, and where anything in `Program.fits` does, recording begins anew.
    """

    def __init__(self, algorithm: GAN):
        self.algorithm, self.backend = algorithm, algorithm.backend
        self.problem: str | None = None
        self._begin()

    def _begin(self) -> None:
        self.program: Program | None = None
        self.shown = 0  # steps that came to this list, and, last, to the same bits

    def __call__(self, batch: Batch) -> Report:
        if self.problem or self.backend.observers:  # nobody could observe a list
            return self.algorithm.step(batch)
        if self.program and not self.program.fits(batch):
            self._begin()
        if self.program is None or self.shown < ALIKE:
            return self._record(batch)
        return self.program.run(batch) if self.shown > ALIKE else self._compare(self.program, batch)

    def _record(self, batch: Batch) -> Report:
        """A step, listened to."""
        self.problem = _problem(self.algorithm)
        if self.problem:
            return self.algorithm.step(batch)
        recorder = Recorder(self.algorithm, batch)
        with recorder.listening():
            report = self.algorithm.step(batch)
        before, self.program, self.problem = self.program, recorder.program(report), recorder.problem
        if before and self.program and not self.program.same_as(before):
            self.program, self.problem = None, "two steps did not do the same"
        self.shown += 1
        return report

    def _compare(self, program: Program, batch: Batch) -> Report:
        """A step, taken both ways."""
        try:
            state = self._trial(program, batch)
        except MemoryError:
            self.program, self.problem = None, "there is no memory for a comparison"
            return self.algorithm.step(batch)
        report = self.algorithm.step(batch)
        self.shown += 1
        if not same_bits(self.algorithm.state_dict(), state):
            self.program, self.problem = None, "the recorded step comes to other weights than the step itself"
            warnings.warn(f"training goes on without recorded steps: {self.problem}", ConfigWarning, stacklevel=3)
        return report

    def _trial(self, program: Program, batch: Batch) -> dict[str, Any]:
        """The state to which the list comes; everything is as it was before."""
        start = self.algorithm.state_dict()
        try:
            program.run(batch)
            return self.algorithm.state_dict()
        finally:
            self.algorithm.load_state_dict(start)


class Operation(NamedTuple):
    """reads, makes: the numbers of its arrays; last: of those that nobody needs any more; what: for comparisons."""

    what: tuple[Any, ...]
    call: Callable[..., Any]
    reads: tuple[int, ...]
    makes: int | None
    last: tuple[int, ...] = ()


class Program:
    """The list of a step. arrays: by number, those that stay; the first ones are the batch's, then the networks'."""

    def __init__(self, recorder: Recorder, losses: list[str], results: list[int]):
        self.algorithm, self.backend, self.kernels = recorder.algorithm, recorder.backend, recorder.kernels
        self.batch = [(t.shape, t.dtype) for t in recorder.batch]
        self.parts = [weakref.ref(part) for part in _parts(self.algorithm)]  # optimizers own parameters while they live
        self.state, self.layers = recorder.state, recorder.layers
        self.memory = [t.data for t in self.state]
        self.modes = [layer.training for layer in self.layers]
        self.losses, self.results = losses, results  # names; numbers of what the report shows
        self.constants = [recorder.arrays[number].item() for number in recorder.constants]
        made = {operation.makes for operation in recorder.operations if operation.makes is not None}
        given = {*made, *range(len(self.batch))}
        self.arrays = [None if number in given else array for number, array in enumerate(recorder.arrays)]
        self.operations: list[Operation] = []
        needed = set(results)
        for operation in reversed(recorder.operations):
            last = made.intersection((*operation.reads, operation.makes)) - needed
            needed |= last
            self.operations.insert(0, operation._replace(last=tuple(last)))

    def same_as(self, other: Program) -> bool:
        """Whether both steps did the same, with the same numbers."""
        lists = [[(o.what, o.reads, o.makes) for o in program.operations] for program in (self, other)]
        ends = [(program.constants, program.losses, program.results) for program in (self, other)]
        return lists[0] == lists[1] and ends[0] == ends[1]

    def fits(self, batch: Batch) -> bool:
        """Whether batch, kernels, parts, memory of the networks and modes of their layers are those of the list."""
        return (
            [(t.shape, t.dtype) for t in _of(batch)] == self.batch
            and self.backend.kernels is self.kernels
            and all(map(is_, _parts(self.algorithm), [part() for part in self.parts]))
            and all(map(is_, [t.data for t in self.state], self.memory))
            and [layer.training for layer in self.layers] == self.modes
        )

    def run(self, batch: Batch) -> Report:
        """The step, on another batch."""
        arrays = self.arrays.copy()
        arrays[: len(self.batch)] = [t.data for t in _of(batch)]
        self.kernels.expect(self.algorithm.convolutional)
        self.algorithm.set_learning_rates(self.algorithm.steps_done)
        for optimizer in self.algorithm.optimizers.values():
            optimizer.zero_grad()  # their memory is free for the new ones
        for _, call, reads, makes, last in self.operations:
            made = call(*[arrays[number] for number in reads])
            if makes is not None:
                arrays[makes] = made if made.shape else self.backend.xp.asarray(made)
            for number in last:
                arrays[number] = None
        *losses, real, fake, updated = [Tensor(arrays[number], self.backend) for number in self.results]
        return Report(dict(zip(self.losses, losses, strict=True)), real, fake, updated)


class Recorder(Observer):
    """Writes down what a step does on this thread: its Functions, draws and updates. It numbers arrays as they appear:
    those of the batch, of the networks, what operations make, and constants, which have no axes."""

    def __init__(self, algorithm: GAN, batch: Batch):
        self.algorithm, self.backend, self.kernels = algorithm, algorithm.backend, algorithm.backend.kernels
        self.thread, self.batch = threading.get_ident(), _of(batch)
        self.problem: str | None = None  # why no list comes of this step
        self.operations: list[Operation] = []
        self.arrays: list[Any] = []  # kept, so that no other array gets the id of one
        self.numbers: dict[int, int] = {}  # id of an array -> its number
        self.constants: list[int] = []
        self.bytes = 0
        self.layers = _layers(algorithm)
        state = [t for module in algorithm.modules.values() for t in (*module.parameters(), *module.buffers())]
        self.state = [t for t in state if isinstance(t, Tensor)]
        for t in (*self.batch, *self.state):
            self._new(t.data)

    def program(self, report: Report) -> Program | None:
        shown = [*report.losses.values(), report.real_logits, report.fake_logits, report.updated_fake_logits]
        results = [] if self.problem else [self.number(t.data) for t in shown]
        return None if self.problem else Program(self, list(report.losses), results)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Inside, all that the algorithm does is written down."""
        owners: list[tuple[Any, str, Callable]] = [(self.algorithm, "advance", self._advance)]
        for name, stream in self.algorithm.streams.items():
            owners += [(stream, draw, partial(self._draw, name)) for draw in DRAWS]
        buffers = self._buffers()
        try:
            for owner, name, listener in owners:
                setattr(owner, name, partial(listener, getattr(owner, name)))
            with self.backend.observing(self):
                yield
        finally:
            for owner, name, _ in owners:
                vars(owner).pop(name, None)
        if self._buffers() != buffers:
            self._give_up("a network writes into its buffers")

    def after(self, function: Function, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        """A Function has run: a copy of it, without the graph, can run again."""
        settings = {name: value for name, value in vars(function).items() if name not in GRAPH}
        again = object.__new__(type(function))
        vars(again).update(settings, backend=self.backend, kernels=self.kernels)
        if not all(map(_plain, settings.values())):
            self._give_up(f"{function.name} keeps arrays")
        self._add((type(function), settings), again.forward, [t.data for t in inputs], output.data)

    def _draw(self, stream: str, draw: Callable, *arguments: Any, **options: Any) -> Any:
        array = draw(*arguments, **options)
        self._add((stream, draw.__name__, arguments, options), partial(draw, *arguments, **options), [], array)
        return array

    def _advance(self, advance: Callable, player: str) -> None:
        gradients = {p: p.grad.data for p in self.algorithm.optimizers[player].parameters if p.grad is not None}
        parameters, backend = list(gradients), self.backend  # of the recorder nothing may stay

        def update(*arrays: Any) -> None:
            for parameter, array in zip(parameters, arrays, strict=True):
                parameter.grad = Tensor(array, backend)
            advance(player)

        self._add((player,), update, list(gradients.values()), None)
        advance(player)

    def _add(self, what: tuple[Any, ...], call: Callable, reads: list[Any], made: Any) -> None:
        if not self.problem and threading.get_ident() == self.thread:
            numbers = tuple([self.number(array) for array in reads])
            self.operations.append(Operation(what, call, numbers, None if made is None else self._new(made)))
            if self.bytes > LARGE:
                self._give_up("its arrays are large")

    def _new(self, array: Any) -> int:
        self.numbers[id(array)] = len(self.arrays)
        self.arrays.append(array)
        self.bytes += array.nbytes
        return len(self.arrays) - 1

    def number(self, array: Any) -> int:
        """Of an array that is read."""
        if id(array) not in self.numbers:
            self.constants.append(self._new(array))
            if array.ndim:
                self._give_up(f"an array {array.shape} of unknown origin is read")
        return self.numbers[id(array)]

    def _give_up(self, problem: str) -> None:
        if threading.get_ident() == self.thread:
            self.problem = self.problem or problem
            self.arrays, self.operations = [], []

    def _buffers(self) -> list[int]:
        """How often everything was written into that a network keeps and does not learn."""
        buffers = [t for name in self.algorithm.optimizers for t in self.algorithm.modules[name].buffers()]
        return [t.version.count if isinstance(t, Tensor) else t for t in buffers]


def _problem(algorithm: GAN) -> str | None:
    """Why a step of this algorithm is not recorded at all. (Streams draw as ever, so they may be anybody's.)"""
    if algorithm.backend.index is not None:
        return "on a GPU steps become CUDA graphs"
    layers = _layers(algorithm)
    code: list[Any] = [type(part) for part in (algorithm, algorithm.objective, *algorithm.optimizers.values(), *layers)]
    if algorithm.config.penalty != "none":
        code.append(penalties.get(algorithm.config.penalty))
    for kind in code:
        if kind.__module__.partition(".")[0] != __name__.partition(".")[0]:
            return f"{kind.__name__} is not of minigan, and may do something else every time"
    for part in (*_parts(algorithm), *layers):
        for name in vars(part):
            if callable(getattr(type(part), name, None)):
                return f"{name} of a {type(part).__name__} was replaced, and may do something else every time"
    return None


def _parts(algorithm: GAN) -> list[Any]:
    """What decides what a step does, beside the layers."""
    return [algorithm, algorithm.objective, *algorithm.optimizers.values(), *algorithm.streams.values()]


def _layers(algorithm: GAN) -> list[Any]:
    return [layer for module in algorithm.modules.values() for _, layer in module.named_modules()]


def _of(batch: Batch) -> list[Tensor]:
    return [batch.images] if batch.labels is None else [batch.images, batch.labels]


def _plain(value: Any) -> bool:
    """Whether a setting of a Function is made of numbers, names and the like."""
    if isinstance(value, tuple):
        return all(map(_plain, value))
    return value is None or value is Ellipsis or isinstance(value, int | float | str | slice | type)
