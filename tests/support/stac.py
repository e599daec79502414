"""Catalogues' own readers over a release's STAC files, without a network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pystac
import stac_geoparquet.arrow
from pystac.validation.stac_validator import JsonSchemaSTACValidator

from hfaef.release.stac.collection import FILE_EXTENSION, ITEM_ASSETS_EXTENSION
from hfaef.release.stac.extension import EXTENSION

_SCHEMAS = Path(__file__).parents[1] / "release/stac/schemas"

_DRAFT = "http://json-schema.org/draft-07/schema#"

_FILE = {
    "$schema": _DRAFT,
    "$id": FILE_EXTENSION,
    "properties": {
        "assets": {
            "additionalProperties": {
                "required": ["file:size", "file:checksum"],
                "properties": {
                    "file:size": {"type": "integer", "minimum": 0},
                    "file:checksum": {"type": "string", "pattern": "^[a-f0-9]+$"},
                },
            }
        }
    },
}
"""What the extension for files asks for; here each asset must have both."""

_ITEM_ASSETS = {"$schema": _DRAFT, "$id": ITEM_ASSETS_EXTENSION, "required": ["item_assets"]}


def validate(found: pystac.STACObject) -> None:
    """Raise if STAC or an extension of it would not take an object."""
    validator = JsonSchemaSTACValidator()
    own = json.loads((_SCHEMAS / "embeddings-0.0.1.json").read_text())
    validator.schema_cache |= {
        EXTENSION: own,
        FILE_EXTENSION: _FILE,
        ITEM_ASSETS_EXTENSION: _ITEM_ASSETS,
    }
    known = set(validator.schema_cache)
    assert EXTENSION in found.stac_extensions
    found.validate(validator)
    assert set(validator.schema_cache) == known  # nothing was asked of the network


def read_collection(folder: Path) -> pystac.Collection:
    """The collection in a folder."""
    return pystac.Collection.from_file(str(folder / "collection.json"))


def read_items(folder: Path) -> list[pystac.Item]:
    """The items in a folder's table."""
    table = pq.read_table(folder / "items.parquet")
    found = []
    for content in stac_geoparquet.arrow.stac_table_to_items(table):
        item = pystac.Item.from_dict(_plain(content))
        item.set_self_href(str(folder / "items.parquet"))
        found.append(item)
    return found


def _plain(content: dict[str, Any]) -> dict[str, Any]:
    """As JSON has it, without numpy's numbers."""
    return json.loads(json.dumps(content, default=lambda value: value.tolist()))
