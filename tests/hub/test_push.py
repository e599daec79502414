"""Pushing a release: what is on the Hub afterwards, and what consumers get."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from hfaef.release.format.manifest import parse_manifest, read_manifest
from servers.hub import Hub
from servers.hub.fixtures import OTHER, READER, Client
from support.pushes import NAME, finish, is_whole, publish, push
from support.releases import contents, fresh_copy, make_release

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def built(demo_root: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Releases: a first one, one with other rows, and one with another card."""
    make: dict[str, dict[str, Any]] = {
        "first": {},
        "second": {"drop": ("Dune_2",), "relabel": {"Dune_1": "Town"}},
        "described": {"description": "The same few patches."},
        "smaller": {"patches": 20, "shard_bytes": "8MB"},
    }
    return {
        name: make_release(demo_root, tmp_path_factory.mktemp(name), **options)
        for name, options in make.items()
    }


@pytest.fixture
def release(built: dict[str, Path], tmp_path: Path) -> Path:
    """A copy of the first release, to push."""
    return fresh_copy(built["first"], tmp_path / "release")


def test_a_push_is_one_commit_and_one_tag(hub: Hub, client: Client, release: Path) -> None:
    before = contents(release)
    result = push(client, release)
    assert (result["exit"], result["outcome"], result["version"]) == (0, "published", "1.0.0")
    repo = hub.repo(NAME)
    assert [commit.title for commit in repo.log()][1:] == ["initial commit"]
    assert list(repo.tags) == ["v1.0.0"]
    assert repo.tags["v1.0.0"].message == "first release: 24 rows, 6 labels"
    assert repo.tags["v1.0.0"].commit == repo.head.oid == result["commit"]
    is_whole(hub, release, "1.0.0")
    after = contents(release)
    changed = {path for path in after if before[path] != after[path]}
    assert changed == {"README.md", "release.json"}
    card = after["README.md"].decode()
    assert f'load_dataset("{NAME}", revision="v1.0.0")' in card
    assert "- first release: 24 rows, 6 labels" in card
    assert not (release / ".staging/push.json").exists()
    assert not any(seen.authorized for seen in hub.seen if seen.port == "storage")


def test_a_repeat_changes_nothing_and_says_so(
    hub: Hub, client: Client, release: Path, built: dict[str, Path], tmp_path: Path
) -> None:
    commit = push(client, release)["commit"]
    hub.forget()
    for folder in (release, fresh_copy(built["first"], tmp_path / "again")):
        result = push(client, folder)
        assert (result["exit"], result["outcome"], result["commit"]) == (
            0,
            "already published",
            commit,
        )
        assert contents(folder) == contents(release)
    assert push(client, release, "--version", "1.0.0")["outcome"] == "already published"
    result = push(client, release, "--version", "1.1.0")
    assert result["exit"] == 2
    assert "published already, as 1.0.0" in result["error"]
    assert not [seen for seen in hub.seen if seen.method not in ("GET", "HEAD")]


def test_what_tests_publish_is_what_a_push_leaves(
    hub: Hub, client: Client, release: Path, tmp_path: Path
) -> None:
    other = fresh_copy(release, tmp_path / "other")
    publish(hub, other)
    assert finish(client.hfaef("push", release, "lab/patches", "--json"))["exit"] == 0
    ours, theirs = (hub.repo(name).resolve("v1.0.0").tree for name in (NAME, "lab/patches"))
    made = {"README.md", "release.json"}  # in which the names of the two stand
    assert ours.keys() == theirs.keys()
    assert {p: b for p, b in ours.items() if p not in made} == {
        p: b for p, b in theirs.items() if p not in made
    }
    is_whole(hub, other, "1.0.0")
    hub.forget()
    assert push(client, other)["outcome"] == "already published"
    assert contents(other) == {
        path: hub.file(NAME, path, "v1.0.0") for path in ours if path != ".gitattributes"
    }


LOAD = """
import datasets
datasets.disable_progress_bars()
name, asked = arguments
answer = []
for config, revision, streaming in asked:
    loaded = datasets.load_dataset(name, config, revision=revision, streaming=streaming)
    answer.append({split: sorted(row["id"] for row in rows) for split, rows in loaded.items()})
"""


def test_consumers_load_every_config_of_every_version(
    hub: Hub, client: Client, release: Path, built: dict[str, Path], tmp_path: Path
) -> None:
    publish(hub, release)
    second = fresh_copy(built["second"], tmp_path / "second")
    assert push(client, second)["version"] == "1.1.0"
    asked, expected = [], []
    for version, folder in (("v1.0.0", release), ("v1.1.0", second)):
        for config in read_manifest(folder).configs:
            for streaming in (False, True):
                asked.append([None if config.default else config.name, version, streaming])
                expected.append({split.name: split.rows for split in config.splits})
    got = client.run(LOAD, NAME, asked)
    assert [{split: len(ids) for split, ids in loaded.items()} for loaded in got] == expected
    assert set(got[0]["train"]) - set(got[-1]["train"]) <= {"Dune_2"}
    arrays = client.run(
        "import hfaef\nrow = hfaef.load(arguments[0], 'train', revision='v1.0.0')[0]\n"
        "answer = [row['embedding'].shape, str(row['embedding'].dtype)]",
        NAME,
    )
    assert arrays == [[64, 64, 64], "uint8"]


def test_a_second_release_sends_what_changed(
    hub: Hub, client: Client, release: Path, built: dict[str, Path], tmp_path: Path
) -> None:
    publish(hub, release)
    hub.put(NAME, {"docs/notes.txt": b"by somebody"})
    hub.forget()
    smaller = fresh_copy(built["smaller"], tmp_path / "smaller")
    result = push(client, smaller)
    assert (result["version"], result["level"]) == ("1.1.0", "minor")
    assert result["files"]["deleted"] == sorted(contents(release).keys() - contents(smaller).keys())
    assert result["files"]["deleted"]
    assert result["files"]["left_alone"] == ["docs/notes.txt"]
    assert any("docs/notes.txt" in note for note in result["notes"])
    tree = hub.repo(NAME).resolve("v1.1.0").tree
    assert tree.keys() - contents(smaller).keys() == {".gitattributes", "docs/notes.txt"}
    sent = hub.calls("put") + hub.calls("part")
    assert sum(seen.received for seen in sent) == result["files"]["bytes_to_send"] - sum(
        len((smaller / name).read_bytes())
        for name in ("README.md", "release.json", "stac/collection.json")  # kept in git
    )
    assert hub.file(NAME, "release.json", "v1.0.0") == (release / "release.json").read_bytes()
    history = parse_manifest((smaller / "release.json").read_bytes(), "").history
    assert [change.version for change in history] == ["1.1.0", "1.0.0"]
    assert history[0].lines[0].startswith("4 rows removed: ")


def test_another_card_is_a_patch_that_sends_no_data(
    hub: Hub, client: Client, release: Path, built: dict[str, Path], tmp_path: Path
) -> None:
    publish(hub, release)
    hub.forget()
    described = fresh_copy(built["described"], tmp_path / "described")
    result = push(client, described, "--message", "Say it better")
    assert (result["version"], result["level"]) == ("1.0.1", "patch")
    assert hub.calls("put") == []
    assert hub.repo(NAME).head.title == "Say it better"
    is_whole(hub, described, "1.0.1")


def test_a_dry_run_only_tells(
    hub: Hub, client: Client, release: Path, built: dict[str, Path], tmp_path: Path
) -> None:
    before = contents(release)
    result = push(client, release, "--dry-run", token=None)
    assert (result["exit"], result["outcome"], result["version"]) == (0, "planned", "1.0.0")
    assert len(result["files"]["added"]) == len(before)
    assert result["files"]["bytes_to_send"] >= sum(map(len, before.values())) - 10_000
    assert contents(release) == before
    publish(hub, release)
    hub.forget()
    second = fresh_copy(built["second"], tmp_path / "second")
    result = push(client, second, "--dry-run")
    assert result["version"] == "1.1.0"
    assert result["message"] == "v1.1.0: 1 row removed: Dune_2"
    assert result["reasons"] == ["1 row removed: Dune_2", "1 row with another label: Dune_1"]
    assert result["files"]["bytes_to_send"] > 0
    assert result["files"]["unchanged"] + len(result["files"]["changed"]) == len(contents(second))
    assert contents(second) == contents(built["second"])
    asked = [seen.route for seen in hub.seen if seen.method not in ("GET", "HEAD")]
    assert asked == ["yaml"]  # whether the card would do, which writes nothing


def test_versions_are_never_reused(
    hub: Hub, client: Client, release: Path, built: dict[str, Path], tmp_path: Path
) -> None:
    push(client, release, "--version", "v2.0.0")
    second = fresh_copy(built["second"], tmp_path / "second")
    for version, words in (
        ("2.0.0", "published already, with other content"),
        ("1.9.0", "older than 2.0.0"),
        ("2.1", "no version"),
    ):
        result = push(client, second, "--version", version)
        assert result["exit"] == 2
        assert words in result["error"]
    assert push(client, second)["version"] == "2.1.0"
    assert hub.repo(NAME).tags.keys() == {"v2.0.0", "v2.1.0"}


def test_a_release_that_is_not_sound_is_not_pushed(hub: Hub, client: Client, release: Path) -> None:
    shard = next(release.glob("data/*.parquet"))
    shard.write_bytes(shard.read_bytes()[:-1] + b"x")
    result = push(client, release)
    assert result["exit"] == 1
    assert "not fit to publish" in result["error"]
    assert shard.name in result["error"]
    assert hub.state.repos == {}


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("data/train-00007-of-00009.parquet", "mixed up"),
        ("data/test-00000-of-00001.parquet", "mixed up"),
        (".huggingface.yaml", "mixed up"),
        ("patches.py", "mixed up"),
        ("release.json", "is no manifest"),
    ],
)
def test_foreign_files_in_the_way_stop_a_push(
    hub: Hub, client: Client, release: Path, path: str, words: str
) -> None:
    hub.create(NAME)
    head = hub.put(NAME, {path: b"{}", "README.md": b"# Soon\n"})
    result = push(client, release)
    assert result["exit"] == 1
    assert words in result["error"]
    assert path in result["error"]
    assert hub.repo(NAME).head == head
    assert hub.calls("put") == []


def test_a_repository_made_by_hand_is_filled(hub: Hub, client: Client, release: Path) -> None:
    hub.create(NAME)
    hub.put(NAME, {"README.md": b"# Soon\n", "banner.png": b"picture"})
    hub.repo(NAME).tag("v0.9.0", "main", "", "ada")
    hub.repo(NAME).tag("draft", "main", "", "ada")
    result = push(client, release, "--replace-card")
    assert result["version"] == "1.0.0"
    assert result["files"]["changed"] == ["README.md"]
    assert result["files"]["left_alone"] == ["banner.png"]


def test_who_may_not_write_is_told_early(hub: Hub, client: Client, release: Path) -> None:
    hub.create(NAME)
    for token, words in (
        (READER, "you must use a write token"),
        (OTHER, "may not write to ada/patches"),
        (None, "does not know your token"),
        ("token-of-nobody", "does not know your token"),
    ):
        for options in ((), ("--dry-run",)):
            result = push(client, release, *options, token=token)
            assert result["exit"] == 1
            assert words in result["error"]
            assert "hf auth login" in result["hint"]
    assert hub.calls("put") == hub.calls("commit") == []


def test_private_and_organisations_repositories(
    hub: Hub, client: Client, release: Path, tmp_path: Path
) -> None:
    result = push(client, release, "--private")
    assert result["exit"] == 0
    assert hub.repo(NAME).private
    loaded = client.run(LOAD, NAME, [[None, "v1.0.0", True]], token=READER)
    assert set(loaded[0]) == {"train", "validation", "test"}
    other = fresh_copy(release, tmp_path / "other")
    assert push(client, other, token=OTHER)["exit"] == 1
    assert finish(client.hfaef("push", other, "lab/patches", "--json"))["exit"] == 0
    assert not hub.repo("lab/patches").private
    result = finish(client.hfaef("push", other, "lab/patches", "--private", "--json"))
    assert result["exit"] == 2
    assert "public" in result["error"]
    result = finish(client.hfaef("push", other, "bob/patches", "--json"))
    assert result["exit"] == 1
    assert "may not write to bob/patches" in result["error"]


def test_a_wrong_name_is_refused_before_anything(client: Client, release: Path) -> None:
    for name in ("patches", "a/b/c", "../x", "a/.."):
        assert finish(client.hfaef("push", release, name, "--json"))["exit"] == 2


def test_the_hub_takes_parts_of_a_large_file(hub: Hub, client: Client, release: Path) -> None:
    hub.state.part_bytes = 300_000
    assert push(client, release)["exit"] == 0
    assert Counter(seen.route for seen in hub.seen)["complete"] >= 3
    is_whole(hub, release, "1.0.0")


def test_what_people_read(client: Client, release: Path) -> None:
    process = client.hfaef("push", release, NAME)
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert "because:    first release: 24 rows, 6 labels" in output
    assert f"datasets.load_dataset('{NAME}', revision='v1.0.0')" in output
    assert "push: " in errors
