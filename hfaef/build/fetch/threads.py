"""Who reads patches for the engine: threads of this process.

A thread cannot be stopped. One whose read hangs is left behind: it is a daemon, another takes its
place, and what it may still bring is not wanted any more.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from queue import Empty, SimpleQueue
from typing import Protocol

from hfaef.build.fetch.read import Read
from hfaef.catalog.patch import Patch

THREADS = "hfaef-read"
"""Name of the threads, by which those left behind are known when the process ends."""

_LAST_WORDS = 1.0
"""Seconds that reads under way get to end when the crew is dismissed."""


@dataclass(frozen=True)
class Completed:
    """A read that ended."""

    ticket: int
    result: Read | Exception


class ReadExecutor(Protocol):
    """Reads patches, many at once; used by one thread."""

    size: int
    """Reads that it can have under way at once, and as many that are doubtful."""

    def start(self, ticket: int, patch: Patch) -> None:
        """Begin a read; the ticket is a number that no other read has."""

    def next(self, timeout: float) -> Completed | None:
        """A read that ended; None if none does within so many seconds."""

    def doubt(self, ticket: int) -> None:
        """Let another read take the place of one that probably hangs; it may still answer."""

    def abandon(self, ticket: int) -> None:
        """Forget a read; it gives no answer any more."""

    def close(self) -> None:
        """End all; reads under way are forgotten."""


class ReadOne(Protocol):
    """`read.read_patch` for one source and one store."""

    def __call__(self, patch: Patch, *, wanted: Callable[[], bool]) -> Read:
        """Read and stage a patch; stage it only if it is still wanted then."""


def left_behind() -> bool:
    """Whether a read still hangs in a thread, which may keep a process from ending well."""
    return any(thread.name == THREADS for thread in threading.enumerate())


@dataclass
class _Task:
    """A read that a thread was given."""

    ticket: int
    patch: Patch
    wanted: bool = True
    ended: threading.Event = field(default_factory=threading.Event)


class ThreadExecutor:
    """A crew of threads, started when they are needed.

    Args:
        read: reads and stages a patch.
        size: reads under way at once.
    """

    def __init__(self, read: ReadOne, size: int) -> None:
        self.size = size
        self._read = read
        self._tasks: dict[int, _Task] = {}
        self._waiting: SimpleQueue[_Task | None] = SimpleQueue()
        self._answers: SimpleQueue[Completed] = SimpleQueue()
        self._threads = 0

    def start(self, ticket: int, patch: Patch) -> None:
        """As of `ReadExecutor`."""
        task = self._tasks[ticket] = _Task(ticket, patch)
        if self._threads < len(self._tasks):
            self._threads += 1
            threading.Thread(target=self._work, name=THREADS, daemon=True).start()
        self._waiting.put(task)

    def next(self, timeout: float) -> Completed | None:
        """As of `ReadExecutor`."""
        try:
            # An abandoned read may still give an answer, which nobody waits for.
            while (answer := self._answers.get(timeout=timeout)).ticket not in self._tasks:
                continue
        except Empty:
            return None
        del self._tasks[answer.ticket]
        return answer

    def doubt(self, ticket: int) -> None:
        """As of `ReadExecutor`; there are as many threads as reads."""

    def abandon(self, ticket: int) -> None:
        """As of `ReadExecutor`."""
        self._tasks.pop(ticket).wanted = False
        self._threads -= 1

    def close(self) -> None:
        """As of `ReadExecutor`."""
        for task in self._tasks.values():
            task.wanted = False
        self._waiting.put(None)
        deadline = time.monotonic() + _LAST_WORDS
        for task in self._tasks.values():
            task.ended.wait(max(0.0, deadline - time.monotonic()))
        self._tasks.clear()

    def _work(self) -> None:
        while (task := self._waiting.get()) is not None:
            wanted = partial(getattr, task, "wanted")
            try:
                result: Read | Exception = self._read(task.patch, wanted=wanted)
            except Exception as error:  # noqa: BLE001 - the engine decides by its kind
                result = error
            task.ended.set()
            self._answers.put(Completed(task.ticket, result))
            if not task.wanted:
                # Another took this thread's place when the read was abandoned.
                return
        self._waiting.put(None)  # for the next thread
