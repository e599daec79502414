"""A release of 27,000 rows: the next one asks the source for what is new alone."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import fsspec
import numpy as np
import pytest

from hfaef.build.fetch.engine import fetch
from hfaef.build.fetch.read import read_patch
from hfaef.build.fetch.retry import Policy
from hfaef.build.fetch.threads import ThreadExecutor
from hfaef.build.pack.rows import pack
from hfaef.build.previous import Previous, find_unchanged, take_pixels
from hfaef.build.staging.ledger import Outcome, write_outcomes
from hfaef.build.staging.store import Store
from hfaef.catalog.patch import Catalog, Patch, sort_patches
from hfaef.core.workers import core_count, ordered_map
from hfaef.release.format.manifest import (
    FORMAT,
    Manifest,
    make_configs,
    manifest_bytes,
    package_versions,
)
from hfaef.release.format.paths import StorageFormat
from hfaef.release.handle import Release, open_folder
from hfaef.release.locate import read_placement
from hfaef.sources.base import Pixels
from support.fakes import FieldSource, patches, truth
from support.unit_codes import filled

pytestmark = pytest.mark.slow

ROWS, NEW, YEAR = 27_000, 10, 2018


@pytest.fixture
def in_memory() -> Iterator[str]:
    """Where pixels are staged: a disk would be told to keep each of 27,000 files."""
    yield "memory://many-rows"
    fsspec.filesystem("memory").store.clear()  # to remove them one by one takes minutes


def codes_of(patch: Patch) -> np.ndarray:
    return filled(int(patch.id[1:]), 2, 2)


@pytest.fixture
def release(tmp_path: Path, in_memory: str) -> Release:
    """With a pixel's worth of data a row; each row is another."""
    listed = patches(ROWS, side=2)
    target = tmp_path / "release"
    target.mkdir()
    with Store(tmp_path / "first", in_memory) as store:
        for patch in listed:
            store.pixels.write(patch, Pixels(codes_of(patch), ("before",), resampled=False))
        write_outcomes(store._ledger, (Outcome(YEAR, patch.id, fetched=True) for patch in listed))
        packed = pack(
            Catalog(sort_patches(listed), ("Land",), ()),
            store,
            target,
            shard_bytes=1_000_000,
            parallel_map=partial(ordered_map, threads=core_count()),
            advance=lambda _note, _steps=1: None,
            storage=StorageFormat("parquet", "raw"),
        )
    manifest = Manifest(
        format=FORMAT,
        name="many",
        recipe={"pack": {"codec": "raw"}, "source": {"kind": "cog"}},
        recipe_sha256="0" * 64,
        packages=package_versions(),
        years=(YEAR,),
        schemes=(),
        label_names=("Land",),
        rows=ROWS,
        rows_by_label={"Land": ROWS},
        configs=make_configs(packed.files, (YEAR,), ()),
        files=packed.files,
        missing=(),
        preview=packed.basis,
    )
    (target / "release.json").write_bytes(manifest_bytes(manifest))
    return open_folder(target)


def test_ten_new_patches_among_27_000_cost_ten_reads(
    release: Release, tmp_path: Path, in_memory: str
) -> None:
    wanted = patches(ROWS + NEW, side=2)
    previous = Previous(release, read_placement(release), changes=())
    assert len(find_unchanged(previous, wanted).taken) == ROWS
    source = FieldSource()
    with Store(tmp_path / "second", in_memory) as store:
        found = take_pixels(previous, wanted, store)
        assert found.notes == (f"27,000 patches are taken from {release.name}",)
        read = partial(read_patch, source, store.pixels, Policy())
        fetch(wanted, ThreadExecutor(read, 4), store)
        assert sum(source.reads.values()) == NEW
        outcomes = store.outcomes()
        assert len(outcomes) == ROWS + NEW
        assert sum(bool(outcome.taken_from) for outcome in outcomes.values()) == ROWS
        for patch in wanted[:ROWS]:
            assert np.array_equal(store.pixels.read(patch), codes_of(patch))
        for patch in wanted[ROWS:]:
            assert np.array_equal(store.pixels.read(patch), truth(patch.grid, YEAR))
        # A second build, as after an interruption, has nothing left to do.
        assert not take_pixels(previous, wanted, store).taken
