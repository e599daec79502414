"""The Hub client: what a repository holds, and the requests that change it.

All that hfaef asks of the Hub goes through here, but for rows, which `datasets` reads. Reads are retried here; a
commit or a tag is tried once, as only `push` can see whether it was made after all.
"""

from __future__ import annotations

import hashlib
import logging
import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from itertools import takewhile
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal, cast
from urllib.parse import quote

from hfaef.core.names import REPO_ID
from hfaef.core.net.card_review import CardReview
from hfaef.core.net.endpoints import HUB, require_trusted
from hfaef.core.net.proxies import require_usable_proxies
from hfaef.core.net.text import clean_text
from hfaef.errors import HubError, InputError, command_line
from hfaef.hub.retry import Result, RetryPolicy, translate_hub_errors
from hfaef.release.version import Version, version_of_tag

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationAdd, GitCommitInfo

_LOG = logging.getLogger(__name__)

_COMMIT = re.compile(r"[0-9a-f]{40}")
_NO_ROUTE = frozenset({404, 405, 501})
"""Statuses of a Hub that does not know a route."""
_PERHAPS_THERE = frozenset({401, 402, 403, 409})
"""Statuses by which the Hub refuses to make a repository that may be there already."""


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
        content = self.content if isinstance(self.content, bytes) else self.content.read_bytes()
        return hashlib.sha1(
            b"blob %d\0%b" % (self.size, content), usedforsecurity=False
        ).hexdigest()

    def addition(self) -> CommitOperationAdd:
        """As huggingface_hub takes it, which need not hash it again."""
        from huggingface_hub import CommitOperationAdd

        content = self.content if isinstance(self.content, bytes) else str(self.content)
        added = CommitOperationAdd(self.path, content)
        added.upload_info.sha256 = bytes.fromhex(self.sha256)
        return added


@dataclass(frozen=True)
class RemoteFile:
    """A file of a commit."""

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
    """By path."""

    def missing_or_changed(self, files: Sequence[LocalFile]) -> list[LocalFile]:
        """Those that the commit does not hold, or holds with other content."""
        return [
            file
            for file in files
            if file.path not in self.files or not self.files[file.path].holds(file)
        ]


class Repo:
    """A repository, reached through huggingface_hub's client as it is set up.

    Args:
        repo_id: ``owner/name``.
        retry: for reads, and for the callers' own steps.
        kind: of a data set, or a static Space.

    Raises:
        InputError: if `repo_id` cannot be one, or the environment names a proxy that is none.
        CredentialsError: if there is a token that may not be sent to ``HF_ENDPOINT``.
    """

    def __init__(
        self,
        repo_id: str,
        retry: RetryPolicy | None = None,
        kind: Literal["dataset", "space"] = "dataset",
    ) -> None:
        from huggingface_hub import HfApi, get_token

        if not REPO_ID.fullmatch(repo_id):
            raise InputError(f"{repo_id!r} is no REPO_ID", "give OWNER/NAME")
        require_usable_proxies()
        self.id = repo_id
        self.kind = kind
        self.retry = retry or RetryPolicy()
        self._api = HfApi(library_name="hfaef")
        if get_token():
            require_trusted(self._api.endpoint, HUB, "the token for the Hub (HF_ENDPOINT)")

    @property
    def url(self) -> str:
        """Where people look at it."""
        return f"{self._api.endpoint}/{self.kind}s/{self.id}"

    def address(self, commit: str) -> str:
        """Of the folder that holds a commit's files, with a slash at its end."""
        return f"{self.url}/resolve/{commit}/"

    def is_public(self) -> bool | None:
        """Whether everybody may see it; None if it is not there, or not for this token."""
        from huggingface_hub.errors import RepositoryNotFoundError

        try:
            return self._read(lambda: not self._info().private)
        except HubError as error:
            if isinstance(error.__cause__, RepositoryNotFoundError):
                return None
            raise

    def is_open(self) -> bool:
        """Whether everybody may read its files, without a token."""
        found = self._read(self._info)
        return not found.private and not found.gated

    def redirect(self, path: str, commit: str) -> str:
        """The address to which the Hub sends whoever asks for a file now; of the file, if nowhere."""
        from huggingface_hub import get_hf_file_metadata

        address = self.address(commit) + quote(path)
        return self._read(lambda: get_hf_file_metadata(address, library_name="hfaef").location)

    def require_write_access(self) -> None:
        """Find out early whether this token may write.

        Raises:
            HubError: if it may not.
        """
        try:
            self._read(lambda: self._api.auth_check(self.id, repo_type=self.kind, write=True))
        except HubError as error:
            status = getattr(getattr(error.__cause__, "response", None), "status_code", None)
            if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
                raise
            # A Hub without this route tells when the first file is sent.

    def create(self, *, private: bool) -> None:
        """Make it, unless it is there.

        Raises:
            HubError: if the Hub does not make it.
        """
        from huggingface_hub.errors import HfHubHTTPError

        with translate_hub_errors(self.id):
            try:
                # Not `exist_ok`, which takes every conflict for a repository that is there.
                self._api.create_repo(
                    self.id,
                    repo_type=self.kind,
                    private=private,
                    space_sdk="static" if self.kind == "space" else None,
                )
            except HfHubHTTPError as error:
                refused = error.response.status_code in _PERHAPS_THERE
                if not refused or not self._api.repo_exists(self.id, repo_type=self.kind):
                    raise

    def review_card(self, card: str) -> CardReview:
        """What the Hub has against the YAML of a card, which it would say after the upload, too.

        Raises:
            HubError: if the Hub does not say it.
        """
        from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status  # type: ignore[attr-defined]

        def read() -> CardReview:
            answer = get_session().post(
                f"{self._api.endpoint}/api/validate-yaml",
                json={"content": card, "repoType": self.kind},
                headers=build_hf_headers(library_name="hfaef"),
            )
            if answer.status_code in _NO_ROUTE:
                return CardReview()  # a Hub without this route
            refused = answer.status_code == HTTPStatus.BAD_REQUEST
            if not refused:
                hf_raise_for_status(answer)
            found = CardReview.of(answer.json())
            if refused and not found.errors:
                return CardReview((clean_text(answer.text, 300),), found.warnings)
            return found

        return self._read(read)

    def snapshot(self, revision: str = "main") -> Snapshot:
        """The commit that a revision is now, and its files."""
        from huggingface_hub.hf_api import RepoFile

        _LOG.debug("%s: the files of %s", self.id, revision)
        commit = self._read(lambda: self._commit(self._info(revision).sha))

        def read() -> dict[str, RemoteFile]:
            entries = self._api.list_repo_tree(
                self.id, recursive=True, revision=commit, repo_type=self.kind
            )
            return {
                one.path: RemoteFile(one.size, one.lfs.sha256 if one.lfs else None, one.blob_id)
                for one in entries
                if isinstance(one, RepoFile)
            }

        return Snapshot(commit, self._read(read, paged=True))

    def commits_since(self, commit: str) -> list[str]:
        """The commits of ``main`` after one, the oldest first."""
        found = (self._commit(one.commit_id) for one in self._log())
        return list(takewhile(lambda one: one != commit, found))[::-1]

    def is_new(self) -> bool:
        """Whether it is as the Hub made it: nobody has put a commit on its first one."""
        return [one.title for one in self._log()] == ["initial commit"]

    def versions(self) -> list[Version]:
        """Versions that have a tag, the newest first."""
        refs = self._read(lambda: self._api.list_repo_refs(self.id, repo_type=self.kind))
        found = (version_of_tag(tag.name) for tag in refs.tags)
        return sorted((version for version in found if version), reverse=True)

    def commit_of(self, version: Version) -> str | None:
        """The commit of a version's tag; None if there is no such tag."""
        from huggingface_hub.errors import RevisionNotFoundError

        def read() -> str | None:
            # Not from the list of tags: an annotated tag has a hash of its own there.
            try:
                return self._commit(self._info(version.tag).sha)
            except RevisionNotFoundError:
                return None

        return self._read(read)

    def fetch(self, path: str, revision: str) -> Path:
        """A local copy of a file, from the cache if it is there.

        Raises:
            HubError: if the revision has no such file, or the Hub does not give it.
        """
        from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError

        _LOG.debug("%s: %s of %s", self.id, path, revision)

        def read() -> Path:
            try:
                found = self._api.hf_hub_download(
                    self.id, path, revision=revision, repo_type=self.kind
                )
            except EntryNotFoundError as error:
                if not isinstance(error, HfHubHTTPError):
                    raise  # of a cache: the Hub was not asked
                raise HubError(
                    f"{self.id} has no {clean_text(path)} at {revision[:8]}",
                    command_line("hfaef", "check", f"{self.id}@VERSION"),
                ) from error
            return Path(found)

        return self._read(read)

    def open(self, path: str, revision: str) -> IO[bytes]:
        """A file of which only the parts that are read are fetched."""
        from huggingface_hub import HfFileSystem

        _LOG.debug("%s: parts of %s of %s", self.id, path, revision)
        url = f"{self.kind}s/{self.id}@{revision}/{path}"
        return cast("IO[bytes]", self._read(lambda: HfFileSystem().open(url, "rb")))

    def upload(self, file: LocalFile) -> None:
        """Send a file's content to the Hub's storage, unless it is there; no commit shows it."""
        _LOG.debug("%s: upload %s", self.id, file.path)
        with translate_hub_errors(self.id):
            self._api.preupload_lfs_files(
                self.id, [file.addition()], repo_type=self.kind, free_memory=False
            )

    def commit(
        self,
        adds: Sequence[LocalFile],
        deletes: Sequence[str],
        *,
        parent: str,
        title: str,
        description: str,
    ) -> str:
        """Put one commit on ``main``, if that is still at `parent`; gives the commit.

        Raises:
            TransientHubError: if it is not known whether the commit was made.
        """
        from huggingface_hub import CommitOperationDelete

        _LOG.debug("%s: commit %d changes on %s", self.id, len(adds) + len(deletes), parent)
        # Anew each time, as an attempt leaves its marks on them.
        added = [file.addition() for file in adds]
        deleted = [CommitOperationDelete(path, is_folder=False) for path in deletes]
        with translate_hub_errors(self.id), warnings.catch_warnings():
            # `review_card` has them, before anything is sent.
            warnings.filterwarnings("ignore", "Warnings while validating metadata")
            made = self._api.create_commit(
                self.id,
                [*added, *deleted],
                commit_message=title,
                commit_description=description,
                repo_type=self.kind,
                revision="main",
                parent_commit=parent,
            )
            return self._commit(made.oid)

    def tag(self, version: Version, commit: str, message: str) -> None:
        """Set a new annotated tag.

        Raises:
            TransientHubError: if it is not known whether the tag was set, or it was there before.
        """
        _LOG.debug("%s: tag %s on %s", self.id, version.tag, commit)
        with translate_hub_errors(self.id):
            self._api.create_tag(
                self.id,
                tag=version.tag,
                tag_message=message,
                revision=commit,
                repo_type=self.kind,
            )

    def _log(self) -> list[GitCommitInfo]:
        return self._read(
            lambda: self._api.list_repo_commits(self.id, repo_type=self.kind), paged=True
        )

    def _info(self, revision: str | None = None) -> Any:
        return self._api.repo_info(self.id, revision=revision, repo_type=self.kind)

    def _commit(self, name: object) -> str:
        """A commit that the Hub names: it goes into files, messages and addresses."""
        if not isinstance(name, str) or not _COMMIT.fullmatch(name):
            raise HubError(
                f"the Hub names {clean_text(name)!r} as a commit of {self.id}", "try it again later"
            )
        return name

    def _read(self, function: Callable[[], Result], *, paged: bool = False) -> Result:
        """What a function reads, retried; huggingface_hub retries the pages of a listing itself."""

        def attempt() -> Result:
            with translate_hub_errors(self.id):
                return function()

        policy = replace(self.retry, attempts=1) if paged else self.retry
        return policy.call(attempt)
