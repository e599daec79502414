"""Split lists: text files that name patches, one a line."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path, PurePosixPath
from typing import TypeVar

from hfaef.core.names import clean
from hfaef.errors import CatalogError, count_of
from hfaef.recipe.columns import UNASSIGNED

Scheme = TypeVar("Scheme", bound=str)
Split = TypeVar("Split", bound=str)


def read_list(path: Path, known: Collection[str] = ()) -> list[str]:
    """Patch names of a list; folders are left off, empty lines skipped.

    Args:
        path: of the list.
        known: names of patches. Of others, what follows the last dot is taken for an extension.

    Raises:
        CatalogError: if it is no text file.
    """
    try:
        if path.exists() and not path.is_file():  # a pipe would be waited for
            raise CatalogError(f"the split list {path} is no file", "mend its path")
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise CatalogError(
            f"the split list {path} is not UTF-8: line {line}", "save it as UTF-8"
        ) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "no file can have this name"
        raise CatalogError(
            f"cannot read the split list {path}: {reason}", "mend its path"
        ) from error
    places = (PurePosixPath(clean(line).replace("\\", "/")) for line in lines)
    return [
        place.name if place.name in known else clean(place.stem) for place in places if place.name
    ]


def assign(
    scheme: str,
    lists: Mapping[str, Collection[str]],
    ids: Collection[str],
    *,
    unassigned: bool = False,
) -> tuple[dict[str, str], list[str]]:
    """The split of each patch in a scheme, and notes on names that are no patch of ours.

    Args:
        scheme: name of the scheme, for messages.
        lists: for each split the ids that it names.
        ids: all patches.
        unassigned: whether patches may be in none of the lists.

    Raises:
        CatalogError: if a patch is in two splits or, if that may not be, in none, or the lists name no patch at all.
    """
    known = frozenset(ids)
    split_of: dict[str, str] = {}
    others: set[str] = set()
    for split, names in lists.items():
        for name in names:
            if name not in known:
                others.add(name)
            elif split_of.setdefault(name, split) != split:
                raise CatalogError(
                    f"patch {name} is in two splits of the scheme {scheme!r}: "
                    f"{split_of[name]} and {split}",
                    "take it out of one of the lists",
                )
    if not split_of:
        raise CatalogError(
            f"the lists of the scheme {scheme!r} name no patch of this catalog",
            "check `patches.root` and the lists",
        )
    left_out = sorted(known - split_of.keys())
    if left_out and unassigned:
        split_of |= dict.fromkeys(left_out, UNASSIGNED)
    elif left_out:
        more = f" and {len(left_out) - 1} more" if len(left_out) > 1 else ""
        raise CatalogError(
            f"the scheme {scheme!r} leaves out patch {left_out[0]}{more}",
            'name every patch in one of its lists, or set patches.unassigned = "keep" or "drop"',
        )
    if not others:
        return split_of, []
    absent = count_of(len(others), "patch that is", "patches that are")
    return split_of, [f"the lists of {scheme!r} also name {absent} not here"]


def read_schemes(
    schemes: Mapping[Scheme, Mapping[Split, Path]],
    id_of: Mapping[str, str],
    *,
    unassigned: bool = False,
) -> tuple[dict[str, dict[str, str]], list[str]]:
    """For each patch its split in each scheme, and notes, from the lists of all schemes.

    Args:
        schemes: for each scheme the lists of its splits.
        id_of: the patches' ids by the names of their files; lists may use either.
        unassigned: whether lists may leave patches out.

    Raises:
        CatalogError: if a list cannot be read, or names a patch that another split has, or if
            a patch is in none.
    """
    ids = {**{identity: identity for identity in id_of.values()}, **id_of}
    splits_of: dict[str, dict[str, str]] = {identity: {} for identity in id_of.values()}
    notes: list[str] = []
    for scheme, lists in schemes.items():
        named = {
            str(split): [ids.get(name, name) for name in read_list(path, ids)]
            for split, path in lists.items()
        }
        split_of, more = assign(scheme, named, splits_of, unassigned=unassigned)
        notes += more
        for identity, split in split_of.items():
            splits_of[identity][scheme] = split
    return splits_of, notes
