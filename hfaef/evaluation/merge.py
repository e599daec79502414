"""Scores added to those that are there: what a new measurement replaces, and what it keeps."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from hfaef.core.files import atomic_write, folder_errors
from hfaef.errors import InputError, count_of
from hfaef.release.format.paths import STAGING
from hfaef.release.format.scores import Difference, Evaluation, Protocol, Score, Skipped

Unit = tuple[str, str, int | None, str]
"""Vectors, scheme, year and probe: what one fit of a probe gives, whatever its settings."""

_NAMED = 8
"""Rows that a note names."""


def read_scores(path: Path) -> Evaluation | None:
    """The evaluation in a file; None if there is no file.

    Raises:
        InputError: if the file is none.
    """
    try:
        return Evaluation.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        first = str(error).split("\n", 1)[0]
        raise InputError(
            f"{path} is there and is no evaluation: {first}",
            "name another file with --out, or remove this one",
        ) from error


def set_aside(path: Path) -> Path:
    """Keep what is in a file of a release that cannot be read where no check looks; gives the copy.

    Raises:
        FolderError: if that cannot be done, so the file stays.
    """
    with folder_errors(path):
        content = path.read_bytes()
        digest = hashlib.sha256(content).hexdigest()[:8]
        kept = path.parent / STAGING / f"{path.name}.damaged-{digest}"
        atomic_write(kept, content)
    return kept


def require_mergeable(
    before: Evaluation | None,
    content_sha256: str,
    protocol: Protocol,
    asked: Iterable[tuple[str, str]],
    path: Path,
) -> None:
    """Refuse, before the work, scores that are measured otherwise than some that would stay.

    Args:
        before: what is there.
        content_sha256: of the rows to measure.
        protocol: to measure by.
        asked: names of vectors and probes to measure.
        path: of what is there.

    Raises:
        InputError: naming both.
    """
    if before is None or before.measured_on.content_sha256 != content_sha256:
        return
    there = {(one.features, one.probe) for one in _all(before)} - set(asked)
    stays = sorted(
        pair for pair in there if _of(pair[1], before.protocol) != _of(pair[1], protocol)
    )
    if stays:
        name, probe = stays[0]
        names = ", ".join(dict.fromkeys(name for name, _ in stays))
        raise InputError(
            f"{path} holds scores that were measured otherwise ({_differs(before.protocol, protocol)}"
            f"), and {len(stays):,} of them would stay, such as {name}, {probe}",
            f"measure these again as well, with --pooling, --features, --embed or --fuse: {names}; "
            "or give the options of before; or write the new ones elsewhere with --out FILE",
        )


def _of(probe: str, protocol: Protocol) -> dict[str, Any]:
    """What of a protocol tells how a probe is measured."""
    others = {"knn": {"linear", "curves"}, "linear": {"knn"}}[probe]
    return protocol.model_dump(exclude=others)


def _differs(before: Protocol, protocol: Protocol) -> str:
    """The first thing that two protocols differ in, in the words of that before."""
    old, new = before.model_dump(), protocol.model_dump()
    name = next(name for name in ("name", "on", *old) if old[name] != new[name])
    if name in {"name", "on"}:
        return f"{'by' if name == 'name' else 'on'} {old[name]}, not {new[name]}"
    # The one word that differs, as in the number of iterations, says more than two long sentences.
    parts = (str(text[name]).split("; ") for text in (old, new))
    only = next((pair for pair in zip_longest(*parts) if pair[0] != pair[1]), ("", ""))
    return f"{name}: {only[0] or 'nothing'}, not {only[1] or 'nothing'}"


def merge(before: Evaluation | None, new: Evaluation) -> tuple[Evaluation, tuple[str, ...]]:
    """New scores with those that were there and were not measured again.

    Args:
        before: what was there.
        new: what was measured; by the same protocol as all that stays.

    Returns:
        Both together, `new` itself if nothing stays; and what was replaced, a sentence each.
    """
    if before is None:
        return new, ()
    old = _all(before)
    if before.measured_on.content_sha256 != new.measured_on.content_sha256:
        whole = count_of(len(old), "score of other rows is", "scores of other rows are")
        return new, (f"{whole} replaced as a whole",)
    units = {_unit(one) for one in _all(new)}
    known = {one.name: one for one in before.features}
    # Vectors of another length or origin are other vectors, though they bear the same name.
    others = {one.name for one in new.features if known.get(one.name, one) != one}
    gone = [one for one in old if _unit(one) in units or one.features in others]
    notes = _replaced(gone)
    stays = [one for one in old if one not in gone]
    if not stays and before.protocol != new.protocol:
        return new, notes
    alike = [
        one for one in ("knn", "linear") if _of(one, before.protocol) == _of(one, new.protocol)
    ]
    if stays and before.packages != new.packages:
        changed = [name for name in new.packages if before.packages.get(name) != new.packages[name]]
        older = count_of(len(stays), "score that stays was", "scores that stay were")
        notes = (*notes, f"{older} measured with another {', '.join(changed)}")
    # Their order is that of what was there, unless all of them are measured again.
    first = new if not stays else before
    features = {one.name: one for one in (*first.features, *before.features, *new.features)}
    features |= {one.name: one for one in new.features}
    rank = {name: number for number, name in enumerate(features)}
    together = sorted([*stays, *_all(new)], key=lambda one: rank[one.features])
    same = {one.name for one in (*before.features, *new.features)} - others
    merged = new.model_copy(
        update={
            **{
                name: (
                    *(
                        one
                        for one in getattr(before, name)
                        if (name == "stability" or "linear" in alike)
                        and _stays(one, getattr(new, name), same)
                    ),
                    *getattr(new, name),
                )
                for name in ("curves", "shrunk", "transfers", "stability")
            },
            "differences": (
                *(
                    one
                    for one in before.differences
                    if {one.a, one.b} <= same
                    and one.probe in alike
                    and _pair(one) not in {*map(_pair, new.differences)}
                ),
                *new.differences,
            ),
            "features": tuple(
                one for one in features.values() if any(s.features == one.name for s in together)
            ),
            "scores": tuple(one for one in together if isinstance(one, Score)),
            "skipped": tuple(one for one in together if isinstance(one, Skipped)),
        }
    )
    return merged, notes


def _all(evaluation: Evaluation) -> list[Score | Skipped]:
    return [*evaluation.scores, *evaluation.skipped]


def _unit(one: Score | Skipped) -> Unit:
    return one.features, one.scheme, one.year, one.probe


def _stays(one: Any, new: Iterable[Any], same: set[str]) -> bool:
    """Whether what was measured of vectors that are the same was not measured again."""
    return one.features in same and one.features not in {other.features for other in new}


def _pair(one: Difference) -> tuple[str, str, str, int | None, str]:
    return one.a, one.b, one.scheme, one.year, one.probe


def _replaced(gone: Sequence[Score | Skipped]) -> tuple[str, ...]:
    units = list(dict.fromkeys(map(_unit, gone)))
    if not units:
        return ()
    named = "; ".join(
        ", ".join(str(part or "all years") for part in unit) for unit in units[:_NAMED]
    )
    more = f"; and {len(units) - _NAMED:,} more" if len(units) > _NAMED else ""
    return (f"measured again and replaced: {named}{more}",)
