"""From a release folder to a version on the Hub: all of it, or nothing that anybody sees.

Contents are sent first and show nowhere; one commit on the branch's known head makes them files;
every file is compared with the manifest; only then the version gets its tag. Whatever breaks in
between, the next run looks at what is there and goes on from it.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hfaef.core.files import atomic_write, folder_errors, folder_lock
from hfaef.core.progress import progress
from hfaef.errors import HubError, InputError, ReleaseError
from hfaef.hub.plan import PushPlan, RemoteState, propose, published, read_remote_state
from hfaef.hub.repo import WAITS, Repo, UnsureError
from hfaef.hub.tree import TargetTree, faults, is_new
from hfaef.release.check import check_folder
from hfaef.release.format.manifest import read_manifest
from hfaef.release.format.paths import LOCK, STAGING, put_into_release
from hfaef.release.version import parse_version

JOURNAL = "push.json"


PUBLISHED = "published"
ALREADY = "already published"
PLANNED = "planned"


@dataclass(frozen=True)
class Pushed:
    """What a push did."""

    outcome: str
    """`PUBLISHED`, `ALREADY` or `PLANNED`."""
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
        plan = self.plan.summary() if self.plan else {}
        return {
            **plan,
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
) -> Pushed:
    """Publish a release folder as a version; a repeat of the same changes nothing.

    Args:
        folder: a release that `check` finds nothing wrong with.
        repo_id: ``owner/name``; made if it is not there.
        version: ``X.Y.Z``; worked out from what changed by default.
        private: whether a new repository is private.
        dry_run: only say what would be done.
        message: title of the commit.

    Raises:
        ReleaseError: if the folder is not fit to be published.
        HubError: if the Hub refuses, or somebody else changed the repository meanwhile.
        InputError: if the version cannot be had.
    """
    wanted = parse_version(version) if version is not None else None
    repo = Repo(repo_id)
    read_manifest(folder)  # before a lock is made in a folder that holds no release
    with folder_lock(folder, LOCK, "wait for it, then run it again"):
        manifest = read_manifest(folder)
        visible = repo.visible()
        if visible and private:
            raise InputError(
                f"{repo_id} is there already, and public", "make it private on its page first"
            )
        if visible is not None and not dry_run:
            repo.require_writer()
        _require_clean(folder)  # last, as it reads every file
        there = RemoteState() if visible is None else read_remote_state(repo)
        if there.last_commit and (same := published(folder, manifest, repo_id, there, wanted)):
            if not dry_run:
                _settle(folder, same)
            version = str(same.manifest.version)
            return Pushed(ALREADY, repo.id, version, repo.url, there.last_commit.commit)
        plan = propose(folder, manifest, repo_id, there, wanted=wanted, message=message)
        if dry_run:
            return Pushed(PLANNED, repo_id, str(plan.version), repo.url, plan=plan)
        return _carry_out(folder, repo, plan, there, private=private)


def _require_clean(folder: Path) -> None:
    findings = check_folder(folder)
    if findings:
        raise ReleaseError(
            f"{folder} is not fit to publish, findings: {len(findings)}; the first: {findings[0]}",
            f"hfaef check {folder}",
        )


def _carry_out(
    folder: Path, repo: Repo, plan: PushPlan, there: RemoteState, *, private: bool
) -> Pushed:
    notes = [f"left alone: {path}, which no release brought" for path in plan.changes.strangers]
    parent = plan.parent
    if parent is None:
        repo.create(private=private)
        start = repo.snapshot()
        if not is_new(start):
            raise HubError(f"somebody else made {repo.id} meanwhile", _again(folder, repo))
        parent = start.commit
    if plan.changes.adds or plan.changes.deletes:
        sent = _send(folder, repo, plan)
        if sent:
            notes.append(f"{sent:,} files were sent by a run that was cut off")
        if tuple(repo.versions()) != there.versions:
            raise HubError(
                f"somebody else published a version of {repo.id} meanwhile; nothing of "
                f"{plan.version} is",
                _again(folder, repo),
            )
        commit = _commit(repo, plan, parent, folder)
    else:
        commit = parent
        notes.append("the commit was made by a run that was cut off; it is checked and tagged now")
    _verify(repo, plan, commit)
    _tag(repo, plan, commit, folder)
    _settle(folder, plan.wanted)
    (folder / STAGING / JOURNAL).unlink(missing_ok=True)
    version = str(plan.version)
    return Pushed(PUBLISHED, repo.id, version, repo.url, commit, plan, tuple(notes))


def _send(folder: Path, repo: Repo, plan: PushPlan) -> int:
    """Send contents file by file; gives how many a run before had sent.

    The journal only tells people: the Hub itself knows what it holds, and takes nothing twice.
    """
    from huggingface_hub import CommitOperationAdd
    from huggingface_hub.utils import disable_progress_bars  # type: ignore[attr-defined]

    disable_progress_bars()  # ours shows files; two bars would write over each other
    path = folder / STAGING / JOURNAL
    before = _read_journal(path, plan)
    large = [file for file in plan.changes.adds if isinstance(file.content, Path)]
    done = [file.sha256 for file in large if file.sha256 in before]
    with progress("push", len(large)) as advance:
        for file in large:
            addition = CommitOperationAdd(file.path, str(file.content))
            addition.upload_info.sha256 = bytes.fromhex(file.sha256)  # the check has just made it
            repo.send(addition)
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


def _commit(repo: Repo, plan: PushPlan, parent: str, folder: Path) -> str:
    """The commit that holds the publication, made once."""
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    for wait in (*WAITS, None):
        adds = []
        for file in plan.changes.adds:
            held = file.content if isinstance(file.content, bytes) else str(file.content)
            adds.append(CommitOperationAdd(file.path, held))
            adds[-1].upload_info.sha256 = bytes.fromhex(file.sha256)
        deletes = [CommitOperationDelete(path, is_folder=False) for path in plan.changes.deletes]
        try:
            return repo.commit(
                [*adds, *deletes],
                parent=parent,
                title=plan.title,
                description="\n".join(f"- {reason}" for reason in plan.reasons),
            )
        except UnsureError as error:
            if found := _find_commit(repo, plan, parent, folder):
                return found
            if wait is None:
                raise HubError(error.message, _again(folder, repo)) from error
            time.sleep(wait)
    raise AssertionError("the last attempt returns or raises")


def _find_commit(repo: Repo, plan: PushPlan, parent: str, folder: Path) -> str | None:
    """The commit after `parent` that holds the publication; None if nothing came after it.

    Raises:
        HubError: if only others' commits came after it.
    """
    later = repo.commits_since(parent)
    for commit in later:
        if not faults(plan.wanted, repo.snapshot(commit), plan.changes.deletes):
            return commit
    if later:
        raise HubError(
            f"somebody else changed {repo.id} meanwhile (commit {later[-1][:8]}); nothing of "
            f"{plan.version} is published",
            _again(folder, repo),
        )
    return None


def _verify(repo: Repo, plan: PushPlan, commit: str) -> None:
    """Compare every file of the commit with the manifest.

    Raises:
        HubError: if one differs; then there is no tag.
    """
    found = faults(plan.wanted, repo.snapshot(commit), plan.changes.deletes)
    if found:
        raise HubError(
            f"commit {commit[:8]} of {repo.id} is not what was sent, so {plan.version} gets no "
            f"tag; findings: {len(found)}, the first: {found[0]}",
            "run the same command again",
        )


def _tag(repo: Repo, plan: PushPlan, commit: str, folder: Path) -> None:
    """Set the version's tag, once.

    Raises:
        HubError: if the tag is on another commit.
    """
    text = "\n".join(plan.reasons)
    for wait in (*WAITS, None):
        try:
            repo.tag(plan.version, commit, text)
        except UnsureError as error:
            there = repo.tagged(plan.version)
            if there == commit:
                return
            if there is not None:
                raise HubError(
                    f"{plan.version} of {repo.id} was published by somebody else meanwhile, with "
                    "other content",
                    _again(folder, repo),
                ) from error
            if wait is None:
                raise HubError(error.message, _again(folder, repo)) from error
            time.sleep(wait)
        else:
            return


def _settle(folder: Path, published: TargetTree) -> None:
    """Let the folder say what it was published as."""
    for file in published.files:
        if isinstance(file.content, bytes):
            path = folder / file.path
            with folder_errors(path):
                if path.read_bytes() != file.content:
                    put_into_release(folder, file.path, file.content)


def _again(folder: Path, repo: Repo) -> str:
    return f"look at {repo.url}, then: hfaef push {folder} {repo.id}"
