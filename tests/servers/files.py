"""A web server for the files of a folder, with byte ranges, ETags, latency and faults on demand.

    with FileServer(folder, latency=0.03) as server:
        server.fail = lambda request: Fault(503) if request.number % 5 == 0 else None

or in a process of its own, which prints its address and ends when its standard input does:

    python -m servers.files FOLDER --latency 0.03
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import mimetypes
import re
import ssl
import sys
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import unquote, urlsplit

REASONS = {200: "OK", 206: "Partial Content", 304: "Not Modified", 412: "Precondition Failed"}

PIECE = 1 << 20


@dataclass(frozen=True)
class Request:
    """What a client asked for."""

    number: int
    """Counted over the whole life of the server, from 0."""
    method: str
    path: str
    headers: dict[str, str]
    """Names in lower case."""

    @property
    def range(self) -> tuple[int, int] | None:
        """First and last byte, if the client asked for some; the last may lie behind the file's."""
        found = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("range", ""))
        return (int(found[1]), int(found[2] or sys.maxsize)) if found else None


@dataclass(frozen=True)
class Fault:
    """How an answer goes wrong."""

    status: int = 0
    """Answers with this status and no file; 0 for a normal answer."""
    headers: dict[str, str] = field(default_factory=dict)
    """Sent besides the others, or in their place."""
    body: bytes = b""
    """Sent with a status."""
    cut: int | None = None
    """Bytes of the body that are sent before the connection is closed."""
    reset: bool = False
    """The connection is closed without an answer."""
    stall: float = 0.0
    """Seconds before the answer, beside the latency."""
    whole: bool = False
    """The range is ignored: the whole file comes, with status 200."""
    declared: int | None = None
    """Content-Length that is sent; by default that of the body."""
    shift: int = 0
    """Bytes by which the body is beside the range that the headers name."""


SLOW_DOWN = Fault(
    503,
    {"Content-Type": "application/xml"},
    b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>",
)
"""What S3 answers to too many requests:
https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html"""

Fail = Callable[[Request], Fault | None]


class FileServer:
    """Serves a folder from a thread, at ``url``."""

    def __init__(
        self,
        folder: Path,
        *,
        latency: float = 0.0,
        host: str = "127.0.0.1",
        port: int = 0,
        fail: Fail = lambda _: None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.folder = folder
        self.latency = latency
        self.fail = fail
        self.requests: list[Request] = []
        self.answered = 0
        self.sent = 0
        """Bytes of bodies."""
        self.busy = self.peak = 0
        """Requests under way, now and at most."""
        self._etags: dict[tuple[str, int, int], str] = {}
        self._address = (host, port)
        self._tls = tls
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._started.wait()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    @property
    def url(self) -> str:
        host, port = self._address
        return f"{'https' if self._tls else 'http'}://{host}:{port}"

    def counts(self) -> dict[str, int]:
        """Requests by kind, and bytes sent."""
        kinds = Counter("ranges" if request.range else "whole" for request in self.requests)
        return {"requests": len(self.requests), "sent": self.sent, "peak": self.peak, **kinds}

    def forget(self) -> None:
        """Count from zero."""
        self.requests.clear()
        self.sent = self.peak = 0

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        host, port = self._address
        server = await asyncio.start_server(
            self._serve_connection, host, port, backlog=1024, ssl=self._tls
        )
        self._address = server.sockets[0].getsockname()[:2]
        self._started.set()
        await self._stop.wait()
        for listening in server.sockets:
            self._loop.remove_reader(listening)  # after `close`, one just accepted would be lost
        this = asyncio.current_task()
        while tasks := asyncio.all_tasks() - {this}:
            await asyncio.sleep(0)  # a task that never began could not close its connection
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        server.close()
        await asyncio.sleep(0)  # connections that were aborted are closed in the next round

    async def _serve_connection(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            while (request := await self._read_request(reader)) is not None:
                if not await self._respond(request, writer):
                    break
        except asyncio.CancelledError:
            writer.transport.abort()  # `close` would wait for clients that read no more
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _read_request(self, reader: asyncio.StreamReader) -> Request | None:
        head = await reader.readuntil(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").rstrip().split("\r\n")
        method, target, _ = first.split(" ")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        path = unquote(urlsplit(target).path)  # a proxy is asked for a whole address
        self.answered += 1
        request = Request(self.answered - 1, method, path, headers)
        if path == "/_counts":
            return request
        self.requests.append(request)
        return request

    async def _respond(self, request: Request, writer: asyncio.StreamWriter) -> bool:
        """Whether the connection goes on."""
        if request.path == "/_counts":
            return await self._send(writer, 200, {}, json.dumps(self.counts()).encode())
        if request.path == "/_forget":
            self.forget()
            return await self._send(writer, 200, {}, b"{}")
        self.busy += 1
        self.peak = max(self.peak, self.busy)
        try:
            fault = self.fail(request) or Fault()
            await asyncio.sleep(self.latency + fault.stall)
            if fault.reset:
                writer.transport.abort()
                return False
            if fault.status:
                return await self._send(writer, fault.status, fault.headers, fault.body)
            return await self._send_file(request, fault, writer)
        finally:
            self.busy -= 1

    async def _send(
        self, writer: asyncio.StreamWriter, status: int, headers: dict[str, str], body: bytes
    ) -> bool:
        fields = {"Content-Length": str(len(body)), **headers}
        writer.write(head_of(status, fields) + body)
        await writer.drain()
        return True

    async def _send_file(
        self, request: Request, fault: Fault, writer: asyncio.StreamWriter
    ) -> bool:
        path = (self.folder / request.path.lstrip("/")).resolve()
        if request.path.endswith("/"):
            path /= "index.html"
        if not path.is_relative_to(self.folder.resolve()) or not path.is_file():
            return await self._send(writer, 404, {}, b"not found")
        size, etag = path.stat().st_size, self.etag(path)
        if request.headers.get("if-none-match") == etag:
            return await self._send(writer, 304, {"ETag": etag}, b"")
        if request.headers.get("if-match", etag) != etag:
            return await self._send(writer, 412, {}, b"")
        first, last = 0, size - 1
        status, fields = 200, {"ETag": etag, "Accept-Ranges": "bytes"}
        if kind := mimetypes.guess_type(path.name)[0]:
            fields["Content-Type"] = kind
        if request.range and not fault.whole:
            first, last = request.range[0], min(request.range[1], size - 1)
            if first >= size:
                return await self._send(writer, 416, {}, b"")
            status, fields["Content-Range"] = 206, f"bytes {first}-{last}/{size}"
        count = last - first + 1
        fields["Content-Length"] = str(count if fault.declared is None else fault.declared)
        writer.write(head_of(status, fields | fault.headers))
        if request.method == "HEAD":
            await writer.drain()
            return True
        begin = first + fault.shift
        end = begin + (count if fault.cut is None else min(fault.cut, count))
        with path.open("rb") as file:
            # In pieces, so that what a client did not wait for is not counted; each is counted
            # before it goes, as a client that has it may ask for the count at once.
            for place in range(begin, end, PIECE):
                piece = min(PIECE, end - place)
                self.sent += piece
                await self._loop.sendfile(writer.transport, file, place, piece)
        return fault.cut is None and fault.declared is None

    def etag(self, path: Path) -> str:
        """Like S3's: changes when the content does."""
        stat = path.stat()
        key = (str(path), stat.st_mtime_ns, stat.st_size)
        if key not in self._etags:
            self._etags[key] = f'"{hashlib.sha256(repr(key).encode()).hexdigest()[:32]}"'
        return self._etags[key]


def head_of(status: int, headers: dict[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} {REASONS.get(status, 'No')}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--latency", type=float, default=0.0)
    options = parser.parse_args()
    with FileServer(options.folder, latency=options.latency) as server:
        print(server.url, flush=True)  # noqa: T201 - the process that started it waits for it
        sys.stdin.read()


if __name__ == "__main__":
    main()
