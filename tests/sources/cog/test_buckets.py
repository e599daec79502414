"""The same tiles from a real object store, as s3:// roots are read."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import urllib3
from build.test_pipeline import demo_recipe
from conftest import World
from sources.cog.test_source import GRIDS, YEAR

from hfaef.build.pipeline import build
from hfaef.errors import InputError, PermanentError
from hfaef.recipe.model import Cog
from hfaef.sources import open_source
from servers.bucket import HEADERS, fill, object_store
from servers.files import Fault, FileServer
from support.tile_stores import ACROSS, ON_LATTICE, require_same_but_for_the_root

PUBLIC, DEMO = "us-west-2.opendata.example", "demo"
PREFIX = "tge-labs/aef/v1/annual"


@pytest.fixture(scope="module")
def endpoint(served_world: World, demo_root: Path) -> Iterator[str]:
    with object_store() as url:
        fill(url, PUBLIC, PREFIX, served_world.root)
        fill(url, DEMO, PREFIX, demo_root / "data/demo/aef")
        yield url


@pytest.fixture(autouse=True)
def loopback(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)


@pytest.mark.parametrize("scheme", ["s3", "http"])
def test_a_bucket_gives_what_the_folder_gives(
    served_world: World, endpoint: str, scheme: str
) -> None:
    host = f"s3://{PUBLIC}" if scheme == "s3" else f"{endpoint}/{PUBLIC}"
    remote = open_source(Cog(kind="cog", root=f"{host}/{PREFIX}"))
    folder = open_source(Cog(kind="cog", root=str(served_world.root)))
    for grid in GRIDS.values():
        one, two = remote.read(grid, YEAR), folder.read(grid, YEAR)
        assert np.array_equal(one.codes, two.codes)
        assert all("@" in origin for origin in one.origins)
    remote.close()


@pytest.mark.slow
def test_a_build_from_a_bucket_is_the_build_from_the_folder(
    demo_root: Path, tmp_path: Path
) -> None:
    bucket = f"s3://{DEMO}/{PREFIX}"
    here = build(demo_recipe(demo_root), tmp_path / "here")
    there = build(demo_recipe(demo_root, f"source.root={bucket}"), tmp_path / "there")
    tiles = demo_root / "data/demo/aef"

    def etag(path: str) -> str:
        # S3's of a file that was put at once: https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html
        return hashlib.md5((tiles / path).read_bytes(), usedforsecurity=False).hexdigest()

    require_same_but_for_the_root(here.folder, there.folder, bucket, etag)


def test_a_tile_that_the_bucket_lacks_is_named(endpoint: str, served_world: World) -> None:
    fill(endpoint, "gaps", PREFIX, served_world.root)
    source = open_source(Cog(kind="cog", root=f"s3://gaps/{PREFIX}"))
    path = source.read(ON_LATTICE, YEAR).origins[0].partition("@")[0]
    gone = next(o for o in source.read(ACROSS, YEAR).origins if not o.startswith(path))
    source.close()
    url = f"{endpoint}/gaps/{PREFIX}/{gone.partition('@')[0]}"
    urllib3.request("DELETE", url, headers=HEADERS, retries=False)
    source = open_source(Cog(kind="cog", root=f"s3://gaps/{PREFIX}"))
    with pytest.raises(PermanentError, match=r"\.tiff is not there .* 404 NoSuchKey"):
        source.read(ACROSS, YEAR)
    source.close()


@pytest.mark.parametrize(
    ("root", "code"), [(f"{PUBLIC}/elsewhere", "NoSuchKey"), (f"no.such/{PREFIX}", "NoSuchBucket")]
)
def test_a_bucket_without_an_index_and_no_bucket_are_told_apart(root: str, code: str) -> None:
    with pytest.raises(InputError, match=f"there is no index .* 404 {code}") as caught:
        open_source(Cog(kind="cog", root=f"s3://{root}"))
    assert "source.root" in caught.value.hint


def test_a_bucket_elsewhere_says_where(
    served_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As S3 answers who asks in the wrong region; moto has all buckets everywhere.
    moved = Fault(301, {"x-amz-bucket-region": "eu-west-1"}, b"<Code>PermanentRedirect</Code>")
    with FileServer(served_world.root, fail=lambda _: moved) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        with pytest.raises(InputError, match="region eu-west-1") as caught:
            open_source(Cog(kind="cog", root="s3://mine/aef"))
        assert "AWS_REGION=eu-west-1" in caught.value.hint
        assert len(server.requests) == 1
