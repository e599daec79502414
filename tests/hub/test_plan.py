"""The version that a push is asked for fits what changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from hfaef.errors import InputError
from hfaef.hub.open import PublishedRelease
from hfaef.hub.plan import RemoteState, plan_push
from hfaef.hub.repo import Repo, Snapshot
from hfaef.release.format.manifest import Change
from hfaef.release.handle import open_folder
from hfaef.release.version import Version, parse_version


def published(folder: Path, version: Version, **changes: object) -> RemoteState:
    """A repository whose newest version is what a folder holds, but for some changes."""
    release = open_folder(folder)
    history = (Change(version=str(version), lines=("first",)),)
    manifest = release.manifest.model_copy(update={"history": history, **changes})
    snapshot = Snapshot("0" * 40, {})
    latest = PublishedRelease(
        Repo("ada/patches"),
        version,
        snapshot,
        type(release)("ada/patches", manifest, release.fetch, release.open),
    )
    return RemoteState(snapshot, (version,), latest)


@pytest.mark.parametrize(
    ("changes", "asked", "right"),
    [
        ({"format": 0}, "1.2.4", "2.0.0"),
        ({"format": 0}, "1.3.0", "2.0.0"),
        ({"rows": 5}, "1.2.4", "1.3.0"),
    ],
)
def test_a_version_that_says_less_than_what_changed_is_refused(
    own_release: Path, changes: dict[str, object], asked: str, right: str
) -> None:
    remote = published(own_release, Version(1, 2, 3), **changes)
    with pytest.raises(InputError, match="says less than what changed") as caught:
        plan_push(own_release, "ada/patches", remote, version=parse_version(asked))
    assert f"--version {right}" in caught.value.hint
    plan = plan_push(own_release, "ada/patches", remote, version=parse_version(right))
    assert str(plan.version) == right
    assert str(plan_push(own_release, "ada/patches", remote).version) == right


def test_a_version_may_say_more(own_release: Path) -> None:
    remote = published(own_release, Version(1, 2, 3), packages={})
    for asked in ("1.2.4", "1.3.0", "2.0.0"):
        plan = plan_push(own_release, "ada/patches", remote, version=parse_version(asked))
        assert str(plan.version) == asked
