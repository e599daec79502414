"""Whatever differs between two releases is named."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hfaef.release.card.notes import BEGIN
from hfaef.release.card.render import write_card
from hfaef.release.diff import compare
from hfaef.release.format.manifest import file_entry, manifest_bytes, read_manifest
from hfaef.release.handle import open_folder


def change_column(folder: Path, name: str, value: object) -> None:
    """Give every row of the first shard another value, and list the shard as it is then."""
    manifest = read_manifest(folder)
    path = next(file.path for file in manifest.files if file.path.startswith("data/"))
    table = pq.read_table(folder / path, partitioning=None)
    number = table.schema.get_field_index(name)
    field = table.schema.field(number) if number >= 0 else pa.field(name, pa.string())
    column = pa.array([value] * table.num_rows, field.type)
    changed = (
        table.set_column(number, field, column)
        if number >= 0
        else table.append_column(field, column)
    )
    pq.write_table(changed, folder / path)
    files = tuple(file_entry(folder, folder / file.path, file.rows) for file in manifest.files)
    (folder / "release.json").write_bytes(
        manifest_bytes(manifest.model_copy(update={"files": files}))
    )


def change_manifest(folder: Path, **changes: Any) -> None:
    manifest = read_manifest(folder).model_copy(update=changes)
    (folder / "release.json").write_bytes(manifest_bytes(manifest))


@pytest.fixture
def other(own_release: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(own_release, tmp_path / "other"))


def lines(before: Path, after: Path) -> tuple[str, ...]:
    return compare(open_folder(before), open_folder(after)).others


def test_another_source_of_the_same_pixels_is_named(own_release: Path, other: Path) -> None:
    change_column(other, "source", ["GOOGLE/SATELLITE_EMBEDDING/V1/ANNUAL"])
    found = compare(open_folder(own_release), open_folder(other))
    assert found.rows.lines() == ()
    assert found.bump.level == "minor"
    (line,) = found.others
    assert line.startswith("the column source differs in ")
    assert "['GOOGLE/SATELLITE_EMBEDDING/V1/ANNUAL'] instead of " in line
    assert line in found.lines()
    assert found.summary()["others"] == [line]


def test_a_new_column_is_named_and_one_that_is_gone(own_release: Path, other: Path) -> None:
    change_column(other, "owner", "x")
    assert "the column owner is new" in lines(own_release, other)
    assert "the column owner is gone" in lines(other, own_release)


def test_keys_of_the_recipe_packages_and_notes_are_named(own_release: Path, other: Path) -> None:
    manifest = read_manifest(own_release)
    recipe = {
        **manifest.recipe,
        "source": {"kind": "earthengine"},
        "card": {"license": "mit", "description": "x" * 100},
    }
    change_manifest(
        other, recipe=recipe, packages={**manifest.packages, "numpy": "9.9"}, notes=("a", "b")
    )
    found = lines(own_release, other)
    assert "recipe: source.kind is earthengine instead of cog" in found
    assert "recipe: card.license is mit instead of cc-by-4.0" in found
    assert any(line.startswith("recipe: card.description is xxx") for line in found)
    assert max(map(len, found)) < 200
    assert f"package numpy is 9.9 instead of {manifest.packages['numpy']}" in found
    assert f"other notes of the build: 2 instead of {len(manifest.notes)}" in found


def test_notes_in_the_card_are_named(own_release: Path, other: Path) -> None:
    card = other / "README.md"
    card.write_text(card.read_text().replace(BEGIN, f"{BEGIN}\nMine."))
    write_card(other)
    assert lines(own_release, other) == ("the notes in the card are new",)
    assert lines(other, own_release) == ("the notes in the card are gone",)


def test_a_file_beside_the_rows_is_named(own_release: Path, other: Path) -> None:
    manifest = read_manifest(other)
    kept = tuple(file for file in manifest.files if file.path != "figures/labels.png")
    change_manifest(other, files=kept)
    assert lines(own_release, other) == ("figures/labels.png is gone",)


def test_the_same_release_has_no_line(own_release: Path, other: Path) -> None:
    assert lines(own_release, other) == ()
