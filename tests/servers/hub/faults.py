"""Faults: what goes wrong on purpose, at which call of which route."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Literal

ANY = "any"
"""Stands for all routes together."""


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong."""

    route: str
    """Name of a route, as in `servers.hub.service.ROUTES`, or `ANY`."""
    kind: Literal["status", "broken", "drop", "lost", "slow", "truncate", "nothing"]
    """
    ``status``: answers `status` and does nothing; ``broken``: does it, then answers `status`;
    ``drop``: resets the connection after `after` bytes of the request's body, does nothing;
    ``lost``: does it, then resets the connection without an answer;
    ``slow``: waits `seconds` when a piece of the request's body is there, then goes on;
    ``truncate``: promises the whole answer, sends `after` bytes of its body, hangs up;
    ``nothing``: only calls `meanwhile`.
    """
    call: int = 1
    """The first call it strikes; 1 is the next from when it is set."""
    times: int = 1
    """How many calls in a row it strikes."""
    status: int = 503
    headers: Mapping[str, str] = field(default_factory=dict)
    """Of the answer with `status`."""
    words: str = ""
    """What it says; the status, by default."""
    after: int = 0
    """Bytes."""
    seconds: float = 0.5
    meanwhile: Callable[[], None] | None = None
    """Called before anything else, as something that happens just then."""


class Faults:
    """The faults that are set, and how often each route was called."""

    def __init__(self) -> None:
        self._set: list[tuple[int, Fault]] = []
        self._calls: Counter[str] = Counter()
        self._lock = Lock()

    def add(self, fault: Fault) -> None:
        """Sets a fault; calls are counted from now."""
        with self._lock:
            self._set.append((self._calls[fault.route], fault))

    def clear(self) -> None:
        """Nothing goes wrong any more."""
        with self._lock:
            self._set.clear()

    def strike(self, route: str) -> Fault | None:
        """Counts a call of a route; the first fault that strikes it."""
        with self._lock:
            self._calls[route] += 1
            self._calls[ANY] += 1
            for before, fault in self._set:
                call = self._calls[fault.route] - before
                struck = fault.call <= call < fault.call + fault.times
                if fault.route in (route, ANY) and struck:
                    return fault
        return None
