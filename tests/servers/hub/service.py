"""The server: routes, the two ports, and what a test asks and sets."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import Self

from servers.hub import api, card, download, upload
from servers.hub.accounts import Account
from servers.hub.faults import Fault, Faults
from servers.hub.history import Commit, Repo
from servers.hub.state import State
from servers.hub.wire import Answer, Port, Request, Seen, unquoted

_KIND = r"/api/(?P<kind>datasets|models|spaces)/(?P<repo>[^/]+/[^/]+)"
_GIT = r"/(?:(?P<kind>datasets|spaces)/)?(?P<repo>[^/]+/[^/]+)"
_REVISION = r"/(?P<revision>[^/]+)"
_STORED = r"/(?P<kind>datasets|models|spaces)/(?P<repo>[^/]+/[^/]+)/(?P<oid>[0-9a-f]{64})"
_PATH = r"/(?P<path>.+)"

Route = Callable[[State, Request], Answer]

ROUTES: dict[str, dict[str, tuple[str, str, Route]]] = {
    "hub": {
        "whoami": ("GET", r"/api/whoami-v2", api.whoami),
        "yaml": ("POST", r"/api/validate-yaml", card.validate),
        "create": ("POST", r"/api/repos/create", api.create),
        "delete": ("DELETE", r"/api/repos/delete", api.remove),
        "info": ("GET", rf"{_KIND}(?:/revision{_REVISION})?", api.info),
        "auth": ("GET", rf"{_KIND}/auth-check(?P<write>/write)?", api.auth_check),
        "settings": ("PUT", rf"{_KIND}/settings", api.settings),
        "preupload": ("POST", rf"{_KIND}/preupload{_REVISION}", upload.preupload),
        "commit": ("POST", rf"{_KIND}/commit{_REVISION}", upload.commit),
        "tree": ("GET", rf"{_KIND}/tree{_REVISION}(?P<path>/.*)?", api.tree),
        "paths": ("POST", rf"{_KIND}/paths-info{_REVISION}", api.paths_info),
        "refs": ("GET", rf"{_KIND}/refs", api.refs),
        "commits": ("GET", rf"{_KIND}/commits{_REVISION}", api.commits),
        "tag": ("POST", rf"{_KIND}/tag{_REVISION}", api.tag),
        "untag": ("DELETE", rf"{_KIND}/tag{_REVISION}", api.untag),
        "branch": ("POST", rf"{_KIND}/branch{_REVISION}", api.branch),
        "batch": ("POST", rf"{_GIT}\.git/info/lfs/objects/batch", upload.batch),
        "verify": ("POST", rf"{_GIT}\.git/info/lfs/objects/verify", upload.verify),
        "complete": ("POST", rf"/api/complete_multipart{_STORED}", upload.complete),
        "resolve": ("GET", rf"{_GIT}/resolve{_REVISION}{_PATH}", download.resolve),
        "cached": (
            "GET",
            rf"/api/resolve-cache/(?P<kind>\w+)/(?P<repo>[^/]+/[^/]+){_REVISION}{_PATH}",
            download.cached,
        ),
    },
    "storage": {
        "put": ("PUT", rf"/put{_STORED}", upload.put),
        "part": ("PUT", rf"/part/(?P<number>\d+){_STORED}", upload.put_part),
        "object": ("GET", r"/object/(?P<oid>[0-9a-f]{64})", download.stored),
    },
}
"""Name, method, pattern of the quoted path and handler, for each port. GET answers HEAD too."""


class Hub:
    """A Hub on 127.0.0.1; a context manager.

    Args:
        folder: where contents lie; None keeps them in memory.
        part_bytes: files larger than this are uploaded in parts of this size.
        page: entries of a tree listing before the next page.
        port: of the Hub; 0 takes a free one.
    """

    def __init__(
        self,
        folder: Path | None = None,
        *,
        part_bytes: int = 5_000_000,
        page: int = 1000,
        port: int = 0,
    ) -> None:
        self.state = State(folder, part_bytes, page)
        self.faults = Faults()
        self._ports = [
            Port(name, self._finder(name), self.faults.strike, number)
            for name, number in (("hub", port), ("storage", 0))
        ]
        self.state.hub, self.state.storage = (each.url for each in self._ports)

    @property
    def url(self) -> str:
        """What goes into ``HF_ENDPOINT``."""
        return self.state.hub

    @property
    def seen(self) -> list[Seen]:
        """All requests that were answered or broken off, those to the Hub first."""
        return [seen for port in self._ports for seen in list(port.seen)]

    @property
    def unknown(self) -> list[str]:
        """Requests that no route knew: what this server does not do, or a client made up."""
        return [f"{seen.method} {seen.path}" for seen in self.seen if seen.route is None]

    @property
    def failures(self) -> list[BaseException]:
        """What went wrong in the server itself."""
        return [error for port in self._ports for error in port.failures]

    def calls(self, route: str) -> list[Seen]:
        """The requests to one route."""
        return [seen for seen in self.seen if seen.route == route]

    def forget(self) -> None:
        """Empties the record of requests."""
        for port in self._ports:
            port.seen.clear()

    def account(
        self,
        name: str,
        token: str,
        role: str = "write",
        organisations: dict[str, str] | None = None,
    ) -> Account:
        """Makes an account."""
        return self.state.accounts.add(Account(name, token, role, organisations or {}))

    def repo(self, name: str, kind: str = "datasets") -> Repo:
        """A repository.

        Raises:
            KeyError: if it is not there.
        """
        return self.state.repos[kind, name]

    def create(self, name: str, *, private: bool = False, gated: bool = False) -> Repo:
        """A new repository of a data set."""
        return self.state.create(name, private=private, gated=gated)

    def put(self, name: str, files: dict[str, bytes | None], title: str = "by hand") -> Commit:
        """A commit made by somebody else; None deletes."""
        return self.state.put(self.repo(name), files, title=title)

    def file(self, name: str, path: str, revision: str = "main") -> bytes:
        """The bytes of a file of a data set."""
        return self.state.file(self.repo(name), path, revision)

    def fail(self, fault: Fault) -> None:
        """Sets a fault."""
        self.faults.add(fault)

    def environment(self, home: Path, token: str | None = None) -> dict[str, str]:
        """Environment of a client process that uses this Hub and its own caches in `home`."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("HF_", "HUGG"))
        }
        chosen = {
            "HF_ENDPOINT": self.url,
            "HF_HOME": str(home),
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_UPDATE_DOWNLOAD_COUNTS": "0",
            "USE_TORCH": "0",  # datasets imports it for seconds, and needs it for nothing here
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
        }
        return kept | chosen | ({"HF_TOKEN": token} if token else {})

    def __enter__(self) -> Self:
        for port in self._ports:
            Thread(target=port.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for port in self._ports:
            port.shutdown()
            port.server_close()

    def _finder(
        self, port: str
    ) -> Callable[[Request], tuple[str, Callable[[Request], Answer]] | None]:
        routes = [
            (name, method, re.compile(pattern), handler)
            for name, (method, pattern, handler) in ROUTES[port].items()
        ]

        def find(request: Request) -> tuple[str, Callable[[Request], Answer]] | None:
            for name, method, pattern, handler in routes:
                found = pattern.fullmatch(request.path)
                if found and request.method in (method, "HEAD" if method == "GET" else method):
                    request.names = unquoted(found.groupdict())
                    return name, partial(handler, self.state)
            return None

        return find
