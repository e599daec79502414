"""What the check must catch in labels, years, folds and kept columns, and in their manifest."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import hfaef
from hfaef.errors import ReleaseError
from hfaef.recipe.columns import KeptColumn
from hfaef.release.card.render import write_card
from hfaef.release.check import check_folder
from hfaef.release.diff import compare
from hfaef.release.format.manifest import (
    Manifest,
    file_entry,
    manifest_bytes,
    parse_manifest,
    read_manifest,
)
from hfaef.release.format.rows import read_rows
from hfaef.release.format.schema import file_schema, row_schema
from hfaef.release.handle import open_folder
from support.kinds import KINDS, NAMES, build_kind

Change = Callable[[dict[str, Any]], dict[str, Any]]


@pytest.fixture(scope="module")
def built(kinds_world: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A release of every kind; not to be written to."""
    return {
        kind: build_kind(kind, kinds_world, tmp_path_factory.mktemp(kind)).folder for kind in KINDS
    }


@pytest.fixture
def copied(built: dict[str, Path], tmp_path: Path) -> Callable[[str], Path]:
    """Gives a release of a kind, to write to."""

    def copy(kind: str) -> Path:
        ignored = shutil.ignore_patterns(".staging")
        return Path(shutil.copytree(built[kind], tmp_path / "release", ignore=ignored))

    return copy


def list_again(folder: Path, manifest: Manifest) -> None:
    """Make the manifest and the card agree with the files."""
    files = tuple(file_entry(folder, folder / file.path, file.rows) for file in manifest.files)
    changed = manifest.model_copy(update={"files": files})
    (folder / "release.json").write_bytes(manifest_bytes(changed))
    write_card(folder, replace=True)


def change_rows(folder: Path, change: Change, kind: str = "pooled") -> str:
    """Change the rows of a training shard, and list it again; gives its path."""
    path = min((folder / kind).rglob("train*.parquet"))
    with pq.ParquetFile(path) as shard:
        table = shard.read()
    rows = [change(row) for row in table.to_pylist()]
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), path)
    list_again(folder, read_manifest(folder))
    return path.relative_to(folder).as_posix()


def with_two(change: Change) -> Change:
    """Of rows with at least two labels only."""
    return lambda row: change(row) if len(row["label"]) > 1 else row


WRONG: dict[str, tuple[str, Change, str]] = {
    "unsorted": (
        "classes",
        with_two(lambda row: {**row, "label": row["label"][::-1]}),
        "has labels that are not in their order",
    ),
    "twice": (
        "classes",
        with_two(lambda row: {**row, "label": [row["label"][0]] * 2}),
        "has a label twice",
    ),
    "nameless": (
        "classes",
        with_two(lambda row: {**row, "label": [0, 9]}),
        "has the label 9, which has no name",
    ),
    "an empty place": (
        "classes",
        with_two(lambda row: {**row, "label": [0, None]}),
        "has a label that is no number",
    ),
    "other names": (
        "classes",
        with_two(lambda row: {**row, "label_name": row["label_name"][::-1]}),
        "has a `label_name` that is not the name of its label",
    ),
    "no finite number": (
        "number",
        lambda row: {**row, "label": float("nan")},
        "has the label nan, which is no finite number",
    ),
    "an empty fold": ("number", lambda row: {**row, "fold": " "}, "has an empty fold in 'fold'"),
    "no fold": ("number", lambda row: {**row, "fold": None}, "has rows without 'fold'"),
    "no year": ("nearest", lambda row: {**row, "observed_year": None}, "has rows without"),
    "a year without embeddings": (
        "nearest",
        lambda row: {**row, "observed_year": 2016},
        "has an embedding of 2016, before the first one, 2017",
    ),
    "a year of no patch": (
        "years",
        lambda row: {**row, "year": 2020},
        "is of 2020, which is no year of the release",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_rows_that_are_not_as_the_manifest_says_are_found(
    copied: Callable[[str], Path], case: str
) -> None:
    kind, change, words = WRONG[case]
    folder = copied(kind)
    assert check_folder(folder) == []
    path = change_rows(folder, change)
    found = check_folder(folder)
    assert {finding.path for finding in found} == {path}
    assert any(words in finding.problem for finding in found)


@pytest.mark.parametrize(
    ("kind", "column", "other"),
    [
        ("class", "parcel", pa.int64()),
        ("class", "day", pa.string()),
        ("classes", "crops", pa.string()),
        ("nearest", "observed_year", pa.string()),
        ("classes", "label", pa.list_(pa.int32())),
        ("number", "label", pa.float64()),
    ],
)
@pytest.mark.parametrize("part", ["data", "pooled"])
def test_a_column_of_another_type_is_found(
    copied: Callable[[str], Path], kind: str, column: str, other: pa.DataType, part: str
) -> None:
    folder = copied(kind)
    path = min((folder / part).rglob("train*.parquet"))
    with pq.ParquetFile(path) as shard:
        table = shard.read()
    place = table.schema.get_field_index(column)
    # Lists do not become texts, so they go.
    values = pa.nulls(len(table), other) if column == "crops" else table[column].cast(other)
    pq.write_table(table.set_column(place, pa.field(column, other), values), path)
    list_again(folder, read_manifest(folder))
    found = [one.problem for one in check_folder(folder) if one.path.startswith(part)]
    assert any(one.startswith(f"has {column!r} as ") and ", not " in one for one in found)


def test_a_webdataset_whose_kept_values_are_of_another_type_is_found(
    kinds_world: Path, tmp_path: Path
) -> None:
    folder = build_kind("class", kinds_world, tmp_path / "tar", "pack.format=webdataset").folder
    assert check_folder(folder) == []
    rows = list(read_rows(folder, read_manifest(folder)))
    assert {row["day"] for row in rows} == {None, "2018-07-01"}
    manifest = read_manifest(folder)
    kept = tuple(
        KeptColumn(one.name, "date32") if one.name == "country" else one for one in manifest.kept
    )
    (folder / "release.json").write_bytes(
        manifest_bytes(manifest.model_copy(update={"kept": kept}))
    )
    write_card(folder, replace=True)
    assert any("has rows of other types" in found.problem for found in check_folder(folder))


@pytest.mark.parametrize(
    ("kind", "changes", "words"),
    [
        ("class", {"target": "colour"}, "target: Input should be 'class', 'classes' or 'number'"),
        ("class", {"target": "number"}, "the target 'number' and label_names contradict"),
        ("number", {"target": "classes"}, "the target 'classes' and label_names contradict"),
        ("number", {"target": None, "label_names": 5}, "label_names"),
        ("class", {"kept": [{"name": "a", "dtype": "decimal128(3, 1)"}]}, "kept.0.dtype"),
        ("class", {"kept": [{"name": "a", "dtype": "string\n"}]}, "kept.0.dtype"),
        ("class", {"kept": [{"name": "a\nb", "dtype": "string"}]}, "control character U+000A"),
        ("class", {"kept": [{"name": "", "dtype": "string"}]}, "'' is empty"),
        ("class", {"kept": [{"name": "label", "dtype": "string"}]}, "two columns 'label'"),
        ("class", {"kept": [{"name": "split", "dtype": "string"}]}, "two columns 'split'"),
        ("class", {"kept": [{"name": "a"}]}, "kept.0.dtype"),
        ("class", {"kept": "all"}, "kept"),
        ("number", {"folds": ["fold", "fold"]}, "two columns 'fold'"),
        ("number", {"folds": ["../x"]}, "folds.0"),
        ("class", {"nearest_years": True}, "nearest_years"),
        ("class", {"own_years": "perhaps"}, "own_years"),
    ],
)
def test_a_manifest_that_contradicts_itself_is_refused_in_one_line(
    built: dict[str, Path], kind: str, changes: dict[str, Any], words: str
) -> None:
    content = json.loads((built[kind] / "release.json").read_bytes())
    with pytest.raises(ReleaseError) as caught:
        parse_manifest(json.dumps({**content, **changes}).encode(), "release.json")
    assert words in caught.value.message
    assert "\n" not in caught.value.message
    assert len(caught.value.message) < 300


def as_of_0_1(folder: Path) -> None:
    """Make a release what hfaef 0.1 made of it: no new keys, no points, and numbers as float64."""
    content = json.loads((folder / "release.json").read_bytes())
    shutil.rmtree(folder / "atlas")
    content["files"] = [one for one in content["files"] if not one["path"].startswith("atlas/")]
    for key in ("target", "folds", "kept", "own_years", "nearest_years", "emb"):
        del content[key]
    del content["recipe"]["pack"]["label_name"]
    manifest = parse_manifest(json.dumps(content).encode(), "release.json")
    assert manifest.target is None
    for file in manifest.files:
        kind = file.path.partition("/")[0]
        if kind in ("data", "pooled"):
            schema = file_schema(kind, row_schema(manifest))
            with pq.ParquetFile(folder / file.path) as shard:
                table, more = shard.read(), dict(shard.metadata.metadata)
            del more[b"ARROW:schema"], more[b"emb"]
            told = {**more, **(schema.metadata or {})}
            held = table.select(schema.names).cast(schema).replace_schema_metadata(told)
            pq.write_table(held, folder / file.path)
    list_again(folder, manifest)
    content = json.loads((folder / "release.json").read_bytes())
    kept = {key: content[key] for key in content.keys() - {"target", "folds", "kept"}}
    kept = {key: kept[key] for key in kept.keys() - {"own_years", "nearest_years", "emb"}}
    (folder / "release.json").write_text(json.dumps(kept))


@pytest.mark.parametrize("kind", ["class", "number"])
def test_a_release_of_hfaef_0_1_still_checks_loads_and_is_compared(
    kinds_world: Path, tmp_path: Path, kind: str
) -> None:
    plain = "patches.keep=[]", "patches.folds=[]", f"patches.ignore={['fold', 'own']}"
    new = build_kind(kind, kinds_world, tmp_path / "new", *plain).folder
    old = Path(shutil.copytree(new, tmp_path / "old", ignore=shutil.ignore_patterns(".staging")))
    as_of_0_1(old)
    assert check_folder(old) == []
    assert read_manifest(old).labelling == kind
    rows = hfaef.load(old, "train")
    assert "label_name" not in rows.column_names
    if kind == "number":
        assert rows.features["label"].dtype == "float64"
    else:
        assert rows.features["label"].names == list(NAMES)
    found = compare(open_folder(old), open_folder(new))
    assert found.rows.lines() == ()
    assert found.bump.level == ("major" if kind == "number" else "minor")
    assert found.bump.reasons[0] == (
        "label is float32 instead of float64"
        if kind == "number"
        else "the column label_name is new"
    )
    # Its rows are taken into a release of today.
    after = build_kind(kind, kinds_world, tmp_path / "after", *plain, previous=old)
    assert any("18 patches are taken from" in note for note in after.notes)
    assert check_folder(after.folder) == []
