"""The HTTP side of the service: routes, envelopes, and answers that go wrong on purpose."""

from __future__ import annotations

import json
import os
import socket
import struct
import sys
import threading
import time
import traceback
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from servers.earthengine.conduct import Conduct, Fault, Tally
from servers.earthengine.errors import Refusal
from servers.earthengine.graph import Function
from servers.earthengine.operations import operations
from servers.earthengine.pixels import compute_features, compute_pixels, compute_value, patches_in
from servers.earthengine.world import World

Answer = tuple[int, str, bytes, dict[str, str]]
"""Status, content type, body, headers."""

_PARAMETERS = {"alt", "prettyPrint", "version"}


@lru_cache(maxsize=8)
def shipped(name: str) -> bytes:
    """A file of the Earth Engine client's own tests: its discovery document or algorithms."""
    return (resources.files("ee.tests") / name).read_bytes()


class Service:
    """A loopback Earth Engine on 127.0.0.1, from `start` to `stop`.

    Args:
        world: what it shows.
        conduct: how it behaves; may be changed while it runs.
        remember: whether answers are kept and given again to equal requests, so that a
            benchmark measures the client.
    """

    def __init__(
        self, world: World, conduct: Conduct | None = None, *, remember: bool = False
    ) -> None:
        self.world = world
        self.conduct = conduct or Conduct()
        # More computations at a time than cores only wait for each other.
        self._cores = threading.Semaphore(os.cpu_count() or 1)
        self._answers: dict[tuple[str, bytes], bytes] | None = {} if remember else None
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.service = self
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def start(self) -> Self:
        self._thread.start()
        return self

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def answer(self, asked: str, body: bytes) -> bytes:
        """The body of a good answer to a computation."""
        key = (asked, body)
        if self._answers is not None and key in self._answers:
            return self._answers[key]
        request = json.loads(body)
        self.conduct.tally.tags[str(request.get("workloadTag", ""))] += 1
        conduct = self.conduct
        with self._cores:
            match asked:
                case "pixels":
                    limits = conduct.max_bytes, conduct.max_bands
                    made = compute_pixels(self._operations(), request, *limits)
                case "features":
                    made = compute_features(self._operations(), request, conduct.max_features)
                case _:
                    made = json.dumps(compute_value(self._operations(), request)).encode()
        if self._answers is not None:
            self._answers[key] = made
        return made

    def _operations(self) -> dict[str, Function]:
        """What the service knows, as it was told to."""
        known = operations(self.world, lambda: self.conduct.half_a_pixel_off)
        return {name: does for name, does in known.items() if name not in self.conduct.unknown}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256
    service: Service

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are part of the tests; anything else is a fault of the service."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        self._respond(b"")

    def do_POST(self) -> None:
        self._respond(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _respond(self, body: bytes) -> None:
        conduct = self.server.service.conduct
        asked, project = _route(self.command, self.path)
        conduct.tally.requests[asked] += 1
        conduct.tally.agents[self.headers.get("User-Agent", "")] += 1
        conduct.tally.projects[self.headers.get("X-Goog-User-Project", "")] += 1
        fault = conduct.fault_of(asked)
        try:
            answer = self._answer(asked, project, body, fault)
        except Refusal as refusal:
            content = json.dumps(refusal.body()).encode()
            answer = (refusal.status, "application/json", content, refusal.headers)
        except Exception:  # noqa: BLE001 - a fault of the service shows in the test's message
            content = json.dumps(Refusal(500, traceback.format_exc()).body()).encode()
            answer = (500, "application/json", content, {})
        conduct.tally.statuses[answer[0]] += 1
        if fault is not None and fault.kind == "reset":
            self._reset()
            return
        self._send(answer, truncate=fault is not None and fault.kind == "truncate")

    def _answer(self, asked: str, project: str, body: bytes, fault: Fault | None) -> Answer:
        conduct = self.server.service.conduct
        wrong = _wrong(fault) if fault is not None else None
        if wrong is not None:
            return wrong
        if asked in ("algorithms", "value", "pixels", "features"):
            conduct.let_in(project, self.headers.get("Authorization", ""))
        match asked:
            case "discovery":
                return _json(shipped("cloud_api_discovery_document.json"))
            case "algorithms":
                return _json(shipped("algorithms.json"))
            case "value" | "pixels" | "features":
                return self._computed(asked, body, fault)
            case "token" | "stats" | "conduct":
                return _json(json.dumps(getattr(self, f"_{asked}")(body)).encode())
        raise Refusal(404, f"Not implemented here: {self.command} {self.path}.")

    def _computed(self, asked: str, body: bytes, fault: Fault | None) -> Answer:
        service = self.server.service
        end = time.monotonic() + service.conduct.latency
        with service.conduct.under_way():
            made = service.answer(asked, body)
            if asked == "pixels":
                patches = patches_in(made)
                service.conduct.tally.patches[patches] += 1
                end += service.conduct.latency_a_patch * patches
            time.sleep(max(0.0, end - time.monotonic()))
        match fault:
            case Fault(kind="zero"):
                start = 10 + int.from_bytes(made[8:10], "little")  # of the pixels
                half = start + (len(made) - start) // 2
                made = made[:half] + bytes(len(made) - half)
            case Fault(kind="swap"):
                made = service.conduct.swap(made)
        kind = "application/octet-stream" if asked == "pixels" else "application/json"
        return 200, kind, made, {}

    def _stats(self, _: bytes) -> dict[str, Any]:
        """What a benchmark in another process reads."""
        tally = self.server.service.conduct.tally
        return {
            "requests": tally.requests,
            "statuses": {str(key): value for key, value in tally.statuses.items()},
            "peak": tally.peak,
            "busiest": tally.busiest(),
        }

    def _conduct(self, body: bytes) -> dict[str, Any]:
        """Lets a benchmark in another process set latency and quotas; the tally starts anew."""
        conduct = self.server.service.conduct
        for name, value in json.loads(body).items():
            setattr(conduct, name, value)
        conduct.tally = Tally()
        return {}

    def _token(self, _: bytes) -> dict[str, Any]:
        conduct = self.server.service.conduct
        token = f"ya29.loopback-{conduct.tally.requests['token']}"
        if conduct.tokens is not None:
            conduct.tokens.add(token)
        # Slow enough for refreshes at the same time to be seen.
        time.sleep(0.05)
        return {"access_token": token, "expires_in": 3600, "token_type": "Bearer"}

    def _send(self, answer: Answer, *, truncate: bool) -> None:
        status, kind, body, headers = answer
        lines = [f"HTTP/1.1 {status} {'OK' if status == 200 else 'Refused'}"]
        lines += [f"Content-Type: {kind}", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        head = ("\r\n".join(lines) + "\r\n\r\n").encode()
        self.wfile.write(head + (body[: len(body) // 2] if truncate else body))
        self.close_connection = self.close_connection or truncate

    def _reset(self) -> None:
        # Without lingering, closing sends RST.
        linger = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.close_connection = True
        self.connection.close()


def _json(body: bytes) -> Answer:
    return 200, "application/json", body, {}


def _wrong(fault: Fault) -> Answer | None:
    match fault.kind:
        case "status":
            raise Refusal(fault.status, fault.message, dict(fault.headers))
        case "expire":
            raise Refusal(401, "Request had invalid authentication credentials.")
        case "html":
            return 200, "text/html", b"<!doctype html><title>Sign in</title>", {}
        case "garbage":
            return 200, "application/octet-stream", b"\x93NUMPY but not quite", {}
        case "stall":
            time.sleep(fault.seconds)
    return None


def _route(method: str, path: str) -> tuple[str, str]:
    """What is asked, and for which project."""
    parts = urlsplit(path)
    unknown = set(parse_qs(parts.query)) - _PARAMETERS
    if unknown:
        return f"the parameters {sorted(unknown)}", ""
    if parts.path == "/$discovery/rest":
        return "discovery", ""
    if parts.path in ("/stats", "/conduct", "/token"):
        return parts.path[1:], ""
    pieces = parts.path.strip("/").split("/")
    if len(pieces) == 4 and pieces[0] in ("v1", "v1alpha") and pieces[1] == "projects":
        known = {
            ("GET", "algorithms"): "algorithms",
            ("POST", "value:compute"): "value",
            ("POST", "image:computePixels"): "pixels",
            ("POST", "table:computeFeatures"): "features",
        }
        return known.get((method, pieces[3]), "unknown"), pieces[2]
    return "unknown", ""
