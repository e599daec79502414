"""Every kind of label, year and split, published: what plain `datasets` and hfaef load from there."""

from __future__ import annotations

from pathlib import Path

import pytest
from hub.test_formats import RUN
from release.card.test_render import blocks

from hfaef.build.pipeline import build
from hfaef.release.format.manifest import read_manifest
from hfaef.release.handle import open_folder
from servers.hub import Hub
from servers.hub.fixtures import OTHER, Client
from support.kinds import (
    KINDS,
    NAMES,
    POINTS,
    build_kind,
    labels_of,
    recipe_of,
    year_of,
)
from support.pushes import NAME, finish, is_whole, push
from support.releases import fresh_copy

FORMS = {"parquet": (), "webdataset": ("pack.format=webdataset",)}

LOAD = """
import datasets, hfaef
datasets.disable_progress_bars()
name, forms = arguments
answer = []
for streaming in (False, True):
    loaded = datasets.load_dataset(name, revision="v1.0.0", streaming=streaming)
    plain = {}
    for split, rows in loaded.items():
        kinds = rows.features
        for row in rows:
            row = {**row, **row.get("json", {})}
            plain[row["id"]] = [split, row.get("cls", row.get("label"))]
    ours = {
        row["id"]: [split, row["label"], list(row["embedding"].shape), row["year"],
                    row.get("observed_year"), row.get("country")]
        for split, rows in hfaef.load(name, version="1.0.0", streaming=streaming).items()
        for row in rows
    }
    chosen = hfaef.load(name, "train", streaming=streaming, columns=["id", "label"])
    answer.append([str(kinds), plain, ours, sorted(next(iter(chosen)))])
"""
"""What `datasets` alone and hfaef load of a published version, at once and as a stream."""


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_published_release_of_each_kind_loads(
    hub: Hub, client: Client, kinds_world: Path, tmp_path: Path, kind: str, form: str
) -> None:
    folder = build_kind(kind, kinds_world, tmp_path, *FORMS[form]).folder
    result = push(client, folder)
    assert (result["exit"], result["version"]) == (0, "1.0.0"), result
    is_whole(hub, folder, "1.0.0")
    checked = finish(client.hfaef("check", f"{NAME}@1.0.0", "--json", token=OTHER))
    assert (checked["exit"], checked["findings"]) == (0, [])
    splits = {part.name: part.rows for part in read_manifest(folder).configs[0].splits}
    for types, plain, ours, chosen in client.run(LOAD, NAME, form, token=OTHER):
        assert len(plain) == len(ours) == read_manifest(folder).rows
        assert chosen == ["id", "label"]
        words = {"number": "Value('float32')", "classes": "List(ClassLabel"}
        assert words.get(kind, "ClassLabel(names=['Dry', 'Green', 'Wet'])") in types
        counts = {name: sum(row[0] == name for row in plain.values()) for name in splits}
        assert counts == splits
        for identity, (split, label, shape, year, observed, country) in ours.items():
            row = int(identity[1:])
            assert plain[identity] == [split, label]
            assert shape == [64, 8, 8]
            held = labels_of(kind, row)
            if kind == "number":
                assert label == pytest.approx(held, rel=1e-6)
            elif kind == "classes":
                assert label == sorted(map(NAMES.index, held))
            else:
                assert NAMES[label] == held
            if kind in ("years", "nearest"):
                assert year == year_of(row)
            assert observed == (
                {2017: 2018, 2021: 2018}.get(year, year) if kind == "nearest" else None
            )
            assert country == ("DE" if row and kind in ("class", "classes", "years") else None)


@pytest.mark.slow
def test_a_changed_list_of_labels_sends_what_a_relabel_sends(
    hub: Hub, client: Client, kinds_world: Path, tmp_path: Path
) -> None:
    sent = {}
    for kind, label in (("class", "Green"), ("classes", ["Wet", "Dry"])):
        name = f"ada/{kind}"
        before = build_kind(kind, kinds_world, tmp_path / kind).folder
        folder = fresh_copy(before, tmp_path / f"{kind}-first")
        assert finish(client.hfaef("push", folder, name, "--json"))["exit"] == 0
        hub.forget()
        cells = {("label", "p06"): label}
        recipe = recipe_of(kind, kinds_world, tmp_path / f"{kind}.parquet", cells=cells)
        (tmp_path / f"{kind}-next").mkdir()
        after = build(recipe, tmp_path / f"{kind}-next/release", previous=open_folder(folder))
        assert any(f"{POINTS} patches are taken from" in note for note in after.notes)
        result = finish(client.hfaef("push", after.folder, name, "--json"))
        assert (result["exit"], result["version"]) == (0, "1.1.0"), result
        files = hub.calls("put") + hub.calls("part")
        sent[kind] = (len(files), sum(seen.received for seen in files))
        hub.forget()
    # A row's list takes a few bytes more than its number, and so do the columns of its shard.
    assert sent["classes"][0] == sent["class"][0]
    assert abs(sent["classes"][1] - sent["class"][1]) < 0.1 * sent["class"][1]


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", KINDS)
def test_code_of_the_card_of_each_kind_runs_as_it_stands(
    client: Client, kinds_world: Path, tmp_path: Path, kind: str, form: str
) -> None:
    pytest.importorskip("torch", reason="the extra `torchgeo` brings torch")
    built = build_kind(kind, kinds_world, tmp_path, *FORMS[form])
    folder = fresh_copy(built.folder, tmp_path / built.manifest.name)
    found = blocks((folder / "README.md").read_text(encoding="utf-8"), "python")
    from_its_folder = f"import os; os.chdir({str(tmp_path)!r})\n"
    assert client.run(from_its_folder + RUN, found) == len(found) >= 6
