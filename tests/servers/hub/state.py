"""State: what the server knows, and how it is looked up and changed from a test."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from servers.hub import accounts
from servers.hub.accounts import Account, Accounts
from servers.hub.content import Blob, Contents, git_oid, pointer
from servers.hub.history import ATTRIBUTES, Change, Commit, Repo, wants_lfs
from servers.hub.refusal import Refusal
from servers.hub.wire import Request


@dataclass
class State:
    """Accounts, repositories and contents."""

    folder: Path | None = None
    """Where contents lie; None keeps them in memory."""
    part_bytes: int = 5_000_000
    """Files larger than this are sent in parts of this size."""
    page: int = 1000
    """Entries of a tree listing before the next page."""
    hub: str = ""
    """URL of the Hub."""
    storage: str = ""
    """URL of the storage, another origin as it is on the real Hub."""
    accounts: Accounts = field(default_factory=Accounts)
    repos: dict[tuple[str, str], Repo] = field(default_factory=dict)
    parts: dict[tuple[str, int], str] = field(default_factory=dict)
    """SHA-256 of each part that came, by the file's SHA-256 and the part's number."""
    secret: bytes = field(default_factory=lambda: secrets.token_bytes(16))

    def __post_init__(self) -> None:
        self.contents = Contents(self.folder)

    def caller(self, request: Request) -> Account | None:
        """Who sends a request."""
        return self.accounts.caller(request.headers.get("authorization"))

    def seen_repo(self, request: Request) -> Repo:
        """The repository that a request names, if its sender may know of it."""
        kind = request.names.get("kind", "datasets") or "models"
        repo = self.repos.get((kind, request.names["repo"]))
        return accounts.check_sees(self.caller(request), repo)

    def read_repo(self, request: Request) -> Repo:
        """The same, if its sender may have the files."""
        repo = self.seen_repo(request)
        accounts.check_reads(self.caller(request), repo)
        return repo

    def written_repo(self, request: Request) -> tuple[Repo, Account]:
        """The same, if its sender may change it; and the sender."""
        repo = self.seen_repo(request)
        return repo, accounts.check_writes(self.caller(request), repo.namespace)

    def create(
        self,
        name: str,
        *,
        kind: str = "datasets",
        private: bool = False,
        gated: bool = False,
        template: Mapping[str, bytes] | None = None,
    ) -> Repo:
        """A new repository with its first commit, which holds a template, too.

        Raises:
            Refusal: 409 if it is there already.
        """
        if (kind, name) in self.repos:
            message = f"You already created this {kind.removesuffix('s')} repo"
            raise Refusal(409, message, more={"url": self.page_url(kind, name)})
        repo = Repo(kind, name, private=private, gated=gated)
        files = {".gitattributes": ATTRIBUTES.encode(), **(template or {})}
        repo.start({path: self.blob(path, text) for path, text in files.items()}, repo.namespace)
        return self.repos.setdefault((kind, name), repo)

    def page_url(self, kind: str, name: str) -> str:
        """Where a person looks at a repository."""
        return f"{self.hub}/{name}" if kind == "models" else f"{self.hub}/{kind}/{name}"

    def blob(self, path: str, content: bytes) -> Blob:
        """Keeps a file's bytes, as git or LFS would by its name."""
        sha256, size = self.contents.put([content])
        if wants_lfs(path, size):
            return Blob(git_oid(pointer(sha256, size)), size, sha256, lfs=True)
        return Blob(git_oid(content), size, sha256, lfs=False)

    def put(
        self, repo: Repo, files: Mapping[str, bytes | None], *, title: str = "by hand"
    ) -> Commit:
        """A commit made by somebody else: new contents by path, None to delete."""
        changes: list[Change] = []
        for path, content in files.items():
            blob = None if content is None else self.blob(path, content)
            if blob is not None and blob.lfs:
                repo.uploaded.add(blob.sha256)
            changes.append(Change(path, blob))
        return repo.commit("main", changes, title=title, author="somebody")

    def file(self, repo: Repo, path: str, revision: str = "main") -> bytes:
        """The bytes of a file.

        Raises:
            KeyError: if it is not there.
        """
        return self.contents.read(repo.resolve(revision).tree[path].sha256)

    def sign(self, url: str, path: str) -> str:
        """A link that needs no credentials, as storage gives them."""
        return f"{url}{path}?X-Amz-Signature={self._signature(path)}&X-Amz-Expires=3600"

    def check_signed(self, request: Request) -> None:
        """Whether a request has a link that this server signed.

        Raises:
            Refusal: 403 if not; 400 if it brings credentials too, as S3 does.
        """
        if "authorization" in request.headers:
            raise Refusal(400, "Only one auth mechanism allowed")
        given = request.query.get("X-Amz-Signature", [""])[0]
        if not hmac.compare_digest(given, self._signature(request.path)):
            raise Refusal(403, "SignatureDoesNotMatch")

    def _signature(self, path: str) -> str:
        return hmac.new(self.secret, path.encode(), hashlib.sha256).hexdigest()
