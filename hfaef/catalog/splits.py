"""Split lists: text files that name patches, one a line."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path, PurePosixPath
from typing import TypeVar

from hfaef.errors import CatalogError

Scheme = TypeVar("Scheme", bound=str)
Split = TypeVar("Split", bound=str)


def read_list(path: Path) -> list[str]:
    """Patch ids of a list; folders and extensions are left off, empty lines skipped.

    Raises:
        CatalogError: if it is no text file.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise CatalogError(
            f"cannot read the split list {path}: {reason}", "mend its path"
        ) from error
    names = (line.strip().replace("\\", "/") for line in lines)
    return [PurePosixPath(name).stem for name in names if name]


def assign(
    scheme: str, lists: Mapping[str, Collection[str]], ids: Collection[str]
) -> tuple[dict[str, str], list[str]]:
    """The split of each patch in a scheme, and notes on names that are no patch of ours.

    Args:
        scheme: name of the scheme, for messages.
        lists: for each split the ids that it names.
        ids: all patches.

    Raises:
        CatalogError: if a patch is in two splits or in none, or the lists name no patch at all.
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
    if left_out:
        more = f" and {len(left_out) - 1} more" if len(left_out) > 1 else ""
        raise CatalogError(
            f"the scheme {scheme!r} leaves out patch {left_out[0]}{more}",
            "name every patch in one of its lists",
        )
    if not others:
        return split_of, []
    return split_of, [
        f"the lists of {scheme!r} also name {len(others):,} patches that are not here"
    ]


def read_schemes(
    schemes: Mapping[Scheme, Mapping[Split, Path]], ids: Collection[str]
) -> tuple[dict[str, dict[str, str]], tuple[str, ...]]:
    """For each patch its split in each scheme, and notes, from the lists of all schemes.

    Raises:
        CatalogError: as of `read_list` and `assign`.
    """
    splits_of: dict[str, dict[str, str]] = {identity: {} for identity in ids}
    notes: list[str] = []
    for scheme, lists in schemes.items():
        named = {str(split): read_list(path) for split, path in lists.items()}
        split_of, more = assign(scheme, named, ids)
        notes += more
        for identity, split in split_of.items():
            splits_of[identity][scheme] = split
    return splits_of, tuple(notes)
