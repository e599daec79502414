"""A shard says itself what its values are: a reader needs pyarrow, Pillow and numpy alone."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import pytest
from PIL import Image

import hfaef
from hfaef.core.quantize import dequantize
from hfaef.release.card.additions import with_files
from hfaef.release.check import check_folder
from hfaef.release.format.manifest import file_entry, manifest_bytes, read_manifest
from hfaef.release.stac.extension import EXTENSION, FORMULA
from support.kinds import build_kind, write_points


def said(path: Path) -> dict[str, Any]:
    return json.loads(pq.read_schema(path).metadata[b"emb"])


def stored_values(row: dict[str, Any], emb: dict[str, Any]) -> npt.NDArray[np.uint8]:
    """Values of a row, (bands, H, W), by what its file says and nothing else."""
    layout, bands = emb["hfaef:columns"]["embedding"], emb["emb:dimensions"]
    if layout["encoding"] == "raw":
        shape = bands, row["height"], row["width"]
        return np.frombuffer(row["embedding"], emb["data_type"]).reshape(shape)
    assert layout["encoding"] == "png"
    grey = np.asarray(Image.open(io.BytesIO(row["embedding"]["bytes"])))
    assert grey.dtype == emb["data_type"]
    rows, columns = layout["tiles"]
    height, width = grey.shape[0] // rows, grey.shape[1] // columns
    tiles = grey.reshape(rows, height, columns, width).swapaxes(1, 2)
    return tiles.reshape(bands, height, width)


def floats(stored: npt.NDArray[np.uint8], emb: dict[str, Any]) -> npt.NDArray[np.float32]:
    """What they stand for, likewise."""
    numbers = emb["hfaef:dequantization"]
    code = stored.astype(np.float64) - numbers["zero"]
    value = np.sign(code) * (np.abs(code) / numbers["one"]) ** numbers["power"]
    return np.where(stored == emb["nodata"], np.nan, value).astype(np.float32)


@pytest.mark.parametrize("codec", ["png", "raw"])
def test_a_reader_without_hfaef_dequantizes_by_what_the_file_says(
    tmp_path: Path, codec: str
) -> None:
    made = build_kind("class", write_points(tmp_path), tmp_path / "made", f"pack.codec={codec}")
    (path,) = (made.folder / "data").glob("train-*.parquet")
    emb = said(path)
    theirs = {
        row["id"]: floats(stored_values(row, emb), emb) for row in pq.read_table(path).to_pylist()
    }
    ours = hfaef.load(made.folder, "train", dtype="float32")
    assert set(theirs) == set(ours["id"])
    for row in ours:
        np.testing.assert_array_equal(theirs[row["id"]], row["embedding"])
    assert len(emb["bands"]) == len(theirs[row["id"]]) == emb["emb:dimensions"] == 64
    assert emb["bands"][63] == "A63"


def test_formula_and_numbers_say_the_same_of_every_value() -> None:
    value = np.arange(256, dtype=np.uint8)
    steps = [step.strip() for step in FORMULA.split(";")]
    names: dict[str, Any] = {"value": value.astype(np.float64), "sign": np.sign}
    for step in steps[:2]:
        exec(step, {"__builtins__": {}}, names)  # noqa: S102 - our own constant
    assert steps[2] == "255 is no data"
    found = np.where(value == 255, np.nan, names["x"] * 1.0)
    negative = value < 127
    # The square of a negative q is positive, so its sign decides.
    assert (found[negative] < 0).all()
    np.testing.assert_array_equal(found.astype(np.float32), dequantize(value))


def test_quantization_is_the_extension_s_object_and_its_version_is_named(smallest: Path) -> None:
    for path in (smallest / "data").rglob("*.parquet"):
        emb = said(path)
        assert emb["schema"] == EXTENSION
        assert emb["version"] == "0.0.1"
        allowed = {"method", "original_dtype", "quantized_dtype", "scale", "offset", "link"}
        assert set(emb["emb:quantization"]) <= allowed
        assert {"rel", "href"} <= set(emb["emb:quantization"]["link"])
        assert (emb["emb:type"], emb["nodata"]) == ("pixel", 255)


def test_pooled_vectors_say_that_they_are_floats(smallest: Path) -> None:
    for path in (smallest / "pooled").rglob("*.parquet"):
        emb = said(path)
        assert (emb["emb:type"], emb["data_type"]) == ("chip", "float32")
        assert emb["emb:quantization"] is None
        schema = pq.read_schema(path)
        for name in emb["hfaef:columns"]:
            assert schema.field(name).type.list_size == emb["emb:dimensions"]
            assert str(schema.field(name).type.value_type) == "float"


def test_a_shard_that_says_something_else_is_found(own_smallest: Path) -> None:
    (path, *_) = sorted((own_smallest / "pooled").rglob("*.parquet"))
    table = pq.read_table(path, partitioning=None)
    other = {**(table.schema.metadata or {}), b"emb": b"{}"}
    pq.write_table(table.replace_schema_metadata(other), path)
    manifest = read_manifest(own_smallest)
    files = [file_entry(own_smallest, own_smallest / f.path, f.rows) for f in manifest.files]
    (own_smallest / "release.json").write_bytes(manifest_bytes(with_files(manifest, files)))
    assert "declares other emb than the manifest" in "\n".join(map(str, check_folder(own_smallest)))
