"""Drafts of recipes that fit folders of GeoTIFFs, labelled by their folders or by a table."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from hfaef.build.pipeline import build
from hfaef.catalog.inspect import inspect
from hfaef.errors import CatalogError
from hfaef.recipe.read import read_recipe
from support.drafts import WORDS, keys, opened, proposed


@pytest.fixture(autouse=True)
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def flat(demo_root: Path, folder: Path) -> list[Path]:
    """The demo's GeoTIFFs, flat in a folder."""
    folder.mkdir()
    files = sorted((demo_root / "data/demo/patches").rglob("*.tif"))
    return [Path(shutil.copy(file, folder)) for file in files]


def test_one_folder_a_label_needs_no_table(demo_root: Path) -> None:
    draft = inspect(demo_root / "data/demo/patches")
    found = keys(draft)
    assert set(found) == {"kind", "root", "make_splits"}
    assert not Path(str(found["root"])).is_absolute()
    assert len(opened(draft).patches) == 40


@pytest.mark.parametrize("place", ["images/labels.csv", "labels.csv"])
def test_flat_geotiffs_are_labelled_by_the_table_that_names_them(
    demo_root: Path, place: str
) -> None:
    files = flat(demo_root, Path("images"))
    rows = [
        f"{file.name},{file.name.partition('_')[0]},2018,{n % 4}" for n, file in enumerate(files)
    ]
    Path(place).write_text("\n".join(["file,label,year,fold", *rows]) + "\n")
    Path("other.csv").write_text("id,label\nnobody,x\n")
    draft = inspect(Path("images"))
    found = keys(draft)
    assert (found["table"], found["year"], found["folds"]) == (Path(place), "year", ["fold"])
    catalog = opened(draft)
    assert len(catalog.patches) == 40
    assert len(catalog.label_names) == 6
    world = demo_root / "data/demo/aef"
    recipe = read_recipe("mine.toml", [f"source.root={world}"])
    assert build(recipe, Path("out"), limit=4).summary()["rows"] == 4


def test_columns_of_a_geotiffs_table_that_need_other_names_are_said(demo_root: Path) -> None:
    files = flat(demo_root, Path("images"))
    Path("labels.csv").write_text("\n".join(["Tile,Class", *(f"{f.stem},x" for f in files)]) + "\n")
    assert inspect(Path("images")).to_do == (
        "rename the column `Class` to `label`",
        "rename the column `Tile` to `id`",
    )


def test_flat_geotiffs_without_a_table_are_refused(demo_root: Path) -> None:
    flat(demo_root, Path("images"))
    with pytest.raises(CatalogError, match="40 GeoTIFFs in no folders of labels"):
        inspect(Path("images"))
    Path("empty").mkdir()
    with pytest.raises(CatalogError, match=r"there is no \.tif below empty"):
        inspect(Path("empty"))


def test_words_for_splits_with_others_beside_geotiffs_are_a_scheme_to_be_mended(
    demo_root: Path,
) -> None:
    files = flat(demo_root, Path("images"))
    rows = [f"{file.stem},x,{(*WORDS, 'blue')[n % 26]}" for n, file in enumerate(files)]
    Path("labels.csv").write_text("\n".join(["id,label,split", *rows]) + "\n")
    draft = inspect(Path("images"))
    assert keys(draft)["schemes"] == ["split"]
    assert draft.to_do[0].endswith("instead of blue (1)")
    assert dict(draft.found)["label"] == "one of 1 (x 40)"


def test_files_that_cannot_be_read_do_not_stop_the_recipe(demo_root: Path) -> None:
    root = Path(shutil.copytree(demo_root / "data/demo/patches", "patches"))
    min(root.rglob("*.tif")).write_bytes(b"no picture")
    draft = inspect(root)
    assert proposed(draft)["skip_bad"] is True
    assert dict(draft.found)["bad"].startswith("1 of 40 patches cannot be used (")


def test_eurosat_is_one_folder_a_label(eurosat_images: Path) -> None:
    catalog = opened(inspect(eurosat_images))
    assert (len(catalog.patches), len(catalog.label_names)) == (100, 10)
