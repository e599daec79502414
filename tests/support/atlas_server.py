"""Servers of the atlas for tests, and what they are asked."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from contextlib import closing, contextmanager
from threading import Thread

from hfaef.atlas.server import Server


@contextmanager
def running(server: Server) -> Iterator[Server]:
    """A server that answers meanwhile."""
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Answer:
    """What came back."""

    def __init__(self, found: http.client.HTTPResponse) -> None:
        self.status = found.status
        self.headers = found.headers
        self.body = found.read()


def ask(server: Server, path: str, method: str = "GET", **headers: str) -> Answer:
    """Ask for a path as it is written, with DATA for the folder of the data; headers with ``_`` for ``-``."""
    path = path.replace("DATA/", server.shown.data)
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=30)
    with closing(connection):
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.putrequest(method, path, skip_host="Host" in named)
        for name, value in named.items():
            connection.putheader(name, value)
        connection.endheaders()
        return Answer(connection.getresponse())
