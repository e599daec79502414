"""A data set repository on the Hub: what is in it, and the steps that change it.

All that hfaef writes to the Hub goes through here. Reads are repeated when the Hub stumbles; of
a step that changes something, the caller looks at what came of it before doing it again.
"""

from __future__ import annotations

import hashlib
import logging
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import IO, TYPE_CHECKING, TypeVar, cast

from hfaef.errors import HubError, InputError
from hfaef.release.version import Version, version_of_tag

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

_LOG = logging.getLogger(__name__)

REPO_ID = re.compile(r"(?!.*(?:--|\.\.))(?:[A-Za-z0-9][\w.-]{0,95})/(?:[A-Za-z0-9][\w.-]{0,95})")
"""``owner/name``; the Hub has the last word."""

WAITS = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds between the attempts of a read."""

_AGAIN = "run the same command again; what was sent, if anything, is kept"
_STUMBLES = frozenset({408, 429, 500, 502, 503, 504})
_UNSURE = _STUMBLES | {409, 412}

Result = TypeVar("Result")


class UnsureError(HubError):
    """It is not known whether a change was made: a lost answer, a conflict, a fault of the Hub."""


@dataclass(frozen=True)
class LocalFile:
    """A file to publish."""

    path: str
    """In the repository."""
    size: int
    """Bytes."""
    sha256: str
    content: Path | bytes
    """Where it lies, or what it holds."""

    def oid(self) -> str:
        """Git's SHA-1 of it, by which the Hub knows files that LFS does not hold."""
        digest = hashlib.sha1(b"blob %d\0" % self.size, usedforsecurity=False)
        if isinstance(self.content, bytes):
            digest.update(self.content)
        else:
            with self.content.open("rb") as file:
                while piece := file.read(1 << 20):
                    digest.update(piece)
        return digest.hexdigest()


@dataclass(frozen=True)
class RemoteFile:
    """A file of a commit."""

    path: str
    size: int
    """Bytes."""
    sha256: str | None
    """Of a file that LFS holds; None for others."""
    oid: str
    """Git's SHA-1 of it, or of its pointer."""

    def holds(self, file: LocalFile) -> bool:
        """Whether the content is that of a local file."""
        if self.size != file.size:
            return False
        return self.sha256 == file.sha256 if self.sha256 else self.oid == file.oid()


@dataclass(frozen=True)
class Snapshot:
    """A commit and all its files."""

    commit: str
    files: dict[str, RemoteFile]

    def lacking(self, files: Sequence[LocalFile]) -> list[LocalFile]:
        """Those that are not there, or are there with other content."""
        return [
            file
            for file in files
            if file.path not in self.files or not self.files[file.path].holds(file)
        ]


class Repo:
    """A data set repository, reached through huggingface_hub's client as it is set up.

    Args:
        repo_id: ``owner/name``.

    Raises:
        InputError: if `repo_id` cannot be one.
    """

    def __init__(self, repo_id: str) -> None:
        from huggingface_hub import HfApi

        if not REPO_ID.fullmatch(repo_id):
            raise InputError(f"{repo_id!r} is no REPO_ID", "give OWNER/NAME")
        self.id = repo_id
        self._api = HfApi(library_name="hfaef")

    @property
    def url(self) -> str:
        """Where people look at it."""
        return f"{self._api.endpoint}/datasets/{self.id}"

    def visible(self) -> bool | None:
        """Whether everybody may see it; None if it is not there, or not for this token."""
        from huggingface_hub.errors import RepositoryNotFoundError

        try:
            return self._read(lambda: not self._api.dataset_info(self.id).private)
        except HubError as error:
            if isinstance(error.__cause__, RepositoryNotFoundError):
                return None
            raise

    def require_writer(self) -> None:
        """Find out early whether this token may write.

        Raises:
            HubError: if it may not.
        """
        try:
            self._read(lambda: self._api.auth_check(self.id, repo_type="dataset", write=True))
        except HubError as error:
            if _status(error) in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
                raise
            # A Hub without this route tells when the first file is sent.

    def create(self, *, private: bool) -> None:
        """Make it, unless it is there."""
        with _told(self.id):
            self._api.create_repo(self.id, repo_type="dataset", private=private, exist_ok=True)

    def snapshot(self, revision: str = "main") -> Snapshot:
        """The commit that a revision is now, and its files."""
        from huggingface_hub.hf_api import RepoFile

        _LOG.debug("%s: the files of %s", self.id, revision)

        def read() -> Snapshot:
            commit = str(self._api.dataset_info(self.id, revision=revision).sha)
            entries = self._api.list_repo_tree(
                self.id, recursive=True, revision=commit, repo_type="dataset"
            )
            files = (
                RemoteFile(
                    entry.path, entry.size, entry.lfs.sha256 if entry.lfs else None, entry.blob_id
                )
                for entry in entries
                if isinstance(entry, RepoFile)
            )
            return Snapshot(commit, {file.path: file for file in files})

        return self._read(read)

    def commits_since(self, commit: str) -> list[str]:
        """The commits of ``main`` after one, the oldest first."""
        listed = self._read(
            lambda: [
                made.commit_id for made in self._api.list_repo_commits(self.id, repo_type="dataset")
            ]
        )
        return listed[: listed.index(commit)][::-1] if commit in listed else listed[::-1]

    def versions(self) -> list[Version]:
        """Versions that have a tag, the newest first."""
        refs = self._read(lambda: self._api.list_repo_refs(self.id, repo_type="dataset"))
        found = (version_of_tag(tag.name) for tag in refs.tags)
        return sorted((version for version in found if version), reverse=True)

    def tagged(self, version: Version) -> str | None:
        """The commit of a version's tag; None if there is no such tag."""
        from huggingface_hub.errors import RevisionNotFoundError

        def read() -> str | None:
            # Not from the list of tags: an annotated tag has a hash of its own there.
            try:
                return str(self._api.dataset_info(self.id, revision=version.tag).sha)
            except RevisionNotFoundError:
                return None

        return self._read(read)

    def fetch(self, path: str, revision: str) -> Path:
        """A local copy of a file, from the cache if it is there."""
        _LOG.debug("%s: %s of %s", self.id, path, revision)
        return Path(
            self._read(
                lambda: self._api.hf_hub_download(
                    self.id, path, revision=revision, repo_type="dataset"
                )
            )
        )

    def open(self, path: str, revision: str) -> IO[bytes]:
        """A file of which only the parts that are read are fetched."""
        from huggingface_hub import HfFileSystem

        _LOG.debug("%s: parts of %s of %s", self.id, path, revision)
        place = f"datasets/{self.id}@{revision}/{path}"
        return cast("IO[bytes]", self._read(lambda: HfFileSystem().open(place, "rb")))

    def send(self, addition: CommitOperationAdd) -> None:
        """Send a file's content to the Hub's storage, unless it is there; it shows nowhere yet."""
        _LOG.debug("%s: send %s", self.id, addition.path_in_repo)
        with _told(self.id):
            self._api.preupload_lfs_files(
                self.id, [addition], repo_type="dataset", free_memory=False
            )

    def commit(
        self,
        operations: Sequence[CommitOperationAdd | CommitOperationDelete],
        *,
        parent: str,
        title: str,
        description: str,
    ) -> str:
        """Put one commit on ``main``, if that is still at `parent`; gives the commit.

        Raises:
            UnsureError: if it is not known whether the commit was made.
        """
        _LOG.debug("%s: commit %d changes on %s", self.id, len(operations), parent)
        with _told(self.id):
            made = self._api.create_commit(
                self.id,
                operations,
                commit_message=title,
                commit_description=description,
                repo_type="dataset",
                revision="main",
                parent_commit=parent,
            )
            return str(made.oid)

    def tag(self, version: Version, commit: str, message: str) -> None:
        """Set a new annotated tag.

        Raises:
            UnsureError: if it is not known whether the tag was set, or it was there before.
        """
        _LOG.debug("%s: tag %s on %s", self.id, version.tag, commit)
        with _told(self.id):
            self._api.create_tag(
                self.id,
                tag=version.tag,
                tag_message=message,
                revision=commit,
                repo_type="dataset",
            )

    def _read(self, function: Callable[[], Result]) -> Result:
        """What a function reads, asked again while the Hub stumbles."""
        for wait in WAITS:
            try:
                with _told(self.id):
                    return function()
            except UnsureError as error:
                _LOG.info("the Hub is asked again in %.1f s: %s", wait, error.message)
                time.sleep(wait)
        with _told(self.id):
            return function()


@contextmanager
def _told(repo_id: str) -> Iterator[None]:
    """Say in one line, without links and tokens, what the Hub objects to."""
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled
    from huggingface_hub.utils import httpx  # type: ignore[attr-defined]

    try:
        yield
    except OfflineModeIsEnabled as error:
        raise HubError("the Hub is switched off", "unset HF_HUB_OFFLINE") from error
    except HfHubHTTPError as error:
        raise _translated(repo_id, error) from error
    except httpx.TransportError as error:
        words = type(error).__name__
        raise UnsureError(
            f"{repo_id}: the connection to the Hub broke ({words})", _AGAIN
        ) from error
    except ValueError as error:  # a card that is refused, or an answer that is no answer
        raise HubError(f"the Hub does not take it: {str(error)[:300]}", _AGAIN) from error
    except (RuntimeError, OSError) as error:
        cause = error.__cause__  # what huggingface_hub wraps when an upload fails
        if isinstance(cause, HfHubHTTPError):
            raise _translated(repo_id, cause) from error
        if isinstance(cause, httpx.TransportError):
            words = type(cause).__name__
            raise UnsureError(
                f"{repo_id}: the connection to the Hub broke ({words})", _AGAIN
            ) from error
        raise


def _translated(repo_id: str, error: Exception) -> HubError:
    from huggingface_hub import constants
    from huggingface_hub.errors import (
        GatedRepoError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    status = _status(error)
    said = str(getattr(error, "server_message", None) or "").split("\n")[0]
    login = "hf auth login, or set HF_TOKEN"
    match error:
        case RevisionNotFoundError():
            return HubError(f"{repo_id} has no such version", "name one of those on its page")
        case GatedRepoError():
            return HubError(f"{repo_id} is gated", "ask for access on its page, then run it again")
        case RepositoryNotFoundError():
            return HubError(f"{repo_id} is not there, or your token may not see it", login)
    if status == HTTPStatus.UNAUTHORIZED:
        return HubError("the Hub does not know your token", login)
    if status == HTTPStatus.FORBIDDEN:
        return HubError(
            f"your token may not write to {repo_id} ({said})",
            f"make one that may at {constants.ENDPOINT}/settings/tokens, then hf auth login",
        )
    kind = UnsureError if status in _UNSURE else HubError
    return kind(f"the Hub answers {status} ({said})", _AGAIN)


def _status(error: BaseException) -> int | None:
    """Status of the answer that an error, or its cause, is about."""
    for found in (error, error.__cause__):
        status = getattr(getattr(found, "response", None), "status_code", None)
        if isinstance(status, int):
            return status
    return None
