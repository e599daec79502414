"""A release for a catalogue elsewhere: its STAC Collection and Items, whose addresses lead to it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from hfaef.core.files import atomic_folder, folder_errors
from hfaef.errors import ReleaseError, command_line
from hfaef.release.format.paths import COLLECTION, ITEMS
from hfaef.release.handle import Release
from hfaef.release.stac.collection import collection_bytes, make_collection
from hfaef.release.stac.files import items_entry
from hfaef.release.stac.items import items_bytes, make_items, read_items


@dataclass(frozen=True)
class ExportedStac:
    """What an export wrote."""

    folder: Path
    items: int
    bytes: int

    def summary(self) -> dict[str, Any]:
        """For ``--json``."""
        return {"folder": str(self.folder), "items": self.items, "bytes": self.bytes}


def path_to(release: Path, folder: Path) -> str:
    """The address of a release's folder from another folder."""
    return quote(os.path.relpath(release.resolve(), folder.resolve()).replace(os.sep, "/")) + "/"


def export_stac(
    release: Release, folder: Path, *, up: str, rows: Callable[[], Path]
) -> ExportedStac:
    """Write ``collection.json`` and ``items.parquet`` of a release into a folder.

    Args:
        release: of any version of hfaef.
        folder: where to write; new or empty.
        up: address of the release, as a folder's: from that folder on, or with a scheme.
        rows: gives a folder with its shards; asked only of a release without a table of items.

    Raises:
        FolderError: if the folder cannot be written.
        ReleaseError: if a shard, or its own table of items, cannot be read, or it has no shard.
        HubError: if the Hub does not give them.
    """
    manifest = release.manifest
    if ITEMS in {file.path for file in manifest.files}:
        items = read_items(release.fetch(ITEMS), manifest, up=up)
    else:
        items = make_items(rows(), manifest, up=up)
    if not items:
        raise ReleaseError(
            f"{release.name} holds no shard", command_line("hfaef", "check", release.name)
        )
    table = items_bytes(items)
    collection = collection_bytes(make_collection(manifest, items, items_entry(table), up=up))
    contents = {ITEMS: table, COLLECTION: collection}
    with folder_errors(folder), atomic_folder(folder) as made:
        for path, content in contents.items():
            (made / Path(path).name).write_bytes(content)
    return ExportedStac(folder, sum(map(len, items)), sum(map(len, contents.values())))
