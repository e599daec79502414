"""A refusal: what the Hub answers instead of what was asked for.

Status, ``X-Error-Code`` and ``X-Error-Message`` are those of the real Hub, as clients tell a
missing repository from a forbidden one by nothing else.
"""

from __future__ import annotations


class Refusal(Exception):  # it is an answer, not a failure of the server
    """An answer of 4xx or 5xx.

    Args:
        status: of HTTP.
        message: goes into the body and into ``X-Error-Message``.
        code: ``X-Error-Code``, from which huggingface_hub chooses its exception.
        more: further keys of the JSON body.
        commit: ``X-Repo-Commit``, for a file that a known commit lacks.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        more: dict[str, object] | None = None,
        commit: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.more = more or {}
        self.commit = commit


def no_credentials() -> Refusal:
    """The token is unknown; said even where no token is needed."""
    return Refusal(401, "Invalid credentials in Authorization header")


def no_repo(*, known_user: bool) -> Refusal:
    """There is no such repository, or none that this user may know of."""
    if known_user:
        return Refusal(404, "Repository not found", code="RepoNotFound")
    return Refusal(401, "Invalid username or password.", code="RepoNotFound")


def gated(name: str, *, known_user: bool) -> Refusal:
    """The repository is there, but its files are for those who were let in."""
    if known_user:
        message = f"Access to dataset {name} is restricted and you are not in the authorized list."
        return Refusal(403, message, code="GatedRepo")
    message = f"Access to dataset {name} is restricted. You must be authenticated to access it."
    return Refusal(401, message, code="GatedRepo")


def no_revision(revision: str) -> Refusal:
    """No branch, tag or commit of that name."""
    return Refusal(404, f"Invalid rev id: {revision}", code="RevisionNotFound")


def no_entry(message: str = "Entry not found", *, commit: str | None = None) -> Refusal:
    """The commit has no such file or folder."""
    return Refusal(404, message, code="EntryNotFound", commit=commit)


def read_only() -> Refusal:
    """The token may read, but not write."""
    return Refusal(403, "Forbidden: you must use a write token to upload to a repository.")


def moved() -> Refusal:
    """The branch is not where the commit was to be put on."""
    return Refusal(412, "A commit has happened since. Please refresh and try again.")
