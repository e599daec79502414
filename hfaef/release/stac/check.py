"""What a release's STAC files say that its manifest and its shards do not."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from hfaef.errors import ReleaseError
from hfaef.release.format.manifest import Manifest, read_bounded
from hfaef.release.format.paths import COLLECTION, ITEMS, STAC_FILES
from hfaef.release.stac.collection import make_collection
from hfaef.release.stac.items import make_items, read_items

_CHECKED = ("id", "license", "extent", "emb:type", "emb:dimensions", "data_type")
"""Keys of the collection that a manifest and its shards decide; the others are words."""

_LOCATED = ("id", "geometry", "bbox", "start_datetime", "end_datetime", "collection", "assets")
"""Columns of the items, likewise."""

_OF_ASSETS = ("href", "file:size", "file:checksum")


def stac_problems(folder: Path, manifest: Manifest) -> Iterator[tuple[str, str]]:
    """Path and problem, in words; nothing for a release of hfaef 0.1, which has no such files.

    Args:
        folder: of the release; its files are those that the manifest lists.
        manifest: the release's.
    """
    listed = {file.path: file for file in manifest.files}
    if manifest.emb is None:
        return
    if lacking := [path for path in STAC_FILES if path not in listed]:
        yield from ((path, "is missing; build the release again") for path in lacking)
        return
    items = make_items(folder, manifest)
    try:
        found = read_items(folder / ITEMS, manifest)
    except ReleaseError as error:
        yield ITEMS, error.message
        return
    if not _located(found).equals(_located(items)):
        yield (
            ITEMS,
            "names other patches, places, years or shards than there are; build the release again",
        )
    try:
        collection = json.loads(read_bounded(folder / COLLECTION))
        same = _decided(collection) == _decided(make_collection(manifest, items, listed[ITEMS]))
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        yield COLLECTION, f"is no collection: {error}"
        return
    if not same:
        yield COLLECTION, "is not what the manifest says; build the release again"


def _located(items: Sequence[pa.Table]) -> pa.Table:
    return pa.concat_tables([table.select(_LOCATED) for table in items])


def _decided(collection: dict[str, Any]) -> dict[str, Any]:
    assets = {
        name: [asset[key] for key in _OF_ASSETS] for name, asset in collection["assets"].items()
    }
    return {**{key: collection[key] for key in _CHECKED}, "assets": assets}
