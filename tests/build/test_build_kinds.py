"""Building every kind of label, year and split: what is missing, what is taken, what differs."""

from __future__ import annotations

from pathlib import Path

import geopandas
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
import rasterio

import hfaef
from hfaef.build.pipeline import Built, build
from hfaef.build.plan import plan
from hfaef.build.source_check import check_sample
from hfaef.build.status import read_status
from hfaef.catalog import geotiffs
from hfaef.errors import IncompleteError
from hfaef.hub.open import open_release
from hfaef.recipe.columns import UNASSIGNED
from hfaef.recipe.patches import Geotiffs
from hfaef.recipe.read import read_recipe
from hfaef.release.card.additions import write_figures
from hfaef.release.check import check_folder
from hfaef.release.diff import ReleaseDiff, compare
from hfaef.release.gis.export import export
from hfaef.release.handle import open_folder
from hfaef.release.leakage import OTHER_FOLDS
from support.kinds import KEPT, KINDS, NAMES, POINTS, build_kind, labels_of, recipe_of
from support.releases import fresh_copy


@pytest.fixture(scope="module")
def built(kinds_world: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Built]:
    """A release of every kind; not to be written to."""
    return {kind: build_kind(kind, kinds_world, tmp_path_factory.mktemp(kind)) for kind in KINDS}


def test_a_patch_of_a_year_without_embeddings_is_missing_with_that_reason(
    built: dict[str, Built],
) -> None:
    missing = {one.id: one for one in built["years"].manifest.missing}
    assert set(missing) == {f"p{row:02d}" for row in range(POINTS) if row % 6 in (4, 5)}
    assert missing["p04"].year == 2017
    assert missing["p05"].reason == "is of 2021, of which the source has no embedding"
    found = read_status(built["years"].folder)
    assert (found.patches, found.fetched, found.released_rows) == (12, 12, 12)
    assert {outcome.id: outcome.reason for outcome in found.missing} == {
        name: one.reason for name, one in missing.items()
    }


def test_a_plan_counts_patches_in_the_years_that_they_get(
    kinds_world: Path, tmp_path: Path
) -> None:
    own = plan(recipe_of("years", kinds_world, tmp_path / "own.parquet"))
    assert (own.patches, own.years) == (12, (2018, 2024))
    nearest = plan(recipe_of("nearest", kinds_world, tmp_path / "nearest.parquet"))
    assert (nearest.patches, nearest.years) == (18, (2018, 2024))


@pytest.mark.parametrize("kind", ["years", "nearest"])
def test_rows_of_own_years_are_what_the_source_gives_today(
    built: dict[str, Built], kinds_world: Path, tmp_path: Path, kind: str
) -> None:
    recipe = recipe_of(kind, kinds_world, tmp_path / "points.parquet")
    count, findings = check_sample(str(built[kind].folder), recipe, POINTS, seed=1)
    assert count == built[kind].manifest.rows
    assert findings == []


def test_each_fold_is_compared_with_all_others(built: dict[str, Built]) -> None:
    leaks = built["number"].manifest.leakage
    assert [(leak.scheme, leak.first, leak.second) for leak in leaks] == [
        ("fold", OTHER_FOLDS, fold) for fold in "123"
    ]
    assert sum(leak.patches for leak in leaks) == POINTS - 1
    card = (built["number"].folder / "README.md").read_text()
    assert "other split or fold" in card or f"| {OTHER_FOLDS} |" in card


def test_unassigned_patches_leak_into_nothing(built: dict[str, Built]) -> None:
    manifest = built["classes"].manifest
    assert {leak.second for leak in manifest.leakage} == {"validation", "test"}
    assert UNASSIGNED in {part.name for part in manifest.configs[0].splits}


CHANGES = {
    "labels": ("label", ["Wet", "Dry"], "relabelled"),
    "country": ("country", "FR", "changed"),
    "crops": ("crops", ["rye"], "changed"),
    "split": ("split", "train", "resplit"),
}


def following(
    built: dict[str, Built], kind: str, kinds_world: Path, folder: Path, **cell: object
) -> tuple[Built, ReleaseDiff]:
    """The next release, in which one patch has another value, and how it differs."""
    ((name, value),) = cell.items()
    before = built[kind].folder
    after = build_kind(kind, kinds_world, folder, cells={(name, "p06"): value}, previous=before)
    assert check_folder(after.folder) == []
    return after, compare(open_folder(before), open_folder(after.folder))


@pytest.mark.parametrize("case", CHANGES)
def test_a_changed_cell_is_told_and_takes_all_pixels_from_the_release_before(
    built: dict[str, Built], kinds_world: Path, tmp_path: Path, case: str
) -> None:
    name, value, word = CHANGES[case]
    after, found = following(built, "classes", kinds_world, tmp_path, **{name: value})
    rows = {key: ids for key, ids in found.summary()["rows"].items() if ids}
    assert rows == {word: ["p06"]}
    assert found.bump.level == "minor"
    assert any(f"{POINTS} patches are taken from" in note for note in after.notes)


def test_another_fold_is_another_split(
    built: dict[str, Built], kinds_world: Path, tmp_path: Path
) -> None:
    _, found = following(built, "number", kinds_world, tmp_path, fold="3")
    assert found.rows.resplit == ("p06",)
    assert not found.rows.relabelled
    assert not found.rows.repixelled


def test_another_year_is_another_row(
    built: dict[str, Built], kinds_world: Path, tmp_path: Path
) -> None:
    after, found = following(built, "years", kinds_world, tmp_path, own=2024)
    assert found.rows.removed == ("2018/p06",)
    assert found.rows.added == ("2024/p06",)
    assert any("11 patches are taken from" in note for note in after.notes)


def test_a_year_whose_nearest_changes_is_fetched_again(
    built: dict[str, Built], kinds_world: Path, tmp_path: Path
) -> None:
    after, found = following(built, "nearest", kinds_world, tmp_path, weight=0.5)
    assert found.rows.changed == ("2018/p06",)
    assert any(f"{POINTS} patches are taken from" in note for note in after.notes)
    rows = hfaef.load(after.folder, "train", columns=["id", "year", "observed_year"])
    assert {(row["year"], row["observed_year"]) for row in rows} >= {(2017, 2018)}


def test_a_changed_list_of_labels_sends_what_another_class_sends(
    built: dict[str, Built], kinds_world: Path, tmp_path: Path
) -> None:
    _, several = following(
        built, "classes", kinds_world, tmp_path / "classes", label=["Wet", "Dry"]
    )
    _, one = following(built, "class", kinds_world, tmp_path / "class", label="Green")
    assert several.rows.relabelled == one.rows.relabelled == ("p06",)

    def changed(found: ReleaseDiff) -> list[str]:
        return [file.path.partition("-")[0] for file in found.files.changed]

    assert [path for path in changed(several) if path.startswith(("data", "pooled"))] == [
        path for path in changed(one) if path.startswith(("data", "pooled"))
    ]
    assert not several.files.added
    assert not several.files.deleted


@pytest.mark.parametrize(
    ("kind", "changes", "reason"),
    [
        ("class", ("patches.keep=['day']",), "the column country is gone"),
        ("number", ("patches.folds=[]",), "the folds fold are gone"),
        ("nearest", ("patches.nearest_year=false",), "the column observed_year is gone"),
    ],
)
def test_a_column_that_goes_is_a_major_change(
    built: dict[str, Built],
    kinds_world: Path,
    tmp_path: Path,
    kind: str,
    changes: tuple[str],
    reason: str,
) -> None:
    after = build_kind(kind, kinds_world, tmp_path, *changes)
    found = compare(open_release(str(built[kind].folder)), open_folder(after.folder))
    assert found.bump.level == "major"
    assert reason in found.bump.reasons


@pytest.mark.parametrize("kind", KINDS)
def test_an_export_tells_labels_years_folds_and_kept_columns(
    built: dict[str, Built], tmp_path: Path, kind: str
) -> None:
    manifest = built[kind].manifest
    folder = export(built[kind].folder, tmp_path / "gis").folder
    table = geopandas.read_parquet(folder / "pooled.parquet").set_index("id")
    assert len(table) == manifest.rows
    types = pq.read_schema(folder / "pooled.parquet")
    for identity, row in table.iterrows():
        label = labels_of(kind, int(identity[1:]))
        if kind == "classes":
            label = sorted(label, key=NAMES.index)
            assert list(row["label"]) == label
            assert row["path"] == f"patches/{identity}.tif"
        elif kind == "number":
            assert row["label"] == pytest.approx(label, rel=1e-6)
        else:
            assert row["label"] == label
        with rasterio.open(folder / row["path"]) as dataset:
            tags = dataset.tags()
        assert tags["year"] == str(row["year"])
        if kind == "classes":
            assert tags.get("label", "") == ", ".join(label)  # GDAL keeps no empty tags
        for name in ("split", "fold"):
            if name in (*manifest.schemes, *manifest.folds):
                assert tags[name] == row[name]
        for column in manifest.kept:
            assert (column.name in tags) == (identity != "p00")
            assert types.field(column.name).type == KEPT[column.name][0]
        if kind == "nearest":
            assert tags["observed_year"] == str(row["observed_year"])


def test_a_kept_column_that_bears_a_name_of_the_exports_own_gets_another(
    kinds_world: Path, tmp_path: Path
) -> None:
    table = tmp_path / "points.parquet"
    recipe = recipe_of("class", kinds_world, table, "patches.keep=['path', 'A07', 'meaning']")
    renamed = pq.read_table(table).rename_columns(
        {"country": "path", "weight": "A07", "fold": "meaning"}
    )
    pq.write_table(renamed, table)
    release = build(recipe, tmp_path / "release", threads=1).folder
    folder = export(release, tmp_path / "gis").folder
    found = geopandas.read_parquet(folder / "pooled.parquet").set_index("id").loc["p05"]
    assert (found["kept_path"], found["kept_A07"], found["kept_meaning"]) == ("DE", 0.25, "3")
    with rasterio.open(folder / found["path"]) as dataset:
        assert dataset.tags()["kept_path"] == "DE"
        assert dataset.tags()["meaning"].startswith("q = value")


@pytest.mark.parametrize("kind", ["classes", "number"])
def test_an_export_is_patches_of_another_recipe(
    built: dict[str, Built], tmp_path: Path, kind: str
) -> None:
    folder = export(built[kind].folder, tmp_path / "gis").folder
    section = Geotiffs(
        kind="geotiffs",
        root=folder,
        table=folder / "pooled.parquet",
        target=built[kind].manifest.labelling,
        unassigned="keep",
        ignore=["year"],
    )
    found = geotiffs.read(section, 2018)
    assert len(found.patches) == POINTS
    for patch in found.patches:
        label = labels_of(kind, int(patch.id[1:]))
        if kind == "classes":
            assert patch.label == tuple(sorted(label, key=NAMES.index))
        else:
            assert patch.label == pytest.approx(label, rel=1e-6)


def test_a_patch_of_its_own_year_that_is_too_large_is_missing_in_that_year_alone(
    kinds_world: Path, tmp_path: Path
) -> None:
    place = pyarrow.csv.read_csv(kinds_world / "points.csv").slice(0, 1).to_pylist()[0]
    west, south = place["lon"], place["lat"]
    lines = ["id,label,own,west,south,east,north"]
    for identity, year, side in (("a", 2018, 0.001), ("b", 2024, 1.0), ("b", 2018, 0.001)):
        box = f"{west},{south},{west + side},{south + side}"
        lines.append(f"{identity},Dry,{year},{box}")
    (tmp_path / "boxes.csv").write_text("\n".join(lines))
    changes = ["name=Boxes", "patches.kind=table", f"patches.path={tmp_path / 'boxes.csv'}"]
    changes += ["patches.year=own", "patches.skip_bad=true", "source.kind=cog"]
    changes += [f"source.root={kinds_world / 'aef'}"]
    (tmp_path / "empty.toml").write_text("")
    found = build(read_recipe(str(tmp_path / "empty.toml"), changes), tmp_path / "release")
    assert [(one.id, one.year) for one in found.manifest.missing] == [("b", 2024)]
    assert "over 4,096 a side" in found.manifest.missing[0].reason
    rows = hfaef.load(found.folder, "train", columns=["id", "year"])
    assert {(row["id"], row["year"]) for row in rows} == {("a", 2018), ("b", 2018)}


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_figures_of_each_kind_are_drawn_and_fit_the_release(
    built: dict[str, Built], tmp_path: Path, kind: str
) -> None:
    pytest.importorskip("matplotlib", reason="the extra `eval` is not installed")
    folder = fresh_copy(built[kind].folder, tmp_path / "release")
    drawn = {path.name for path in write_figures(folder)}
    assert drawn == {"labels.png", "map.png"} | ({"balance.png"} if kind != "number" else set())
    assert check_folder(folder) == []


def test_years_without_embeddings_stop_a_build_before_it_fetches_unless_that_is_allowed(
    kinds_world: Path, tmp_path: Path
) -> None:
    recipe = recipe_of("years", kinds_world, tmp_path / "points.parquet")
    with pytest.raises(IncompleteError) as caught:
        build(recipe, tmp_path / "release", threads=1)
    assert caught.value.message.startswith("6 of 18 patches are of years without embeddings")
    assert "--allow-missing" in caught.value.hint
    assert "patches.nearest_year=true" in caught.value.hint
    assert not (tmp_path / "release/release.json").exists()
    assert any("6 patches will be missing; the first: p04" in note for note in plan(recipe).notes)
