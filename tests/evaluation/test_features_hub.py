"""Vectors of another release, or of a repository on the Hub, at a revision that is told."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from evaluation.test_features_geotiffs import Place, tiff

from hfaef.errors import InputError, ReleaseError
from hfaef.evaluation.evaluate import Settings, evaluate
from hfaef.evaluation.features import read_features
from hfaef.evaluation.rows import Rows
from hfaef.evaluation.vectors import read_rows
from hfaef.release.format.manifest import content_sha256, read_manifest
from servers.hub import Hub
from servers.hub.fixtures import OTHER, Client
from support.pushes import finish, publish
from support.releases import fresh_copy

NAME = "ada/vectors"


@pytest.fixture(scope="module")
def rows(demo_release: Path) -> Rows:
    return read_rows(demo_release, read_manifest(demo_release))


def parquet(rows: Rows, part: slice = slice(None), seed: int = 0) -> bytes:
    """A table of noise, the same for the same seed."""
    noise = np.random.default_rng(seed).normal(size=(len(rows.ids), 3)).astype(np.float32)
    file = io.BytesIO()
    pq.write_table(pa.table({"id": rows.ids[part], "vector": list(noise[part])}), file)
    return file.getvalue()


READ = """
from pathlib import Path
import hashlib
from hfaef.errors import HfaefError
from hfaef.evaluation.features import read_features
from hfaef.evaluation.vectors import read_rows
from hfaef.release.format.manifest import read_manifest
folder, texts = arguments
rows = read_rows(Path(folder), read_manifest(Path(folder)))
answer = []
for text in texts:
    try:
        found = read_features(text, rows)
    except HfaefError as error:
        answer.append([type(error).__name__, error.message, error.hint])
        continue
    digest = hashlib.sha256(found.vectors.array.tobytes()).hexdigest()
    answer.append([found.made_of, digest, list(found.notes)])
"""


def content(folder: Path) -> str:
    """What scores call a release's vectors."""
    manifest = read_manifest(folder)
    return f"{manifest.name}, content {content_sha256(manifest)[:12]}"


def digest(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def pooled(folder: Path, *columns: str) -> np.ndarray:
    """Columns of the pooled tables, in the order of the data's rows."""
    table = pa.concat_tables(
        pq.read_table(folder / file.path, partitioning=None)
        for file in read_manifest(folder).files
        if file.path.startswith("pooled/")
    )
    found = {row["id"]: row for row in table.to_pylist()}
    ids = read_rows(folder, read_manifest(folder)).ids
    vectors = [np.concatenate([found[one][name] for name in columns]) for one in ids]
    return np.asarray(vectors, np.float32)


@pytest.mark.parametrize(
    ("options", "columns"),
    [
        ("", ("mean",)),
        (",pooling=std", ("std",)),
        (",pooling=stats", ("min", "max", "mean", "std")),
    ],
)
def test_the_pooled_vectors_of_a_release_in_a_folder_are_read(
    demo_release: Path, rows: Rows, options: str, columns: tuple[str, ...]
) -> None:
    found = read_features(f"other={demo_release}{options}", rows)
    np.testing.assert_array_equal(found.vectors.array, pooled(demo_release, *columns))
    assert found.made_of.endswith(f" of the embeddings of {content(demo_release)}")
    assert found.notes[-1] == "other: its labels are the release's labels of all 40 patches"


def test_a_release_of_another_year_is_joined_by_id_and_said(demo_release: Path, rows: Rows) -> None:
    later = Rows(rows.ids, rows.labels, rows.years + 6, rows.splits, rows.label_names)
    found = read_features(f"other={demo_release}", later)
    np.testing.assert_array_equal(found.vectors.array, pooled(demo_release, "mean"))
    assert "other: its vectors are of 2018, a year that this release has no rows of" in found.notes
    both = Rows(
        rows.ids * 2,
        np.concatenate([rows.labels] * 2),
        np.concatenate([rows.years, later.years]),
        {},
        rows.label_names,
    )
    found = read_features(f"other={demo_release}", both)
    assert found.lacking == set(range(40, 80))


def test_labels_of_another_release_are_compared_by_name(demo_release: Path, rows: Rows) -> None:
    names = tuple(reversed(rows.label_names))
    same = Rows(rows.ids, len(names) - 1 - rows.labels, rows.years, rows.splits, names)
    notes = read_features(f"other={demo_release}", same).notes
    assert notes[-1] == "other: its labels are the release's labels of all 40 patches"


def test_a_release_that_is_not_what_its_manifest_says_is_not_read(
    own_release: Path, rows: Rows
) -> None:
    path = next(iter(sorted(own_release.glob("pooled/**/*.parquet"))))
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(ReleaseError, match="its SHA-256 differs"):
        read_features(f"other={own_release}", rows)


def test_a_pooling_that_a_release_does_not_hold_is_refused(demo_release: Path, rows: Rows) -> None:
    with pytest.raises(InputError, match="holds no vectors pooled as 'gem'"):
        read_features(f"other={demo_release},pooling=gem", rows)


def test_two_releases_are_compared_on_the_same_patches(
    own_release: Path, demo_release: Path
) -> None:
    pytest.importorskip("sklearn", reason="the extra `eval` is not installed")
    asked = Settings(features=[f"other={demo_release}"], probes=["knn"], quick=True)
    evaluation = evaluate(str(own_release), asked).evaluation
    by_name = {one.name: one for one in evaluation.features}
    assert by_name["other"].made_of == f"the mean of the embeddings of {content(demo_release)}"
    (difference,) = [one for one in evaluation.differences if one.scheme == "random"]
    assert difference.difference.value == difference.only_a == difference.only_b == 0


def test_a_repository_holds_tables_at_any_revision(
    hub: Hub, client: Client, demo_release: Path, rows: Rows
) -> None:
    repo = hub.create(NAME)
    first = hub.put(NAME, {"README.md": b"x", "data/all.parquet": parquet(rows)})
    repo.tag("v1.0.0", first.oid, "first", "ada")
    halves = {
        "data/train-0.parquet": parquet(rows, slice(0, 20), seed=1),
        "data/train-1.parquet": parquet(rows, slice(20, None), seed=1),
        "data/all.parquet": None,
    }
    second = hub.put(NAME, halves)
    texts = [f"mine={NAME}{end}" for end in ("", "@v1.0.0", "@1.0.0", "@main", f"@{first.oid}")]
    newest, tag, version, main, commit = client.run(READ, demo_release, texts, token=OTHER)
    old, new = (pq.read_table(io.BytesIO(parquet(rows, seed=seed))) for seed in (0, 1))
    old, new = (np.array(one["vector"].to_pylist(), np.float32) for one in (old, new))
    for found in (newest, tag, version, commit):
        assert found[0] == f"the column 'vector' of {NAME} at {first.oid[:12]}"
        assert found[1] == digest(old)
    assert main[:2] == [f"the column 'vector' of {NAME} at {second.oid[:12]}", digest(new)]
    assert newest[2][0] == (f"mine: {newest[0]} of {NAME}@v1.0.0, 3 numbers a patch")


def test_a_release_on_the_hub_gives_its_pooled_means(
    hub: Hub, client: Client, demo_release: Path, tmp_path: Path
) -> None:
    folder = fresh_copy(demo_release, tmp_path / "release")
    publish(hub, folder, name=NAME)
    texts = [f"other={NAME}{end}" for end in ("", "@1.0.0", "@v1.0.0", "@main", "@2.0.0")]
    *found, lost = client.run(READ, demo_release, texts, token=OTHER)
    for one in found:
        assert one[:2] == [
            f"the mean of the embeddings of {content(demo_release)}",
            digest(pooled(demo_release, "mean")),
        ]
    assert lost[0] == "HubError"


def test_other_files_of_a_repository_are_read_by_name(
    hub: Hub, client: Client, demo_release: Path, rows: Rows, tmp_path: Path
) -> None:
    arrays = {
        one: np.random.default_rng(number).normal(size=(2, 3, 3))
        for number, one in enumerate(rows.ids)
    }
    files = {f"a/{one}.tif": tiff(array) for one, array in arrays.items()}
    archive = Place(tmp_path, "tar.gz").write(files)
    hub.create(NAME)
    hub.put(NAME, {"a/patches.tar.gz": archive.read_bytes(), "notes.txt": b"x"})
    texts = [
        f"mine={NAME},file=a/patches.tar.gz,pooling=std",
        f"mine={NAME}",
        f"mine={NAME},file=lost.npz",
        f"mine={NAME},file=notes.txt",
        "mine=ada/nothing",
        f"mine={NAME}@nothing",
    ]
    answer = client.run(READ, demo_release, texts, token=OTHER)
    expected = [array.reshape(2, -1).std(axis=1) for array in arrays.values()]
    assert answer[0][1] == digest(np.array(expected, np.float32))
    assert answer[0][0].startswith(f"the std of 2 bands over valid pixels of {NAME} at ")
    kinds, messages, hints = zip(*answer[1:], strict=True)
    assert kinds == ("InputError", "InputError", "InputError", "HubError", "HubError")
    assert "holds no release of hfaef and no Parquet, but " in messages[0]
    assert "a/patches.tar.gz" in messages[0]
    assert f"--features mine={NAME},file=PATH" in hints[0]
    assert "holds no file lost.npz" in messages[1]
    assert "is of no kind that is read" in messages[2]
    assert messages[3].startswith("there is no file or folder ada/nothing, and ")


def test_eval_compares_a_release_with_a_repository(
    hub: Hub, client: Client, own_release: Path, rows: Rows
) -> None:
    pytest.importorskip("sklearn", reason="the extra `eval` is not installed")
    hub.create(NAME)
    commit = hub.put(NAME, {"vectors.parquet": parquet(rows)})
    asked = ("--features", f"mine={NAME}", "--quick", "--probe", "knn", "--json")
    found = finish(client.hfaef("eval", own_release, *asked, token=OTHER))
    assert found["exit"] == 0, found
    written = json.loads((own_release / "evaluation.json").read_text())
    (mine,) = [one for one in written["features"] if one["name"] == "mine"]
    assert mine["made_of"] == f"the column 'vector' of {NAME} at {commit.oid[:12]}"
    assert "differences" in written
