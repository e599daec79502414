"""What the client of the Hub's storage (Xet) raises becomes an error with a next command."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from hfaef.errors import HubError
from hfaef.hub.retry import TransientHubError, translate_hub_errors


@contextmanager
def storage(status: int) -> Iterator[str]:
    """Storage that takes contents, and answers every shard with a status; gives its address."""

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            code = status if "shard" in self.path else 404 if "chunks" in self.path else 200
            content = json.dumps({"was_inserted": True}).encode()
            self.send_response(code)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = _answer  # noqa: N815 - the names that http.server calls

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("status", "hint", "transient"),
    [(403, "may write to ada/patches", False), (409, "run the same command again", True)],
)
def test_a_shard_that_the_storage_refuses_is_told(
    tmp_path: Path, status: int, hint: str, *, transient: bool
) -> None:
    hf_xet = pytest.importorskip("hf_xet")
    path = tmp_path / "shard"
    path.write_bytes(os.urandom(100_000))
    with (
        storage(status) as address,
        pytest.raises(HubError) as caught,
        translate_hub_errors("ada/patches"),
        hf_xet.XetSession().new_upload_commit(
            endpoint=address, token="secret", token_expiry_unix_secs=9_999_999_999
        ) as commit,
    ):
        commit.start_upload_file(str(path), sha256=hf_xet.COMPUTE_SHA256)
    assert caught.value.message.startswith(f"ada/patches: the Hub's storage answers {status} "), (
        caught.value.message
    )
    assert hint in caught.value.hint
    assert isinstance(caught.value, TransientHubError) is transient
    assert "http" not in str(caught.value)


@pytest.mark.parametrize(
    ("raised", "words"),
    [
        (RuntimeError("task http://cas.example/x?token=1 failed"), "storage failed (task"),
        (ConnectionError("Network error"), "storage failed (Network error)"),
        (OSError(28, "No space left on device", "/cache/blob"), "cannot read or write /cache/blob"),
    ],
)
def test_errors_of_python_itself_are_told(raised: Exception, words: str) -> None:
    with pytest.raises(HubError) as caught, translate_hub_errors("ada/patches"):
        raise raised
    assert words in caught.value.message
    assert "token=1" not in caught.value.message
    assert caught.value.hint
