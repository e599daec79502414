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
from hfaef.core.codec import decode_row
from hfaef.core.quantize import from_stored
from hfaef.errors import InputError
from hfaef.hub.open import open_release
from hfaef.recipe.model import Recipe
from hfaef.release.check import Finding
from hfaef.release.format.webdataset import read_rows
from hfaef.release.handle import Release
from hfaef.release.locate import RowLocation, read_placement
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
    rows = read_placement(release).rows
    findings: list[Finding] = []
    with closing(open_source(recipe.source, recipe.years)) as source:
        catalog = open_catalog(recipe, source.years if recipe.year_column else None)
        patches = {(patch.row_year, patch.id): patch for patch in catalog.patches}
        both = sorted(rows.keys() & patches.keys())
        if not both:
            raise InputError(
                f"no patch of the recipe is in {target}", "give the recipe it is made of"
            )
        chance = random.Random(seed)  # noqa: S311 - chooses rows, guards nothing
        chosen = chance.sample(both, min(count, len(both)))
        for key in sorted(chosen, key=lambda key: (rows[key].path, rows[key].group)):
            findings += _differences(release, rows[key], patches[key], source)
    return len(chosen), findings


def _differences(
    release: Release, location: RowLocation, patch: Patch, source: Source
) -> Iterator[Finding]:
    row = _row(release, location, patch.id)
    where = f"patch {patch.id} of {patch.year}"
    if (row["id"], row["year"]) != (patch.id, patch.row_year):
        yield Finding(location.path, f"{where} is not where the pooled vectors say")
        return
    grid = patch.grid
    if (row["crs"], tuple(row["transform"])) != (grid.crs, tuple(grid.transform)):
        yield Finding(location.path, f"{where} lies on another grid than in the recipe")
        return
    try:
        held = from_stored(decode_row(row))
    except ValueError as error:
        yield Finding(location.path, f"{where}: {error}")
        return
    codes = read_grid(source, grid, patch.year, Policy()).codes
    if held.shape != codes.shape:
        yield Finding(location.path, f"{where} is {held.shape}, the source gives {codes.shape}")
    elif differing := int(np.count_nonzero((held != codes).any(axis=0))):
        pixels = codes[0].size
        yield Finding(
            location.path, f"{where} differs from the source in {differing:,} of {pixels:,} pixels"
        )


def _row(release: Release, location: RowLocation, id_: str) -> dict[str, Any]:
    """A row; of a Parquet file that lies on the Hub, only its row group is read."""
    import pyarrow.parquet as pq

    if location.path.endswith(".tar"):
        rows = read_rows(release.fetch(location.path))
        return next((row for row in rows if row["id"] == id_), {"id": None, "year": None})
    with release.open(location.path) as file, pq.ParquetFile(file) as shard:
        columns = [name for name in shard.schema_arrow.names if name in _COLUMNS]
        group = shard.read_row_group(location.group, columns=columns)
        return dict(group.slice(location.position, 1).to_pylist()[0])
