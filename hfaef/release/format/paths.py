"""Names of a release's files, folders and configs, and how a file is put among them.

A partition is the rows of one year and of one split in each scheme; it has a folder of its own
where one set of files serves several configs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from hfaef.core import files
from hfaef.core.files import atomic_write, folder_lock, links_in, make_real_folders
from hfaef.core.names import printable
from hfaef.errors import FolderError, ReleaseError
from hfaef.recipe.columns import SPLITS, UNASSIGNED

STAGING = files.STAGING
"""Folder of a build's unfinished work, in the release's folder."""

LOCK = f"{STAGING}/lock"
"""Held while a folder is built or pushed."""

MANIFEST = "release.json"
"""The manifest."""


KINDS = ("data", "pooled")
"""Folders of a release: whole patches, and one vector a patch."""

MISSING = "missing.parquet"
"""A table of the patches that a release lacks; there is one only if it lacks some."""

FIGURES = "figures"
"""Folder of a release that holds pictures of it."""

LABELS, MAP, BALANCE, FEW_LABELS, SHRUNK, BETWEEN_YEARS = (
    f"{FIGURES}/{name}.png"
    for name in ("labels", "map", "balance", "few_labels", "smaller", "years")
)

ATLAS_PICTURE = f"{FIGURES}/atlas.png"
"""The atlas as a browser draws it, where there is one; not the same bytes on every machine."""

FIGURE_FILES = (LABELS, MAP, BALANCE, FEW_LABELS, SHRUNK, BETWEEN_YEARS, ATLAS_PICTURE)

STAC = "stac"
"""Folder of a release that says in the words of catalogues what lies where."""

ITEMS, COLLECTION = f"{STAC}/items.parquet", f"{STAC}/collection.json"

STAC_FILES = (ITEMS, COLLECTION)

ATLAS = "atlas"
"""Folder of a release that holds what its atlas shows: places of patches on the map and elsewhere."""

POINTS, TSNE = f"{ATLAS}/points.parquet", f"{ATLAS}/tsne.parquet"
"""A row a patch, in the order of the pooled vectors; and another layout of the same rows."""

ATLAS_FILES = (POINTS, TSNE)

PICTURES = ("embedding", "preview")
"""Columns that are compressed already."""

VECTORS = ("mean", "std", "min", "max")
"""Columns of pooled vectors, one number a band."""

PREVIOUS_YEAR = "cosine_previous_year"
"""Column of pooled vectors: how alike a patch's mean vector is to that of its year before."""

ROW_GROUPS = "hfaef.row_groups"
"""Key in a table of pooled vectors: rows of each row group of each shard of its partition."""


@dataclass(frozen=True)
class StorageFormat:
    """How rows lie in files."""

    format: Literal["parquet", "webdataset"] = "parquet"
    codec: Literal["png", "raw"] = "png"
    label_name: bool = False
    """Whether the name of a class stands beside its number; not in releases of hfaef 0.1."""

    def suffix(self, kind: str) -> str:
        """Of the shards of a kind; pooled vectors are Parquet in every format."""
        return ".tar" if self.format == "webdataset" and kind == "data" else ".parquet"


def shuffled(identity: str) -> str:
    """Sort key of a row: an order without meaning, so every part of a shard has all labels."""
    return hashlib.sha256(identity.encode()).hexdigest()


def is_partitioned(years: Sequence[int | None], schemes: Sequence[str]) -> bool:
    """Whether one set of files serves several configs, and so lies in Hive folders."""
    return len(years) > 1 or len(schemes) > 1


def first_split(splits: Mapping[str, str], schemes: Sequence[str]) -> str:
    """The split of a row in the default config.

    Without a scheme all rows are for training, but for those that folds leave out.
    """
    if schemes:
        return splits[schemes[0]]
    return UNASSIGNED if splits and {*splits.values()} == {UNASSIGNED} else SPLITS[0]


def partition_folder(
    kind: str,
    year: int,
    splits: Mapping[str, str],
    years: Sequence[int | None],
    schemes: Sequence[str],
) -> str:
    """The folder of a partition, as ``data/random=train/spatial=test``; `kind` if there is one."""
    if not is_partitioned(years, schemes):
        return kind
    parts = [str(year)] if len(years) > 1 else []
    parts += [f"{scheme}={splits[scheme]}" for scheme in schemes] or [
        f"split={first_split(splits, ())}"
    ]
    return "/".join([kind, *parts])


def split_glob(
    kind: str,
    year: int | None,
    scheme: str | None,
    split: str,
    years: Sequence[int | None],
    schemes: Sequence[str],
    suffix: str = ".parquet",
) -> str:
    """The pattern of the files that hold a split of a scheme in a year."""
    if not is_partitioned(years, schemes):
        return f"{kind}/{split}/*.tar" if suffix == ".tar" else f"{kind}/{split}-*.parquet"
    parts = [str(year)] if len(years) > 1 else []
    parts += [f"{name}={split}" if name == scheme else f"{name}=*" for name in schemes] or [
        f"split={split}"
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
    years: Sequence[int | None], schemes: Sequence[str]
) -> Iterator[tuple[str, str, int | None, str | None]]:
    """Name, kind, year and scheme of every config, the default one first."""
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


def put_into_release(folder: Path, name: str, content: bytes) -> None:
    """Write a file of a release whole or not at all; a kill leaves nothing beside it.

    Args:
        folder: the release's.
        name: of the file, from the folder on; folders below it are made.
        content: all of it.

    Raises:
        OSError: if it cannot be written, or one of these folders is a link.
    """
    staging = make_real_folders(folder, STAGING)
    make_real_folders(folder, PurePosixPath(name).parent.as_posix())
    # Not beside the file: a check would object to what a kill leaves there.
    atomic_write(folder / name, content, staging)


def require_no_links(folder: Path) -> None:
    """Raise ReleaseError if a release's folder holds a symbolic link, through which others' files
    would be read or written; the folder itself may be one.
    """
    if links := links_in(folder):
        more = f" and {len(links) - 1:,} more" if len(links) > 1 else ""
        raise ReleaseError(
            f"{folder} holds a symbolic link, {printable(links[0])}{more}",
            "remove it, or put what it leads to in its place; pixels are staged elsewhere with "
            "--staging",
        )


def require_outside(path: Path, folder: Path, option: str) -> None:
    """Raise FolderError if what an option names lies in a release's folder."""
    if path.resolve().is_relative_to(folder.resolve()):
        raise FolderError(
            f"{path} lies in the release itself, which would no longer be what its manifest says",
            f"choose another {option}",
        )


@contextmanager
def locked_release(folder: Path) -> Iterator[None]:
    """A release's folder that no other command writes to meanwhile, and that holds no link.

    Raises:
        FolderError: if another process is at work there, or it cannot be written.
        ReleaseError: if it holds a link.
    """
    require_no_links(folder)
    with folder_lock(folder, LOCK, "wait for it, then run it again"):
        yield
