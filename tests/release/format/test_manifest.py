from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfaef.errors import ReleaseError
from hfaef.release.format.manifest import File, make_configs, read_manifest
from hfaef.release.format.paths import config_names, matches, partition_folder, shard_name

SHA = "0" * 64


def names(years: list[int], schemes: list[str]) -> list[str]:
    return [name for name, *_ in config_names(years, schemes)]


@pytest.mark.parametrize(
    ("years", "schemes", "expected"),
    [
        ([2018], [], ["default", "pooled"]),
        ([2018], ["split"], ["default", "pooled"]),
        ([2018], ["spatial"], ["spatial", "pooled"]),
        ([2018], ["random", "spatial"], ["random", "spatial", "pooled", "pooled_spatial"]),
        ([2018, 2024], ["spatial"], ["2018", "2024", "pooled", "pooled_2024"]),
        (
            [2018, 2024],
            ["a", "b"],
            [
                "a_2018",
                "b_2018",
                "a_2024",
                "b_2024",
                "pooled",
                "pooled_b_2018",
                "pooled_a_2024",
                "pooled_b_2024",
            ],
        ),
    ],
)
def test_config_names(years: list[int], schemes: list[str], expected: list[str]) -> None:
    assert names(years, schemes) == expected


def test_one_scheme_has_the_hubs_usual_names() -> None:
    assert partition_folder("data", 2018, {"spatial": "test"}, [2018], ["spatial"]) == "data"
    assert shard_name("test", 0, 3, folders=False) == "test-00000-of-00003.parquet"


def test_several_schemes_share_files_in_folders() -> None:
    folder = partition_folder(
        "data", 2018, {"random": "train", "spatial": "test"}, [2018], ["random", "spatial"]
    )
    assert folder == "data/random=train/spatial=test"


@given(
    st.lists(st.sampled_from([2018, 2019, 2024]), min_size=1, unique=True),
    st.lists(st.sampled_from(["random", "spatial", "region"]), unique=True),
    st.lists(st.tuples(*[st.sampled_from(["train", "validation", "test"])] * 3), min_size=1),
)
def test_every_config_holds_every_row_of_its_year_once(years, schemes, rows) -> None:
    files = []
    for number, row in enumerate(rows):
        splits = dict(zip(schemes, row, strict=False))
        for year in years:
            for kind in ("data", "pooled"):
                folder = partition_folder(kind, year, splits, years, schemes)
                split = splits[schemes[0]] if schemes else "train"
                # A number of its own keeps rows of one partition in files of their own.
                name = (
                    f"{split}-{number:05d}-of-99999.parquet"
                    if folder == kind
                    else f"{number:05d}.parquet"
                )
                files.append(File(path=f"{folder}/{name}", bytes=1, sha256=SHA, rows=1))
    for config in make_configs(files, years, schemes):
        assert sum(split.rows for split in config.splits) == len(rows)
        assert all(split.rows for split in config.splits)
        for split in config.splits:
            held = [file for file in files if matches(file.path, split.glob)]
            assert len(held) == split.rows


@pytest.mark.parametrize(
    "path", ["../x.parquet", "/etc/passwd", "data/../x.parquet", "data//x.parquet", "a\\b.parquet"]
)
def test_a_manifest_cannot_name_a_file_outside_its_folder(path: str) -> None:
    with pytest.raises(ValueError, match="path"):
        File(path=path, bytes=1, sha256=SHA, rows=1)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda found: found["preview"].update(gamma=2), r"preview.gamma: Unexpected"),
        (lambda found: found["preview"].pop("low"), r"preview.low: Field required"),
        (lambda found: found["preview"].update(low="dark"), r"preview.low: Input should be"),
    ],
)
def test_what_a_preview_basis_does_not_know_is_refused(
    own_release: Path, change: Callable[[dict[str, Any]], object], words: str
) -> None:
    content = json.loads((own_release / "release.json").read_text())
    change(content)
    (own_release / "release.json").write_text(json.dumps(content))
    with pytest.raises(ReleaseError, match=words):
        read_manifest(own_release)


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (None, "no finished release"),
        ("{", "not JSON"),
        ("[]", "no manifest"),
        ("{}", "no manifest"),
        (json.dumps({"format": 99}), "newer than this hfaef"),
    ],
)
def test_what_is_no_manifest_is_refused(tmp_path: Path, content: str | None, word: str) -> None:
    if content is not None:
        (tmp_path / "release.json").write_text(content)
    with pytest.raises(ReleaseError, match=word):
        read_manifest(tmp_path)
