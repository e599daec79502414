"""How the service behaves: quotas, latency, who may read, and which answers go wrong."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Literal

from servers.earthengine.errors import Refusal
from servers.earthengine.features import MAX_PAGE
from servers.earthengine.pixels import MAX_BANDS, MAX_BYTES

Kind = Literal["status", "reset", "truncate", "stall", "html", "garbage", "expire", "zero", "swap"]


@dataclass(frozen=True)
class Fault:
    """One answer that goes wrong."""

    kind: Kind
    """status: refuse; reset: cut the connection; truncate: send half of the body; stall: send
    nothing for a while; html: a page with status 200; garbage: bytes that are no NPY; expire:
    the token is not known any more; zero: the second half of the pixels is; swap: the pixels of
    another request that goes wrong in the same way, which gets those of this one."""
    status: int = 503
    message: str = "The service is currently unavailable."
    headers: tuple[tuple[str, str], ...] = ()
    seconds: float = 5.0
    """How long a stall lasts."""


@dataclass
class Tally:
    """What the service saw; read it from any thread."""

    requests: Counter[str] = field(default_factory=Counter)
    """By what was asked: discovery, algorithms, value, pixels, features, token."""
    patches: Counter[int] = field(default_factory=Counter)
    """Requests for pixels by how many patches they held."""
    statuses: Counter[int] = field(default_factory=Counter)
    peak: int = 0
    """Most computations under way at once."""
    arrivals: list[float] = field(default_factory=list)
    """Seconds of a monotonic clock at which computations arrived."""
    tags: Counter[str] = field(default_factory=Counter)
    agents: Counter[str] = field(default_factory=Counter)
    projects: Counter[str] = field(default_factory=Counter)

    def busiest(self, seconds: float = 60.0) -> int:
        """Most computations that arrived within any span of so many seconds."""
        window: deque[float] = deque()
        most = 0
        for arrival in sorted(self.arrivals):
            window.append(arrival)
            while window[0] <= arrival - seconds:
                window.popleft()
            most = max(most, len(window))
        return most


@dataclass
class Conduct:
    """What may be changed while the service runs."""

    at_once: int = 40
    """Computations under way at once; one more is answered 429."""
    per_minute: int = 6000
    minute: float = 60.0
    """Seconds of a minute; fewer for tests that do not wait."""
    max_bytes: int = MAX_BYTES
    """Of pixels in one answer, with a mask byte a band and pixel."""
    max_bands: int = MAX_BANDS
    """That there is memory for; the limit of a request is another."""
    max_features: int = MAX_PAGE
    """Of a page, whatever is asked for."""
    unknown: frozenset[str] = frozenset()
    """Operations that the service does not know, such as ``Image.changeProj``."""
    half_a_pixel_off: bool = False
    """Whether ``Image.changeProj`` moves pixels to places half a pixel away."""
    latency: float = 0.0
    """Seconds before a computation is answered."""
    latency_a_patch: float = 0.0
    """Seconds more for each 64 bands of pixels."""
    tokens: set[str] | None = None
    """Access tokens that are let in; None lets everyone in."""
    projects: frozenset[str] | None = None
    """Registered projects; None takes any."""
    faults: deque[Fault | None] = field(default_factory=deque)
    """What goes wrong with the next answers that hold pixels or features, None for nothing."""
    faults_elsewhere: dict[str, Fault] = field(default_factory=dict)
    """What goes wrong with every answer of a kind: discovery, algorithms, value, token."""
    tally: Tally = field(default_factory=Tally)
    _swapped: deque[tuple[bytes, SimpleQueue[bytes]]] = field(default_factory=deque)
    """The answer that waits for another to be swapped with, and where to put that."""
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _under_way: int = 0
    _starts: deque[float] = field(default_factory=deque)

    def plan(self, faults: Iterable[Fault | None]) -> None:
        """Say what goes wrong with the next answers."""
        with self._lock:
            self.faults.extend(faults)

    def fault_of(self, asked: str) -> Fault | None:
        """What goes wrong with this answer."""
        with self._lock:
            if asked in ("pixels", "features") and self.faults:
                return self.faults.popleft()
            return self.faults_elsewhere.get(asked)

    def swap(self, mine: bytes) -> bytes:
        """Another answer in exchange, once there is one."""
        own: SimpleQueue[bytes] = SimpleQueue()
        with self._lock:
            if self._swapped:
                theirs, other = self._swapped.popleft()
                other.put(mine)
                return theirs
            self._swapped.append((mine, own))
        return own.get(timeout=20)

    @contextmanager
    def under_way(self) -> Iterator[None]:
        """Count a computation; refuse it above a quota."""
        now = time.monotonic()
        with self._lock:
            self.tally.arrivals.append(now)
            self._under_way += 1
            self.tally.peak = max(self.tally.peak, self._under_way)
            while self._starts and self._starts[0] <= now - self.minute:
                self._starts.popleft()
            too_many = self._under_way > self.at_once
            too_often = len(self._starts) >= self.per_minute
            if not too_many and not too_often:
                self._starts.append(now)
        try:
            if too_many:
                raise Refusal(429, "Too many concurrent requests.")
            if too_often:
                raise Refusal(
                    429,
                    "Quota exceeded for quota metric 'Number of read requests' and limit "
                    "'Number of read requests per minute per user' of service "
                    "'earthengine.googleapis.com'.",
                    {"Retry-After": f"{self.minute * 7 / 60:.0f}"},
                )
            yield
        finally:
            with self._lock:
                self._under_way -= 1

    def let_in(self, project: str, authorization: str) -> None:
        """Refuse unknown tokens and unregistered projects."""
        token = authorization.removeprefix("Bearer ")
        if self.tokens is not None and token not in self.tokens:
            raise Refusal(
                401,
                "Request had invalid authentication credentials. Expected OAuth 2 access token, "
                "login cookie or other valid authentication credential.",
            )
        if self.projects is not None and project not in self.projects:
            raise Refusal(
                403,
                f"Project {project} is not registered to use Earth Engine. Visit "
                f"https://code.earthengine.google.com/register?project={project} to register "
                "your project. See https://developers.google.com/earth-engine/guides/access for "
                "more details.",
            )
