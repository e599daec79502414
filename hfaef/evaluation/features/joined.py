"""Vectors from elsewhere joined to the rows of a release: by id, with all that differs counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt

from hfaef.core.names import clean, encode_id, printable
from hfaef.errors import InputError, count_of
from hfaef.evaluation.rows import ArrayVectors, Float32, Rows
from hfaef.release.format.scores import Provenance

_NAMED = 10
"""Columns that a message names."""

_MOST_BYTES = 2 << 30
"""Of the vectors of a release in memory."""


@dataclass(frozen=True)
class Found:
    """Vectors as a place holds them."""

    source: str
    """The place, for messages."""
    ids: Sequence[str]
    """A patch a vector: its id, or a path or name of its file."""
    array: Float32
    """Shape (vectors, dimensions)."""
    made_of: str
    """What they are, in words that hold no path of this machine."""
    columns: tuple[str, ...] = ()
    """Of a table: one of lists, or one a dimension."""
    dimensions: tuple[str, ...] = ()
    """What to call each dimension when it tells the label; none if they are not looked at."""
    years: Sequence[int] | None = None
    """A year a vector; None if they tell none."""
    labels: Labels | None = None
    """A label a vector, to compare with the release's."""
    empty: Collection[str] = ()
    """Ids of patches without a valid pixel, which have no vector."""
    others: Sequence[str] = ()
    """Ids of patches of no release's row, whose vectors were not read."""
    notes: tuple[str, ...] = ()
    provenance: Provenance | None = None
    """The model that they were made with, if the place tells it."""


@dataclass(frozen=True)
class Labels:
    """Labels that stand beside vectors."""

    name: str
    """What holds them."""
    values: Sequence[Any] | npt.NDArray[Any]
    """Numbers or names, lists of them for several a patch, or an array (vectors, labels) of 0 and 1."""
    names: tuple[str, ...] | None = None
    """Of the numbers, where the place tells them."""

    def differing(self, rows: Rows, found: Sequence[int], wanted: Sequence[int]) -> int | None:
        """How many of some pairs have different labels; None if they cannot be compared.

        Args:
            rows: of the release.
            found: numbers of labels.
            wanted: numbers of the rows that they belong to.
        """
        truth = rows.labels[list(wanted)]
        if isinstance(self.values, np.ndarray):
            return _differing_rows(self.values[list(found)], truth)
        given = [self._named(self.values[number]) for number in found]
        if truth.dtype.kind == "f":
            return _differing_numbers(given, truth)
        return _differing_sets(given, truth, rows.label_names)

    def _named(self, value: Any) -> Any:
        value = value.tolist() if isinstance(value, np.generic | np.ndarray) else value
        if isinstance(value, list | tuple):
            return [self._named(one) for one in value]
        if isinstance(value, bytes):
            value = value.decode(errors="replace")
        if isinstance(value, str):
            return clean(value)
        if self.names and isinstance(value, int) and 0 <= value < len(self.names):
            return self.names[value]
        return value


def _differing_rows(given: npt.NDArray[Any], truth: npt.NDArray[Any]) -> int | None:
    """Of several labels a patch, each a column of 0 and 1."""
    if given.shape != truth.shape or given.dtype.kind not in "biuf":
        return None
    return int((given != truth).any(axis=1).sum())


def _differing_numbers(given: Sequence[Any], truth: npt.NDArray[Any]) -> int | None:
    """Of numbers to predict, as far as float32 tells them apart."""
    if not all(isinstance(one, int | float) for one in given):
        return None
    return int((np.array(given, np.float32) != truth.astype(np.float32)).sum())


def _differing_sets(
    given: Sequence[Any], truth: npt.NDArray[Any], label_names: tuple[str, ...]
) -> int | None:
    """Of one label a patch or several, by number or by name."""
    several = truth.ndim == 2
    if any(isinstance(one, list) != several for one in given):
        return None
    sets = [frozenset(one if isinstance(one, list) else [one]) for one in given]
    members = frozenset().union(*sets)
    texts = all(isinstance(member, str) for member in members)
    whole = all(isinstance(one, int | float) and not isinstance(one, bool) for one in members)
    if not whole and not (texts and label_names):
        return None
    numbers = [np.flatnonzero(row) for row in truth] if several else truth[:, None]
    expected = [
        frozenset(label_names[one] if texts and members else int(one) for one in row)
        for row in numbers
    ]
    return sum(one != other for one, other in zip(sets, expected, strict=True))


@dataclass(frozen=True)
class Features:
    """Vectors of a release's rows from elsewhere."""

    name: str
    vectors: ArrayVectors
    columns: tuple[str, ...]
    """Of a table that the vectors are made of, in their order: one of lists, or one a dimension."""
    made_of: str
    """What they are, in words that hold no path of this machine."""
    notes: tuple[str, ...]
    """What was read, and what of it is not used; a sentence each."""
    lacking: frozenset[int] = frozenset()
    """Numbers of the release's rows that it has no vector for."""
    provenance: Provenance | None = None
    """The model that they were made with, if the place tells it."""


def join(name: str, found: Found, rows: Rows) -> Features:
    """Vectors of a release's rows, in their order; NaN where there is none.

    Raises:
        InputError: if a patch is there twice, none is of the release, no vector is of finite
            numbers, or a dimension tells the label.
    """
    found, told = _by_id(found, rows)
    keys = found.ids if found.years is None else list(zip(found.ids, found.years, strict=True))
    place: dict[Any, int] = {key: number for number, key in enumerate(keys)}
    wanted = [
        identity if found.years is None else (identity, year)
        for identity, year in zip(rows.ids, rows.years.tolist(), strict=True)
    ]
    others = len(place.keys() - {*wanted}) + len(found.others)
    _require_known(found, [key for key in wanted if key in place or key in found.empty], wanted)
    finite = np.array(np.isfinite(found.array).all(axis=1)).tolist()
    faulty = {key for key, fine in zip(keys, finite, strict=True) if not fine} & {*wanted}
    place = {key: number for key, number in place.items() if key not in faulty}
    here = [row for row, key in enumerate(wanted) if key in place]
    if not here:
        what = "values that are missing or not finite" if faulty else "no valid pixel"
        raise InputError(f"{found.source} has {what} in all patches", "fill or drop them")
    numbers = [place[wanted[row]] for row in here]
    require_memory(len(wanted), found.array.shape[1], found.source)
    array = np.full((len(wanted), found.array.shape[1]), np.nan, np.float32)
    array[here] = found.array[numbers]
    if found.dimensions and (telling := _telling(array[here], rows.labels[here])):
        fault = "one value for all of a label"
        refuse({found.dimensions[number]: fault for number in telling}, found.source)
    lacking = [row for row, key in enumerate(wanted) if key not in place]
    notes = [f"{found.made_of} of {found.source}, {count_of(array.shape[1], 'number')} a patch"]
    notes += [*found.notes, *told]
    if others:
        unused = count_of(others, "row of other patches is", "rows of other patches are")
        notes.append(f"{unused} not used")
    if found.years is None and len({*rows.years.tolist()}) > 1:
        notes.append("it tells no years, so a patch has one vector for all of them")
    notes += _label_notes(found, rows, numbers, here)
    notes = [f"{name}: {note}" for note in notes]
    if lacking:
        keyed = [wanted[row] for row in lacking]
        counts = {
            "with numbers not finite": sum(key in faulty for key in keyed),
            "without a valid pixel": sum(key in found.empty for key in keyed),
        }
        reasons = ", ".join(f"{count:,} {what}" for what, count in counts.items() if count)
        notes.append(
            f"{name} lacks {len(lacking):,} of {len(wanted):,} patches, the first: {keyed[0]}"
            + (f" ({reasons})" if reasons else "")
            + "; it is scored on the others, and compared on what both have"
        )
    return Features(
        name,
        ArrayVectors(array),
        found.columns,
        found.made_of,
        tuple(notes),
        frozenset(lacking),
        found.provenance,
    )


def require_memory(vectors: int, dimensions: int, source: str) -> None:
    """Refuse more numbers than belong into memory.

    Raises:
        InputError: naming how many.
    """
    if vectors * dimensions * 4 > _MOST_BYTES:
        raise InputError(
            f"{source}: {count_of(vectors, 'vector')} of {count_of(dimensions, 'number')} are over "
            f"{_MOST_BYTES >> 30} GiB",
            "give shorter ones: another pooling=, or fewer dimensions",
        )


def match_id(text: str, known: Collection[str]) -> str:
    """The id that a text means, which may be a path or the name of a file; the text for none."""
    if text in known:
        return text
    name = PurePosixPath(text.replace("\\", "/")).name
    candidates = (encode_id(clean(name)), encode_id(clean(PurePosixPath(name).stem)))
    return next((one for one in candidates if one in known), text)


def _by_id(found: Found, rows: Rows) -> tuple[Found, list[str]]:
    """The same with ids of the release, each once, and a note on names of files."""
    known = frozenset(rows.ids)
    ids = [match_id(text, known) for text in found.ids]
    keys: Sequence[Any] = ids if found.years is None else [*zip(ids, found.years, strict=True)]
    counts = Counter(keys)
    if twice := [key for key, count in counts.items() if count > 1]:
        raise InputError(
            f"{found.source} has {count_of(len(twice), 'patch')} twice, the first: {twice[0]}",
            "give each patch one row",
        )
    files = sum(one != other for one, other in zip(ids, found.ids, strict=True))
    named = count_of(files, "patch is named by its file", "patches are named by their files")
    return replace(found, ids=ids), [f"{named}, as {found.ids[0]}"] if files else []


def _require_known(found: Found, here: Sequence[Any], wanted: Sequence[Any]) -> None:
    if not here:
        first = next(iter((*found.ids, *found.others)), None)
        shown = f", but such as {printable(first)[:80]}" if first is not None else ""
        raise InputError(
            f"{found.source} has none of the {count_of(len(wanted), 'patch')}, such as "
            f"{wanted[0]}{shown}",
            "its ids must be those of the release, or the names of their files",
        )


def _label_notes(
    found: Found, rows: Rows, numbers: Sequence[int], here: Sequence[int]
) -> list[str]:
    if found.labels is None:
        return []
    count = found.labels.differing(rows, numbers, here)
    if count is None:
        return [f"{found.labels.name} cannot be compared with the release's labels"]
    if count == 0:
        every = count_of(len(here), "patch")
        return [f"{found.labels.name} are the release's labels of all {every}"]
    differ = f"differ from the release's labels in {count:,} of {len(here):,} patches"
    return [f"{found.labels.name} {differ}; those of the release are used"]


def _telling(array: Float32, labels: npt.NDArray[Any]) -> list[int]:
    """Numbers of the columns that have one value for all patches of a label, and not for all."""
    if labels.dtype.kind == "f":  # numbers to predict
        return np.flatnonzero((array == labels[:, None].astype(np.float32)).all(axis=0)).tolist()
    names, first, inverse = np.unique(labels, axis=0, return_index=True, return_inverse=True)
    inverse = inverse.reshape(-1)
    if len(labels) < 2 * len(names):
        return []  # too few to tell chance from a label
    constant = (array == array[first][inverse]).all(axis=0)
    differs = (array[first] != array[first[0]]).any(axis=0)
    return np.flatnonzero(constant & differs).tolist()


def refuse(faults: dict[str, str], source: str) -> None:
    """Raise InputError if there are columns that are no vectors.

    Args:
        faults: what they are, by name.
        source: that holds them.
    """
    if not faults:
        return
    shown = [f"{printable(name)!r} ({fault})" for name, fault in list(faults.items())[:_NAMED]]
    more = f" and {len(faults) - _NAMED:,} more" if len(faults) > _NAMED else ""
    raise InputError(
        f"{source} has columns that are no part of a vector: {', '.join(shown)}{more}",
        "leave them out; rename a number that is part of the vectors",
    )


def listed(names: Sequence[str]) -> str:
    """Names of columns in few words: all of a few, the first and last of many."""
    shown = [repr(printable(name)) for name in names]
    if len(shown) > _NAMED:
        return f"the {len(shown):,} columns {shown[0]} to {shown[-1]}"
    return f"the column{'s' if len(shown) > 1 else ''} {', '.join(shown)}"
