"""Checking and comparing versions where they lie."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hfaef.evaluation.evaluate import Settings, evaluate
from hfaef.release.format.manifest import file_entry
from servers.hub import Hub
from servers.hub.fixtures import OTHER, Client
from support.pushes import NAME, finish, publish
from support.releases import contents, fresh_copy, inside, make_release


@pytest.fixture
def release(hub: Hub, patches_release: Path, tmp_path: Path) -> Path:
    """A release that is published as 1.0.0."""
    folder = fresh_copy(patches_release, tmp_path / "release")
    publish(hub, folder)
    return folder


def check(client: Client, target: str, **more: Any) -> dict[str, Any]:
    return finish(client.hfaef("check", target, "--json", **more))


@contextmanager
def spoiled(hub: Hub, path: str, content: bytes | None) -> Iterator[None]:
    """Another file, or none, in the commit of the tag itself, as if the storage had rotted."""
    repo = hub.repo(NAME)
    commit = repo.resolve("v1.0.0")
    tree = dict(commit.tree)
    if content is None:
        del tree[path]
    else:
        tree[path] = hub.state.blob(path, content)
    repo.commits[commit.oid] = replace(commit, tree=tree)
    yield
    repo.commits[commit.oid] = commit


@pytest.mark.usefixtures("release")
def test_a_published_version_is_well(hub: Hub, client: Client) -> None:
    hub.put(NAME, {"README.md": b"# changed on the branch, where nobody pins\n"})
    for target in (NAME, f"{NAME}@v1.0.0"):
        result = check(client, target, token=OTHER)
        assert (result["exit"], result["findings"]) == (0, [])
    result = check(client, f"{NAME}@1.0.1")
    assert result["exit"] == 1
    assert "no such version" in result["error"]
    assert check(client, "ada/nothing")["exit"] == 1


@pytest.mark.parametrize("spoil", [False, True])
def test_a_file_that_the_hub_keeps_in_git_is_compared_by_its_content(
    hub: Hub, client: Client, patches_release: Path, tmp_path: Path, *, spoil: bool
) -> None:
    folder = fresh_copy(patches_release, tmp_path / "release")
    evaluate(str(folder), Settings(poolings=["mean"], probes=["knn"]))
    publish(hub, folder)
    assert not hub.repo(NAME).resolve("v1.0.0").tree["evaluation.json"].lfs
    scores = (folder / "evaluation.json").read_bytes()
    content = scores.replace(b"knn", b"knm") if spoil else scores
    with spoiled(hub, "evaluation.json", content):
        findings = check(client, f"{NAME}@1.0.0")["findings"]
    assert [finding["path"] for finding in findings] == ["evaluation.json"] * spoil


def test_a_name_that_nothing_has_is_read_both_ways(client: Client, tmp_path: Path) -> None:
    with inside(tmp_path):  # where no folder `build` is
        result = check(client, "build/ada")
        assert result["exit"] == 1
        both = "there is no folder build/ada, and on the Hub build/ada is not there"
        assert both in result["error"]
        assert "name the folder of a release" in result["hint"]
        result = check(client, "build/ada@1.0.0")
        assert result["error"].startswith("on the Hub build/ada is not there")
        result = check(client, "build/ada/x")
    assert result["exit"] == 2
    assert "'build/ada/x' is neither a folder nor OWNER/NAME[@VERSION]" in result["error"]


def test_a_version_that_is_not_what_its_manifest_says(
    hub: Hub, client: Client, release: Path
) -> None:
    shard = "data/test-00000-of-00001.parquet"
    held = (release / shard).read_bytes()
    for path, content, problem in (
        # First, as a client keeps the card of a commit in its cache.
        ("README.md", b"---\nconfigs: []\n---\n", "`configs` is not what"),
        (shard, None, "not there"),
        (shard, b"short", "bytes"),
        (shard, held[:-1] + b"x", "another SHA-256"),
        ("data/train-00009-of-00009.parquet", b"PAR1", "load_dataset would read it"),
    ):
        hub.forget()
        with spoiled(hub, path, content):
            result = check(client, f"{NAME}@1.0.0")
        assert result["exit"] == 1
        assert result["findings"][0]["path"] == path
        assert problem in result["findings"][0]["problem"]
        assert hub.calls("object") == []  # hashes come from the listing


def flipped(content: bytes) -> bytes:
    """The same but for one byte in its middle."""
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


@pytest.mark.parametrize("kind", ["data", "pooled"])
def test_bytes_that_are_not_the_versions_are_found_when_it_is_used(
    hub: Hub, client: Client, release: Path, patches_release: Path, tmp_path: Path, kind: str
) -> None:
    recipe = patches_release.parent / "hfaef.toml"
    target = f"{NAME}@1.0.0"
    second = fresh_copy(patches_release, tmp_path / "second")
    shard = next(path for path in contents(release) if path.startswith(f"{kind}/"))
    uses = {
        "data": [
            ("eval", target, "--pooling", "mean", "--out", tmp_path / "scores.json"),
            ("build", recipe, "--from", target, "--out", tmp_path / "built"),
            ("plan", recipe, "--from", target),
        ],
        "pooled": [
            ("build", recipe, "--from", target, "--out", tmp_path / "built"),
            ("plan", recipe, "--from", target),
            ("diff", target, second),
        ],
    }
    changed = second / shard
    changed.write_bytes(changed.read_bytes() + b"x")
    content = json.loads((second / "release.json").read_bytes())
    for file in content["files"]:
        if file["path"] == shard:
            file.update(file_entry(second, changed, file["rows"]).model_dump())
    (second / "release.json").write_text(json.dumps(content))  # so that a diff reads the shard
    with spoiled(hub, shard, flipped((release / shard).read_bytes())):
        running = {
            use: client.hfaef(*use, "--json", HF_HOME=str(tmp_path / f"home-{number}"))
            for number, use in enumerate(uses[kind])
        }
        results = {use: finish(process) for use, process in running.items()}
    for use, result in results.items():
        assert result["exit"] == 1, (use, result)
        assert result["error"].startswith(f"{target}: {shard} is not what the manifest lists"), use
        assert result["hint"] == f"hfaef check {target}"
    assert not (tmp_path / "built/release.json").exists()
    assert not (tmp_path / "scores.json").exists()


def test_a_file_that_is_gone_under_a_version_is_named_when_it_is_used(
    hub: Hub, client: Client, release: Path, tmp_path: Path
) -> None:
    shard = next(path for path in contents(release) if path.startswith("data/"))
    with spoiled(hub, shard, None):
        process = client.hfaef(
            "eval",
            f"{NAME}@1.0.0",
            "--json",
            "--out",
            tmp_path / "scores.json",
            HF_HOME=str(tmp_path),
        )
        result = finish(process)
    assert result["exit"] == 1
    assert f"{NAME} has no {shard} at " in result["error"]


def test_a_folder_is_compared_with_a_version(
    client: Client, release: Path, demo_root: Path, tmp_path: Path
) -> None:
    (tmp_path / "second").mkdir()
    second = make_release(demo_root, tmp_path / "second", relabel={"Dune_1": "Town"})
    result = finish(client.hfaef("diff", f"{NAME}@1.0.0", second, "--json"))
    assert result["rows"]["relabelled"] == ["Dune_1"]
    assert (result["level"], result["same"]) == ("minor", False)
    result = finish(client.hfaef("diff", release, NAME, "--json"))
    assert (result["exit"], result["same"], result["bytes_to_send"]) == (0, True, 0)
    result = finish(client.hfaef("diff", release, "no-folder", "--json"))
    assert result["exit"] == 2
    assert "neither a folder nor" in result["error"]
