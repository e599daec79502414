"""Vectors in an ``.npz`` of arrays: with ids, or in the order of a list of patches.

Only arrays of numbers and texts are read, each after its header is compared with the bytes that
are there; pickles are refused.
"""

from __future__ import annotations

import math
import zipfile
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from hfaef.core.names import decode_id, printable
from hfaef.errors import InputError, count_of
from hfaef.evaluation.features.argument import Argument
from hfaef.evaluation.features.joined import Found, Labels, match_id
from hfaef.evaluation.rows import Float32, Rows

OPTIONS = ("key", "list")

IDS = ("id", "ids", "patch_id", "patch_ids", "name", "names", "file", "files")
FILES = ("filename", "filenames", "path", "paths")
VECTORS = ("vectors", "vector", "embeddings", "embedding", "features", "feature", "x")
LABELS = ("label", "labels", "y", "target", "targets", "label_name", "label_names")
"""What arrays are called, in any case of letters; the first that is there."""

_MOST_BYTES = 4 << 30
"""Of an array, uncompressed."""

_HINT = "write one with `numpy.savez(FILE, ids=..., vectors=...)`"


def read_arrays(argument: Argument, rows: Rows) -> Found:
    """The vectors of an ``.npz``.

    Without ids they are in the order of the list that the option `list` names; labels beside them
    must then be the release's, row by row.

    Raises:
        InputError: naming the array that is not there, cannot be read or does not fit.
        CatalogError: if the list cannot be read.
    """
    argument.allow(OPTIONS, "an .npz")
    source = argument.source
    try:
        with zipfile.ZipFile(argument.place) as archive:
            headers = _headers(archive)
            key = _vectors_key(headers, argument)
            ids_key = next((name for name in _matching(headers, IDS + FILES) if name != key), None)
            labels_key = next((name for name in _matching(headers, LABELS) if name != key), None)
            array = _vectors(_read(archive, key), key)
            ids = _texts(_read(archive, ids_key), ids_key) if ids_key else None
            labels = _read(archive, labels_key) if labels_key else None
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        reason = printable(" ".join(str(error).split()))[:200]
        raise InputError(f"cannot read {source}: {reason}", _HINT) from error
    except (NotImplementedError, RuntimeError) as error:  # encrypted, or packed by other means
        raise InputError(f"cannot read {source}: {error}", _HINT) from error
    for name, values in ((ids_key, ids), (labels_key, labels)):
        if values is not None and len(values) != len(array):
            raise InputError(
                f"{source}: {name!r} has {count_of(len(values), 'row')}, and {key!r} {len(array):,}",
                "give each patch one row",
            )
    unused = [name for name in headers if name not in {key, ids_key, labels_key}]
    notes = [f"not used of {source}: the arrays {', '.join(unused[:10])}"] if unused else []
    held = (
        Labels(f"the values of its array {labels_key!r}", _plain(labels))
        if labels is not None
        else None
    )
    if ids is not None:
        argument.allow(("key",), f"an .npz with {ids_key!r}")
    else:
        ids = _listed(argument, rows, len(array))
        notes += _same_order(argument, rows, ids, held)
    return Found(
        source=source,
        ids=ids,
        array=array,
        made_of=f"the array {key!r}" + ("" if ids_key else ", in the order of a list"),
        labels=held,
        notes=tuple(notes),
    )


def _headers(archive: zipfile.ZipFile) -> dict[str, tuple[int, ...]]:
    """Shapes of the arrays by name, of which none is read."""
    names = [info.filename for info in archive.infolist()]
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise ValueError(f"it holds {twice[0]} twice")
    found = {}
    for info in archive.infolist():
        if info.filename.endswith(".npy"):
            with archive.open(info) as file:
                found[info.filename.removesuffix(".npy")] = _header(file, info)[0]
    return found


def _header(file: IO[bytes], info: zipfile.ZipInfo) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and type that an array says it has, if its bytes are there."""
    version = np.lib.format.read_magic(file)
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }.get(version)
    if read is None:
        raise ValueError(f"{info.filename} is of the unknown version {version}")
    shape, _, dtype = read(file)
    if dtype.hasobject:
        name = info.filename.removesuffix(".npy")
        remedy = (
            f"; write ids as texts, `{name}.astype(str)`" if name.lower() in IDS + FILES else ""
        )
        raise ValueError(
            f"{info.filename} holds Python objects (a pickle), which are not read{remedy}"
        )
    size = math.prod(shape) * dtype.itemsize
    if size > info.file_size - file.tell():
        raise ValueError(f"{info.filename} says that it has {size:,} bytes, more than are there")
    if info.file_size > _MOST_BYTES:
        raise ValueError(f"{info.filename} is over {_MOST_BYTES >> 30} GiB")
    return shape, dtype


def _read(archive: zipfile.ZipFile, name: str) -> npt.NDArray[Any]:
    with archive.open(f"{name}.npy") as file:
        return np.asarray(np.lib.format.read_array(file, allow_pickle=False))


def _matching(names: Mapping[str, Any], known: Sequence[str]) -> list[str]:
    """Names that are among those known, in their order."""
    found = sorted((known.index(name.lower()), name) for name in names if name.lower() in known)
    return [name for _, name in found]


def _vectors_key(headers: Mapping[str, tuple[int, ...]], argument: Argument) -> str:
    if key := argument.options.get("key"):
        if key not in headers:
            raise InputError(f"{argument.source} has no array {key!r}", f"it has {_names(headers)}")
        return key
    flat = {name for name, shape in headers.items() if len(shape) < 2}
    found = [name for name in _matching(headers, VECTORS) if name not in flat]
    if not found:  # the only table of numbers, whatever its name
        taken = {*IDS, *FILES, *LABELS}
        found = [name for name in headers if name not in flat and name.lower() not in taken]
    if len(found) != 1:
        raise InputError(
            f"{argument.source} has {'several arrays' if found else 'no array'} of vectors: "
            f"{_names(headers)}",
            f"name it: --features {argument.name}={argument.place},key=NAME",
        )
    return found[0]


def _names(headers: Mapping[str, tuple[int, ...]]) -> str:
    shown = [f"{printable(name)!r} {shape}" for name, shape in list(headers.items())[:10]]
    return ", ".join(shown) or "nothing"


def _vectors(array: npt.NDArray[Any], key: str) -> Float32:
    if array.ndim != 2 or not array.shape[1] or array.dtype.kind not in "iuf":
        raise ValueError(f"{key!r} is {array.dtype} {array.shape}, not a vector of numbers a row")
    with np.errstate(over="ignore"):  # an infinite number is told as one
        return np.asarray(array, np.float32)


def _texts(array: npt.NDArray[Any], key: str) -> list[str]:
    if array.ndim != 1 or array.dtype.kind not in "USiu":
        raise ValueError(f"{key!r} is {array.dtype} {array.shape}, not an id a row")
    if array.dtype.kind == "S":
        return [value.decode("utf-8") for value in array.tolist()]
    return [str(value) for value in array.tolist()]


def _plain(array: npt.NDArray[Any]) -> Sequence[Any] | npt.NDArray[Any]:
    """Labels as a list, or as an array of a row a patch."""
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    return array if array.ndim == 2 else array.tolist()


def _listed(argument: Argument, rows: Rows, count: int) -> list[str]:
    """Ids of a list, one a vector."""
    from hfaef.catalog.splits import read_list

    if "list" not in argument.options:
        raise InputError(
            f"{argument.source} has no ids, so nothing says which vector is of which patch",
            f"write them as the array `ids`, or name the list that it follows: "
            f"--features {argument.name}={argument.place},list=FILE",
        )
    path = Path(argument.options["list"])
    known = frozenset(rows.ids)
    names = read_list(path, {decode_id(identity) for identity in known} | known)
    if len(names) != count:
        raise InputError(
            f"{path} names {count_of(len(names), 'patch')}, and {argument.source} has "
            f"{count_of(count, 'vector')}",
            "give the list that the vectors follow",
        )
    return [match_id(name, known) for name in names]


def _same_order(
    argument: Argument, rows: Rows, ids: Sequence[str], labels: Labels | None
) -> list[str]:
    """What the labels say of the order; nothing else can tell.

    Raises:
        InputError: if they are others than the release's, with how many.
    """
    path = argument.options["list"]
    joined = f"joined by the order of {path}"
    if labels is None:
        alone = "there are no labels beside the vectors, so nothing shows that it is theirs"
        return [f"{joined}; {alone}"]
    place = {identity: number for number, identity in enumerate(ids)}
    here = [row for row, identity in enumerate(rows.ids) if identity in place]
    count = labels.differing(rows, [place[rows.ids[row]] for row in here], here)
    if count is None or count:
        what = f"differ in {count:,} of {len(here):,} patches" if count else "cannot be compared"
        raise InputError(
            f"{argument.source} is not in the order of {path}: {labels.name} and the release's "
            f"labels {what}",
            "give the list that the vectors follow, or their ids as the array `ids`",
        )
    return [joined]
