"""A sample of a WebDataset: its key, its members, and how they map to a row's columns.

| member  | what                                                              |
| ------- | ----------------------------------------------------------------- |
| `.png`  | `embedding`: the sheet                                            |
| `.jpg`  | `preview`                                                         |
| `.cls`  | `label`: the number of a class; other labels lie in `.json`       |
| `.json` | all other columns; `geometry` is well-known binary as hexadecimal |

JSON has no dates: those of kept columns are texts as in ISO 8601. Numbers that are NaN are null.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from datetime import date
from typing import Any

from hfaef.core.names import require_id

MEMBERS = {"png": "embedding", "jpg": "preview", "cls": "label"}
"""Members that hold one column each."""

REST = "json"
"""Member that holds the rest of the row."""

KEY = re.compile(r"[a-z0-9_]+")
"""A dot ends a key for every reader, and some read upper case as lower."""


def key_of(identity: str) -> str:
    """Key of a patch: no two ids have the same one, and `identity_of` gives the id back."""
    return re.sub(r"[A-Z_-]", lambda match: "_" + _escaped(match.group()), identity)


def identity_of(key: str) -> str:
    """Id of the patch with this key."""
    return re.sub(r"_(.)", lambda match: _unescaped(match.group(1)), key)


def members_of(row: Mapping[str, Any], *, classes: bool) -> dict[str, bytes]:
    """Contents of a sample's members by extension.

    Args:
        row: as in a Parquet shard.
        classes: whether its label is the number of a class.
    """
    rest = {name: value for name, value in row.items() if name not in ("embedding", "preview")}
    members = {"png": row["embedding"]["bytes"], "jpg": row["preview"]["bytes"]}
    if classes:
        members["cls"] = str(rest.pop("label")).encode()
    rest["geometry"] = rest["geometry"].hex()
    plain = {name: _plain(value) for name, value in rest.items()}
    members[REST] = json.dumps(plain, separators=(",", ":"), allow_nan=False).encode()
    return members


def _plain(value: Any) -> Any:
    """A value as JSON has it."""
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if isinstance(value, date):
        return value.isoformat()
    return None if isinstance(value, float) and math.isnan(value) else value


def row_of(members: Mapping[str, bytes]) -> dict[str, Any]:
    """The row of a sample's members, as in a Parquet shard.

    Raises:
        ValueError: if a member is missing, is not what its extension says, or names no patch.
    """
    missing = {"png", "jpg", REST} - members.keys()
    if missing:
        raise ValueError(f"lacks .{min(missing)}")
    rest = json.loads(members[REST])
    if not isinstance(rest, dict) or not isinstance(rest.get("id"), str):
        raise ValueError("its .json holds no row")  # noqa: TRY004 - the value is wrong, not the call
    require_id(rest["id"])
    row = {
        "embedding": {"bytes": members["png"], "path": f"{rest['id']}.png"},
        "preview": {"bytes": members["jpg"], "path": f"{rest['id']}.jpg"},
        **rest,
        "geometry": bytes.fromhex(rest.get("geometry", "")),
    }
    if "cls" in members:
        row["label"] = int(members["cls"])
    return row


def _escaped(letter: str) -> str:
    return {"_": "_", "-": "0"}.get(letter, letter.lower())


def _unescaped(letter: str) -> str:
    return {"_": "_", "0": "-"}.get(letter, letter.upper())
