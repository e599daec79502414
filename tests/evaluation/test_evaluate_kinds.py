"""What `hfaef eval` makes of labels, years and splits that are not one class and three splits."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hfaef.cli.main import run
from hfaef.cli.terminal.output import Output
from hfaef.evaluation.evaluate import Settings, evaluate
from hfaef.release.check import check_folder
from hfaef.release.format.manifest import read_manifest
from hfaef.release.format.rows import read_rows
from hfaef.release.format.scores import read_evaluation
from support.kinds import build_kind

pytest.importorskip("sklearn", reason="the extra `eval` is not installed")


@pytest.mark.parametrize(
    ("kind", "changes", "primary", "names"),
    [
        ("classes", (), "micro_ap", ("micro_ap", "macro_ap", "micro_f1")),
        ("number", ("patches.make_splits.random.seed=1",), "r2", ("r2", "rmse", "mae")),
        ("number", (), "r2", ("r2", "rmse", "mae")),
    ],
)
def test_labels_of_every_kind_are_scored(
    kinds_world: Path,
    tmp_path: Path,
    kind: str,
    changes: tuple[str, ...],
    primary: str,
    names: tuple[str, ...],
) -> None:
    folder = build_kind(kind, kinds_world, tmp_path, *changes).folder
    found = evaluate(str(folder), Settings(poolings=("mean", "std"))).evaluation
    assert found == read_evaluation(folder)
    assert (found.target, found.primary) == (kind, primary)
    manifest = read_manifest(folder)
    for scheme, probe in product((*manifest.schemes, *manifest.folds), ("knn", "linear")):
        score = found.score("mean", scheme, manifest.config_years[0], probe)
        assert score is not None, [one.reason for one in found.skipped]
        assert tuple(score.metrics) == names
        assert (score.fit == "folds") == (scheme in manifest.folds)
        assert score.confusion == ()
    pairs = {(one.a, one.b, one.metric, one.p_value) for one in found.differences}
    assert pairs == {("mean", "std", primary, None)}
    assert check_folder(folder) == []
    assert "Not evaluated yet" not in (folder / "README.md").read_text()
    first = (folder / "evaluation.json").read_bytes()
    assert b"NaN" not in first
    evaluate(str(folder), Settings(poolings=("mean", "std")))
    assert (folder / "evaluation.json").read_bytes() == first


def test_own_years_are_scored_together(
    kinds_world: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = build_kind("years", kinds_world, tmp_path).folder
    words = ["hfaef", "eval", str(folder), "--pooling", "mean", "--probe", "knn"]
    monkeypatch.setattr("sys.argv", words)
    assert run(Output()) == 0
    printed = capsys.readouterr().out
    assert " all " in printed
    assert "None" not in printed
    found = read_evaluation(folder)
    assert found is not None
    assert {score.year for score in found.scores} == {None}
    assert {(score.train, score.test) for score in found.scores} == {(6, 3), (9, 3)}
    assert {score.fit for score in found.scores if score.train == 9} == {"train+validation"}
    assert check_folder(folder) == []
    card = (folder / "README.md").read_text()
    assert "Not evaluated yet" not in card
    assert "None" not in card.split("## Evaluation")[1].split("## How it was made")[0]
    # A table of vectors tells the years apart, and its scores join those that are there.
    rows = list(read_rows(folder, read_manifest(folder), columns=["id", "year"]))
    vectors = np.random.default_rng(0).normal(size=(len(rows), 4)).astype(np.float32)
    table = pa.Table.from_pylist(rows).append_column("vector", pa.array(list(vectors)))
    pq.write_table(table, tmp_path / "mine.parquet")
    merged = evaluate(
        str(folder),
        Settings(
            poolings=("mean",), probes=("knn",), features=(f"mine={tmp_path / 'mine.parquet'}",)
        ),
    )
    assert {score.features for score in merged.evaluation.scores} == {"mean", "mine"}
    assert any("measured again and replaced: mean, split, all years" in n for n in merged.notes)
    content = json.loads((folder / "evaluation.json").read_bytes())
    assert content["scores"][0]["year"] is None


def test_unassigned_patches_neither_train_nor_test(kinds_world: Path, tmp_path: Path) -> None:
    cells = {("split", name): None for name in ("p00", "p03")}
    folder = build_kind(
        "class", kinds_world, tmp_path, "patches.unassigned=keep", cells=cells
    ).folder
    splits = {part.name: part.rows for part in read_manifest(folder).configs[0].splits}
    assert splits == {"train": 9, "validation": 4, "test": 3, "unassigned": 2}
    settings = Settings(poolings=("mean",), probes=("knn",), protocol="published")
    found = evaluate(str(folder), settings).evaluation
    assert {(score.train, score.test) for score in found.scores} == {(9, 3)}
