"""What a data set repository on the Hub holds: a release of hfaef, tables, or another file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hfaef.core.names import printable
from hfaef.errors import HubError, InputError
from hfaef.evaluation.features.argument import Argument
from hfaef.hub.open import release_at
from hfaef.hub.repo import Repo, Snapshot
from hfaef.release.handle import Release
from hfaef.release.version import parse_version

_MOST_BYTES = 64 << 30
"""To fetch."""


@dataclass(frozen=True)
class Files:
    """Files of a commit, here."""

    source: str
    """``OWNER/NAME`` and the revision."""
    commit: str
    paths: tuple[Path, ...]


def open_repository(argument: Argument) -> Release | Files:
    """What to read vectors from: a release, unless the option `file` names something else.

    Without a revision it is the newest version, if there is one, and else what is there now.

    Raises:
        HubError: if the Hub has no such repository or revision, or does not give a file.
        InputError: if it holds no release and no Parquet, or not that file.
    """
    repo_id, _, asked = argument.place.partition("@")
    repo = Repo(repo_id)
    revision = _revision(repo, asked)
    snapshot = repo.snapshot(revision)
    wanted = argument.options.get("file")
    if wanted is None and (release := release_at(repo, snapshot, revision.removeprefix("v"))):
        return release
    source = f"{repo_id}@{revision}"
    names = _names(snapshot, wanted, source, argument)
    if sum(snapshot.files[name].size for name in names) > _MOST_BYTES:
        raise InputError(
            f"{source}: its files are over {_MOST_BYTES >> 30} GiB",
            f"name one: --features {argument.name}={argument.place},file=PATH",
        )
    return Files(
        source, snapshot.commit, tuple(repo.fetch(name, snapshot.commit) for name in names)
    )


def _revision(repo: Repo, asked: str) -> str:
    """A tag of a version if there is one for what was asked; else that, or ``main``."""
    try:
        versions = repo.versions()
    except HubError as error:
        # OWNER/NAME may as well have been meant as a path.
        raise HubError(
            f"there is no file or folder {repo.id}, and {error.message}", error.hint
        ) from error
    if not asked:
        return versions[0].tag if versions else "main"
    try:
        version = parse_version(asked)
    except InputError:
        return asked
    return version.tag if version in versions else asked


def _names(
    snapshot: Snapshot, wanted: str | None, source: str, argument: Argument
) -> Sequence[str]:
    if wanted is not None and wanted in snapshot.files:
        return [wanted]
    tables = sorted(name for name in snapshot.files if name.endswith(".parquet"))
    if wanted is None and tables:
        return tables
    what = f"no file {printable(wanted)}" if wanted else "no release of hfaef and no Parquet"
    shown = ", ".join(printable(name)[:80] for name in sorted(snapshot.files)[:10])
    raise InputError(
        f"{source} holds {what}, but {shown or 'nothing'}",
        f"name one: --features {argument.name}={argument.place},file=PATH",
    )
