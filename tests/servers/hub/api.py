"""The Hub's API but for uploads: accounts, repositories, listings, references, tags."""

from __future__ import annotations

import hashlib
import json
from typing import Any
from urllib.parse import parse_qs

import yaml

from servers.hub import accounts, refusal, spaces
from servers.hub.content import Blob, pointer
from servers.hub.history import Commit
from servers.hub.refusal import Refusal
from servers.hub.state import State
from servers.hub.wire import Answer, Request, json_answer

KINDS = {"dataset": "datasets", "model": "models", "space": "spaces"}


def whoami(state: State, request: Request) -> Answer:
    """Who the caller is."""
    caller = state.caller(request)
    if caller is None:
        raise Refusal(401, "Invalid username or password.")
    return json_answer(caller.card())


def create(state: State, request: Request) -> Answer:
    """A new repository."""
    asked = request.json
    caller = state.caller(request)
    if caller is None:
        raise Refusal(401, "Invalid username or password.")
    namespace = asked.get("organization") or caller.name
    kind = KINDS[asked.get("type", "model")]
    name = f"{namespace}/{asked['name']}"
    accounts.check_writes(caller, namespace)
    private = asked.get("visibility") == "private" or bool(asked.get("private"))
    template = spaces.template(asked) if kind == "spaces" else None
    repo = state.create(name, kind=kind, private=private, template=template)
    url = state.page_url(kind, name)
    return json_answer({"url": url, "name": repo.name, "id": "2" * 24})


def remove(state: State, request: Request) -> Answer:
    """Deletes a repository."""
    asked = request.json
    kind = KINDS[asked.get("type", "model")]
    caller = state.caller(request)
    name = f"{asked.get('organization') or (caller.name if caller else '')}/{asked['name']}"
    repo = accounts.check_sees(caller, state.repos.get((kind, name)))
    accounts.check_writes(caller, repo.namespace)
    del state.repos[kind, name]
    return json_answer({})


def auth_check(state: State, request: Request) -> Answer:
    """Whether the caller may read, or write."""
    repo = state.read_repo(request)
    if request.names["write"]:
        accounts.check_writes(state.caller(request), repo.namespace)
    return json_answer({})


def settings(state: State, request: Request) -> Answer:
    """Changes who may see a repository."""
    repo, _ = state.written_repo(request)
    asked = request.json
    repo.private = asked.get("visibility", "private" if repo.private else "public") == "private"
    repo.gated = bool(asked.get("gated", repo.gated))
    return json_answer({})


def info(state: State, request: Request) -> Answer:
    """A repository at a revision."""
    repo = state.seen_repo(request)
    commit = repo.resolve(request.names["revision"] or "main")
    siblings: list[dict[str, Any]] = []
    for path, blob in sorted(commit.tree.items()):
        entry: dict[str, Any] = {"rfilename": path}
        if request.flag("blobs"):
            entry |= {"size": blob.size, "blobId": blob.oid}
            if blob.lfs:
                pointed = len(pointer(blob.sha256, blob.size))
                entry["lfs"] = {"sha256": blob.sha256, "size": blob.size, "pointerSize": pointed}
        siblings.append(entry)
    said: dict[str, Any] = {
        "_id": "2" * 24,
        "id": repo.name,
        "author": repo.namespace,
        "sha": commit.oid,
        "lastModified": _time(commit),
        "createdAt": repo.created.isoformat().replace("+00:00", "Z"),
        "private": repo.private,
        "gated": "manual" if repo.gated else False,
        "disabled": False,
        "downloads": 0,
        "likes": 0,
        "tags": [],
        "cardData": _card(state, commit),
        "siblings": siblings,
        "usedStorage": sum(state.contents.size(oid) or 0 for oid in repo.uploaded),
    }
    if repo.kind == "spaces":
        said |= spaces.details(repo, said["cardData"])
    wanted = [*request.query.get("expand", []), *request.query.get("expand[]", [])]
    if wanted:
        said = {key: value for key, value in said.items() if key in {"_id", "id", *wanted}}
    return json_answer(said)


def tree(state: State, request: Request) -> Answer:
    """Files and folders of a folder, a page at a time."""
    repo = state.seen_repo(request)
    commit = repo.resolve(request.names["revision"])
    base = request.names["path"].strip("/")
    prefix = f"{base}/" if base else ""
    folders: set[str] = set()
    entries: list[dict[str, Any]] = []
    for path, blob in commit.tree.items():
        if not path.startswith(prefix):
            continue
        inner = path[len(prefix) :].split("/")
        for depth in range(1, len(inner)):
            folders.add(prefix + "/".join(inner[:depth]))
        if len(inner) == 1 or request.flag("recursive"):
            entries.append(_entry(commit, path, blob, expand=request.flag("expand")))
    if base and not entries and not folders:
        raise refusal.no_entry(f"{base} does not exist on {request.names['revision']!r}")
    entries += [
        _folder(path)
        for path in folders
        if request.flag("recursive") or "/" not in path[len(prefix) :]
    ]
    entries.sort(key=lambda entry: str(entry["path"]))
    start = int(request.query.get("cursor", ["0"])[0])
    stop = start + state.page
    headers = {}
    if stop < len(entries):
        asked = "&".join(
            f"{name}={values[0]}" for name, values in request.query.items() if name != "cursor"
        )
        headers["Link"] = f'<{state.hub}{request.path}?{asked}&cursor={stop}>; rel="next"'
    return json_answer(entries[start:stop], headers=headers)


def paths_info(state: State, request: Request) -> Answer:
    """What is at some paths; those that are not there are left out."""
    repo = state.seen_repo(request)
    commit = repo.resolve(request.names["revision"])
    if "json" in request.headers.get("content-type", ""):
        asked = json.loads(request.body)
        paths, expand = asked["paths"], bool(asked.get("expand"))
    else:
        form = parse_qs(request.body.decode())
        paths, expand = form.get("paths", []), form.get("expand", ["False"])[0] == "True"
    found: list[dict[str, Any]] = []
    for path in paths:
        if path in commit.tree:
            found.append(_entry(commit, path, commit.tree[path], expand=expand))
        elif any(other.startswith(f"{path}/") for other in commit.tree):
            found.append(_folder(path))
    return json_answer(found)


def refs(state: State, request: Request) -> Answer:
    """Branches and tags."""
    repo = state.seen_repo(request)
    said: dict[str, Any] = {
        "branches": [
            {"name": name, "ref": f"refs/heads/{name}", "targetCommit": oid}
            for name, oid in repo.branches.items()
        ],
        "converts": [],
        "tags": [
            {"name": tag.name, "ref": f"refs/tags/{tag.name}", "targetCommit": tag.commit}
            for tag in repo.tags.values()
        ],
    }
    if request.flag("include_prs"):
        said["pullRequests"] = []
    return json_answer(said)


def commits(state: State, request: Request) -> Answer:
    """A revision's history."""
    repo = state.seen_repo(request)
    return json_answer(
        [
            {
                "id": commit.oid,
                "title": commit.title,
                "message": commit.message,
                "authors": [{"user": commit.author}],
                "date": _time(commit),
            }
            for commit in repo.log(request.names["revision"])
        ],
        headers={"X-Total-Count": str(len(repo.log(request.names["revision"])))},
    )


def tag(state: State, request: Request) -> Answer:
    """Sets a new tag on a revision."""
    repo, caller = state.written_repo(request)
    asked = request.json
    repo.tag(asked["tag"], request.names["revision"], asked.get("message", ""), caller.name)
    return json_answer({})


def untag(state: State, request: Request) -> Answer:
    """Deletes a tag."""
    repo, _ = state.written_repo(request)
    if repo.tags.pop(request.names["revision"], None) is None:
        raise refusal.no_revision(request.names["revision"])
    return json_answer({})


def branch(state: State, request: Request) -> Answer:
    """Makes a branch."""
    repo, _ = state.written_repo(request)
    name = request.names["revision"]
    if name in repo.branches:
        raise Refusal(409, "Reference already exists")
    start = request.json.get("startingPoint", "main") if request.body else "main"
    repo.branches[name] = repo.resolve(start).oid
    return json_answer({})


def _entry(commit: Commit, path: str, blob: Blob, *, expand: bool) -> dict[str, Any]:
    entry: dict[str, Any] = {"type": "file", "oid": blob.oid, "size": blob.size, "path": path}
    if blob.lfs:
        pointed = len(pointer(blob.sha256, blob.size))
        entry["lfs"] = {"oid": blob.sha256, "size": blob.size, "pointerSize": pointed}
    if expand:
        entry["lastCommit"] = {"id": commit.oid, "title": commit.title, "date": _time(commit)}
    return entry


def _folder(path: str) -> dict[str, Any]:
    oid = hashlib.sha1(path.encode()).hexdigest()  # noqa: S324  # only has to look like git's
    return {"type": "directory", "oid": oid, "size": 0, "path": path}


def _card(state: State, commit: Commit) -> dict[str, Any] | None:
    blob = commit.tree.get("README.md")
    if blob is None:
        return None
    text = state.contents.read(blob.sha256).decode()
    if not text.startswith("---"):
        return None
    card = yaml.safe_load(text.split("\n---", 1)[0].removeprefix("---"))
    return card if isinstance(card, dict) else None


def _time(commit: Commit) -> str:
    return commit.date.strftime("%Y-%m-%dT%H:%M:%S.000Z")
