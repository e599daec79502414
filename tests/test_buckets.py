"""The same tiles from a real object store: moto's S3, which is no part of this project.

It runs where there is a program ``moto_server`` (``uv tool install 'moto[s3,server]'``), in a
process of its own.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import urllib3
from test_cog import FIELD, GRIDS, YEAR

from hfaef.demo.tiles import write_store
from hfaef.errors import InputError
from hfaef.recipe import Cog
from hfaef.sources import open_source

BUCKET = "us-west-2.opendata.example"


def put(url: str, content: bytes = b"") -> None:
    # Moto takes any credentials; an upload without some is none to a public bucket.
    headers = {
        "Authorization": "AWS4-HMAC-SHA256 Credential=a/20250101/us-east-1/s3/aws4_request",
        "x-amz-acl": "public-read",
    }
    urllib3.request("PUT", url, body=content, headers=headers, retries=False, timeout=60)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("bucket")
    write_store(root, FIELD, {YEAR: GRIDS.values()})
    return root


@pytest.fixture(scope="module")
def endpoint(store: Path) -> Iterator[str]:
    program = shutil.which("moto_server")
    if not program:
        pytest.skip("there is no moto_server; `uv tool install 'moto[s3,server]'` brings it")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with subprocess.Popen(
        [program, "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        url = f"http://127.0.0.1:{port}"
        for _ in range(300):
            try:
                put(f"{url}/{BUCKET}")
                break
            except urllib3.exceptions.HTTPError:
                time.sleep(0.1)
        for path in sorted(store.rglob("*.*")):
            name = path.relative_to(store).as_posix()
            put(f"{url}/{BUCKET}/aef/v1/annual/{name}", path.read_bytes())
        yield url
        process.terminate()


@pytest.mark.parametrize("scheme", ["s3", "http"])
def test_a_bucket_gives_what_the_folder_gives(
    store: Path, endpoint: str, scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    host = f"s3://{BUCKET}" if scheme == "s3" else f"{endpoint}/{BUCKET}"
    served = open_source(Cog(kind="cog", root=f"{host}/aef/v1/annual"))
    folder = open_source(Cog(kind="cog", root=str(store)))
    for grid in GRIDS.values():
        one, two = served.read(grid, YEAR), folder.read(grid, YEAR)
        assert np.array_equal(one.codes, two.codes)
        assert all("@" in origin for origin in one.origins)
    served.close()


def test_a_bucket_without_an_index_is_told_so(
    endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    with pytest.raises(InputError, match="there is no index"):
        open_source(Cog(kind="cog", root=f"s3://{BUCKET}/elsewhere"))
