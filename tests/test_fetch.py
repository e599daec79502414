from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from hfaef.catalog import Patch
from hfaef.errors import CredentialsError, FolderError, Hopeless
from hfaef.fetch import fetch
from hfaef.grid import Grid
from hfaef.sources import Pixels
from hfaef.store import Store


def patches(count: int) -> list[Patch]:
    return [
        Patch(
            f"p{number}",
            Grid("EPSG:32632", (10.0, 0.0, 10.0 * number, 0.0, -10.0, 5e6), 4, 4),
            "x",
            {},
            2018,
        )
        for number in range(count)
    ]


@dataclass
class Scripted:
    """A source that gives each patch its easting as codes, or the error that is set for it."""

    errors: dict[float, Exception] = field(default_factory=dict)
    max_requests: int = 4
    reads: list[float] = field(default_factory=list)
    under_way: int = 0
    peak: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def read(self, grid: Grid, year: int) -> Pixels:
        with self.lock:
            self.reads.append(grid.transform[2])
            self.under_way += 1
            self.peak = max(self.peak, self.under_way)
        try:
            if grid.transform[2] in self.errors:
                raise self.errors[grid.transform[2]]
            value = int(grid.transform[2] / 10) % 100
            return Pixels(np.full((64, 4, 4), value, np.int8), (str(year),), resampled=False)
        finally:
            with self.lock:
                self.under_way -= 1

    def close(self) -> None:
        """Nothing to close."""


def test_all_patches_are_staged_with_their_own_pixels(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        fetch(patches(50), Scripted(), store, threads=3)
        assert sum(outcome.fetched for outcome in store.outcomes().values()) == 50
        for number, patch in enumerate(patches(50)):
            assert (store.codes(patch) == number).all()


def test_what_is_staged_is_not_read_again(tmp_path: Path) -> None:
    source = Scripted()
    with Store(tmp_path) as store:
        fetch(patches(5), source, store, threads=2)
        fetch(patches(8), source, store, threads=2)
    assert sorted(source.reads) == [10.0 * number for number in range(8)]


def test_a_hopeless_patch_is_written_down_and_the_others_go_on(tmp_path: Path) -> None:
    source = Scripted({20.0: Hopeless("no data there in 2018")})
    with Store(tmp_path) as store:
        fetch(patches(5), source, store, threads=2)
        outcomes = store.outcomes()
    assert outcomes[2018, "p2"].reason == "no data there in 2018"
    assert sum(outcome.fetched for outcome in outcomes.values()) == 4


def test_a_missing_patch_is_tried_again_by_the_next_build(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        fetch(patches(3), Scripted({20.0: Hopeless("gone")}), store, threads=1)
        healed = Scripted()
        fetch(patches(3), healed, store, threads=1)
        assert healed.reads == [20.0]
        assert store.outcomes()[2018, "p2"].fetched


def test_credentials_stop_the_whole_build(tmp_path: Path) -> None:
    source = Scripted({0.0: CredentialsError("expired", "log in")}, max_requests=1)
    with Store(tmp_path) as store:
        with pytest.raises(CredentialsError):
            fetch(patches(500), source, store, threads=1)
        assert len(source.reads) < 5


def test_never_more_reads_than_the_source_allows(tmp_path: Path) -> None:
    source = Scripted(max_requests=3)
    with Store(tmp_path) as store:
        fetch(patches(60), source, store, threads=20)
    assert source.peak <= 3


def test_a_staging_folder_that_vanishes_is_an_error_that_names_it(tmp_path: Path) -> None:
    with Store(tmp_path / "out") as store:
        (store.staging / "pixels").mkdir()
        (store.staging / "pixels/2018").write_text("in the way")
        with pytest.raises(FolderError, match="pixels"):
            fetch(patches(3), Scripted(), store, threads=1)
