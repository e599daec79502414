"""Reads in threads of this process.

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
from typing import Any

from hfaef.build.fetch.read import Asked, Completed, Result

_GRACE_SECONDS = 1.0
"""What reads under way get to end when the executor is closed."""


ReadOne = Callable[[Any, Callable[[], bool]], Result]
"""`read_asked`, or `read_patch` where nothing is read together, for one source and one store, with
what says whether the pixels are still wanted."""


@dataclass(eq=False)
class _Task:
    """A read that a thread was given."""

    read_id: int
    asked: Asked
    wanted: bool = True
    ended: threading.Event = field(default_factory=threading.Event)


class ThreadExecutor:
    """A `ReadExecutor` of threads, which are started when they are needed.

    Args:
        read: reads and stages what is asked for.
        size: reads under way at once.
    """

    def __init__(self, read: ReadOne, size: int) -> None:
        self.size = size
        self._read = read
        self._tasks: dict[int, _Task] = {}
        self._abandoned: list[_Task] = []
        self._waiting: SimpleQueue[_Task | None] = SimpleQueue()
        self._completed: SimpleQueue[Completed] = SimpleQueue()
        self._threads = 0

    @property
    def hung(self) -> int:
        """Abandoned reads whose thread has not come back."""
        return sum(not task.ended.is_set() for task in self._abandoned)

    def start(self, read_id: int, asked: Asked) -> None:
        """Give a read to a thread, a new one if all are busy."""
        task = self._tasks[read_id] = _Task(read_id, asked)
        if self._threads < len(self._tasks):
            self._threads += 1
            threading.Thread(target=self._work, name="hfaef-read", daemon=True).start()
        self._waiting.put(task)

    def next(self, timeout: float) -> Completed | None:
        """The next read that ended in any thread."""
        try:
            # An abandoned read may still complete, which nobody waits for.
            while (completed := self._completed.get(timeout=timeout)).read_id not in self._tasks:
                continue
        except Empty:
            return None
        del self._tasks[completed.read_id]
        return completed

    def free_slot(self, read_id: int) -> None:
        """Nothing: there are as many threads as reads."""

    def abandon(self, read_id: int) -> None:
        """Leave the thread behind with its read; it ends if the read does."""
        task = self._tasks.pop(read_id)
        task.wanted = False
        self._abandoned.append(task)
        self._threads -= 1

    def close(self) -> None:
        """Abandon all reads, and wait a moment for them to end."""
        under_way = list(self._tasks.values())
        for task in under_way:
            self.abandon(task.read_id)
        self._waiting.put(None)
        deadline = time.monotonic() + _GRACE_SECONDS
        for task in under_way:
            task.ended.wait(max(0.0, deadline - time.monotonic()))

    def _work(self) -> None:
        while (task := self._waiting.get()) is not None:
            try:
                result: Result | Exception = self._read(
                    task.asked, partial(getattr, task, "wanted")
                )
            except Exception as error:  # noqa: BLE001 - the engine decides by its kind
                result = error
            task.ended.set()
            self._completed.put(Completed(task.read_id, result))
            if not task.wanted:
                # Another took this thread's place when the read was abandoned.
                return
        self._waiting.put(None)  # for the next thread
