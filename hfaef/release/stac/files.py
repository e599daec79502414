"""The STAC files of a release, collection and items, as a build writes them."""

from __future__ import annotations

import hashlib
from pathlib import Path

from hfaef.release.format.manifest import File, Manifest
from hfaef.release.format.paths import COLLECTION, ITEMS
from hfaef.release.stac.collection import collection_bytes, make_collection
from hfaef.release.stac.items import items_bytes, make_items


def stac_files(folder: Path, manifest: Manifest) -> dict[str, bytes]:
    """Items and collection of a release whose shards are written, by path.

    Args:
        folder: of the release.
        manifest: with its shards, and nothing that is added later.

    Raises:
        ReleaseError: naming a shard that cannot be read.
    """
    items = make_items(folder, manifest)
    table = items_bytes(items)
    collection = make_collection(manifest, items, items_entry(table))
    return {ITEMS: table, COLLECTION: collection_bytes(collection)}


def items_entry(table: bytes) -> File:
    """The manifest's line on the items' file."""
    digest = hashlib.sha256(table).hexdigest()
    return File(path=ITEMS, bytes=len(table), sha256=digest, rows=0)
