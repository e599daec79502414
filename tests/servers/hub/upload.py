"""Upload: which files go to LFS, the LFS batch, whole files and parts, and commits."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from math import ceil
from typing import Any

from servers.hub import refusal
from servers.hub.card import card_errors, space_errors
from servers.hub.content import Blob, git_oid, pointer
from servers.hub.history import Change, Repo, wants_lfs
from servers.hub.refusal import Refusal
from servers.hub.state import State
from servers.hub.wire import Answer, Request, json_answer

LFS_JSON = {"Content-Type": "application/vnd.git-lfs+json"}


def preupload(state: State, request: Request) -> Answer:
    """Whether each file goes to LFS, and what is there now."""
    repo, _ = state.written_repo(request)
    tree = repo.resolve(request.names["revision"]).tree
    files = []
    for file in request.json["files"]:
        there = tree.get(file["path"])
        mode = "lfs" if wants_lfs(file["path"], file["size"]) else "regular"
        entry = {"path": file["path"], "uploadMode": mode, "shouldIgnore": False}
        files.append({**entry, "oid": there.key} if there else entry)
    return json_answer({"files": files})


def batch(state: State, request: Request) -> Answer:
    """Where to send each LFS object that is not there yet."""
    repo, _ = state.written_repo(request)
    asked = request.json
    objects: list[dict[str, Any]] = []
    for wanted in asked["objects"]:
        oid, size = wanted["oid"], wanted["size"]
        entry: dict[str, Any] = {"oid": oid, "size": size, "authenticated": True}
        if oid not in repo.uploaded:
            entry["actions"] = _actions(state, repo, oid, size)
        objects.append(entry)
    multipart = any("chunk_size" in entry.get("actions", {}).get("upload", {}).get("header", {})
                    for entry in objects)  # fmt: skip
    if multipart and "multipart" not in asked["transfers"]:
        raise Refusal(400, "You need to configure your repository to enable upload of files > 5GB")
    transfer = "multipart" if multipart else "basic"
    return json_answer({"transfer": transfer, "objects": objects}, headers=LFS_JSON)


def _actions(state: State, repo: Repo, oid: str, size: int) -> dict[str, Any]:
    prefix = "" if repo.kind == "models" else f"/{repo.kind}"
    place = f"/{repo.kind}/{repo.name}/{oid}"
    verify = {"href": f"{state.hub}{prefix}/{repo.name}.git/info/lfs/objects/verify"}
    if size <= state.part_bytes:
        return {"upload": {"href": state.sign(state.storage, f"/put{place}")}, "verify": verify}
    header = {"chunk_size": str(state.part_bytes)}
    for number in range(1, ceil(size / state.part_bytes) + 1):
        header[str(number)] = state.sign(state.storage, f"/part/{number}{place}")
    href = state.sign(state.hub, f"/api/complete_multipart{place}")
    return {"upload": {"href": href, "header": header}, "verify": verify}


def put(state: State, request: Request) -> Answer:
    """A whole object comes to the storage."""
    state.check_signed(request)
    sha256, _ = state.contents.put(request.pieces)
    if sha256 != request.names["oid"]:
        raise Refusal(400, "The SHA256 you specified did not match what we received")
    _repo(state, request).uploaded.add(sha256)
    return Answer(200, headers={"ETag": f'"{sha256[:32]}"'})


def put_part(state: State, request: Request) -> Answer:
    """A part of an object comes to the storage."""
    state.check_signed(request)
    sha256, _ = state.contents.put(request.pieces)
    state.parts[request.names["oid"], int(request.names["number"])] = sha256
    return Answer(200, headers={"ETag": f'"{sha256[:32]}"'})


def complete(state: State, request: Request) -> Answer:
    """All parts are there: they become the object."""
    state.check_signed(Request(request.method, request.path, request.query, {}, iter(())))
    oid = request.names["oid"]
    pieces: list[str] = []
    for part in request.json["parts"]:
        held = state.parts.get((oid, part["partNumber"]))
        if held is None or part["etag"] != f'"{held[:32]}"':
            raise Refusal(400, f"InvalidPart: {part['partNumber']}")
        pieces.append(held)
    sha256, _ = state.contents.put(
        piece for held in pieces for piece in state.contents.pieces(held)
    )
    if sha256 != oid:
        raise Refusal(400, "The parts do not make the object that was announced")
    _repo(state, request).uploaded.add(oid)
    return json_answer({})


def verify(state: State, request: Request) -> Answer:
    """Whether an object came whole."""
    repo, _ = state.written_repo(request)
    oid, size = request.json["oid"], request.json["size"]
    if oid not in repo.uploaded or state.contents.size(oid) != size:
        raise Refusal(404, f"Object {oid} is not there")
    return json_answer({}, headers=LFS_JSON)


def commit(state: State, request: Request) -> Answer:
    """A commit from lines of JSON."""
    repo, caller = state.written_repo(request)
    if request.flag("create_pr"):
        raise Refusal(501, "pull requests are not served here")
    lines = [json.loads(line) for line in request.body.splitlines() if line.strip()]
    head = next(line["value"] for line in lines if line["key"] == "header")
    made = repo.commit(
        request.names["revision"],
        list(_changes(state, repo, lines)),
        title=head["summary"],
        message=head.get("description", ""),
        author=caller.name,
        parent=head.get("parentCommit"),
    )
    url = f"{state.page_url(repo.kind, repo.name)}/commit/{made.oid}"
    return json_answer({"success": True, "commitOid": made.oid, "commitUrl": url, "hookOutput": ""})


def _changes(state: State, repo: Repo, lines: Iterable[dict[str, Any]]) -> Iterable[Change]:
    for line in lines:
        value = line["value"]
        match line["key"]:
            case "header":
                pass
            case "file":
                content = base64.b64decode(value["content"])
                if wants_lfs(value["path"], len(content)) and content:
                    raise Refusal(
                        400, f"Your push was rejected: {value['path']} has to be uploaded by LFS"
                    )
                errors_of = space_errors if repo.kind == "spaces" else card_errors
                if value["path"] == "README.md" and (errors := errors_of(content.decode())):
                    raise Refusal(400, f"Invalid metadata in README.md: {errors[0]}")
                sha256, size = state.contents.put([content])
                yield Change(value["path"], Blob(git_oid(content), size, sha256, lfs=False))
            case "lfsFile":
                sha256 = value["oid"]
                held = state.contents.size(sha256)
                if sha256 not in repo.uploaded or held is None or value.get("size", held) != held:
                    raise Refusal(
                        400,
                        "Your push was rejected because an LFS pointer pointed to a file that does "
                        f"not exist. Offending file: - {value['path']}",
                    )
                blob = Blob(git_oid(pointer(sha256, held)), held, sha256, lfs=True)
                yield Change(value["path"], blob)
            case "deletedFile":
                yield Change(value["path"])
            case "deletedFolder":
                yield Change(value["path"], folder=True)
            case other:
                raise Refusal(400, f"unknown operation {other!r}")


def _repo(state: State, request: Request) -> Repo:
    repo = state.repos.get((request.names["kind"], request.names["repo"]))
    if repo is None:
        raise refusal.no_repo(known_user=True)
    return repo
