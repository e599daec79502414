"""A manifest whose labels are not those of the shards is not made into a card, figures or scores."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hfaef.cli.release import check
from hfaef.errors import ReleaseError
from hfaef.evaluation.evaluate import Settings, evaluate
from hfaef.release.card.additions import write_figures
from hfaef.release.card.render import copy_card, write_card
from hfaef.release.format.manifest import Manifest, read_manifest
from hfaef.release.handle import open_folder
from hfaef.release.label_names import learning_gaps, require_label_names
from support.kinds import KINDS, build_kind
from support.releases import contents


def rename(folder: Path, old: str, new: str | None) -> None:
    """Rename a class in the manifest alone, or take it out."""
    path = folder / "release.json"
    content = json.loads(path.read_text("utf-8"))
    names, rows = content["label_names"], content["rows_by_label"]
    content["label_names"] = [new if name == old else name for name in names if new or name != old]
    if new:
        rows[new] = rows[old]
    del rows[old]
    path.write_text(json.dumps(content), "utf-8")


USES = {
    "card": write_card,
    "card --out": lambda folder: copy_card(open_folder(folder), folder.parent / "card.md"),
    "show": write_figures,
    "show --out": lambda folder: write_figures(folder, folder.parent / "figures.png"),
    "eval": lambda folder: evaluate(str(folder), Settings(["mean"], probes=["knn"])),
    "eval --out": lambda folder: evaluate(str(folder), out=folder.parent / "scores.json"),
}


@pytest.mark.parametrize("use", USES)
def test_a_class_that_was_renamed_by_hand_stops_in_one_line(own_smallest: Path, use: str) -> None:
    if use.startswith("eval"):
        pytest.importorskip("sklearn")
    rename(own_smallest, "Dune", "Dunes")
    before = contents(own_smallest)
    beside = set(own_smallest.parent.iterdir())
    with pytest.raises(
        ReleaseError, match=r"'Dunes' in its release\.json, and 'Dune' in pooled/"
    ) as caught:
        USES[use](own_smallest)
    assert caught.value.hint == f"hfaef check {own_smallest}"
    assert contents(own_smallest) == before
    assert set(own_smallest.parent.iterdir()) == beside


@pytest.mark.parametrize(
    ("kind", "form"),
    [*((kind, "parquet") for kind in KINDS), ("class", "webdataset"), ("classes", "webdataset")],
)
def test_releases_of_every_kind_pass_until_a_name_changes(
    kinds_world: Path, tmp_path: Path, kind: str, form: str
) -> None:
    folder = build_kind(kind, kinds_world, tmp_path / "made", f"pack.format={form}").folder
    require_label_names(open_folder(folder))
    names = open_folder(folder).manifest.label_names
    if names:
        rename(folder, names[-1], None)
        with pytest.raises(ReleaseError, match=rf"is not there in its release.*{names[-1]!r} in "):
            require_label_names(open_folder(folder))


@pytest.mark.parametrize("content", [None, b"", b"PAR1 and no more PAR1"])
def test_shards_that_cannot_be_read_are_left_to_the_check(
    own_smallest: Path, content: bytes | None
) -> None:
    for path in own_smallest.rglob("*.parquet"):
        path.unlink()
        if content is not None:
            path.write_bytes(content)
    require_label_names(open_folder(own_smallest))


def test_check_names_labels_without_a_row_and_stays_content(smallest: Path) -> None:
    report = check(str(smallest))
    assert report.exit_code == 0
    assert report.notes == ("4 labels have no row: 'Heath', 'Meadow', 'Rock', 'Town'",)


def without(manifest: Manifest, split: str) -> Manifest:
    configs = tuple(
        config.model_copy(update={"splits": tuple(s for s in config.splits if s.name != split)})
        for config in manifest.configs
    )
    return manifest.model_copy(update={"configs": configs})


def test_a_release_without_a_train_split_is_named(smallest: Path) -> None:
    said = [*learning_gaps(without(read_manifest(smallest), "train"))]
    words = "has no split train, which probes are fit to, but validation, test"
    assert said[1:] == [f"the config 'random' {words}"]
    assert len([*learning_gaps(without(read_manifest(smallest), "test"))]) == 1


def test_a_release_of_one_label_is_named(smallest: Path) -> None:
    manifest = read_manifest(smallest)
    rows = dict.fromkeys(manifest.label_names, 0) | {"Rock": manifest.rows}
    said = [*learning_gaps(manifest.model_copy(update={"rows_by_label": rows}))]
    assert said[0].startswith("5 labels have no row: 'Dune', 'Forest'")
    assert said[1:] == ["all rows have the label 'Rock': scores of one label tell nothing"]
    numbers = manifest.model_copy(update={"label_names": (), "rows_by_label": {}})
    assert [*learning_gaps(numbers)] == []
