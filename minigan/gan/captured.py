"""A training step as one CUDA graph: recorded once, and from then on launched as a whole.

What an operation is given is recorded with it. So what changes from step to step lies in device memory that is written
before every launch: the batch, the places in the random streams, learning rates and other numbers of the optimizers,
the size of instance noise, the rate of the moving average. A recorded step is used only after it has come to the very
bits that steps one operation after another come to.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

from ..autograd import Tensor
from ..backend import Backend, get_backend
from ..kernels.cublas import Cublas
from ..kernels.gpu import adam_numbers
from ..optim import Adam, Optimizer
from .algorithm import GAN
from .batch import Batch
from .contradictions import ConfigWarning
from .report import Report

COMPARED = 2  # steps; taken one operation after another they also compile the kernels and fill the memory pool
ROOM = 1024  # words for numbers that change


class CapturedStep:
    """algorithm.step as a CUDA graph; one operation after another, with a ConfigWarning, where that cannot be."""

    def __init__(self, algorithm: GAN):
        self.algorithm, self.backend = algorithm, algorithm.backend
        self.problem: str | None = None  # why there is no graph, once that is known
        self._forget()

    def _forget(self) -> None:
        """No graph, and none of the memory that one uses."""
        self.graph: Any = None
        self.pool: Any = None
        self.products: Any = None
        self.batch: Any = None
        self.numbers: Any = None
        self.report: Any = None
        self.counters: list[tuple[Any, str]] = []
        self.changes: list[int] = []

    def __call__(self, batch: Batch) -> Report:
        if self.backend.observers:  # nobody could observe a graph
            return self.algorithm.step(batch)
        if self.graph is None and self.problem is None:
            self.problem = self._capture(batch)
            if self.problem is not None:
                warnings.warn(f"training without a CUDA graph: {self.problem}", ConfigWarning, stacklevel=2)
        return self._launch(batch) if self.problem is None else self.algorithm.step(batch)

    # --------------------------------------------------------------- launching

    def _launch(self, batch: Batch) -> Report:
        _copy(batch, self.batch)
        self.algorithm.set_learning_rates(self.algorithm.steps_done)
        self.numbers.update()
        self.graph.launch()
        for (owner, name), change in zip(self.counters, self.changes, strict=True):
            setattr(owner, name, getattr(owner, name) + change)
        return self.report

    # --------------------------------------------------------------- recording

    def _capture(self, batch: Batch) -> str | None:
        """Record a step and compare it: None, or why it cannot be used. Weights and counters are as before."""
        if self.backend.index is None:
            return f"graphs are of GPUs, and the device is {self.backend.device}"
        xp, start = self.backend.xp, self.algorithm.state_dict()
        self.backend.synchronize()  # a stream of its own waits for nothing that was asked for before
        try:
            self.pool, stream = xp.cuda.MemoryPool(), xp.cuda.Stream(non_blocking=True)  # kept: the graph's memory
            with stream, xp.cuda.using_allocator(self.pool.malloc), self._own_products(stream):
                self.batch, self.numbers = _copied(batch), Numbers(self.backend)
                for _ in range(COMPARED):
                    self.algorithm.step(self.batch)
                expected = self.algorithm.state_dict()
                self.algorithm.load_state_dict(start)
                self._record(stream)
            stream.synchronize()
            self.algorithm.load_state_dict(start)
            for _ in range(COMPARED):
                self._launch(self.batch)
            same = same_bits(self.algorithm.state_dict(), expected)
            problem = None if same else "the recorded step comes to other weights than the step itself"
        except Exception as error:  # whatever the driver, CuPy or cuBLAS have against it: there is the other way
            problem = f"{type(error).__name__}: {error}"
        if problem is not None:
            self._forget()
        self.algorithm.load_state_dict(start)
        return problem

    @contextmanager
    def _own_products(self, stream: Any) -> Iterator[None]:
        kernels: Any = self.backend.kernels
        self.products = kernels.products = Cublas(self.backend.xp, stream, kernels.precision)
        try:
            yield
        finally:
            kernels.products = None

    def _record(self, stream: Any) -> None:
        """The graph, the report that it fills, and by how much every counter on the host moves in a step."""
        self.counters = list(_counters(self.algorithm))
        before = [getattr(owner, name) for owner, name in self.counters]
        with _recorders(self.algorithm, self.numbers):
            stream.begin_capture()
            try:
                self.report = self.algorithm.step(self.batch)
            except BaseException:
                with suppress(Exception):  # it complains of what has been spoilt; the reason is the error before
                    stream.end_capture()
                raise
            self.graph = stream.end_capture()
        after = [getattr(owner, name) for owner, name in self.counters]
        self.changes = [b - a for a, b in zip(before, after, strict=True)]


class Numbers:
    """Words of 64 bits on the device for numbers that change, and the functions on the host that tell them."""

    def __init__(self, backend: Backend):
        self.backend = backend
        self.on_host = get_backend("cpu").xp.zeros(ROOM, "uint64")
        self.on_device = backend.asarray(self.on_host)
        self.sources: list[tuple[Any, Callable[[], Any]]] = []
        self.used = 0

    def add(self, count: int, dtype: str, source: Callable[[], Any]) -> Any:
        """A device array of `count` numbers, which source() gives before every launch."""
        place = slice(self.used, self.used + count)
        self.used += count
        if self.used > ROOM:
            raise ValueError(f"more than {ROOM} numbers change from step to step")
        self.sources.append((self.on_host[place].view(dtype)[:count], source))
        return self.on_device[place].view(dtype)[:count]

    def update(self) -> None:
        """Write the numbers of the step to come, by one copy."""
        for place, source in self.sources:
            place[...] = source()
        self.on_device[...] = self.backend.asarray(self.on_host)


@contextmanager
def _recorders(algorithm: GAN, numbers: Numbers) -> Iterator[None]:
    """Inside, random draws, optimizers, instance noise and the moving average read what changes from device memory."""
    owners: list[Any] = [stream for stream in algorithm.streams.values() if stream.backend is algorithm.backend]
    for stream in owners:
        stream.recorder = partial(_record_draw, numbers, stream, stream.counter)
    for optimizer in algorithm.optimizers.values():
        optimizer.recorder = partial(_record_update, numbers, optimizer, optimizer.steps)
    algorithm.recorder = lambda number, dtype: numbers.add(1, dtype, lambda: number(algorithm.steps_done))
    owners += [*algorithm.optimizers.values(), algorithm]
    try:
        yield
    finally:
        for owner in owners:
            owner.recorder = None


def _record_draw(numbers: Numbers, stream: Any, first: int, place: int) -> Any:
    """Where a draw of the step begins, as far behind the stream's place before the step as it is now."""
    return numbers.add(1, "uint64", lambda: stream.counter + place - first)


def _record_update(numbers: Numbers, optimizer: Optimizer, first: int, step: int) -> Any:
    """What changes of an optimizer's step `step`; before the training step that is recorded it had taken `first`."""
    if isinstance(optimizer, Adam):
        return numbers.add(3, "float64", lambda: adam_numbers(**optimizer.settings(optimizer.steps + step - first)))
    return numbers.add(1, "float64", lambda: optimizer.lr)


def _counters(algorithm: GAN) -> Iterator[tuple[Any, str]]:
    """Everything that a step counts on the host: owner and attribute."""
    yield from ((stream, "counter") for stream in algorithm.streams.values())
    yield from ((optimizer, "steps") for optimizer in algorithm.optimizers.values())
    for network in algorithm.modules.values():
        for _, module in network.named_modules():
            yield from ((module, name) for name in module._buffer_names if isinstance(getattr(module, name), int))


def _copied(batch: Batch) -> Batch:
    def copied(t: Tensor) -> Tensor:
        return Tensor(t.data.copy(), t.backend)

    return Batch(copied(batch.images), None if batch.labels is None else copied(batch.labels))


def _copy(source: Batch, target: Batch) -> None:
    if source is not target:
        target.images.data[...] = source.images.data
        if target.labels is not None and source.labels is not None:
            target.labels.data[...] = source.labels.data


def same_bits(a: Any, b: Any) -> bool:
    """Whether two states are equal to the bit."""
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same_bits(a[key], b[key]) for key in a)
    host = get_backend("cpu")
    return host.asarray(a).tobytes() == host.asarray(b).tobytes()
