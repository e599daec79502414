"""A real object store: moto's S3, in a process of its own, at a loopback address."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import urllib3

HEADERS = {
    # Moto takes any credentials; an upload without some is none to a public bucket.
    "Authorization": "AWS4-HMAC-SHA256 Credential=a/20250101/us-east-1/s3/aws4_request",
    "x-amz-acl": "public-read",
}


@contextmanager
def object_store() -> Iterator[str]:
    """The address of a store without buckets."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            url = f"http://127.0.0.1:{port}"
            _await(url, process)
            yield url
        finally:
            process.terminate()


def fill(url: str, bucket: str, prefix: str, folder: Path) -> None:
    """Put all files of a folder into a new bucket that everybody may read."""
    _put(f"{url}/{bucket}", b"")
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        _put(f"{url}/{bucket}/{prefix}/{path.relative_to(folder).as_posix()}", path.read_bytes())


def _await(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            urllib3.request("GET", f"{url}/moto-api/", retries=False, timeout=10)
            return
        except urllib3.exceptions.HTTPError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def _put(url: str, content: bytes) -> None:
    answer = urllib3.request("PUT", url, body=content, headers=HEADERS, retries=False, timeout=60)
    assert answer.status == 200, answer.data
