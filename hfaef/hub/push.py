"""A push: a release folder becomes a version on the Hub, whole or not at all.

Contents are uploaded first, where no commit shows them; `_commit` makes the one commit, on the head
that was read; every file of it is compared with the manifest; only then the version gets its tag.
Whatever breaks in between, the next push reads what is there and goes on from it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from hfaef.core.files import atomic_write, folder_errors
from hfaef.core.net.text import clean_text
from hfaef.core.progress import progress
from hfaef.errors import HubError, InputError, ReleaseError, command_line
from hfaef.hub.edits import read_edits
from hfaef.hub.open import RemoteState, read_remote_state
from hfaef.hub.plan import PushPlan, find_published, plan_push
from hfaef.hub.repo import Repo
from hfaef.hub.tree import TargetTree, is_empty, mismatches
from hfaef.release.benchmark.eval_yaml import EVAL_YAML, registering_note
from hfaef.release.card.additions import ADDITIONS, again, stale_additions
from hfaef.release.card.edits import put_card
from hfaef.release.card.render import CARD, kept_notes, write_card
from hfaef.release.check import check_folder
from hfaef.release.format.manifest import Manifest, read_manifest
from hfaef.release.format.paths import STAGING, locked_release, put_into_release
from hfaef.release.version import parse_version

JOURNAL = "push.json"
"""File of the staging folder that lists the contents that were uploaded."""


@dataclass(frozen=True)
class PushResult:
    """What a push did."""

    outcome: Literal["published", "already published", "planned"]
    repo_id: str
    version: str
    url: str
    commit: str | None = None
    plan: PushPlan | None = None
    """None if there was nothing to do."""
    notes: tuple[str, ...] = ()
    """What the user should know."""

    def summary(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            **(self.plan.summary() if self.plan else {}),
            "outcome": self.outcome,
            "repo_id": self.repo_id,
            "version": self.version,
            "tag": f"v{self.version}",
            "commit": self.commit,
            "url": self.url,
            "notes": list(self.notes),
        }


def push(
    folder: Path,
    repo_id: str,
    *,
    version: str | None = None,
    private: bool = False,
    dry_run: bool = False,
    message: str | None = None,
    without_evaluation: bool = False,
    replace_card: bool = False,
) -> PushResult:
    """Publish a release folder as a version; a repeat of the same changes nothing.

    Args:
        folder: a release that `check` finds nothing wrong with.
        repo_id: ``owner/name``; made if it is not there.
        version: ``X.Y.Z``; worked out from what changed by default.
        private: whether a new repository is private.
        dry_run: only say what would be done; ends with the error that a push would end with.
        message: title of the commit.
        without_evaluation: whether scores and figures may go that the version before has.
        replace_card: whether edits of the card outside its notes, in the folder and on the Hub,
            may go.

    Raises:
        ReleaseError: if the folder is not fit to be published, or its card was edited outside its
            notes.
        HubError: if the Hub refuses, somebody else changed the repository meanwhile, or its card
            or manifest was edited since the newest version.
        InputError: if the version cannot be had, or scores or figures would go.
    """
    asked = parse_version(version) if version is not None else None
    repo = Repo(repo_id)
    read_manifest(folder)  # before a lock is made in a folder that holds no release
    with locked_release(folder):
        public = repo.is_public()
        if public and private:
            raise InputError(
                f"{repo_id} is there already, and public", "make it private on its page first"
            )
        if public is not None:
            repo.require_write_access()
        notes = kept_notes(folder, replace=replace_card)
        if replace_card and not dry_run:
            write_card(folder, replace=True)
        # Last, as it reads every file.
        _require_no_findings(folder, card=not (replace_card and dry_run))
        remote = RemoteState() if public is None else read_remote_state(repo)
        edits = read_edits(repo, remote, notes, replace=replace_card)
        remote, latest = edits.remote, edits.remote.latest
        tree = None
        if latest and not edits.replaces:
            tree = find_published(folder, repo_id, latest, asked, edits.notes)
        if latest and tree:
            if not dry_run:
                _write_back(folder, tree)
            return PushResult(
                "already published",
                repo_id,
                str(latest.version),
                repo.url,
                latest.snapshot.commit,
                notes=(*edits.said, *(f"{problem}; it stays" for problem in edits.problems)),
            )
        plan = plan_push(folder, repo_id, remote, version=asked, message=message, notes=edits.notes)
        warned = _review_card(folder, repo, plan.target)
        edits.require_none(folder, repo)
        sends_benchmark = EVAL_YAML in {file.path for file in plan.diff.adds}
        said = (*warned, *edits.said, *([registering_note(repo_id)] if sends_benchmark else ()))
        lost = _lost_additions(folder, latest.release.manifest if latest else None)
        if lost and not without_evaluation:
            error = InputError(
                f"{repo_id} has {' and '.join(lost)}, and {folder} has not; {again(folder, lost)}",
                "or publish without them: --without-evaluation",
            )
            error.details = plan.lines() if dry_run else ()
            raise error
        if dry_run:
            stale = lost or stale_additions(folder)
            said = (*said, again(folder, stale)) if stale else said
            planned = str(plan.version)
            return PushResult("planned", repo_id, planned, repo.url, plan=plan, notes=said)
        pushed = _publish(folder, repo, plan, remote, private=private)
        return replace(pushed, notes=(*said, *pushed.notes))


def _lost_additions(folder: Path, before: Manifest | None) -> tuple[str, ...]:
    """Scores and figures that the version before has, and the folder has not."""
    earlier = {file.path for file in before.files} if before else set[str]()
    now = {file.path for file in read_manifest(folder).files}
    return tuple(path for path in ADDITIONS if path in earlier - now)


def _require_no_findings(folder: Path, *, card: bool) -> None:
    findings = check_folder(folder, card=card)
    if findings:
        raise ReleaseError(
            f"{folder} is not fit to publish, findings: {len(findings)}; the first: {findings[0]}",
            command_line("hfaef", "check", folder),
        )


def _review_card(folder: Path, repo: Repo, target: TargetTree) -> tuple[str, ...]:
    """What the Hub warns of in the card, in a line.

    Raises:
        HubError: if it would not take the card.
    """
    card = next(file.content for file in target.files if file.path == CARD)
    found = repo.review_card(card.decode() if isinstance(card, bytes) else card.read_text("utf-8"))
    build = command_line("hfaef", "build", "RECIPE", "--out", folder)
    if found.errors:
        raise HubError(
            f"the Hub does not take the {CARD} of {folder}: {'; '.join(found.errors)}",
            f"correct `card` in its recipe, then: {build}",
        )
    words = "; ".join(found.warnings)
    mend = f"to mend it, change `card` in the recipe, then: {build}"
    return (f"the Hub warns of the {CARD}: {words}; {mend}",) if words else ()


def _publish(
    folder: Path, repo: Repo, plan: PushPlan, remote: RemoteState, *, private: bool
) -> PushResult:
    notes = [
        f"left alone: {clean_text(path)}, which no release brought" for path in plan.diff.foreign
    ]
    hint = f"look at {repo.url}, then: {command_line('hfaef', 'push', folder, repo.id)}"
    parent = plan.parent
    if parent is None:
        repo.create(private=private)
        start = repo.snapshot()
        if not is_empty(start):
            raise HubError(f"somebody else made {repo.id} meanwhile", hint)
        parent = start.commit
    if plan.diff.adds or plan.diff.deletes:
        earlier = _upload(folder, repo, plan)
        if earlier:
            notes.append(f"{earlier:,} files were sent by a run that was cut off")
        if tuple(repo.versions()) != remote.versions:
            raise HubError(
                f"somebody else published a version of {repo.id} meanwhile; nothing of "
                f"{plan.version} is",
                hint,
            )
        commit = _commit(repo, plan, parent, hint)
    else:
        commit = parent
        notes.append("the commit was made by a run that was cut off; it is checked and tagged now")
    _verify(repo, plan, commit)
    _tag(repo, plan, commit, hint)
    _write_back(folder, plan.target)
    (folder / STAGING / JOURNAL).unlink(missing_ok=True)
    version = str(plan.version)
    return PushResult("published", repo.id, version, repo.url, commit, plan, tuple(notes))


def _upload(folder: Path, repo: Repo, plan: PushPlan) -> int:
    """Upload contents file by file; gives how many an earlier run had uploaded.

    The journal is for people: the Hub itself knows what it holds, and takes nothing twice.
    """
    path = folder / STAGING / JOURNAL
    before = _read_journal(path, plan)
    large = [file for file in plan.diff.adds if isinstance(file.content, Path)]
    done = [file.sha256 for file in large if file.sha256 in before]
    with progress("push", len(large)) as advance:
        for file in large:
            repo.upload(file)
            if file.sha256 not in done:
                done.append(file.sha256)
            content = {"repo_id": repo.id, "version": str(plan.version), "sent": sorted(done)}
            with folder_errors(path):
                atomic_write(path, json.dumps(content).encode())
            advance(f"{file.size / 1e6:,.1f} MB")
    return len(before & {file.sha256 for file in large})


def _read_journal(path: Path, plan: PushPlan) -> set[str]:
    try:
        found = json.loads(path.read_bytes())
        return set(found["sent"]) if found["repo_id"] == plan.repo_id else set()
    except (OSError, ValueError, KeyError, TypeError):
        return set()


def _commit(repo: Repo, plan: PushPlan, parent: str, hint: str) -> str:
    """Make the commit that holds the target tree, once; gives its hash."""
    return repo.retry.call_once(
        lambda: repo.commit(
            plan.diff.adds,
            plan.diff.deletes,
            parent=parent,
            title=plan.title,
            description="\n".join(f"- {reason}" for reason in plan.reasons),
        ),
        lambda: _find_commit(repo, plan, parent, hint),
        hint=hint,
    )


def _find_commit(repo: Repo, plan: PushPlan, parent: str, hint: str) -> str | None:
    """The commit after `parent` that holds the target tree; None if nothing came after it.

    Raises:
        HubError: if only others' commits came after it.
    """
    later = repo.commits_since(parent)
    for commit in later:
        if not mismatches(plan.target, repo.snapshot(commit), plan.diff.deletes):
            return commit
    if later:
        raise HubError(
            f"somebody else changed {repo.id} meanwhile (commit {later[-1][:8]}); nothing of "
            f"{plan.version} is published",
            hint,
        )
    return None


def _verify(repo: Repo, plan: PushPlan, commit: str) -> None:
    """Compare every file of the commit with the manifest.

    Raises:
        HubError: if one differs; then there is no tag.
    """
    found = mismatches(plan.target, repo.snapshot(commit), plan.diff.deletes)
    if found:
        raise HubError(
            f"commit {commit[:8]} of {repo.id} is not what was sent, so {plan.version} gets no "
            f"tag; findings: {len(found)}, the first: {found[0]}",
            "run the same command again",
        )


def _tag(repo: Repo, plan: PushPlan, commit: str, hint: str) -> None:
    """Set the version's tag, once.

    Raises:
        HubError: if the tag is on another commit.
    """

    def find() -> str | None:
        found = repo.commit_of(plan.version)
        if found not in (None, commit):
            raise HubError(
                f"{plan.version} of {repo.id} was published by somebody else meanwhile, with "
                "other content",
                hint,
            )
        return found

    def attempt() -> str:
        repo.tag(plan.version, commit, "\n".join(plan.reasons))
        return commit

    repo.retry.call_once(attempt, find, hint=hint)


def _write_back(folder: Path, tree: TargetTree) -> None:
    """Put the card and the manifest of the published version into the folder."""
    for file in tree.files:
        if isinstance(file.content, bytes):
            path = folder / file.path
            with folder_errors(path):
                if path.exists() and path.read_bytes() == file.content:
                    continue
                if file.path == CARD:
                    put_card(path, file.content.decode())
                else:
                    put_into_release(folder, file.path, file.content)
