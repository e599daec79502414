from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hfaef.build.pack.boundary import EVERY, pad_jpeg, pad_png
from hfaef.core import sheet

ROW = 97_000
"""Bytes of a usual sheet."""

SEND = """
import json, sys
import hf_xet
session = hf_xet.XetSession()
sent = []
for path in sys.argv[2:]:
    commit = session.new_upload_commit(endpoint=f"local://{sys.argv[1]}")
    commit.start_upload_file(path, sha256=hf_xet.COMPUTE_SHA256)
    sent.append(commit.wait_to_finish().dedup_metrics.total_bytes_uploaded)
print(json.dumps(sent))
"""


def send(folder: Path, *contents: bytes) -> list[int]:
    """Bytes that the Hub's own client would send of these files, one after another."""
    pytest.importorskip("hf_xet")
    paths = []
    for number, content in enumerate(contents):
        paths.append(folder / str(number))
        paths[-1].write_bytes(content)
    command = [sys.executable, "-c", SEND, str(folder / "store"), *map(str, paths)]
    done = subprocess.run(
        command, check=True, capture_output=True, env={"HF_HOME": str(folder / "home")}
    )
    return json.loads(done.stdout)


def picture(seed: int, form: str, side: int) -> bytes:
    """A picture of noise."""
    buffer = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side), np.uint8)
    Image.fromarray(pixels).save(buffer, form)
    return buffer.getvalue()


def test_storage_cuts_after_a_padded_sheet(tmp_path: Path) -> None:
    rows = [pad_png(picture(seed, "PNG", 310)) for seed in range(40)]
    assert len(rows[0]) == pytest.approx(ROW, rel=0.01)
    first, second = send(tmp_path, b"".join(rows), b"".join(rows[:20] + rows[21:]))
    assert first > 0.99 * sum(map(len, rows))
    # Without padding, some two chunks of 64 KiB round the hole would be sent.
    assert second < 0.1 * ROW


def test_storage_cuts_after_padded_previews(tmp_path: Path) -> None:
    rows = [pad_jpeg(picture(seed, "JPEG", 56)) for seed in range(400)]
    size = sum(map(len, rows))
    holes = set(range(50, 400, 100))
    _, second = send(
        tmp_path,
        b"".join(rows),
        b"".join(row for number, row in enumerate(rows) if number not in holes),
    )
    assert second < len(holes) * 2 * EVERY * size / len(rows)


def test_a_padded_sheet_is_the_same_sheet() -> None:
    stored = np.random.default_rng(0).integers(0, 256, (64, 16, 16), np.uint8)
    png = pad_png(sheet.encode(stored))
    assert (sheet.decode(png) == stored).all()
    with Image.open(io.BytesIO(png)) as image:
        image.verify()


def test_one_preview_in_eight_is_padded_and_all_are_the_same_pictures() -> None:
    plain = [picture(seed, "JPEG", 16) for seed in range(400)]
    padded = [pad_jpeg(jpeg) for jpeg in plain]
    assert sum(map(len, padded)) - sum(map(len, plain)) == pytest.approx(62 * 400 / EVERY, rel=0.4)
    for one, other in zip(plain, padded, strict=True):
        with Image.open(io.BytesIO(one)) as a, Image.open(io.BytesIO(other)) as b:
            assert (np.asarray(a) == np.asarray(b)).all()


def test_what_does_not_end_as_a_picture_is_refused() -> None:
    with pytest.raises(ValueError, match="does not end as it should"):
        pad_png(b"\x89PNG and nothing more")
    with pytest.raises(ValueError, match="does not end as it should"):
        pad_jpeg(b"\xff\xd8 and nothing more")
