"""An embedding comes back from its row, however it is encoded."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from hfaef.core import sheet
from hfaef.core.codec import decode_row, embedding_problem, encode_raw

patches = st.tuples(st.integers(1, 9), st.integers(1, 9)).flatmap(
    lambda shape: hnp.arrays(np.uint8, (64, *shape))
)


def rows(stored: np.ndarray) -> list[dict[str, Any]]:
    """A row with a sheet, one with raw bytes, and a sheet whose shape is told too."""
    _, height, width = stored.shape
    shape = {"height": height, "width": width}
    png = {"bytes": sheet.encode(stored), "path": "a.png"}
    return [
        {"embedding": png},
        {"embedding": encode_raw(stored), **shape},
        {**shape, "embedding": png},
    ]


@given(patches)
def test_a_row_gives_back_what_went_in(stored: np.ndarray) -> None:
    for row in rows(stored):
        decoded = decode_row(row)
        assert decoded.dtype == np.uint8
        assert np.array_equal(decoded, stored)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"width": 6}, r"1,280 bytes are not 64 x 4 x 6 pixels"),
        ({"embedding": b""}, "0 bytes are not 64 x 4 x 5 pixels"),
        ({"embedding": {"bytes": b"x"}}, "not a sheet"),
        ({"height": None}, "columns height and width"),
        ({"width": None}, "columns height and width"),
    ],
)
def test_what_is_no_embedding_is_refused(change: dict[str, Any], words: str) -> None:
    row = rows(np.zeros((64, 4, 5), np.uint8))[1] | change
    row = {name: value for name, value in row.items() if value is not None}
    with pytest.raises(ValueError, match=words):
        decode_row(row)


@pytest.mark.parametrize("kind", range(3))
def test_an_embedding_that_contradicts_its_row_is_found(kind: int) -> None:
    stored = np.full((64, 4, 5), 9, np.uint8)
    stored[:, 0] = 255
    row = rows(stored)[kind]
    assert embedding_problem({**row, "valid_fraction": 0.75}) == ""
    found = embedding_problem({**row, "valid_fraction": 1.0})
    assert found == "has another valid_fraction than its pixels"


def test_an_embedding_without_a_valid_pixel_is_found() -> None:
    row = rows(np.full((64, 4, 5), 255, np.uint8))[0] | {"valid_fraction": 0.0}
    assert embedding_problem(row) == "cannot be decoded: no valid pixel to pool over"


def test_an_embedding_that_cannot_be_decoded_is_found() -> None:
    row = {"embedding": {"bytes": b"x"}, "valid_fraction": 1.0}
    assert embedding_problem(row).startswith("cannot be decoded: not a sheet")
