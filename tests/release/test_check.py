"""What the check must catch; most of it loads without an error, or fails far from its cause."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from build.test_pipeline import demo_recipe

import hfaef
from hfaef.build.pipeline import build
from hfaef.errors import ReleaseError
from hfaef.release.card.render import front_matter, parse_front_matter, render_card, write_card
from hfaef.release.check import check_folder
from hfaef.release.format.manifest import file_entry, make_configs, manifest_bytes, read_manifest


@pytest.fixture(scope="module")
def sound(demo_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sound") / "release"
    build(demo_recipe(demo_root), folder)
    return folder


@pytest.fixture
def release(sound: Path, tmp_path: Path) -> Path:
    shutil.copytree(sound, tmp_path / "release", ignore=shutil.ignore_patterns(".staging"))
    return tmp_path / "release"


def problems(folder: Path) -> str:
    return "\n".join(str(finding) for finding in check_folder(folder))


def first_shard(folder: Path, kind: str = "data") -> Path:
    return min(folder.glob(f"{kind}/**/*.parquet"))


def list_again(folder: Path) -> None:
    """Make the manifest and the card agree with the files, so that only their content is wrong."""
    manifest = read_manifest(folder)
    files = tuple(
        file_entry(folder, folder / file.path, pq.read_metadata(folder / file.path).num_rows)
        if file.path.endswith(".parquet")
        else file
        for file in manifest.files
    )
    configs = make_configs(files, manifest.years, manifest.schemes)
    rows = sum(file.rows for file in files if file.path.startswith("data/"))
    counts = dict.fromkeys(manifest.label_names, 0) | {manifest.label_names[0]: rows}
    changed = manifest.model_copy(
        update={"files": files, "configs": configs, "rows": rows, "rows_by_label": counts}
    )
    (folder / "release.json").write_bytes(manifest_bytes(changed))
    write_card(folder)


def rewrite(path: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    """Change the table of a shard."""
    with pq.ParquetFile(path) as shard:
        table = shard.read()
    pq.write_table(change(table), path)


def test_a_sound_release_has_no_finding(release: Path) -> None:
    assert problems(release) == ""


def test_a_changed_file_is_found(release: Path) -> None:
    path = first_shard(release)
    content = bytearray(path.read_bytes())
    content[5000] ^= 1
    path.write_bytes(content)
    assert "SHA-256 differs" in problems(release)
    path.write_bytes(content[:-1])
    assert "size differs" in problems(release)


def test_a_file_that_is_gone_is_found(release: Path) -> None:
    first_shard(release).unlink()
    assert "not there" in problems(release)


@pytest.mark.parametrize("name", ["data/extra.parquet", "notes.txt", "data/random=train/.hidden"])
def test_a_file_that_nobody_listed_is_found(release: Path, name: str) -> None:
    (release / name).write_text("?")
    assert f"{name}: is not in the manifest" in problems(release)


def test_a_link_is_found(release: Path) -> None:
    path = first_shard(release)
    moved = path.rename(release.parent / "moved.parquet")
    path.symlink_to(moved)
    assert "is a link" in problems(release)


def test_label_names_in_another_order_in_one_shard_are_found(release: Path) -> None:
    def swap(table: pa.Table) -> pa.Table:
        text = table.schema.metadata[b"huggingface"].replace(
            b'"Dune", "Forest"', b'"Forest", "Dune"'
        )
        assert text != table.schema.metadata[b"huggingface"]
        return table.replace_schema_metadata({**table.schema.metadata, b"huggingface": text})

    rewrite(first_shard(release), swap)
    list_again(release)
    assert "declares other label names" in problems(release)


def test_a_shard_that_lacks_a_column_is_found(release: Path) -> None:
    rewrite(first_shard(release), lambda table: table.drop_columns(["valid_fraction"]))
    list_again(release)
    assert "lacks the column 'valid_fraction', which would load as None" in problems(release)


def test_a_column_of_lists_in_the_place_of_sheets_is_found(release: Path) -> None:
    def widen(table: pa.Table) -> pa.Table:
        lists = pa.array([[1, 2, 3]] * len(table), pa.list_(pa.uint8()))
        return table.set_column(0, "embedding", lists)

    rewrite(first_shard(release), widen)
    list_again(release)
    assert "has 'embedding' as list<" in problems(release)


def test_bare_bytes_in_the_place_of_sheets_are_found(release: Path) -> None:
    rewrite(
        first_shard(release),
        lambda table: table.set_column(0, "embedding", pa.array([b"\0"] * len(table))),
    )
    list_again(release)
    assert "has 'embedding' as binary" in problems(release)


def test_an_extra_column_is_found(release: Path) -> None:
    rewrite(first_shard(release), lambda table: table.append_column("extra", table["year"]))
    list_again(release)
    assert "column 'extra' that the others lack" in problems(release)


def test_an_empty_shard_is_found(release: Path) -> None:
    rewrite(first_shard(release), lambda table: table.slice(0, 0))
    list_again(release)
    assert "has no row" in problems(release)


def test_an_empty_split_is_found(release: Path) -> None:
    manifest = read_manifest(release)
    configs = json.loads(manifest_bytes(manifest))["configs"]
    configs[0]["splits"].append(
        {"name": "test", "glob": "data/random=none/*.parquet", "rows": 0, "bytes": 0}
    )
    content = json.loads((release / "release.json").read_text()) | {"configs": configs}
    (release / "release.json").write_text(json.dumps(content))
    write_card(release)
    assert "is empty, which makes the whole release fail to load" in problems(release)


def test_the_same_patch_twice_is_found(release: Path) -> None:
    rewrite(first_shard(release), lambda table: pa.concat_tables([table, table.slice(0, 1)]))
    list_again(release)
    assert "occurs 2 times" in problems(release)


def test_a_row_in_the_wrong_folder_is_found(release: Path) -> None:
    def move(table: pa.Table) -> pa.Table:
        column = table.column_names.index("random")
        values = pa.array(["validation"] * len(table)).dictionary_encode()
        return table.set_column(column, table.schema.field(column), values)

    rewrite(first_shard(release), move)
    list_again(release)
    assert "is in random=validation, but lies elsewhere" in problems(release)


def test_a_label_without_a_name_is_found(release: Path) -> None:
    def relabel(table: pa.Table) -> pa.Table:
        column = table.column_names.index("label")
        return table.set_column(column, table.schema.field(column), pa.array([99] * len(table)))

    rewrite(first_shard(release), relabel)
    list_again(release)
    assert "has the label 99, which has no name" in problems(release)


def test_a_sheet_that_is_none_is_found(release: Path) -> None:
    def spoil(table: pa.Table) -> pa.Table:
        sheets = [{"bytes": b"no picture", "path": "x.png"}] * len(table)
        return table.set_column(
            0, table.schema.field(0), pa.array(sheets, table.schema.field(0).type)
        )

    rewrite(first_shard(release), spoil)
    list_again(release)
    assert "not a sheet" in problems(release)


def test_a_shard_that_is_no_parquet_is_found(release: Path) -> None:
    path = first_shard(release)
    path.write_bytes(b"PAR1")
    manifest = read_manifest(release)
    files = tuple(file_entry(release, release / file.path, file.rows) for file in manifest.files)
    changed = manifest.model_copy(update={"files": files})
    (release / "release.json").write_bytes(manifest_bytes(changed))
    assert "no readable Parquet" in problems(release)


@pytest.mark.parametrize("text", ["no yaml", "---\n: [\n---\n", "---\n- a\n---\n", ""])
def test_a_card_without_yaml_is_found(release: Path, text: str) -> None:
    (release / "README.md").write_text(text)
    assert "README.md" in problems(release)
    write_card(release, replace=True)
    assert problems(release) == ""


def test_a_stale_card_is_found(release: Path) -> None:
    content = parse_front_matter((release / "README.md").read_text())
    content["configs"] = content["configs"][:1]
    (release / "README.md").write_text(f"---\n{yaml.safe_dump(content)}---\n\nbody\n")
    assert "`configs` is not what the manifest says" in problems(release)


@pytest.mark.parametrize(
    "name", ["Before --- after", "ends in ---", "---", "a\n---\nb", f"{'long ' * 19}--- {'x' * 99}"]
)
def test_dashes_in_the_cards_own_values_are_no_finding(release: Path, name: str) -> None:
    content = json.loads((release / "release.json").read_text())
    content["recipe"]["card"]["pretty_name"] = name
    (release / "release.json").write_text(json.dumps(content))
    write_card(release)
    card = (release / "README.md").read_text(encoding="utf-8")
    assert parse_front_matter(card)["pretty_name"] == name
    assert problems(release) == ""


@pytest.mark.parametrize(
    ("name", "other", "word"),
    [
        ("", "x", "the label '', which is empty"),
        (" ", "x", "the label ' ', which is empty"),
        ("b'W\\xe4ld'", "x", "which is Python's writing of bytes"),
        ('b"it\'s"', "x", "which is Python's writing of bytes"),
        ("a\u200bb", "x", "holds the control character U+200B"),
        ("Annual Crop", "AnnualCrop", "'Annual Crop' and 'AnnualCrop', which differ only in"),
        ("Dune ", "Dune", "differ only in spaces, case or Unicode form"),
        ("dune", "Dune", "differ only in spaces, case or Unicode form"),
        ("W\u00e4ld", "Wa\u0308ld", "differ only in spaces, case or Unicode form"),
    ],
)
def test_names_of_labels_that_nobody_should_see_are_found(
    release: Path, name: str, other: str, word: str
) -> None:
    content = json.loads((release / "release.json").read_text())
    content["label_names"][:2] = [name, other]
    (release / "release.json").write_text(json.dumps(content))
    assert "release.json: has the label" in problems(release)
    assert word in problems(release)


@pytest.mark.parametrize("name", ["b", "b'", "bush's", "Forest b'x'", "nan", "None", "001"])
def test_other_names_of_labels_are_no_finding(release: Path, name: str) -> None:
    content = json.loads((release / "release.json").read_text())
    content["label_names"][0] = name
    (release / "release.json").write_text(json.dumps(content))
    assert "has the label" not in problems(release)


def test_text_that_people_add_to_the_card_is_no_finding(release: Path) -> None:
    with (release / "README.md").open("a") as file:
        file.write("\nThanks to all.\n")
    assert problems(release) == ""


def test_a_folder_without_manifest_is_no_release(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match="no finished release"):
        check_folder(tmp_path)


def test_the_cards_yaml_is_what_the_hub_reads(release: Path) -> None:
    from huggingface_hub import DatasetCard

    card = DatasetCard.load(release / "README.md")
    expected = front_matter(read_manifest(release))
    assert card.data.to_dict() == expected
    assert {"geospatial", "earth-observation", "embeddings", "alphaearth"} <= set(card.data.tags)
    assert card.data.size_categories == ["n<1K"]


def test_writing_the_card_twice_gives_the_same_bytes(release: Path) -> None:
    before = (release / "README.md").read_bytes()
    assert write_card(release).read_bytes() == before


def test_a_label_that_is_markup_does_not_break_the_card(release: Path) -> None:
    content = json.loads((release / "release.json").read_text())
    text = json.dumps(content).replace("Dune", "a | b <script>")
    (release / "release.json").write_text(text)
    card = render_card(read_manifest(release))
    assert "a \\| b &lt;script>" in card
    assert yaml.safe_load(card.split("---\n")[1])


def test_a_release_is_checked_from_inside_its_folder(
    release: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(release)
    assert check_folder(Path()) == []
    assert hfaef.load(".", "test").num_rows


@pytest.mark.parametrize("license_", [["mit"], None])
def test_a_licence_that_is_no_text_is_that_of_no_manifest(release: Path, license_: object) -> None:
    content = json.loads((release / "release.json").read_text())
    content["recipe"]["card"]["license"] = license_
    (release / "release.json").write_text(json.dumps(content))
    for look in (check_folder, write_card):
        with pytest.raises(ReleaseError, match=r"is no manifest: recipe: .* license: Input should"):
            look(release)


def test_a_licence_that_the_hub_does_not_know_is_found(release: Path) -> None:
    content = json.loads((release / "release.json").read_text())
    content["recipe"]["card"]["license"] = "my-own-1.0"
    (release / "release.json").write_text(json.dumps(content))
    assert "is no licence that the Hub knows" in problems(release)
    before = (release / "README.md").read_bytes()
    with pytest.raises(ReleaseError, match="is no licence that the Hub knows") as caught:
        write_card(release, replace=True)
    assert "card.license" in caught.value.hint
    assert (release / "README.md").read_bytes() == before
