"""The STAC Collection of a release, ``stac/collection.json``: extent, licence, files with checksums.

It lists what the build itself writes. Scores and figures are added later, and what is added does
not change what a catalogue knows of the data.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hfaef.core.quantize import BANDS
from hfaef.errors import repository
from hfaef.release.card.references import References, read_references
from hfaef.release.format.manifest import File, Manifest
from hfaef.release.format.paths import ITEMS, KINDS, MISSING
from hfaef.release.format.schema import BOX
from hfaef.release.stac.addresses import UP, media_type, shard_address
from hfaef.release.stac.data_card import DESCRIPTION
from hfaef.release.stac.extension import (
    EXTENSION,
    SPACING,
    STAC_VERSION,
    TEMPORAL_RESOLUTION,
)

FILE_EXTENSION = "https://stac-extensions.github.io/file/v2.1.0/schema.json"
ITEM_ASSETS_EXTENSION = "https://stac-extensions.github.io/item-assets/v1.0.0/schema.json"

_SHA256 = "1220"
"""What a multihash of SHA-256 begins with: the number of the function, and 32 bytes."""

_SPDX = {
    "apache-2.0": "Apache-2.0",
    "mit": "MIT",
    "isc": "ISC",
    "zlib": "Zlib",
    "unlicense": "Unlicense",
    "wtfpl": "WTFPL",
    "pddl": "PDDL-1.0",
    "odbl": "ODbL-1.0",
    "odc-by": "ODC-By-1.0",
    "bsd-2-clause": "BSD-2-Clause",
    "bsd-3-clause": "BSD-3-Clause",
    "etalab-2.0": "etalab-2.0",
    "cdla-sharing-1.0": "CDLA-Sharing-1.0",
    "cdla-permissive-1.0": "CDLA-Permissive-1.0",
    "cdla-permissive-2.0": "CDLA-Permissive-2.0",
}
"""Identifiers of https://spdx.org/licenses by the Hub's names; those of Creative Commons are the
Hub's in capitals."""

_FIT_FOR = {"class": "classification", "classes": "classification", "number": "regression"}


def collection_bytes(collection: dict[str, Any]) -> bytes:
    """The content of the file, the same for the same collection."""
    return (json.dumps(collection, indent=1, ensure_ascii=False) + "\n").encode()


def make_collection(
    manifest: Manifest, items: Sequence[pa.Table], table: File, *, up: str = UP
) -> dict[str, Any]:
    """The collection.

    Args:
        manifest: of the release.
        items: its items.
        table: the file that holds them.
        up: address of the release, as a folder's, that stands before those of its files.
    """
    settings = manifest.recipe.get("card", {})
    references = read_references().of(manifest)
    (model,) = references.models
    licence = settings.get("license") or "cc-by-4.0"
    listed = [f for f in manifest.files if f.path.split("/")[0] in (*KINDS, MISSING)]
    shard = next(file.path for file in listed if file.path.startswith("data/"))
    beside = ITEMS.rpartition("/")[2]
    return {
        "type": "Collection",
        "stac_version": STAC_VERSION,
        "stac_extensions": [EXTENSION, FILE_EXTENSION, ITEM_ASSETS_EXTENSION],
        "id": manifest.name,
        "title": settings.get("pretty_name") or manifest.name,
        "description": settings.get("description") or DESCRIPTION,
        "keywords": list(dict.fromkeys(["embeddings", "alphaearth", *settings.get("tags", [])])),
        "license": spdx(licence),
        "providers": _providers(references),
        "extent": _extent(items),
        "emb:type": "pixel",
        "emb:dimensions": BANDS,
        "data_type": "uint8",
        "gsd": SPACING,
        "emb:temporal_resolution": TEMPORAL_RESOLUTION,
        "emb:fit_for_use": [_FIT_FOR[manifest.labelling]],
        "summaries": {
            "emb:type": ["pixel"],
            "emb:dimensions": [BANDS],
            "data_type": ["uint8"],
            "gsd": [SPACING],
        },
        "links": [
            _link("emb:model", model.url, "text/html", model.name),
            _link("emb:source-data", model.source, "text/html", "Embeddings, by place and year"),
            _link("license", f"{up}README.md", "text/markdown", "Licence and attribution"),
            _link("about", f"{up}README.md", "text/markdown", "Data card"),
        ],
        "item_assets": {
            "embeddings": {
                "title": "The shard that holds the patch, in the row of its id",
                "type": media_type(shard),
                "roles": ["data"],
            }
        },
        "assets": {
            "items": _asset(table, beside, "A STAC item a patch (STAC GeoParquet)", "stac-items"),
            **{file.path: _listed(file, up) for file in listed},
        },
    }


def spdx(licence: str) -> str:
    """The name of a licence in STAC: SPDX's, or ``proprietary`` for one that has none or is not known."""
    if licence.startswith(("cc-by-", "cc0-")):
        return licence.upper()
    return _SPDX.get(licence, "proprietary")


def checksum(sha256: str) -> str:
    """A multihash, hexadecimal, of a SHA-256."""
    return _SHA256 + sha256


def _extent(items: Sequence[pa.Table]) -> dict[str, Any]:
    """Bounds of all items, and their years, each, if there are several, after the whole."""
    names = ["bbox", "start_datetime", "end_datetime"]
    whole = pa.concat_tables([table.select(names) for table in items])
    boxes = whole["bbox"].combine_chunks()
    edges = {edge: pc.struct_field(boxes, edge).to_numpy() for edge in BOX}
    box = [edges[edge].min() for edge in BOX[:2]] + [edges[edge].max() for edge in BOX[2:]]
    starts = np.unique(whole["start_datetime"].to_numpy())
    ends = np.unique(whole["end_datetime"].to_numpy())
    intervals = [[_moment(starts[0]), _moment(ends[-1])]]
    if len(starts) > 1:
        intervals += [[_moment(a), _moment(b)] for a, b in zip(starts, ends, strict=True)]
    return {
        "spatial": {"bbox": [[float(edge) for edge in box]]},
        "temporal": {"interval": intervals},
    }


def _moment(time: Any) -> str:
    return f"{np.datetime_as_string(time, 's')}Z"


def _providers(references: References) -> list[dict[str, Any]]:
    """Who made the parts of a release, and who put them together."""
    made: dict[str, dict[str, Any]] = {}
    for part in references.parts:
        made[part.by] = {
            "name": part.by,
            "description": f"{part.what}: {part.name}, {part.licence}",
            "roles": ["producer", "licensor"],
            **({"url": part.url} if part.url else {}),
        }
    here = {"name": "hfaef", "roles": ["processor"], "url": repository()}
    if "hfaef" in made:
        here = {**made.pop("hfaef"), "roles": ["producer", "processor"], "url": repository()}
    return [*made.values(), here]


def _link(rel: str, href: str, kind: str, title: str) -> dict[str, str]:
    return {"rel": rel, "href": href, "type": kind, "title": title}


def _listed(file: File, up: str) -> dict[str, Any]:
    """A file of a release as an asset."""
    kind = file.path.split("/")[0]
    title, role = {
        "data": ("Patches", "data"),
        "pooled": ("Pooled vectors, one a patch", "data"),
        MISSING: ("Patches that are not in the release", "metadata"),
    }[kind]
    more = {"data_type": "float32"} if kind == "pooled" else {}
    return {**_asset(file, shard_address(file.path, up), title, role), **more}


def _asset(file: File, href: str, title: str, role: str) -> dict[str, Any]:
    return {
        "href": href,
        "type": media_type(file.path),
        "title": title,
        "roles": [role],
        "file:size": file.bytes,
        "file:checksum": checksum(file.sha256),
    }
