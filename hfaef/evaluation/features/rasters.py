"""Vectors pooled from GeoTIFFs, one a patch: any number of bands, of any type of real numbers."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from hfaef.catalog.rasters import open_raster, valid_pixels
from hfaef.core.progress import progress
from hfaef.core.workers import core_count, ordered_map
from hfaef.errors import InputError, count_of
from hfaef.evaluation.features.archive import Member, members
from hfaef.evaluation.features.argument import Argument
from hfaef.evaluation.features.joined import Found, Labels, require_memory
from hfaef.evaluation.features.pooled import dimension_names, pool, vector_length
from hfaef.evaluation.pooling import POOLINGS, gaussian
from hfaef.evaluation.rows import Float32, Rows

OPTIONS = ("pooling", "scale", "offset", "nodata")

_MOST_THREADS = 4
"""Patches in memory at a time."""


@dataclass(frozen=True)
class Reading:
    """How numbers of files become vectors."""

    pooling: str = "mean"
    """Of `POOLINGS`."""
    scale: float | None = None
    """That numbers are multiplied by; None for those of each file's own tags."""
    offset: float | None = None
    """That is added then; None likewise."""
    nodata: float | None = None
    """Of pixels that do not count; None likewise."""

    @property
    def words(self) -> str:
        """What is done, for the scores and the notes."""
        given = {"scale": self.scale, "offset": self.offset, "nodata": self.nodata}
        said = [f"{name} {value:g}" for name, value in given.items() if value is not None]
        return f", {', '.join(said)}" if said else ""


@dataclass(frozen=True)
class Pooled:
    """A file's vector."""

    id: str
    folder: str
    """The name of the folder that it lies in."""
    vector: Float32 | None
    """None without a valid pixel."""
    bands: int
    tags: str
    """What its own tags say of its numbers, as far as that is used; empty for nothing."""


def read_geotiffs(argument: Argument, rows: Rows) -> Found:
    """The vectors of a folder or a tar archive of GeoTIFFs; names of files give ids as in catalogs.

    Raises:
        InputError: naming a file that cannot be read, is too large, has other bands than the ones
            before, or what of the options is wrong.
        CatalogError: naming two files of one id, or a file whose name can be none.
    """
    from rasterio.errors import NotGeoreferencedWarning

    argument.allow(OPTIONS, "GeoTIFFs")
    reading = _reading(argument)
    path, wanted = Path(argument.place), frozenset(rows.ids)
    notes: list[str] = []
    others: list[str] = []
    files = _in_folder(path, notes) if path.is_dir() else members(path, wanted, notes)
    pooled: list[Pooled] = []

    def require_short(bands: int) -> None:
        require_memory(len(wanted), vector_length(bands, reading.pooling), argument.source)

    threads = min(core_count(), _MOST_THREADS)
    with progress(f"read {argument.name}", len(wanted)) as advance, warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)  # places are not looked at
        known = _known(files, wanted, others)
        read = partial(_pooled, reading=reading, require_short=require_short)
        for one in ordered_map(read, known, threads, 1):
            pooled.append(one)
            if one.bands != pooled[0].bands:
                raise InputError(
                    f"{argument.source} has files of {pooled[0].bands:,} and of {one.bands:,} bands, as "
                    f"{pooled[0].id} and {one.id}",
                    "give a place with files of one kind",
                )
            advance("")
    found = _found(pooled, reading, argument.source)
    if pooled and {one.folder for one in pooled} <= {*rows.label_names}:
        names = [one.folder for one in pooled if one.vector is not None]
        found = replace(found, labels=Labels("the names of its folders", names))
    return replace(found, others=others, notes=(*notes, *found.notes))


def _known(files: Iterable[Member], wanted: Collection[str], others: list[str]) -> Iterator[Member]:
    """Files of patches that are wanted; the ids of the rest go to `others`."""
    for file in files:
        if file.id in wanted:
            yield file
        else:
            others.append(file.id)


def _found(pooled: Sequence[Pooled], reading: Reading, source: str) -> Found:
    vectors = {one.id: one.vector for one in pooled if one.vector is not None}
    tags = sorted({one.tags for one in pooled})
    bands = pooled[0].bands if pooled else 0
    if len(tags) > 1:
        shown = "; ".join(one or "none" for one in tags[:3])
        notes = [f"the files' own tags differ, and each file's are used: {shown}"]
    else:
        notes = []
    own = ", by the files' tags" + (f" {tags[0]}" if len(tags) == 1 else "")
    return Found(
        source=source,
        ids=list(vectors),
        array=np.stack([*vectors.values()]) if vectors else np.empty((0, 0), np.float32),
        made_of=f"the {reading.pooling} of {count_of(bands, 'band')} over valid pixels"
        + reading.words
        + (own if any(tags) else ""),
        dimensions=dimension_names(bands, reading.pooling),
        empty=frozenset(one.id for one in pooled if one.vector is None),
        notes=tuple(notes),
    )


def _reading(argument: Argument) -> Reading:
    pooling = argument.options.get("pooling", "mean")
    if pooling not in POOLINGS:
        raise InputError(
            f"--features {argument.name}={argument.place}: there is no pooling {pooling!r}",
            f"one of {', '.join(POOLINGS)}",
        )
    scale, offset, nodata = (argument.number(name) for name in ("scale", "offset", "nodata"))
    return Reading(pooling, scale, offset, nodata)


def _in_folder(path: Path, notes: list[str]) -> Iterator[Member]:
    """GeoTIFFs below a folder, found and named as those of a catalog."""
    from hfaef.catalog.geotiffs import find_rasters, make_ids

    found, more = find_rasters(path, by_folder=False)
    ids, told = make_ids(found)
    if not found:
        raise InputError(f"there is no .tif below {path}", "give the folder of the GeoTIFFs")
    notes += [*more, *told]
    for file, identity in ids.items():
        yield Member(identity, str(file), file.parent.name, file.absolute())


def _pooled(file: Member, reading: Reading, require_short: Callable[[int], None]) -> Pooled:
    """The vector of a file; `require_short` is asked before one of so many bands is made."""
    with open_raster(file.content, file.name) as dataset:
        require_short(dataset.count)
        vector, tags = _pool(dataset, reading)
        return Pooled(file.id, file.folder, vector, dataset.count, tags)


def _pool(dataset: Any, reading: Reading) -> tuple[Float32 | None, str]:
    """The vector of a file, and what of its own tags was used."""
    bands = dataset.count
    raw = dataset.read()
    nodata = [reading.nodata if reading.nodata is not None else one for one in dataset.nodatavals]
    scales = [reading.scale] * bands if reading.scale is not None else [*dataset.scales]
    offsets = [reading.offset] * bands if reading.offset is not None else [*dataset.offsets]
    if not all(math.isfinite(number) for number in (*scales, *offsets)):
        raise ValueError("its scales or offsets are no finite numbers")
    values = raw.reshape(bands, -1)
    valid = valid_pixels(dataset, raw, reading.nodata).ravel()
    tags = ", ".join(
        f"{name} {_range(numbers)}"
        for name, numbers, own, usual in (
            ("scale", scales, reading.scale is None, 1.0),
            ("offset", offsets, reading.offset is None, 0.0),
            ("nodata", nodata, reading.nodata is None, None),
        )
        if own and any(number != usual for number in numbers)
    )
    if not valid.any():
        return None, tags
    scaled = values[:, valid].astype(np.float64)
    scaled *= np.array(scales)[:, None]
    scaled += np.array(offsets)[:, None]
    weights = gaussian(dataset.height, dataset.width).ravel()[valid]
    with np.errstate(over="ignore"):  # an infinite number is told as one
        return pool(scaled, weights, reading.pooling).astype(np.float32), tags


def _range(numbers: list[Any]) -> str:
    found = sorted({number for number in numbers if number is not None})
    shown = f"{found[0]:g}" if found[0] == found[-1] else f"{found[0]:g} to {found[-1]:g}"
    return shown if None not in numbers else f"{shown} of some bands"
