"""A small store of tiles behind a loopback server, and sources that read it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from conftest import World
from sources.cog.test_source import FIELD, GRIDS, YEAR

from hfaef.core.grid import Grid
from hfaef.errors import Throttled, Transient
from hfaef.recipe.model import Cog
from hfaef.sources import open_source
from hfaef.sources.base import Pixels, Source
from hfaef.sources.cog.source import CogSource
from hfaef.sources.demo.tiles import write_store
from servers.files import FileServer, Request

ON_LATTICE = GRIDS["on the lattice"]
ACROSS = GRIDS["across four tiles"]

CLUSTER = [
    Grid("EPSG:32632", (10, 0, 600_000 + 70 * column, 0, -10, 5_300_000 - 90 * row), 12, 10)
    for row in range(3)
    for column in range(4)
]
"""Patches that share a block or two, some of them pixels, too."""


@pytest.fixture(scope="session")
def served_world(tmp_path_factory: pytest.TempPathFactory) -> World:
    root = tmp_path_factory.mktemp("served")
    write_store(root, FIELD, {YEAR: [*GRIDS.values(), *CLUSTER]})
    return World(root, FIELD, YEAR)


@pytest.fixture
def server(served_world: World) -> Iterator[FileServer]:
    with FileServer(served_world.root) as server:
        yield server


@pytest.fixture
def sources() -> Iterator[list[CogSource]]:
    yield OPENED
    while OPENED:
        OPENED.pop().close()


OPENED: list[CogSource] = []


def remote_source(server: FileServer, **keys: object) -> CogSource:
    source = open_source(Cog(kind="cog", root=server.url, **keys))
    assert isinstance(source, CogSource)
    OPENED.append(source)
    return source


def local_source(world: World) -> Source:
    return open_source(Cog(kind="cog", root=str(world.root)))


def read_with_retries(source: CogSource, grid: Grid, tries: int = 40) -> Pixels:
    """Read as the engine does: what may succeed later is tried again."""
    for _ in range(tries - 1):
        try:
            return source.read(grid, YEAR)
        except (Transient, Throttled):
            continue
    return source.read(grid, YEAR)


def tiles(request: Request) -> bool:
    return request.path.endswith(".tiff")


def manifest_without_sums(release: Path) -> dict[str, Any]:
    """The manifest without sizes and hashes."""
    sums = {"bytes", "sha256", "recipe_sha256"}
    manifest = json.loads(
        (release / "release.json").read_text(),
        object_hook=lambda found: {key: found[key] for key in found.keys() - sums},
    )
    return dict(manifest)


def require_same_but_for_the_root(
    here: Path, there: Path, root: str, etag: Callable[[str], str]
) -> None:
    """Two releases, from a folder and from a root, differ only in what says where from."""
    from build.test_pipeline import (
        digests,  # here, as it imports datasets, which every session would do
    )

    one, two = digests(here), digests(there)
    assert list(one) == list(two)
    differs = [path for path in one if one[path] != two[path]]
    # Collection and points list shards with hashes and sizes; their items and rows are the same.
    told = {"README.md", "release.json", "stac/collection.json", "atlas/points.parquet"}
    assert {path for path in differs if not path.startswith("data/")} == told
    cards = [set((release / "README.md").read_text().splitlines()) for release in (here, there)]
    for line in cards[0] ^ cards[1]:
        words = r"(num_bytes|_size): \d+$|^  description: content |^<!-- hfaef:sha256 |^- Recipe `|\"(kind|root)\": "
        assert re.search(words, line)
    points = [pq.read_table(each / "atlas/points.parquet") for each in (here, there)]
    assert points[0].drop(["preview_offset"]).equals(points[1].drop(["preview_offset"]))
    shards = [path for path in one if path.startswith("data/")]
    for path in shards:
        mine, theirs = pq.read_table(here / path), pq.read_table(there / path)
        assert mine.drop(["source"]).equals(theirs.drop(["source"]))
        pairs = zip(mine["source"].to_pylist(), theirs["source"].to_pylist(), strict=True)
        for local_tiles, remote_tiles in pairs:
            assert remote_tiles == [f"{tile}@{etag(tile)}" for tile in local_tiles]
    assert shards
    mine, theirs = manifest_without_sums(here), manifest_without_sums(there)
    assert theirs["recipe"]["source"].pop("root") == root
    assert mine == theirs
