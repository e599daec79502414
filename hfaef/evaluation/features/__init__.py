"""Vectors of the same patches from elsewhere: tables, GeoTIFFs, arrays, releases, the Hub.

Each kind of place has a reader of its own, which gives what it holds as `Found`; `join` alone puts
vectors to patches, by id.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hfaef.core.names import REPO_ID
from hfaef.errors import InputError
from hfaef.evaluation.features.argument import Argument, parse_argument
from hfaef.evaluation.features.joined import Features, Found, join
from hfaef.evaluation.rows import Rows
from hfaef.release.format.paths import MANIFEST
from hfaef.release.handle import Release

_TABLES = (".parquet", ".csv")
_ARRAYS = (".npz",)
_ARCHIVES = (".tar", ".tar.gz", ".tgz")
_KINDS = "a Parquet or CSV table, a folder or .tar.gz of GeoTIFFs, an .npz, a release or OWNER/NAME"


def read_features(text: str, rows: Rows) -> Features:
    """What ``NAME=PLACE[,OPTION=VALUE...]`` says: a vector a patch.

    Raises:
        CatalogError: if names of files or a list can be no patches'.
        HubError: if the Hub does not give what was asked for.
        InputError: naming the place, and what is wrong with it.
        ReleaseError: if the place is a release, and not what its manifest says.
    """
    argument = parse_argument(text)
    return join(argument.name, _read(argument, rows), rows)


def _read(argument: Argument, rows: Rows) -> Found:
    place = Path(argument.place)
    repo_id, _, _ = argument.place.partition("@")
    if place.is_dir():
        if (place / MANIFEST).is_file():
            from hfaef.hub.open import open_release

            return _of_release(argument, open_release(argument.place), rows)
    elif not place.exists() and REPO_ID.fullmatch(repo_id) and not _kind(place):
        return _of_repository(argument, rows)
    return _of_files(argument, (place,), rows)


def _kind(path: Path) -> str:
    """The end of a file's name that says what it is; empty for none that is known."""
    name = path.name.lower()
    return next((end for end in (*_TABLES, *_ARRAYS, *_ARCHIVES) if name.endswith(end)), "")


def _of_release(argument: Argument, release: Release, rows: Rows) -> Found:
    from hfaef.evaluation.features.releases import read_release

    return read_release(argument, release, rows)


def _of_repository(argument: Argument, rows: Rows) -> Found:
    from hfaef.evaluation.features.repository import open_repository

    opened = open_repository(argument)
    if isinstance(opened, Release):
        return _of_release(argument, opened, rows)
    options = {name: value for name, value in argument.options.items() if name != "file"}
    found = _of_files(replace(argument, options=options, origin=opened.source), opened.paths, rows)
    commit = f"{opened.source.partition('@')[0]} at {opened.commit[:12]}"
    return replace(found, made_of=f"{found.made_of} of {commit}")


def _of_files(argument: Argument, paths: tuple[Path, ...], rows: Rows) -> Found:
    """The vectors of files of one kind; several only of tables."""
    first = paths[0]
    kind = _kind(first)
    if not (first.is_dir() or (first.is_file() and kind)):
        fault = "is of no kind that is read" if first.exists() else "is not there"
        raise InputError(f"--features {argument.name}: {first} {fault}", f"give {_KINDS}")
    if kind in _TABLES and not first.is_dir():
        from hfaef.evaluation.features.table import read_table

        argument.allow((), "a table")
        return read_table(paths, argument.source, rows)
    argument = replace(argument, place=str(first))
    if kind in _ARRAYS and not first.is_dir():
        from hfaef.evaluation.features.arrays import read_arrays

        return read_arrays(argument, rows)
    from hfaef.evaluation.features.rasters import read_geotiffs

    return read_geotiffs(argument, rows)
