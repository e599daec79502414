"""Names of a release's files, folders and configs; pure, from years, schemes and splits alone."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

STAGING = ".staging"
"""Folder of a build's unfinished work, in the release's folder."""

MANIFEST = "release.json"
"""The manifest."""


def put_into_release(folder: Path, name: str, content: bytes) -> None:
    """Write a file of a release whole or not at all; a kill leaves nothing beside it.

    Args:
        folder: the release's.
        name: of the file; it lies in the folder itself.
        content: all of it.
    """
    staging = folder / STAGING
    staging.mkdir(exist_ok=True)
    # Not beside the file: a check would object to what a kill leaves there.
    staged = staging / f"{name}.part"
    staged.write_bytes(content)
    staged.replace(folder / name)


KINDS = ("data", "pooled")
"""Folders of a release: whole patches, and one vector a patch."""

MISSING = "missing.parquet"
"""A table of the patches that a release lacks; there is one only if it lacks some."""

PICTURES = ("embedding", "preview")
"""Columns that are compressed already."""

VECTORS = ("mean", "std", "min", "max")
"""Columns of pooled vectors, one number a band."""

ROW_GROUPS = "hfaef.row_groups"
"""Key in a table of pooled vectors: rows by row group by shard of the data of its cell."""


@dataclass(frozen=True)
class StorageFormat:
    """How rows lie in files."""

    format: Literal["parquet", "webdataset"] = "parquet"
    codec: Literal["png", "raw"] = "png"

    def suffix(self, kind: str) -> str:
        """Of the shards of a kind; pooled vectors are a table in every form."""
        return ".tar" if self.format == "webdataset" and kind == "data" else ".parquet"


def shuffled(identity: str) -> str:
    """Sort key of a row: an order without meaning, so every part of a shard has all labels."""
    return hashlib.sha256(identity.encode()).hexdigest()


def in_folders(years: Sequence[int], schemes: Sequence[str]) -> bool:
    """Whether one set of files serves several configs, and so lies in hive folders."""
    return len(years) > 1 or len(schemes) > 1


def cell_folder(
    kind: str, year: int, splits: dict[str, str], years: Sequence[int], schemes: Sequence[str]
) -> str:
    """The folder of the rows of a year that are in these splits: ``data/random=train/...``."""
    if not in_folders(years, schemes):
        return kind
    parts = [str(year)] if len(years) > 1 else []
    parts += [f"{scheme}={splits[scheme]}" for scheme in schemes] or ["split=train"]
    return "/".join([kind, *parts])


def split_glob(
    kind: str,
    year: int,
    scheme: str | None,
    split: str,
    years: Sequence[int],
    schemes: Sequence[str],
    suffix: str = ".parquet",
) -> str:
    """The pattern of the files that hold a split of a scheme in a year."""
    if not in_folders(years, schemes):
        return f"{kind}/{split}/*.tar" if suffix == ".tar" else f"{kind}/{split}-*.parquet"
    parts = [str(year)] if len(years) > 1 else []
    parts += [f"{name}={split}" if name == scheme else f"{name}=*" for name in schemes] or [
        "split=train"
    ]
    return "/".join([kind, *parts, f"*{suffix}"])


def shard_name(
    split: str, number: int, count: int, *, folders: bool, suffix: str = ".parquet"
) -> str:
    """The name of a shard in its folder."""
    if folders:
        return f"{number:05d}{suffix}"
    if suffix == ".tar":
        return f"{split}/{number:05d}.tar"
    return f"{split}-{number:05d}-of-{count:05d}.parquet"


def config_names(
    years: Sequence[int], schemes: Sequence[str]
) -> Iterator[tuple[str, str, int, str | None]]:
    """Name, kind, year and scheme of every config; the first is the default."""
    names = []
    for year in years:
        for scheme in schemes or (None,):
            plain = "default" if scheme in (None, "split") else str(scheme)
            if len(years) > 1:
                plain = str(year) if len(schemes) <= 1 else f"{plain}_{year}"
            names.append((plain, year, scheme))
    for kind in KINDS:
        for number, (name, year, scheme) in enumerate(names):
            pooled = "pooled" if number == 0 else f"pooled_{name}"
            yield (name if kind == "data" else pooled), kind, year, scheme


def matches(path: str, glob: str) -> bool:
    """Whether a path is one that a config's pattern names."""
    from fnmatch import fnmatchcase

    parts, patterns = path.split("/"), glob.split("/")
    return len(parts) == len(patterns) and all(map(fnmatchcase, parts, patterns))
