"""Card, pictures and GIS files of a release that lies on the Hub, or elsewhere than their result."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from end_to_end.test_first_words import typed

from hfaef.release.card.notes import BEGIN
from servers.hub.fixtures import OTHER, Client
from support.pushes import NAME, finish, push
from support.releases import contents, fresh_copy, make_release


@pytest.fixture(scope="module")
def first(demo_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_release(demo_root, tmp_path_factory.mktemp("first"))


@pytest.fixture
def published(client: Client, first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a release that is published as 1.0.0; we are beside it."""
    folder = fresh_copy(first, tmp_path / "release")
    assert push(client, folder)["exit"] == 0
    monkeypatch.chdir(tmp_path)
    return folder


def test_views_of_a_published_version_are_those_of_its_folder(
    client: Client, published: Path, tmp_path: Path
) -> None:
    before = contents(published)
    for target in (NAME, f"{NAME}@1.0.0"):
        for place in ("here", "there"):
            shutil.rmtree(tmp_path / place, ignore_errors=True)
        for source, place in ((published, "here"), (target, "there")):
            Path(place).mkdir()
            asked = {
                "card": ("--out", f"{place}/card.md"),
                "show": ("--out", f"{place}/all.png"),
                "export": ("--to", f"{place}/gis"),
            }
            for command, options in asked.items():
                done = finish(client.hfaef(command, source, *options, "--json", token=OTHER))
                assert done["exit"] == 0, done
        assert contents(tmp_path / "here") == contents(tmp_path / "there")
    assert (tmp_path / "there/card.md").read_bytes() == before["README.md"]
    assert len(list((tmp_path / "there/gis").rglob("*.tif"))) == 24
    assert contents(published) == before


@pytest.mark.usefixtures("published")
def test_a_file_here_is_replaced_only_if_it_is_named(client: Client, tmp_path: Path) -> None:
    for command, name in (("card", "README.md"), ("show", "figures.png")):
        made = finish(client.hfaef(command, NAME, "--json"))
        assert (made["exit"], (tmp_path / name).is_file()) == (0, True)
        (tmp_path / name).write_text("mine")
        again = finish(client.hfaef(command, NAME, "--json"))
        assert again["exit"] == 2
        assert again["error"] == f"{name} is here already, and stays"
        assert again["hint"] == "name another file with --out"
        assert (tmp_path / name).read_text() == "mine"
        assert finish(client.hfaef(command, NAME, "--out", name, "--json"))["exit"] == 0
        assert (tmp_path / name).read_bytes() != b"mine"


@pytest.mark.usefixtures("published")
@pytest.mark.parametrize("command", ["card", "show", "export"])
def test_what_the_hub_has_not_leaves_nothing_behind(
    client: Client, command: str, tmp_path: Path
) -> None:
    option = "--to" if command == "export" else "--out"
    done = finish(client.hfaef(command, f"{NAME}@7.0.0", option, "made", "--json"))
    assert (done["exit"], done["error"]) == (1, f"{NAME} has no such version")
    assert not (tmp_path / "made").exists()


def test_a_card_goes_elsewhere_and_the_folder_stays_as_it_is(first: Path, tmp_path: Path) -> None:
    folder = fresh_copy(first, tmp_path / "release")
    edited = (folder / "README.md").read_bytes() + b"\nMine.\n"
    (folder / "README.md").write_bytes(edited)
    (tmp_path / "card.md").write_text("of yesterday")
    done = typed("card", "release", "--out", "card.md", folder=tmp_path)
    assert (done.returncode, done.stdout) == (0, "card.md\n")
    assert (tmp_path / "card.md").read_bytes() == (first / "README.md").read_bytes()
    assert (folder / "README.md").read_bytes() == edited
    assert not (folder / ".staging").exists()


@pytest.mark.parametrize("command", ["card", "show", "export"])
def test_nothing_is_written_into_the_release_beside_its_manifest(
    first: Path, tmp_path: Path, command: str
) -> None:
    folder = fresh_copy(first, tmp_path / "my release")
    before = contents(folder)
    option = "--to" if command == "export" else "--out"
    done = typed(command, "my release", option, "my release/README.md", folder=tmp_path)
    assert done.returncode == 2
    assert "lies in the release itself" in done.stderr
    assert contents(folder) == before


def test_check_says_that_the_card_was_edited_and_finds_no_fault(
    first: Path, tmp_path: Path
) -> None:
    folder = fresh_copy(first, tmp_path / "my release")
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
        assert bool(found["notes"]) == said
    done = typed("check", "my release", folder=tmp_path)
    assert (done.returncode, done.stdout) == (0, "my release: all is well\n")
    assert done.stderr.startswith("note: my release/README.md was edited outside its notes, ")
    assert done.stderr.endswith("hfaef card 'my release' --replace-card\n")


def test_an_export_names_its_mosaics(first: Path, tmp_path: Path) -> None:
    done = typed("export", str(first), "--to", "gis", "--mosaic", folder=tmp_path)
    there = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.glob("gis/*.vrt"))
    assert there
    lines = [line for line in done.stdout.splitlines() if line.startswith("mosaic:")]
    assert sorted(lines) == [f"mosaic:     {path}" for path in there]
    for options, expected in ((["--mosaic"], there), ([], [])):
        shutil.rmtree(tmp_path / "gis")
        words = ["export", str(first), "--to", "gis", *options, "--json"]
        assert sorted(json.loads(typed(*words, folder=tmp_path).stdout)["mosaics"]) == expected
