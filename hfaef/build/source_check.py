"""Rows of a release beside what the recipe's source gives today: are they still the same codes?"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import numpy as np

from hfaef.build.fetch.read import read_grid
from hfaef.build.fetch.retry import Policy
from hfaef.catalog import open_catalog
from hfaef.catalog.patch import Patch
from hfaef.core import codec
from hfaef.core.quantize import from_stored
from hfaef.errors import InputError
from hfaef.hub.open import open_release
from hfaef.recipe.model import Recipe
from hfaef.release.check import Finding
from hfaef.release.format.webdataset import read_rows
from hfaef.release.handle import Release
from hfaef.release.locate import RowLocation, layout_of
from hfaef.sources import open_source
from hfaef.sources.base import Source

_COLUMNS = ("embedding", "id", "year", "crs", "transform", "height", "width")


def check_sample(
    target: str, recipe: Recipe, count: int, seed: int | None = None
) -> tuple[int, list[Finding]]:
    """How many rows were compared with the recipe's source, and what is wrong with them.

    Args:
        target: a release folder, or ``OWNER/NAME[@VERSION]``.
        recipe: names the patches and the source.
        count: rows to choose by chance; fewer if the release has fewer.
        seed: of the choice; another one each time by default.

    Raises:
        InputError: if no patch of the recipe is in the release.
        SourceError: if the source does not give a patch.
        HubError: if the Hub has no such version.
    """
    release = open_release(target)
    places = layout_of(release).places
    patches = {(patch.year, patch.id): patch for patch in open_catalog(recipe).patches}
    both = sorted(places.keys() & patches.keys())
    if not both:
        raise InputError(f"no patch of the recipe is in {target}", "give the recipe it is made of")
    chance = random.Random(seed)  # noqa: S311 - chooses rows, guards nothing
    chosen = chance.sample(both, min(count, len(both)))
    findings: list[Finding] = []
    with closing(open_source(recipe.source, recipe.years)) as source:
        for key in sorted(chosen, key=lambda key: (places[key].path, places[key].group)):
            findings += _differences(release, places[key], patches[key], source)
    return len(chosen), findings


def _differences(
    release: Release, place: RowLocation, patch: Patch, source: Source
) -> Iterator[Finding]:
    row = _row(release, place, patch.id)
    where = f"patch {patch.id} of {patch.year}"
    if (row["id"], row["year"]) != (patch.id, patch.year):
        yield Finding(place.path, f"{where} is not where the pooled vectors say")
        return
    grid = patch.grid
    if (row["crs"], tuple(row["transform"])) != (grid.crs, tuple(grid.transform)):
        yield Finding(place.path, f"{where} lies on another grid than in the recipe")
        return
    try:
        shape = (row["height"], row["width"]) if "height" in row else None
        held = from_stored(codec.decode(row["embedding"], shape))
    except ValueError as error:
        yield Finding(place.path, f"{where}: {error}")
        return
    codes = read_grid(source, grid, patch.year, Policy()).codes
    if held.shape != codes.shape:
        yield Finding(place.path, f"{where} is {held.shape}, the source gives {codes.shape}")
    elif differing := int(np.count_nonzero((held != codes).any(axis=0))):
        pixels = codes[0].size
        yield Finding(
            place.path, f"{where} differs from the source in {differing:,} of {pixels:,} pixels"
        )


def _row(release: Release, place: RowLocation, id_: str) -> dict[str, Any]:
    """A row; of a Parquet file that lies on the Hub, only its row group is read."""
    import pyarrow.parquet as pq

    if place.path.endswith(".tar"):
        rows = read_rows(release.fetch(place.path))
        return next((row for row in rows if row["id"] == id_), {"id": None, "year": None})
    with release.open(place.path) as file, pq.ParquetFile(file) as shard:
        columns = [name for name in shard.schema_arrow.names if name in _COLUMNS]
        group = shard.read_row_group(place.group, columns=columns)
        return dict(group.slice(place.position, 1).to_pylist()[0])
