"""A team of threads for array work, and the threads of the BLAS library kept out of its way."""

from __future__ import annotations

import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from queue import SimpleQueue
from typing import Any

from threadpoolctl import ThreadpoolController


class ThreadTeam:
    """The calling thread and `threads` - 1 workers: NumPy releases the interpreter's lock in its loops and in BLAS.

    Workers sleep while there is nothing to do, and end when the team is garbage collected.
    """

    def __init__(self, threads: int):
        if threads < 1:
            raise ValueError(f"threads must be at least 1, not {threads}")
        self.threads = threads
        self.alone = False
        self.blas = ThreadpoolController().select(user_api="blas").lib_controllers
        for library in self.blas:
            library.set_num_threads(threads)
        self._running = threading.Lock()
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        for _ in range(threads - 1):
            threading.Thread(target=_work, args=(self._jobs,), name="minigan", daemon=True).start()
        weakref.finalize(self, _dismiss, self._jobs, threads - 1)

    def keep_from_blas(self, alone: bool = True) -> None:
        """From now on BLAS stays on the thread that calls it (or no longer): after a product its threads go on spinning
        for about a tenth of a second, on the very processors that the team works on."""
        if alone != self.alone:
            for library in self.blas:
                library.set_num_threads(1 if alone else self.threads)
            self.alone = alone

    def run(self, function: Callable, items: Iterable) -> list:
        """[function(item) for item in items], on all threads. BLAS runs on one thread meanwhile.

        The first exception ends the run and is raised here. A single item is a plain call, for which BLAS keeps its
        threads; a run inside a run goes one item after the other.
        """
        items = list(items)
        if len(items) < 2 or not self._running.acquire(blocking=False):
            return [function(item) for item in items]
        counts = [(library, library.get_num_threads()) for library in self.blas]
        limited = [(library, count) for library, count in counts if count != 1]
        try:
            for library, _ in limited:
                library.set_num_threads(1)
            if self.threads == 1:
                return [function(item) for item in items]
            job = _Job(function, items)
            for _ in range(min(self.threads, len(items)) - 1):
                self._jobs.put(job)
            return job.lead()
        finally:
            for library, count in limited:
                library.set_num_threads(count)
            self._running.release()


class _Job:
    """Items that threads take in turn. Whoever comes too late finds nothing left, and is not waited for."""

    def __init__(self, function: Callable, items: Sequence):
        self.function: Any = function
        self.items = deque(enumerate(items))
        self.results: list[Any] = [None] * len(items)
        self.errors: list[BaseException] = []
        self.working: list[threading.Lock] = []  # one lock for every worker that came, held while it works

    def lead(self) -> list:
        """What the calling thread does: its share, then wait for the workers that joined."""
        try:
            self.take_items()
        finally:
            self.items.clear()
            for worker in list(self.working):
                worker.acquire()
        results, self.results, self.function = self.results, [], None  # a worker still to come must not hold arrays
        if self.errors:
            raise self.errors[0]
        return results

    def help(self) -> None:
        """What a worker does. It says so before it takes an item: no item is under way that `lead` does not await."""
        working = threading.Lock()
        with working:
            self.working.append(working)
            self.take_items()

    def take_items(self) -> None:
        try:
            while True:
                try:
                    index, item = self.items.popleft()
                except IndexError:
                    return
                self.results[index] = self.function(item)
        except BaseException as error:
            self.errors.append(error)
            self.items.clear()


def _work(jobs: SimpleQueue) -> None:
    while (job := jobs.get()) is not None:
        job.help()
        del job


def _dismiss(jobs: SimpleQueue, workers: int) -> None:
    for _ in range(workers):
        jobs.put(None)
