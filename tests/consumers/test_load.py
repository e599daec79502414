"""What consumers may ask of `hfaef.load`, from every form of a release."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from build.test_pipeline import demo_recipe

import hfaef
from hfaef.build.pipeline import build
from hfaef.core.codec import decode_row, encode_raw
from hfaef.errors import InputError, ReleaseError, upgrade_command
from hfaef.release.check import check_folder

FORMS = {"png": (), "raw": ("pack.codec=raw",), "webdataset": ("pack.format=webdataset",)}


@pytest.fixture(scope="module")
def sheets(demo_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(demo_recipe(demo_root), tmp_path_factory.mktemp("sheets") / "release").folder


@pytest.fixture(scope="module", params=list(FORMS))
def release(request, demo_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(request.param) / "release"
    return build(demo_recipe(demo_root, *FORMS[request.param]), folder).folder


def test_every_form_passes_the_check(release: Path) -> None:
    assert check_folder(release) == []


@pytest.mark.parametrize("streaming", [False, True])
def test_every_form_gives_the_same_rows(release: Path, sheets: Path, streaming: bool) -> None:
    expected = {row["id"]: row for row in hfaef.load(sheets, "test", "spatial")}
    found = list(hfaef.load(release, "test", "spatial", streaming=streaming))
    assert len(found) == len(expected) > 0
    for row in found:
        other = expected[row["id"]]
        assert row.keys() - {"height", "width"} == other.keys()
        assert np.array_equal(row["embedding"], other["embedding"])
        for name in other.keys() - {"embedding", "preview"}:
            assert row[name] == other[name], name


@pytest.mark.parametrize("streaming", [False, True])
def test_floats_are_nan_or_masked_where_there_is_no_data(release: Path, streaming: bool) -> None:
    stored = {row["id"]: row["embedding"] for row in hfaef.load(release, "train")}
    columns = ["id", "embedding"]
    plain = hfaef.load(release, "train", streaming=streaming, dtype="float32", columns=columns)
    masked = hfaef.load(
        release, "train", streaming=streaming, dtype="float32", mask=True, columns=columns
    )
    empty = 0
    for one, two in zip(plain, masked, strict=True):
        expected = hfaef.dequantize(stored[one["id"]])
        assert one.keys() == {"id", "embedding"}
        assert one["embedding"].dtype == np.float32
        assert np.array_equal(one["embedding"], expected, equal_nan=True)
        assert np.array_equal(two["mask"], ~np.isnan(expected[0]))
        assert np.array_equal(two["embedding"], np.nan_to_num(expected))
        empty += int((~two["mask"]).sum())
    assert empty, "the demo world has patches that reach beyond the data"


def test_bands_may_come_last(release: Path) -> None:
    first = hfaef.load(release, "test")
    last = hfaef.load(release, "test", layout="bands_last")
    for one, two in zip(first, last, strict=True):
        assert two["embedding"].flags.c_contiguous
        assert np.array_equal(np.moveaxis(two["embedding"], -1, 0), one["embedding"])


def test_arrays_may_be_written_to(release: Path) -> None:
    hfaef.load(release, "test")[0]["embedding"][:] = 0


def test_single_columns_may_be_read(release: Path) -> None:
    rows = hfaef.load(release, "test")
    assert rows["embedding"][0].shape == (64, 64, 64)
    labels = hfaef.load(release, "test", columns=["label"])
    assert labels.column_names == ["label"]
    assert list(labels["label"]) == [row["label"] for row in rows]


def test_val_means_validation(sheets: Path) -> None:
    assert len(hfaef.load(sheets, "val")) == len(hfaef.load(sheets, "validation"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"config": "nowhere"}, "it has random, spatial, pooled, pooled_spatial"),
        ({"columns": ["colour"]}, "no column 'colour'"),
        ({"dtype": "int64"}, "neither uint8 nor float32"),
        ({"layout": "hwc"}, "neither bands_first nor bands_last"),
        ({"version": "1.0.0", "revision": "main"}, "give one of them"),
        ({"columns": "embedding"}, r"columns is the text 'embedding', no list; .*\['embedding'\]"),
        ({"columns": []}, "columns is empty; name some, or leave it out for all"),
        *(
            ({name: value}, f"^{name} is {re.escape(repr(value))}, neither True nor False; give ")
            for name in ("decoded", "streaming", "verify", "mask")
            for value in ("no", "false", 2.5, 1, [1], None)
        ),
        ({"decoded": np.eye(3)}, "^decoded is array.*, neither True nor False; "),
    ],
)
def test_what_cannot_be_is_refused_in_words(sheets: Path, arguments, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        hfaef.load(sheets, "train", **arguments)
    assert "\n" not in str(caught.value)


def changed(folder: Path, target: Path, **changes: object) -> Path:
    shutil.copytree(folder, target, ignore=shutil.ignore_patterns(".staging"))
    content = json.loads((target / "release.json").read_bytes())
    (target / "release.json").write_text(json.dumps({**content, **changes}))
    return target


def test_a_release_of_a_newer_format_says_what_to_do(sheets: Path, tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match="newer than the 1 ") as caught:
        hfaef.load(changed(sheets, tmp_path / "newer", format=2))
    assert caught.value.hint == upgrade_command()


def test_a_folder_of_another_version_is_refused(sheets: Path, tmp_path: Path) -> None:
    folder = changed(sheets, tmp_path / "release", version="1.2.0")
    assert len(hfaef.load(folder, "test", version="v1.2.0"))
    with pytest.raises(ReleaseError, match=r"is of version 1\.2\.0, not 1\.3\.0"):
        hfaef.load(folder, version="1.3.0")


def test_a_data_set_that_is_no_release_says_so(sheets: Path, tmp_path: Path) -> None:
    folder = changed(sheets, tmp_path / "release")
    (folder / "release.json").unlink()
    with pytest.raises(ReleaseError, match="holds no release"):
        hfaef.load(folder)


def test_consumers_need_numpy_pillow_and_datasets_alone(release: Path) -> None:
    """All that hfaef itself imports while it loads; datasets imports torch where it is."""
    code = f"""
import datasets, numpy, PIL.Image, sys
before = set(sys.modules)
import hfaef
row = next(iter(hfaef.load({str(release)!r}, "test", streaming=True, dtype="float32")))
assert row["embedding"].shape == (64, 64, 64)
unwanted = {{"pydantic", "rasterio", "rioxarray", "pyproj", "shapely", "typer", "xee"}}
print(*sorted(unwanted & ({{name.partition(".")[0] for name in set(sys.modules) - before}})))
print(*sorted(name for name in sys.modules if name.startswith("hfaef.")))
"""
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    unwanted, ours = output.splitlines()
    assert unwanted == ""
    needed = {"core", "core.codec", "core.names", "core.quantize", "core.sheet", "errors", "load"}
    needed |= {"load.opened", "release", "release.format", "release.format.sample"}
    assert set(ours.split()) <= {f"hfaef.{name}" for name in needed}


def test_raw_bytes_go_there_and_back() -> None:
    stored = np.random.default_rng(0).integers(0, 256, (64, 3, 5), np.uint8)
    stored[-1, -1] = 0  # readers that strip zeros at the end must not be asked
    row = {"embedding": encode_raw(stored), "height": 3, "width": 5}
    assert np.array_equal(decode_row(row), stored)
    with pytest.raises(ValueError, match="are not 64 x 5 x 5 pixels"):
        decode_row(row | {"height": 5})
    with pytest.raises(ValueError, match="raw takes uint8"):
        encode_raw(stored.astype(np.int16))  # type: ignore[arg-type]
