"""`hfaef.load` of a repository: with the Hub, without it, and of what was changed there."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from build.test_pipeline import demo_recipe

import hfaef
from hfaef.build.pipeline import build
from hfaef.errors import InputError, ReleaseError
from hfaef.release.format.manifest import Manifest, read_manifest
from servers.hub import Fault, Hub
from servers.hub.fixtures import OTHER, Client

NAME = "ada/patches"
FORMS = {"png": (), "webdataset": ("pack.format=webdataset",)}

LOAD = """
import os
arguments, folder = arguments[:-1], arguments[-1]
os.chdir(folder)
import datasets, hfaef
datasets.disable_progress_bars()
answer = []
for target, options in arguments:
    try:
        found = hfaef.load(target, **options)
        parts = found.items() if isinstance(found, dict) else [("", found)]
        answer.append({split: sorted(row["id"] for row in rows) for split, rows in parts})
    except hfaef.errors.HfaefError as error:
        answer.append([type(error).__name__, error.message, error.hint])
"""


@pytest.fixture(scope="module", params=list(FORMS))
def built(
    request: pytest.FixtureRequest, demo_root: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp(request.param) / "AlphaEarth-Demo"
    return build(demo_recipe(demo_root, *FORMS[request.param]), folder).folder


def publish(hub: Hub, folder: Path, version: str = "1.0.0") -> Manifest:
    """Put a release into the repository as a push would, and tag it."""
    manifest = read_manifest(folder).model_copy(update={"version": version, "repo": NAME})
    files: dict[str, bytes | None] = {
        file.path: (folder / file.path).read_bytes() for file in manifest.files
    }
    files["release.json"] = manifest.model_dump_json().encode()
    files["README.md"] = (folder / "README.md").read_bytes()
    if ("datasets", NAME) not in hub.state.repos:
        hub.create(NAME)
    commit = hub.put(NAME, files)
    hub.repo(NAME).tag(f"v{version}", commit.oid, "", "ada")
    return manifest


def load(client: Client, *asked: tuple[str, dict[str, Any]], **more: Any) -> list[Any]:
    folder = more.pop("folder", "/")
    return list(client.run(LOAD, *asked, str(folder), **more))


def rows_of(manifest: Manifest, config: str) -> dict[str, int]:
    (found,) = (one for one in manifest.configs if one.name == config)
    return {split.name: split.rows for split in found.splits}


def counts(found: object) -> dict[str, int]:
    assert isinstance(found, dict), found
    return {split: len(ids) for split, ids in found.items()}


@pytest.fixture
def down() -> list[dict[str, str]]:
    """Settings of a client to which the Hub is not there: switched off, and nobody listening."""
    return [{"HF_HUB_OFFLINE": "1"}, {"HF_ENDPOINT": "http://127.0.0.1:9"}]


def test_what_was_loaded_is_there_without_the_hub_at_its_own_commit(
    hub: Hub, client: Client, built: Path, fewer_patches_release: Path, down: list[dict[str, str]]
) -> None:
    first = publish(hub, built)
    webdataset = first.storage.format == "webdataset"
    pinned: list[tuple[str, dict[str, Any]]] = [
        (NAME, {"version": "1.0.0"}),
        (NAME, {"version": "v1.0.0", "config": "spatial", "verify": True}),
        (NAME, {"revision": "v1.0.0", "config": "spatial", "streaming": True}),
    ]
    if not webdataset:
        pinned.append((NAME, {"version": "1.0.0", "config": "pooled"}))
    online = load(client, *pinned)
    assert counts(online[0]) == rows_of(first, "random")
    assert counts(online[1]) == counts(online[2]) == rows_of(first, "spatial")
    # A newer commit, loaded later: `datasets` would take it for want of the Hub.
    second = publish(hub, fewer_patches_release, "1.1.0")
    latest = load(client, (NAME, {}))
    assert counts(latest[0]) == rows_of(second, "random") != rows_of(first, "random")
    hub.forget()
    for settings in down:
        found = load(client, *pinned, (NAME, {}), (NAME, {"config": "spatial"}), **settings)
        assert found[:-1] == [*online, *latest]
        assert (
            "cache does not hold all of the config 'spatial' of ada/patches at main" in found[-1][1]
        )
    assert hub.seen == []


DECODED = """
import datasets, hashlib, hfaef, pathlib
datasets.disable_progress_bars()
answer = []
for version in arguments:
    rows = hfaef.load("ada/patches", "train", version=version, decoded=True)
    (cache,) = {
        path for one in rows.cache_files if (path := pathlib.Path(one["filename"])).name[:7] == "decoded"
    }
    arrays = {row["id"]: hashlib.sha256(row["embedding"]).hexdigest() for row in rows}
    answer.append([str(cache), cache.stat().st_ino, arrays])
"""


def test_what_is_decoded_belongs_to_its_commit_and_is_there_without_the_hub(
    hub: Hub, client: Client, built: Path, fewer_patches_release: Path, down: list[dict[str, str]]
) -> None:
    publish(hub, built)
    first = client.run(DECODED, "1.0.0")
    publish(hub, fewer_patches_release, "1.1.0")
    both = client.run(DECODED, "1.0.0", "1.1.0")
    assert both[0] == first[0]
    (path, _, arrays), (other, _, fewer) = both
    commits = [commit.oid for commit in hub.repo(NAME).commits.values()]
    assert Path(path).parent.name != Path(other).parent.name
    assert {Path(path).parent.name, Path(other).parent.name} < set(commits)
    for folder, found in ((built, arrays), (fewer_patches_release, fewer)):
        rows = hfaef.load(folder, "train")
        assert found == {row["id"]: hashlib.sha256(row["embedding"]).hexdigest() for row in rows}
    for settings in down:
        assert client.run(DECODED, "1.0.0", "1.1.0", **settings) == both


def test_what_only_load_dataset_loaded_is_there_without_the_hub(
    hub: Hub, client: Client, built: Path, down: list[dict[str, str]]
) -> None:
    manifest = publish(hub, built)
    client.run(
        "import datasets\ndatasets.load_dataset(arguments[0], 'spatial', revision='v1.0.0')", NAME
    )
    for settings in down:
        found = load(
            client,
            (NAME, {"version": "1.0.0", "config": "spatial"}),
            (NAME, {"version": "1.0.0", "config": "spatial", "verify": True}),
            **settings,
        )
        assert counts(found[0]) == rows_of(manifest, "spatial")
        assert "holds no release.json to verify it with" in found[1][1]


def test_files_without_the_cache_of_datasets_do(
    hub: Hub, client: Client, built: Path, down: list[dict[str, str]], tmp_path: Path
) -> None:
    manifest = publish(hub, built)
    online = load(client, (NAME, {"version": "1.0.0"}), home="home")
    shutil.rmtree(tmp_path / "home/datasets")
    for settings in down:
        found = load(client, (NAME, {"version": "1.0.0"}), home="home", **settings)
        assert found == online
    assert counts(online[0]) == rows_of(manifest, "random")
    # One of them gone: fewer rows without a word would be worse than none.
    shutil.rmtree(tmp_path / "home/datasets")
    next((tmp_path / "home/hub").rglob("snapshots/*/data/**/*.*")).unlink()
    for settings in down:
        (error,) = load(client, (NAME, {"version": "1.0.0"}), home="home", **settings)
        assert "the cache does not hold all of the config 'random'" in error[1]


@pytest.fixture(scope="module")
def sheets(demo_release: Path) -> Path:
    return demo_release


def test_a_folder_where_one_works_is_not_taken_for_the_repository(
    hub: Hub, client: Client, sheets: Path, down: list[dict[str, str]], tmp_path: Path
) -> None:
    manifest = publish(hub, sheets)
    work = tmp_path / "work"
    folder = work / NAME
    (folder / "data").mkdir(parents=True)
    (work / "release.json").write_text("{}")
    asked: list[tuple[str, dict[str, Any]]] = [
        (NAME, {"version": "1.0.0"}),
        (NAME, {"revision": "main"}),
    ]
    expected = [rows_of(manifest, "random")] * 2
    assert list(map(counts, load(client, *asked, folder=work))) == expected
    for settings in down:
        found = load(client, *asked, folder=work, **settings)
        assert list(map(counts, found)) == expected
    # As for commands, a folder that is there goes first where no version is named.
    (error,) = load(client, (NAME, {}), folder=work)
    assert error[1].startswith(f"{folder} holds no release")


def test_a_path_that_is_not_there_fails_after_one_answer_and_is_read_both_ways(
    hub: Hub, client: Client, down: list[dict[str, str]]
) -> None:
    ((kind, message, hint),) = load(client, ("build/nix", {}))
    assert kind == "HubError"
    assert message.startswith("there is no folder build/nix, and on the Hub build/nix is not there")
    assert hint.endswith("or name the folder of a release")
    assert len(hub.seen) == 1
    hub.forget()
    for settings in down:
        ((_, message, hint),) = load(client, ("build/nix", {}), **settings)
        assert message.startswith("there is no folder build/nix, and http://127.0.0.1:")
        assert "the cache does not hold build/nix at main" in message
    assert hub.seen == []
    hub.fail(Fault("info", "status", status=503, times=9))
    ((_, message, _),) = load(client, ("build/nix", {}))
    assert "the Hub answers 503" in message
    assert len(hub.seen) == 1


@pytest.mark.parametrize(
    "target", ["nix", "./build/nix", "build/deep/nix", "/nowhere", "a/../b", ""]
)
def test_what_can_be_no_repository_fails_at_once(
    target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if target == "":
        (tmp_path / "release.json").write_text("{}")
        with pytest.raises(ReleaseError, match="holds no release"):
            hfaef.load(target)
        return
    with pytest.raises(InputError, match="neither a folder nor OWNER/NAME"):
        hfaef.load(target)


def test_a_folder_that_is_not_there_is_not_looked_for_on_the_hub_where_its_parent_is(
    hub: Hub, client: Client, tmp_path: Path
) -> None:
    (tmp_path / "build").mkdir()
    ((kind, message, hint),) = load(client, ("build/nix", {}), folder=tmp_path)
    assert kind == "InputError"
    assert message == "there is no folder build/nix in build"
    assert hint.endswith('for a repository on the Hub give revision="main"')
    assert hub.seen == []
    ((kind, message, _),) = load(client, ("build/nix", {"revision": "main"}), folder=tmp_path)
    assert kind == "HubError"
    assert len(hub.seen) == 1


def test_a_folder_has_no_revision(sheets: Path) -> None:
    for target in (sheets, str(sheets)):
        with pytest.raises(InputError, match="is a folder, which has no revisions"):
            hfaef.load(target, revision="main")


def test_a_hub_that_refuses_is_one_line(hub: Hub, client: Client, sheets: Path) -> None:
    publish(hub, sheets)
    hub.create("ada/secret", private=True)
    hub.create("ada/gated", gated=True)
    hub.put("ada/gated", {"README.md": b"# Gated\n"})
    found = load(
        client,
        (NAME, {"version": "9.0.0"}),
        ("ada/secret", {"revision": "main"}),
        ("ada/gated", {"revision": "main"}),
        token=OTHER,
    )
    assert [error[0] for error in found] == ["HubError"] * 3
    assert "ada/patches has no such version" in found[0][1]
    assert "ada/secret is not there, or your token may not see it" in found[1][1]
    assert "ada/gated is gated" in found[2][1]
    assert all(error[2] for error in found)


@pytest.mark.parametrize("kind", ["data", "pooled"])
def test_verify_finds_bytes_that_are_not_the_versions(
    hub: Hub, client: Client, sheets: Path, kind: str
) -> None:
    manifest = publish(hub, sheets)
    path = next(file.path for file in manifest.files if file.path.startswith(f"{kind}/"))
    commit = hub.repo(NAME).head
    content = bytearray((sheets / path).read_bytes())
    content[len(content) // 2] ^= 1
    tree = {**commit.tree, path: hub.state.blob(path, bytes(content))}
    hub.repo(NAME).commits[commit.oid] = replace(commit, tree=tree)
    config = "pooled" if kind == "pooled" else "random"
    (error,) = load(client, (NAME, {"version": "1.0.0", "config": config, "verify": True}))
    assert error[0] == "ReleaseError"
    assert error[1] == (
        f"{NAME}@1.0.0: {path} is not what the manifest lists (its SHA-256 differs); "
        "nothing of it is used"
    )
    assert error[2] == f"hfaef check {NAME}@1.0.0"


def test_verify_finds_a_file_that_no_manifest_lists(sheets: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(sheets, tmp_path / "release"))
    shard = next(path for path in sorted(folder.glob("data/**/*.parquet")))
    shutil.copy(shard, shard.with_name("99999.parquet"))
    with pytest.raises(ReleaseError, match=r"99999\.parquet is not in the manifest"):
        hfaef.load(folder, verify=True)


@pytest.mark.parametrize("form", list(FORMS))
def test_verify_of_a_folder(demo_root: Path, tmp_path: Path, form: str) -> None:
    folder = build(demo_recipe(demo_root, *FORMS[form]), tmp_path / "release").folder
    for config in ("random", "pooled"):
        assert len(hfaef.load(folder, config=config, verify=True)) > 0
    shard = next(path for path in sorted(folder.glob("data/**/*.*")))
    content = shard.read_bytes()
    shard.write_bytes(content[:-1] + b"x")
    with pytest.raises(ReleaseError, match="its SHA-256 differs"):
        hfaef.load(folder, verify=True)
    assert len(hfaef.load(folder, config="pooled", verify=True)) > 0
    shard.unlink()
    with pytest.raises(ReleaseError, match=r"cannot be (read|loaded): "):
        hfaef.load(folder, verify=True)
    with pytest.raises(InputError, match="verify reads whole files"):
        hfaef.load(folder, verify=True, streaming=True)


def test_a_cache_without_the_rows_says_what_to_do(
    hub: Hub, client: Client, sheets: Path, down: list[dict[str, str]]
) -> None:
    publish(hub, sheets)
    for settings in down:
        ((_, message, hint),) = load(client, (NAME, {"version": "1.0.0"}), **settings)
        assert f"/datasets/{NAME}" in message
        assert "the cache does not hold ada/patches at v1.0.0" in message
        assert hint
    assert json.dumps(hub.seen, default=str) == "[]"
