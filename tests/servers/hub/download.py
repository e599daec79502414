"""Download: files of a revision, redirected to storage or to the cache as on the real Hub."""

from __future__ import annotations

from urllib.parse import quote

from servers.hub import refusal
from servers.hub.content import Blob
from servers.hub.history import Commit
from servers.hub.state import State
from servers.hub.wire import Answer, Request, file_answer


def resolve(state: State, request: Request) -> Answer:
    """A file of a revision.

    LFS files are redirected to storage, others of a public repository to an address that names
    the commit; of a private or gated one they are served here.
    """
    repo = state.read_repo(request)
    commit = repo.resolve(request.names["revision"])
    blob = _blob(commit, request.names["path"])
    headers = {"X-Repo-Commit": commit.oid}
    if blob.lfs:
        place = state.sign(state.storage, f"/object/{blob.sha256}")
        headers |= {
            "Location": place,
            "X-Linked-Size": str(blob.size),
            "X-Linked-ETag": f'"{blob.sha256}"',
            "Accept-Ranges": "bytes",
        }
        return Answer(302, f"Found. Redirecting to {place}".encode(), headers=headers)
    if repo.private or repo.gated or blob.size == 0:
        return _serve(state, request, commit, blob)
    place = (
        f"/api/resolve-cache/{repo.kind}/{repo.name}/{commit.oid}/{quote(request.names['path'])}"
    )
    return Answer(307, b"", headers={**headers, "Location": f"{place}?etag=%22{blob.oid}%22"})


def cached(state: State, request: Request) -> Answer:
    """A small file of a public repository at a commit."""
    repo = state.read_repo(request)
    commit = repo.resolve(request.names["revision"])
    return _serve(state, request, commit, _blob(commit, request.names["path"]))


def stored(state: State, request: Request) -> Answer:
    """An object from storage."""
    state.check_signed(request)
    oid = request.names["oid"]
    size = state.contents.size(oid)
    if size is None:
        raise refusal.no_entry("NoSuchKey")
    headers = {"ETag": f'"{oid[:32]}"', "Content-Type": "application/octet-stream"}
    return file_answer(
        request, size, lambda start, stop: state.contents.pieces(oid, start, stop), headers
    )


def _blob(commit: Commit, path: str) -> Blob:
    if path not in commit.tree:
        raise refusal.no_entry(commit=commit.oid)
    return commit.tree[path]


def _serve(state: State, request: Request, commit: Commit, blob: Blob) -> Answer:
    headers = {
        "X-Repo-Commit": commit.oid,
        "ETag": f'"{blob.oid}"',
        "Content-Type": "text/plain; charset=utf-8",
    }
    return file_answer(
        request,
        blob.size,
        lambda start, stop: state.contents.pieces(blob.sha256, start, stop),
        headers,
    )
