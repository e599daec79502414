"""Where previews lie in a shard, however it is written: the very bytes, or nowhere."""

from __future__ import annotations

import io
import random
import tarfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hfaef.release.atlas.previews import UNKNOWN, read_shard

PLAIN = {"compression": "none", "use_dictionary": False}

WRITERS: dict[str, tuple[dict[str, Any], bool]] = {
    "plain": (PLAIN, True),
    "small pages": ({**PLAIN, "data_page_size": 100, "write_batch_size": 1}, True),
    "pages of version 2": ({**PLAIN, "data_page_version": "2.0"}, True),
    "row groups": ({**PLAIN, "row_group_size": 7}, True),
    "lengths apart": (
        {**PLAIN, "column_encoding": {"preview.bytes": "DELTA_LENGTH_BYTE_ARRAY"}},
        True,
    ),
    "beginnings shared": (
        {**PLAIN, "column_encoding": {"preview.bytes": "DELTA_BYTE_ARRAY"}},
        False,
    ),
    "a dictionary": ({"compression": "none", "use_dictionary": True}, False),
    "compressed": ({"compression": "zstd", "use_dictionary": False}, False),
}
"""How a shard may be written, and whether all of its previews lie there as they are."""


def pictures(rows: int = 40) -> list[bytes | None]:
    """Bytes that begin alike; some are there twice, one is empty and one is not there."""
    chance = random.Random(0)
    made: list[bytes | None] = [b"\xff\xd8\xff" + chance.randbytes(30 + n) for n in range(rows)]
    made[10], made[20] = made[3], made[2]
    made[30], made[31] = b"", None
    return made


@pytest.mark.parametrize("how", WRITERS)
def test_a_preview_lies_where_it_is_said_to_or_nowhere(tmp_path: Path, how: str) -> None:
    options, all_of_them = WRITERS[how]
    made = pictures()
    table = pa.table(
        {
            "id": [f"p{number}" for number in range(len(made))],
            "year": pa.array([2018] * len(made), pa.int32()),
            "preview": pa.array(
                [{"bytes": one, "path": "p.jpg"} for one in made],
                pa.struct([("bytes", pa.binary()), ("path", pa.string())]),
            ),
        }
    )
    path = tmp_path / "shard.parquet"
    pq.write_table(table, path, **options)
    content = path.read_bytes()
    found = read_shard(path, bounds=False)
    assert found.keys == [(2018, f"p{number}") for number in range(len(made))]
    assert found.bounds.shape == (0, 4)
    places = list(zip(made, found.offsets.tolist(), found.lengths.tolist(), strict=True))
    for picture, offset, length in places:
        if offset == UNKNOWN:
            assert length == 0
        else:
            assert content[offset : offset + length] == picture
    there = [offset != UNKNOWN for _, offset, _ in places]
    assert all_of_them is all(
        known == bool(picture) for known, picture in zip(there, made, strict=True)
    )


def test_a_shard_without_previews_has_rows_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "shard.parquet"
    pq.write_table(pa.table({"id": ["a"], "year": [2018], "bounds": [[1.0, 2.0, 3.0, 4.0]]}), path)
    found = read_shard(path, bounds=True)
    assert (found.keys, found.offsets.tolist()) == ([(2018, "a")], [UNKNOWN])
    assert found.bounds.tolist() == [[1, 2, 3, 4]]


def test_members_of_a_tar_file_may_stand_in_any_order(tmp_path: Path) -> None:
    path = tmp_path / "shard.tar"
    json = b'{"id": "a", "year": 2018, "bounds": [1, 2, 3, 4]}'
    members = {"a.png": b"sheet", "a.json": json, "a.jpg": b"picture", "b.json": json}
    with tarfile.open(path, "w") as tar:
        for name, content in members.items():
            header = tarfile.TarInfo(name)
            header.size = len(content)
            tar.addfile(header, io.BytesIO(content))
    found = read_shard(path, bounds=True)
    offset, none = found.offsets.tolist()
    assert none == UNKNOWN
    assert path.read_bytes()[offset : offset + int(found.lengths[0])] == b"picture"
