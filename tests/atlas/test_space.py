"""A Space that shows a version: one commit, nothing of others is touched, nothing private is shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from hfaef.release.format.manifest import manifest_bytes, read_manifest
from servers.hub import Fault, Hub
from servers.hub.fixtures import OTHER, READER, WRITER, Client
from support.pushes import NAME, finish, publish
from support.releases import fresh_copy

pytestmark = pytest.mark.slow

SPACE = "ada/atlas"
PAGE = {"index.html", "atlas.js", "atlas.css", "land.json", "icon.svg", "LICENSES.txt"}
OURS = PAGE | {"README.md", "atlas.json", "hfaef.json"}


@pytest.fixture
def release(patches_release: Path, tmp_path: Path, hub: Hub) -> Path:
    """The folder of a release that is published as 1.0.0."""
    folder = fresh_copy(patches_release, tmp_path / "release")
    publish(hub, folder)
    hub.forget()
    return folder


def push(client: Client, *options: object, target: object = NAME, **more: Any) -> dict[str, Any]:
    return finish(client.hfaef("atlas", target, "--space", SPACE, "--json", *options, **more))


def tree(hub: Hub, name: str = SPACE) -> dict[str, bytes]:
    repo = hub.repo(name, "spaces")
    return {path: hub.state.file(repo, path) for path in repo.head.tree if path != ".gitattributes"}


def put(hub: Hub, files: dict[str, bytes | None]) -> None:
    hub.state.put(hub.repo(SPACE, "spaces"), files)


def titles(hub: Hub) -> list[str]:
    return [commit.title for commit in hub.repo(SPACE, "spaces").log()]


@pytest.mark.usefixtures("release")
def test_a_space_is_one_commit_that_reads_the_version(hub: Hub, client: Client) -> None:
    done = push(client)
    assert (done["exit"], done["outcome"], done["space"]) == (0, "published", SPACE), done
    assert done["url"] == f"{hub.url}/spaces/{SPACE}"
    assert titles(hub) == [f"{NAME} v1.0.0", "initial commit"]
    held = tree(hub)
    assert held.keys() == OURS
    commit = hub.repo(NAME).resolve("v1.0.0").oid
    data = f"{hub.url}/datasets/{NAME}/resolve/{commit}/"
    assert json.loads(held["atlas.json"]) == {
        "data": data,
        "name": "Patches",
        "version": "1.0.0",
        "home": f"{hub.url}/datasets/{NAME}/tree/v1.0.0",
        "layouts": ["pca"],
    }
    policy = held["index.html"].decode()
    assert f"connect-src 'self' {hub.url} {hub.state.storage};" in policy
    head = yaml.safe_load(held["README.md"].decode().split("\n---")[0])
    assert (head["sdk"], head["datasets"], head["app_file"]) == ("static", [NAME], "index.html")
    assert WRITER.encode() not in b"".join(held.values())
    assert hub.repo(SPACE, "spaces").private is False


def test_a_repeat_makes_no_commit_and_a_new_version_makes_one(
    hub: Hub, client: Client, release: Path
) -> None:
    commit = push(client)["commit"]
    hub.forget()
    for target in (NAME, f"{NAME}@1.0.0", release):
        done = push(client, target=target)
        assert (done["exit"], done["outcome"], done["commit"]) == (0, "already published", commit)
    assert not [seen for seen in hub.seen if seen.route in ("commit", "create", "put")]
    publish(hub, release, "1.1.0")
    done = push(client)
    assert done["added"] == ["README.md", "atlas.json", "hfaef.json"]
    assert titles(hub) == [f"{NAME} v1.1.0", f"{NAME} v1.0.0", "initial commit"]
    assert json.loads(tree(hub)["atlas.json"])["version"] == "1.1.0"


@pytest.mark.usefixtures("release")
def test_a_dry_run_sends_nothing(hub: Hub, client: Client) -> None:
    done = push(client, "--dry-run")
    assert (done["exit"], done["outcome"], done["commit"]) == (0, "planned", None)
    assert set(done["added"]) == OURS
    assert ("spaces", SPACE) not in hub.state.repos
    assert not [s for s in hub.seen if s.method == "POST" and s.route != "yaml"]


@pytest.mark.usefixtures("release")
def test_a_new_space_may_be_private(hub: Hub, client: Client) -> None:
    assert push(client, "--private")["exit"] == 0
    assert hub.repo(SPACE, "spaces").private
    hub.repo(SPACE, "spaces").private = False
    done = push(client, "--private")
    assert (done["exit"], done["hint"]) == (2, "make it private on its page first")


@pytest.mark.usefixtures("release")
def test_files_of_others_stay_and_are_named(hub: Hub, client: Client) -> None:
    push(client)
    put(hub, {"notes.md": b"mine", "README.md": b"---\nsdk: static\ntitle: Mine\n---\n"})
    done = push(client)
    assert (done["exit"], done["outcome"]) == (0, "already published")
    assert done["notes"] == [
        "left alone: README.md, which was edited in the Space",
        "left alone: notes.md, which hfaef did not bring",
    ]
    put(hub, {"atlas.css": None})
    done = push(client)
    assert (done["outcome"], done["added"]) == ("published", ["atlas.css"])
    assert tree(hub)["notes.md"] == b"mine"
    assert b"title: Mine" in tree(hub)["README.md"]


@pytest.mark.usefixtures("release")
def test_what_others_wrote_into_the_page_is_not_written_over(hub: Hub, client: Client) -> None:
    push(client)
    put(hub, {"index.html": b"mine"})
    before = titles(hub)
    done = push(client)
    assert done["exit"] == 1
    assert f"the Space {SPACE} holds what hfaef did not write: index.html" in done["error"]
    assert "name another --space" in done["hint"]
    assert (tree(hub)["index.html"], titles(hub)) == (b"mine", before)


@pytest.mark.usefixtures("release")
@pytest.mark.parametrize("mark", [None, b"{}", b"[1]", b"no json"])
def test_a_space_of_somebody_else_is_refused(hub: Hub, client: Client, mark: bytes | None) -> None:
    hub.state.create(SPACE, kind="spaces")
    put(hub, {"app.py": b"mine", "index.html": b"mine", **({"hfaef.json": mark} if mark else {})})
    before = tree(hub)
    done = push(client)
    assert done["exit"] == 1
    assert "app.py" in done["error"]
    assert tree(hub) == before


@pytest.mark.usefixtures("release")
def test_the_template_of_a_new_space_is_replaced(hub: Hub, client: Client) -> None:
    client.run("api.create_repo(arguments[0], repo_type='space', space_sdk='static')", SPACE)
    assert "style.css" in tree(hub)
    done = push(client)
    assert (done["outcome"], done["deleted"]) == ("published", ["style.css"])
    assert tree(hub).keys() == OURS


@pytest.mark.parametrize("closed", ["private", "gated"])
def test_a_data_set_that_visitors_may_not_read_gets_no_space(
    hub: Hub, client: Client, release: Path, closed: str
) -> None:
    setattr(hub.repo(NAME), closed, True)
    for target in (NAME, release):
        done = push(client, target=target)
        assert done["exit"] == 2
        assert f"{NAME} is private or gated" in done["error"]
        assert done["hint"] == f"look at it here: hfaef atlas {NAME}@1.0.0"
    assert ("spaces", SPACE) not in hub.state.repos


def test_a_folder_is_pushed_before_a_space_shows_it(
    hub: Hub, client: Client, release: Path, patches_release: Path
) -> None:
    done = push(client, target=patches_release)
    assert (done["exit"], done["hint"]) == (2, f"hfaef push {patches_release} OWNER/NAME")
    manifest = read_manifest(release).model_copy(update={"notes": ("changed",)})
    (release / "release.json").write_bytes(manifest_bytes(manifest))
    done = push(client, target=release)
    assert done["error"] == f"{release} is no longer what {NAME}@1.0.0 is"
    assert done["hint"] == f"hfaef push {release} {NAME}"
    assert ("spaces", SPACE) not in hub.state.repos


def test_a_version_without_points_gets_no_space(
    hub: Hub, client: Client, patches_release: Path, tmp_path: Path
) -> None:
    folder = fresh_copy(patches_release, tmp_path / "release")
    manifest = read_manifest(folder)
    files = tuple(file for file in manifest.files if not file.path.startswith("atlas/"))
    (folder / "release.json").write_bytes(
        manifest_bytes(manifest.model_copy(update={"files": files}))
    )
    publish(hub, folder)
    done = push(client)
    assert done["exit"] == 2
    assert f"{NAME}@1.0.0 has no atlas/points.parquet" in done["error"]
    assert f"hfaef push DIR {NAME}" in done["hint"]


@pytest.mark.usefixtures("release")
@pytest.mark.parametrize("token", [READER, OTHER, None])
def test_who_may_not_write_is_told(hub: Hub, client: Client, token: str | None) -> None:
    done = push(client, token=token)
    assert done["exit"] == 1
    assert ("spaces", SPACE) not in hub.state.repos


@pytest.mark.usefixtures("release")
def test_a_commit_whose_answer_is_lost_is_made_once(hub: Hub, client: Client) -> None:
    hub.fail(Fault("commit", "lost"))
    done = push(client)
    assert (done["exit"], done["outcome"]) == (0, "published"), done
    assert titles(hub) == [f"{NAME} v1.0.0", "initial commit"]
    assert done["commit"] == hub.repo(SPACE, "spaces").head.oid


@pytest.mark.usefixtures("release")
def test_a_space_that_somebody_changes_meanwhile_is_left_to_them(hub: Hub, client: Client) -> None:
    push(client)
    put(hub, {"atlas.css": None})
    hub.fail(Fault("commit", "nothing", meanwhile=lambda: put(hub, {"notes.md": b"mine"})))
    done = push(client)
    assert done["exit"] == 1
    assert f"somebody else changed the Space {SPACE} meanwhile" in done["error"]
    assert "atlas.css" not in tree(hub)


def test_the_line_that_links_the_card_is_told(client: Client, release: Path) -> None:
    output, errors = client.hfaef("atlas", release, "--space", SPACE).communicate(timeout=120)
    assert f'link to it: atlas = "{SPACE}" under [card] in the recipe' in output, errors
