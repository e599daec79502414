"""Card, pictures and GIS files of a release that lies on the Hub, or elsewhere than their result."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from end_to_end.test_first_words import typed

from hfaef.release.card.additions import write_figures
from hfaef.release.card.notes import BEGIN
from hfaef.release.card.render import copy_card
from hfaef.release.gis.export import export
from hfaef.release.handle import open_folder
from servers.hub import Hub
from servers.hub.fixtures import OTHER, Client
from support.pushes import NAME, finish, push
from support.releases import contents, fresh_copy


@pytest.fixture
def published(
    client: Client, patches_release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """The folder of a release that is published as 1.0.0; we are beside it."""
    folder = fresh_copy(patches_release, tmp_path / "release")
    assert push(client, folder)["exit"] == 0
    monkeypatch.chdir(tmp_path)
    return folder


def test_views_of_a_published_version_are_those_of_its_folder(
    client: Client, published: Path, tmp_path: Path
) -> None:
    before = contents(published)
    for place in ("here", "there"):
        Path(place).mkdir()
    copy_card(open_folder(published), Path("here/card.md"))
    write_figures(published, Path("here/all.png"))
    export(published, Path("here/gis"))
    asked = {
        "card": (NAME, "--out", "there/card.md"),
        "show": (f"{NAME}@1.0.0", "--out", "there/all.png"),
        "export": (f"{NAME}@v1.0.0", "--to", "there/gis"),
    }
    started = [client.hfaef(name, *words, "--json", token=OTHER) for name, words in asked.items()]
    for done in map(finish, started):
        assert done["exit"] == 0, done
    assert contents(tmp_path / "here") == contents(tmp_path / "there")
    assert (tmp_path / "there/card.md").read_bytes() == before["README.md"]
    assert len(list((tmp_path / "there/gis").rglob("*.tif"))) == 24
    assert contents(published) == before
    for name, (_, option, _) in asked.items():
        done = finish(client.hfaef(name, f"{NAME}@7.0.0", option, "made", "--json"))
        assert (done["exit"], done["error"]) == (1, f"{NAME} has no such version")
        assert not Path("made").exists()


@pytest.mark.usefixtures("published")
def test_a_file_here_is_replaced_only_if_it_is_named(client: Client) -> None:
    assert finish(client.hfaef("card", NAME, "--json"))["path"] == "README.md"
    made = Path("README.md").read_bytes()
    for command, name in (("card", "README.md"), ("show", "figures.png")):
        Path(name).write_text("mine")
        again = finish(client.hfaef(command, NAME, "--json"))
        assert again["exit"] == 2
        assert again["error"] == f"{name} is here already, and stays"
        assert again["hint"] == "name another file with --out"
        assert Path(name).read_text() == "mine"
    assert finish(client.hfaef("card", NAME, "--out", "README.md", "--json"))["exit"] == 0
    assert Path("README.md").read_bytes() == made


def test_a_card_goes_elsewhere_and_the_folder_stays_as_it_is(
    patches_release: Path, tmp_path: Path
) -> None:
    folder = fresh_copy(patches_release, tmp_path / "release")
    edited = (folder / "README.md").read_bytes() + b"\nMine.\n"
    (folder / "README.md").write_bytes(edited)
    (tmp_path / "card.md").write_text("of yesterday")
    done = typed("card", "release", "--out", "card.md", folder=tmp_path)
    assert (done.returncode, done.stdout) == (0, "card.md\n")
    assert (tmp_path / "card.md").read_bytes() == (patches_release / "README.md").read_bytes()
    assert (folder / "README.md").read_bytes() == edited
    assert not (folder / ".staging").exists()


@pytest.mark.parametrize("command", ["card", "show", "export"])
def test_nothing_is_written_into_the_release_beside_its_manifest(
    patches_release: Path, tmp_path: Path, command: str
) -> None:
    folder = fresh_copy(patches_release, tmp_path / "my release")
    before = contents(folder)
    option = "--to" if command == "export" else "--out"
    done = typed(command, "my release", option, "my release/new", folder=tmp_path)
    assert done.returncode == 2
    assert "lies in the release itself" in done.stderr
    assert contents(folder) == before


def test_check_says_that_the_card_was_edited_and_finds_no_fault(
    patches_release: Path, tmp_path: Path
) -> None:
    folder = fresh_copy(patches_release, tmp_path / "my release")
    card = folder / "README.md"
    text = card.read_text(encoding="utf-8")
    for edited, said in (
        (text, False),
        (text.replace(BEGIN, f"{BEGIN}\nMine."), False),
        (f"{text}\nMine.\n", True),
    ):
        card.write_text(edited, encoding="utf-8")
        done = typed("check", "my release", "--json", folder=tmp_path)
        found = json.loads(done.stdout)
        assert (done.returncode, found["findings"]) == (0, [])
        assert any("was edited" in note for note in found["notes"]) == said
    done = typed("check", "my release", folder=tmp_path)
    assert (done.returncode, done.stdout) == (0, "my release: all is well\n")
    assert "note: my release/README.md was edited outside its notes, " in done.stderr
    assert done.stderr.endswith("hfaef card 'my release' --replace-card\n")


def test_an_export_names_its_mosaics(patches_release: Path, tmp_path: Path) -> None:
    done = typed("export", str(patches_release), "--to", "gis", "--mosaic", folder=tmp_path)
    there = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.glob("gis/*.vrt"))
    assert there
    lines = [line for line in done.stdout.splitlines() if line.startswith("mosaic:")]
    assert sorted(lines) == [f"mosaic:     {path}" for path in there]
    for options, expected in ((["--mosaic"], there), ([], [])):
        shutil.rmtree(tmp_path / "gis")
        words = ["export", str(patches_release), "--to", "gis", *options, "--json"]
        assert sorted(json.loads(typed(*words, folder=tmp_path).stdout)["mosaics"]) == expected


@pytest.mark.usefixtures("published")
def test_stac_of_a_published_version_leads_there_and_downloads_no_rows(
    hub: Hub, client: Client, tmp_path: Path
) -> None:
    hub.forget()
    words = ("export", f"{NAME}@1.0.0", "--to", "there", "--stac", "--json")
    done = finish(client.hfaef(*words, token=OTHER))
    assert (done["exit"], done["items"]) == (0, 24), done
    asked = [seen.path for seen in hub.seen]
    assert not [path for path in asked if "/data/" in path or "/pooled/" in path]
    collection = json.loads((tmp_path / "there/collection.json").read_text())
    hrefs = [asset["href"] for key, asset in collection["assets"].items() if key != "items"]
    start = f"{hub.url}/datasets/{NAME}/resolve/v1.0.0/"
    assert hrefs
    assert all(href.startswith((f"{start}data/", f"{start}pooled/")) for href in hrefs)
