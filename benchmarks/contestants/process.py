"""A contestant in a process of its own, driven over a pipe.

So each has its own peak memory and its own threads, and those of the others sleep while it runs.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import sys
import tempfile
import time
import traceback
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from contestants import Unavailable, build
from contestants.workloads import WORKLOADS, batches, initial_state

BATCHES = 8  # different batches in a timed run, used in turn
RUN_UP = 4  # steps after which those that are recorded, traced or compiled are so


class Process:
    """The parent's end. Raises Unavailable where the contestant does, RuntimeError when it fails."""

    def __init__(self, name: str, workload: str, update: str, *, threads: int, device: str) -> None:
        context = multiprocessing.get_context("spawn")
        self.name = name
        self.connection, theirs = context.Pipe()
        self.log = tempfile.NamedTemporaryFile(prefix=f"{name}-", suffix=".log")  # noqa: SIM115, until close()
        arguments = (theirs, self.log.name, name, workload, update, threads, device)
        self.process = context.Process(target=_serve, args=arguments, daemon=True)
        self.process.start()
        theirs.close()
        self.details: dict[str, str] = self._answer()

    def first_losses(self, steps: int) -> list[tuple[float, float]]:
        """Losses of the first steps from the common state, without dropout: (discriminator's, generator's).

        Steps are taken as they are when they are timed.
        """
        return self._ask("first_losses", steps)

    def seconds(self, steps: int) -> float:
        """Wall-clock time of so many steps in a row, after a short run-up from the common state."""
        return self._ask("seconds", steps)

    def peak_memory(self) -> int:
        """Largest resident set of the process so far, in bytes."""
        return self._ask("peak_memory")

    def close(self) -> None:
        self.connection.close()
        self.process.join()
        self.log.close()

    def _ask(self, *request: Any) -> Any:
        self.connection.send(request)
        return self._answer()

    def _answer(self) -> Any:
        try:
            answer = self.connection.recv()
        except EOFError:
            self.process.join()
            log = self.log.read().decode(errors="replace")[-2000:]
            raise RuntimeError(f"{self.name} died, exit code {self.process.exitcode}: {log}") from None
        if isinstance(answer, Exception):
            self.close()
            raise answer
        return answer


def _peak_memory() -> int:
    """Largest resident set of this process so far, in bytes."""
    status = Path("/proc/self/status")
    if status.exists():  # Linux, where ru_maxrss starts from the parent's
        return 1024 * int(status.read_text().split("VmHWM:")[1].split()[0])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _serve(
    connection: Connection, log: str, name: str, workload_name: str, update: str, threads: int, device: str
) -> None:
    """The child: build the contestant, then answer requests until the pipe closes."""
    with Path(log).open("wb") as file:
        os.dup2(file.fileno(), sys.stderr.fileno())  # frameworks are talkative
    try:
        workload = WORKLOADS[workload_name]
        contestant = build(name, workload, update, threads=threads, device=device)
        state = initial_state(workload)
        prepared = [contestant.prepare(*batch) for batch in batches(workload, BATCHES)]

        def first_losses(steps: int) -> list[tuple[float, float]]:
            contestant.use_dropout(False)
            contestant.load(state)
            for _ in range(RUN_UP):
                contestant.step(prepared[0])
            contestant.load(state)
            losses = [contestant.read(contestant.step(batch)) for batch in prepared[:steps]]
            contestant.use_dropout(True)
            return losses

        def seconds(steps: int) -> float:
            contestant.load(state)
            for _ in range(2 + steps // 3):  # wake the threads, fill the caches: after a rest these steps are slower
                losses = contestant.step(prepared[0])
            contestant.read(losses)
            start = time.perf_counter()
            for step in range(steps):
                losses = contestant.step(prepared[step % BATCHES])
            contestant.read(losses)
            return time.perf_counter() - start

        requests = {"first_losses": first_losses, "seconds": seconds, "peak_memory": _peak_memory}
        connection.send(contestant.details())
        while True:
            request, *arguments = connection.recv()
            connection.send(requests[request](*arguments))
    except EOFError:
        return  # the parent closed its end
    except Unavailable as reason:
        connection.send(reason)
    except Exception:
        connection.send(RuntimeError(f"{name} failed:\n{traceback.format_exc()}"))
