"""The page and a release on 127.0.0.1, for the browser of this machine alone.

It serves the page's files and those of a release that `Content` lists, each by its whole path, in
ranges; nothing else can be asked for. The address of the files is another one each time that the
release is read, and a file that changes on the disk meanwhile is refused: so a page never mixes the
bytes of two releases, and says that it is to be loaded again.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import socketserver
import stat
import sys
import threading
import webbrowser
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO
from urllib.parse import quote, unquote, urlsplit

from hfaef.atlas.content import Content
from hfaef.atlas.policy import content_policy, data_origins
from hfaef.atlas.site import DATA, INDEX, PAGE, PARTICULARS, page_files
from hfaef.core.progress import say
from hfaef.errors import HfaefError, InputError

HOST = "127.0.0.1"

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
}
"""Browsers are told not to guess."""

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
"""Of every answer: no other page may embed, open or read one."""

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
_IDLE = 60.0
"""Seconds after which a connection without a request is closed."""

_CHANGED = "the release was changed meanwhile: load the page again"

Identity = tuple[int, int, int]
"""Number, change time and size of a file: another one if it was replaced."""


@dataclass(frozen=True)
class Shown:
    """What is served until the page is loaded again."""

    content: Content
    data: str
    """Where the page finds the release's files: on the Hub if all of them are there, else here."""
    page: Mapping[str, bytes]
    policy: str
    release: Identity | None
    """Of the manifest, for a folder."""
    files: Mapping[str, Identity | None] = field(default_factory=dict)
    """Of the release's files that lie here, by path."""

    @classmethod
    def of(cls, content: Content, release: Identity | None, page: Path) -> Shown:
        """What is served of a content, as its files lie there now."""
        here = f"{DATA}{secrets.token_hex(6)}/"
        data = content.address if content.address and not content.local else here
        origins = data_origins(content.address, content.redirects) if content.address else ()
        return cls(
            content,
            data,
            page_files(content, data, origins, page),
            f"{content_policy(origins)}; frame-ancestors 'none'",
            release,
            {path: identity_of(place) for path, place in content.local.items()},
        )

    def is_current(self, release: Identity | None) -> bool:
        """Whether the manifest is this one, and no file that lies here was changed or removed."""
        local = self.content.local
        return release == self.release and all(
            found == identity_of(local[path]) for path, found in self.files.items()
        )


def identity_of(path: Path) -> Identity | None:
    """What tells a file from one that replaced it; None if it is not there. No link is followed."""
    try:
        found = path.lstat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


class Server(ThreadingHTTPServer):
    """The page of a release on a port of this machine.

    Args:
        read: gives what is shown; again where the release was built again since.
        watched: the manifest of a release in a folder; None for a version, which never changes.
        port: 0 takes a free one.
        page: folder of the page.

    Raises:
        InputError: if the port cannot be had.
        HfaefError: of `read`.
    """

    daemon_threads = True
    request_queue_size = 128
    allow_reuse_address = os.name != "nt"  # where it would let two servers have one port

    def __init__(
        self,
        read: Callable[[], Content],
        *,
        watched: Path | None = None,
        port: int = 0,
        page: Path = PAGE,
    ) -> None:
        self._read = read
        self._watched = watched
        self._page = page
        self._lock = threading.Lock()
        try:
            super().__init__((HOST, port), _Handler)
        except (OSError, OverflowError) as error:
            taken = getattr(error, "errno", None) == errno.EADDRINUSE
            reason = "is taken" if taken else f"cannot be had ({error})"
            raise InputError(
                f"port {port} of {HOST} {reason}",
                "leave --port out, and a free one is found, or give another",
            ) from error
        try:
            self.shown = self._look()
        except BaseException:
            self.server_close()
            raise

    def server_bind(self) -> None:
        """Take the port, without asking a name server what this machine is called."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = HOST, int(self.server_address[1])

    @property
    def url(self) -> str:
        """Of the page."""
        return f"http://{HOST}:{self.server_port}/"

    def run(self, *, open_browser: bool = False) -> None:
        """Serve until the user interrupts it.

        Args:
            open_browser: whether to show the page in the user's browser.
        """
        if open_browser:
            threading.Thread(target=_open_browser, args=(self.url,), daemon=True).start()
        try:
            with suppress(KeyboardInterrupt):
                self.serve_forever(poll_interval=0.1)
        finally:
            self.server_close()

    def renewed(self) -> Shown:
        """What is shown from now on: read again if the release, or a file of it, changed since."""
        with self._lock:
            if not self.shown.is_current(self._release()):
                self.shown = self._look()
            return self.shown

    def handle_error(self, request: object, client_address: object) -> None:
        """Say what went wrong here in a line; a browser that went away is no matter."""
        del request, client_address
        error = sys.exception()
        if error is not None and not isinstance(error, (ConnectionError, TimeoutError)):
            say(f"the page got no answer: {type(error).__name__}: {error}")

    def _look(self) -> Shown:
        release = self._release()  # before it is read: what changes meanwhile is read again
        return Shown.of(self._read(), release, self._page)

    def _release(self) -> Identity | None:
        """Of the manifest that is watched."""
        return identity_of(self._watched) if self._watched is not None else None


def _open_browser(url: str) -> None:
    with suppress(webbrowser.Error):
        if webbrowser.open(url):
            return
    say(f"no browser was found here; open {url} yourself")


class _Handler(BaseHTTPRequestHandler):
    """One connection of a browser."""

    server: Server
    server_version = "hfaef"
    sys_version = ""
    protocol_version = "HTTP/1.1"
    # The body of an answer would wait for the browser to acknowledge its head.
    disable_nagle_algorithm = True
    timeout = _IDLE
    error_content_type = "text/plain; charset=utf-8"
    error_message_format = "%(message)s"

    def do_GET(self) -> None:
        """Answer GET and HEAD."""
        if not self._is_for_us():
            self._refuse(HTTPStatus.MISDIRECTED_REQUEST, f"this is {self.server.url}")
            return
        path = unquote(urlsplit(self.path).path, errors="replace")
        if path == f"/{PARTICULARS}":
            try:
                shown = self.server.renewed()
            except (HfaefError, OSError) as error:
                self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, str(error))
                return
        shown = self.server.shown
        name = path.removeprefix("/") or INDEX
        if name in shown.page:
            self._send_page(shown, name)
        elif name.startswith(DATA) and not name.startswith(shown.data):
            self._refuse(HTTPStatus.CONFLICT, _CHANGED)
        elif (wanted := name.removeprefix(shown.data)) != name and wanted in shown.content.files:
            self._send_data(shown, wanted)
        else:
            self._refuse(HTTPStatus.NOT_FOUND, "there is no such file here")

    do_HEAD = do_GET  # noqa: N815 - names that the base class looks for

    def _not_allowed(self) -> None:
        self.close_connection = True  # a body may follow, which nobody reads
        self._refuse(
            HTTPStatus.METHOD_NOT_ALLOWED, "this is to be read alone", {"Allow": "GET, HEAD"}
        )

    do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = do_TRACE = do_CONNECT = _not_allowed  # noqa: N815

    def _is_for_us(self) -> bool:
        """Whether the page was asked for by this machine's name: another name may be a trick of a
        page elsewhere, whose own name was made to lead here.
        """
        hosts = self.headers.get_all("Host") or []
        port = self.server.server_port
        allowed = {f"{name}{end}" for name in (HOST, "localhost") for end in _ports(port)}
        return len(hosts) == 1 and hosts[0].strip().lower() in allowed and self.path[:1] == "/"

    def _send_page(self, shown: Shown, name: str) -> None:
        content = shown.page[name]
        tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
        headers = {"ETag": tag, "Cache-Control": "no-cache"}
        if self.headers.get("If-None-Match") == tag:
            self._start(HTTPStatus.NOT_MODIFIED, headers)
            return
        headers["Content-Type"] = _TYPES.get(Path(name).suffix, "application/octet-stream")
        self._start(HTTPStatus.OK, {**headers, "Content-Length": str(len(content))})
        if self.command == "GET":
            self.wfile.write(content)

    def _send_data(self, shown: Shown, path: str) -> None:
        content = shown.content
        if path not in content.local:
            place = f"{content.address}{quote(path)}"
            self._start(
                HTTPStatus.TEMPORARY_REDIRECT,
                {"Location": place, "Content-Length": "0", "Cache-Control": "no-store"},
            )
            return
        try:
            file = _open_file(content.local[path])
        except OSError:
            self._refuse(HTTPStatus.CONFLICT, _CHANGED)
            return
        with file:
            found = os.fstat(file.fileno())
            identity = (found.st_ino, found.st_mtime_ns, found.st_size)
            if identity != shown.files[path] or not stat.S_ISREG(found.st_mode):
                self._refuse(HTTPStatus.CONFLICT, _CHANGED)
                return
            self._send_file(file, identity)

    def _send_file(self, file: IO[bytes], identity: Identity) -> None:
        size = identity[2]
        tag = '"{:x}-{:x}-{:x}"'.format(*identity)
        headers = {
            "ETag": tag,
            "Accept-Ranges": "bytes",
            "Cache-Control": "no-store",
            "Content-Type": "application/octet-stream",
        }
        asked = self.headers.get("Range")
        if asked is None or self.headers.get("If-Range", tag) != tag:
            status, first, count = HTTPStatus.OK, 0, size
        else:
            found = parse_range(asked, size)
            if found is None:
                headers["Content-Range"] = f"bytes */{size}"
                words = "give one range of bytes that the file has"
                self._refuse(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, words, headers)
                return
            status, first, count = HTTPStatus.PARTIAL_CONTENT, found[0], found[1] - found[0]
            headers["Content-Range"] = f"bytes {first}-{found[1] - 1}/{size}"
        self._start(status, {**headers, "Content-Length": str(count)})
        if self.command == "GET" and count:
            self.wfile.flush()
            self.connection.sendfile(file, first, count)

    def _refuse(
        self, status: HTTPStatus, words: str, headers: Mapping[str, str] | None = None
    ) -> None:
        body = f"{words}\n".encode()
        said = {"Content-Type": "text/plain; charset=utf-8", "Cache-Control": "no-store"}
        self._start(status, {**(headers or {}), **said, "Content-Length": str(len(body))})
        if self.command != "HEAD":
            self.wfile.write(body)

    def _start(self, status: HTTPStatus, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        policy = {"Content-Security-Policy": self.server.shown.policy}
        for name, value in (*_HEADERS.items(), *policy.items(), *headers.items()):
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing: the terminal is the user's."""


def _ports(port: int) -> tuple[str, ...]:
    """How a browser may write a port behind a host."""
    return (f":{port}", "") if port == 80 else (f":{port}",)


def parse_range(header: str, size: int) -> tuple[int, int] | None:
    """First byte and the one after the last of the range that a header asks for.

    Args:
        header: ``bytes=FIRST-LAST``, ``bytes=FIRST-`` or ``bytes=-COUNT``.
        size: bytes of the file.

    Returns:
        None if it is another one, or the file has none of these bytes.
    """
    found = _RANGE.fullmatch(header.strip())
    if found is None or not (found[1] or found[2]):
        return None
    first = int(found[1]) if found[1] else max(size - int(found[2]), 0)
    end = min(int(found[2]) + 1, size) if found[1] and found[2] else size
    return (first, end) if first < end else None


def _open_file(path: Path) -> IO[bytes]:
    """Open a file to read; a link in its place is an error, and a pipe does not hold us up."""
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    return os.fdopen(os.open(path, flags | getattr(os, "O_BINARY", 0)), "rb")
