"""The wire: HTTP requests and answers, connections that break, and a record of what was asked."""

from __future__ import annotations

import json
import socket
import struct
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from servers.hub.content import STEP
from servers.hub.faults import Fault
from servers.hub.refusal import Refusal


class Dropped(Exception):  # nobody handles it as an error
    """The connection is to be reset now."""


@dataclass(frozen=True)
class Seen:
    """A request that came, as tests ask for it."""

    port: str
    """``hub`` or ``storage``."""
    method: str
    path: str
    """Still quoted, without the query."""
    query: str
    route: str | None
    """None if the server has no such route."""
    authorized: bool
    """Whether it carried credentials; which, nobody remembers."""
    received: int
    """Bytes of its body."""
    status: int | None
    """Of the answer; None if there was none."""


@dataclass
class Request:
    """A request while it is answered."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    """By lower-case name."""
    pieces: Iterator[bytes]
    """Of the body, read as they are asked for."""
    names: dict[str, str] = field(default_factory=dict)
    """What the route's pattern found in the path, unquoted."""

    @cached_property
    def body(self) -> bytes:
        """The whole body."""
        return b"".join(self.pieces)

    @cached_property
    def json(self) -> Any:
        """The whole body as JSON.

        Raises:
            Refusal: 400 if it is not.
        """
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise Refusal(400, f"Invalid JSON: {error}") from error

    def flag(self, name: str) -> bool:
        """Whether a parameter of the query is set."""
        return self.query.get(name, ["false"])[0].lower() in ("1", "true")


@dataclass
class Answer:
    """What goes back."""

    status: int = 200
    body: bytes | Iterable[bytes] = b""
    length: int | None = None
    """Bytes of a body that comes in pieces."""
    headers: dict[str, str] = field(default_factory=dict)


def json_answer(
    content: object, status: int = 200, headers: dict[str, str] | None = None
) -> Answer:
    """An answer of JSON."""
    body = json.dumps(content).encode()
    return Answer(
        status, body, headers={"Content-Type": "application/json; charset=utf-8", **(headers or {})}
    )


def refusal_answer(refused: Refusal) -> Answer:
    """A refusal, in the headers and in the body, as the real Hub says it."""
    # As much of it as a header may hold.
    said = refused.message[:2000].encode("latin-1", "replace").decode("latin-1")
    headers = {"X-Error-Message": " ".join(said.splitlines())}
    if refused.code:
        headers["X-Error-Code"] = refused.code
    if refused.commit:
        headers["X-Repo-Commit"] = refused.commit
    return json_answer({"error": refused.message, **refused.more}, refused.status, headers)


def file_answer(
    request: Request,
    size: int,
    pieces: Callable[[int, int], Iterable[bytes]],
    headers: dict[str, str],
) -> Answer:
    """A file or the range of it that is asked for.

    Args:
        request: may have ``Range`` and ``If-None-Match``.
        size: bytes of the whole file.
        pieces: gives the bytes from start to stop.
        headers: what to say besides.
    """
    headers = {"Accept-Ranges": "bytes", **headers}
    if request.headers.get("if-none-match") == headers.get("ETag", "-"):
        return Answer(304, headers=headers)
    wanted = request.headers.get("range")
    if wanted is None:
        return Answer(200, pieces(0, size), size, headers)
    first, _, last = wanted.removeprefix("bytes=").partition("-")
    start = int(first) if first else max(size - int(last), 0)
    stop = min(int(last) + 1, size) if first and last else size
    if start >= stop:
        return Answer(416, b"", headers={**headers, "Content-Range": f"bytes */{size}"})
    headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
    return Answer(206, pieces(start, stop), stop - start, headers)


_EXPOSED = (
    "X-Repo-Commit,X-Request-Id,X-Error-Code,X-Error-Message,X-Total-Count,ETag,Link,"
    "Accept-Ranges,Content-Range,X-Linked-Size,X-Linked-ETag,X-Xet-Hash"
)


def cors_headers(port: str, origin: str | None) -> dict[str, str]:
    """What lets a page of another origin read an answer; OPTIONS, which might ask first, has no route.

    The Hub names the origin that asks; its storage, which a browser reaches by a redirect and so
    without an origin, lets everybody read.
    """
    if origin is None:
        return {}
    allowed, exposed = (origin, _EXPOSED) if port == "hub" else ("*", "*")
    return {
        "Access-Control-Allow-Origin": allowed,
        "Access-Control-Expose-Headers": exposed,
        "Vary": "Origin",
    }


class Port(ThreadingHTTPServer):
    """One address of the server.

    Args:
        name: ``hub`` or ``storage``.
        find: the route's name and its handler for a request, or None; sets the request's names.
        strike: counts the call of a route and gives the fault that strikes it.
        number: of the port; 0 takes a free one.
    """

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(
        self,
        name: str,
        find: Callable[[Request], tuple[str, Callable[[Request], Answer]] | None],
        strike: Callable[[str], Fault | None],
        number: int = 0,
    ) -> None:
        super().__init__(("127.0.0.1", number), Handler)
        self.name = name
        self.find = find
        self.strike = strike
        self.seen: list[Seen] = []
        self.failures: list[BaseException] = []

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: object, client_address: object) -> None:
        """Keeps what went wrong in the server itself; a client that went away is no matter."""
        del request, client_address
        import sys

        error = sys.exception()
        if error is not None and not isinstance(error, ConnectionError):
            self.failures.append(error)


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    # An answer's body would wait 40 ms for the client to acknowledge its head.
    disable_nagle_algorithm = True
    server: Port
    timeout = 60
    _received = 0

    def do_GET(self) -> None:
        """Answers any method."""
        parts = urlsplit(self.path)
        request = Request(
            method=self.command,
            path=parts.path,
            query=parse_qs(parts.query, keep_blank_values=True),
            headers={name.lower(): value for name, value in self.headers.items()},
            pieces=self._body(),
        )
        self._received = 0
        found = self.server.find(request)
        fault = self.server.strike(found[0]) if found else None
        answer: Answer | None = None
        try:
            answer = self._answer(request, found, fault)
        except Dropped:
            pass
        finally:
            # Before the answer goes out: whoever has it must find the request recorded.
            self.server.seen.append(
                Seen(
                    port=self.server.name,
                    method=self.command,
                    path=parts.path,
                    query=parts.query,
                    route=found[0] if found else None,
                    authorized="authorization" in request.headers,
                    received=self._received,
                    status=answer.status if answer else None,
                )
            )
        if answer is None:
            self._reset()
        else:
            answer.headers |= cors_headers(self.server.name, request.headers.get("origin"))
            self._send(answer, limit=fault.after if fault and fault.kind == "truncate" else None)

    do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = do_GET  # noqa: N815

    def _answer(
        self,
        request: Request,
        found: tuple[str, Callable[[Request], Answer]] | None,
        fault: Fault | None,
    ) -> Answer:
        if fault is not None:
            request.pieces = self._spoil(request.pieces, fault)
            if fault.meanwhile is not None:
                fault.meanwhile()
        kind = fault.kind if fault else "nothing"
        if found is None:
            answer = refusal_answer(Refusal(501, f"no route {request.method} {request.path}"))
        elif kind == "drop":
            list(request.pieces)
            raise Dropped
        elif kind != "status":
            try:
                answer = found[1](request)
            except Refusal as refused:
                answer = refusal_answer(refused)
        for _ in request.pieces:
            pass  # what the route did not read, lest it be taken for the next request
        if fault is not None and kind in ("status", "broken"):
            answer = refusal_answer(
                Refusal(fault.status, fault.words or f"{fault.status} on purpose")
            )
            answer.headers.update(fault.headers)
        if kind == "lost":
            raise Dropped
        return answer

    def _send(self, answer: Answer, limit: int | None) -> None:
        body = [answer.body] if isinstance(answer.body, bytes) else answer.body
        length = len(answer.body) if isinstance(answer.body, bytes) else answer.length
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.status not in (204, 304):
            self.send_header("Content-Length", str(length))
        self.end_headers()
        if self.command == "HEAD" or answer.status in (204, 304):
            return
        left = limit
        for piece in body:
            self.wfile.write(piece if left is None else piece[:left])
            left = None if left is None else left - len(piece)
            if left is not None and left <= 0:
                self.close_connection = True
                return

    def _body(self) -> Iterator[bytes]:
        """The body in pieces, with a length or in chunks."""
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            while size := int(self.rfile.readline().split(b";")[0], 16):
                yield self._exactly(size)
                self.rfile.readline()
            while self.rfile.readline().strip():
                pass
            return
        left = int(self.headers.get("Content-Length") or 0)
        while left:
            piece = self._exactly(min(left, STEP >> 4))
            left -= len(piece)
            yield piece

    def _exactly(self, size: int) -> bytes:
        piece = self.rfile.read(size)
        self._received += len(piece)
        if len(piece) < size:
            raise ConnectionResetError("the client went away")
        return piece

    @staticmethod
    def _spoil(pieces: Iterator[bytes], fault: Fault) -> Iterator[bytes]:
        """The body as the fault lets it through."""
        passed = 0
        for piece in pieces:
            if fault.kind == "slow" and not passed:
                time.sleep(fault.seconds)
            passed += len(piece)
            if fault.kind == "drop" and passed > fault.after:
                raise Dropped
            yield piece
        if fault.kind == "slow" and not passed:
            time.sleep(fault.seconds)

    def _reset(self) -> None:
        """Ends the connection so that the client's socket says "connection reset by peer"."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.rfile.close()
        self.connection.close()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Says nothing; `Port.seen` holds it."""


def unquoted(names: dict[str, str | None]) -> dict[str, str]:
    """What a pattern found in a quoted path, unquoted; what it did not find is empty."""
    return {name: unquote(value or "") for name, value in names.items()}
