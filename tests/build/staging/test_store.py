from __future__ import annotations

import json
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hfaef.build.staging.identity import Inputs, grid_digest
from hfaef.build.staging.ledger import Outcome
from hfaef.build.staging.store import Store
from hfaef.build.status import read_status
from hfaef.catalog.patch import Patch
from hfaef.core.grid import Grid
from hfaef.errors import FolderError, ReleaseError
from hfaef.release.format.paths import put_into_release
from hfaef.sources.base import Pixels
from support.unit_codes import filled

GRID = Grid("EPSG:32632", (10.0, 0.0, 500_000.0, 0.0, -10.0, 5_000_000.0), 4, 5)
PATCH = Patch("Forest_1", GRID, "Forest", {}, 2018)
PIXELS = Pixels(filled(0, 4, 5), ("2018/32N/x.tiff",), resampled=True)
OUTCOME = Outcome(2018, "Forest_1", fetched=True, origins=PIXELS.origins, resampled=True)
KEY = (2018, "Forest_1")
INPUTS = Inputs((2018,), {"kind": "cog", "root": "a"}, {KEY: grid_digest(GRID)}, "abc")


def test_what_is_staged_comes_back(tmp_path: Path) -> None:
    with Store(tmp_path / "out") as store:
        store.pixels.write(PATCH, PIXELS)
        store.record(OUTCOME)
    with Store(tmp_path / "out") as store:
        assert store.outcomes() == {(2018, "Forest_1"): OUTCOME}
        assert np.array_equal(store.pixels.read(PATCH), PIXELS.codes)


def test_staged_files_are_what_numpy_saves_however_the_codes_lie(tmp_path: Path) -> None:
    lying = replace(PIXELS, codes=np.asfortranarray(PIXELS.codes))
    with Store(tmp_path / "out") as store:
        for pixels in (PIXELS, lying):
            store.pixels.write(PATCH, pixels)
            [path] = (tmp_path / "out").rglob("*.npy")
            np.save(tmp_path / "own.npy", PIXELS.codes)
            assert path.read_bytes() == (tmp_path / "own.npy").read_bytes()


def test_a_patch_whose_file_is_gone_is_not_done(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        store.record(OUTCOME)
        assert store.outcomes() == {}


def test_a_missing_patch_is_remembered_with_its_reason(tmp_path: Path) -> None:
    missing = Outcome(2018, "Forest_1", fetched=False, reason="no data there in 2018")
    with Store(tmp_path) as store:
        store.record(missing)
        assert store.outcomes()[2018, "Forest_1"] == missing
        store.pixels.write(PATCH, PIXELS)
        store.record(OUTCOME)
        assert store.outcomes()[2018, "Forest_1"] == OUTCOME


def test_a_half_written_file_is_not_taken_for_a_patch(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        store.pixels.write(PATCH, PIXELS)
        path = tmp_path / ".staging/pixels/2018/Forest_1.npy"
        path.rename(path.with_suffix(".part"))
        store.record(OUTCOME)
        assert store.outcomes() == {}
    with Store(tmp_path):
        assert not list(tmp_path.rglob("*.part"))


def test_a_staging_folder_that_is_removed_is_not_made_again(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        shutil.rmtree(store.staging)
        with pytest.raises(FolderError, match="was removed while the build was running"):
            store.pixels.write(PATCH, PIXELS)


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"nothing"])
def test_damaged_pixels_are_named(tmp_path: Path, content: bytes) -> None:
    with Store(tmp_path) as store:
        store.pixels.write(PATCH, PIXELS)
        (tmp_path / ".staging/pixels/2018/Forest_1.npy").write_bytes(content)
        with pytest.raises(ReleaseError, match=r"Forest_1\.npy are damaged"):
            store.pixels.read(PATCH)


def test_pixels_of_another_shape_are_damaged(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        store.pixels.write(PATCH, Pixels(filled(0, 9, 9), (), resampled=False))
        with pytest.raises(ReleaseError, match="4 x 5"):
            store.pixels.read(PATCH)


def stage(folder: Path, wanted: Inputs = INPUTS) -> None:
    """One patch, as a build of these inputs leaves it."""
    with Store(folder) as store:
        store.claim(wanted)
        store.pixels.write(PATCH, PIXELS)
        store.record(OUTCOME)


def is_staged(folder: Path) -> bool:
    return (folder / ".staging/pixels/2018/Forest_1.npy").is_file()


def test_the_ledger_says_what_pixels_were_made_from(tmp_path: Path) -> None:
    stage(tmp_path)
    with Store(tmp_path) as store:
        found = store.outcomes()[KEY]
        assert found.grid == grid_digest(GRID)
        assert json.loads(found.source) == {"kind": "cog", "root": "a"}
        reuse = store.claim(INPUTS)
    assert reuse.kept == {KEY}
    assert reuse.notes() == ()


def test_pixels_of_another_source_are_kept_until_refetch_is_asked_for(tmp_path: Path) -> None:
    stage(tmp_path)
    other = replace(INPUTS, source={"kind": "cog", "root": "b"})
    with Store(tmp_path) as store, pytest.raises(FolderError) as caught:
        store.claim(other)
    assert "source.root was 'a' and is 'b'" in caught.value.message
    assert f"--out {tmp_path} --refetch" in caught.value.hint
    assert is_staged(tmp_path)
    with Store(tmp_path) as store:
        assert store.claim(INPUTS).kept == {KEY}
        [note] = store.claim(other, refetch=True).notes()
        assert note.startswith("1 staged patch was made from another source")
        assert store.outcomes() == {}
    assert not is_staged(tmp_path)


def test_a_folder_of_tiles_is_the_same_however_its_path_is_written(tmp_path: Path) -> None:
    stage(tmp_path, replace(INPUTS, source={"kind": "cog", "root": "data/aef"}))
    absolute = str(Path("data/aef").resolve())
    with Store(tmp_path) as store:
        reuse = store.claim(replace(INPUTS, source={"kind": "cog", "root": absolute}))
    assert reuse.kept == {KEY}


def test_a_moved_patch_is_dropped_alone(tmp_path: Path) -> None:
    stage(tmp_path)
    moved = replace(INPUTS, grids={KEY: "elsewhere", (2018, "Town_1"): "new"}, places="xyz")
    with Store(tmp_path) as store:
        reuse = store.claim(moved)
        assert (reuse.moved, reuse.new) == ({KEY}, {(2018, "Town_1")})
        assert reuse.notes() == ("kept 0 staged patches, 1 new, 1 moved, 0 gone",)
        assert store.outcomes() == {}
    assert not is_staged(tmp_path)


def test_a_patch_that_left_the_catalog_comes_back_until_it_is_dropped(tmp_path: Path) -> None:
    stage(tmp_path)
    without = replace(INPUTS, years=(2019,), grids={(2019, "Forest_1"): grid_digest(GRID)})
    with Store(tmp_path) as store:
        assert store.claim(without).gone == {KEY}
        assert store.outcomes() == {}
        assert store.claim(without).notes() == ()
        assert store.claim(INPUTS).kept == {KEY}
        assert store.outcomes().keys() == {KEY}
        store.claim(without)
        store.drop_gone()
        assert store.claim(INPUTS).new == {KEY}
    assert not is_staged(tmp_path)


@pytest.mark.parametrize("refetch", [False, True])
def test_patches_that_will_never_come_are_asked_for_again_on_request(
    tmp_path: Path, refetch: bool
) -> None:
    never = Outcome(2018, "Forest_1", fetched=False, reason="outside every tile", permanent=True)
    with Store(tmp_path) as store:
        store.claim(INPUTS)
        store.record(never)
        reuse = store.claim(INPUTS, refetch=refetch)
        assert (KEY in store.outcomes()) is not refetch
        assert (reuse.retried == {KEY}) is refetch
        if not refetch:
            store.claim(replace(INPUTS, source={"kind": "earthengine"}))
            assert store.outcomes() == {}


def earlier_ledger(folder: Path) -> None:
    """As version 0.1 wrote it: without grid and source."""
    with closing(sqlite3.connect(folder / ".staging/ledger.sqlite")) as ledger:
        for name in ("grid", "source", "taken_from", "permanent", "gone"):
            ledger.execute(f"ALTER TABLE outcomes DROP COLUMN {name}")


def test_a_ledger_of_an_earlier_version_goes_on_as_its_inputs_say(tmp_path: Path) -> None:
    stage(tmp_path)
    earlier_ledger(tmp_path)
    assert read_status(tmp_path).fetched == 1
    with Store(tmp_path) as store:
        assert store.claim(INPUTS).kept == {KEY}
        assert store.outcomes()[KEY].grid == grid_digest(GRID)
    earlier_ledger(tmp_path)
    other = replace(INPUTS, source={"kind": "earthengine"})
    with Store(tmp_path) as store, pytest.raises(FolderError, match=r"source\.kind was 'cog'"):
        store.claim(other)


def test_an_earlier_ledger_of_other_places_asks_for_refetch(tmp_path: Path) -> None:
    stage(tmp_path)
    earlier_ledger(tmp_path)
    other = replace(INPUTS, places="xyz")
    with Store(tmp_path) as store:
        with pytest.raises(FolderError, match=r"earlier version.*--refetch"):
            store.claim(other)
        assert store.claim(other, refetch=True).refetched == {KEY}
    assert not is_staged(tmp_path)


def test_a_folder_with_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.docx").write_text("years of work")
    with pytest.raises(FolderError, match=r"something else \(thesis\.docx\)"):
        Store(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.docx"]


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(FolderError, match="is a file"):
        Store(tmp_path / "out")


def test_two_builds_in_one_folder_are_one_too_many(tmp_path: Path) -> None:
    with Store(tmp_path), pytest.raises(FolderError, match="another hfaef is at work"):
        Store(tmp_path)
    with Store(tmp_path):
        pass


def test_the_lock_dies_with_its_process(tmp_path: Path) -> None:
    code = "import os, sys; from pathlib import Path; from hfaef.build.staging.store import Store; "
    code += "Store(Path(sys.argv[1])); os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    with Store(tmp_path):
        pass


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_rights_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(FolderError, match=r"cannot write"):
        Store(tmp_path / "out")


def test_a_full_disk_leaves_no_half_file(tmp_path: Path) -> None:
    """A limit on the size of files stands in for a disk without room."""
    with Store(tmp_path) as store:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (500, hard))
        try:
            with pytest.raises(FolderError, match=r"cannot write .*; make room"):
                store.pixels.write(PATCH, PIXELS)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert not [*tmp_path.rglob("*.npy"), *tmp_path.rglob("*.part")]
        store.pixels.write(PATCH, PIXELS)
        assert list(tmp_path.rglob("*.npy"))


@pytest.mark.parametrize("name", ["README.md", "figures/labels.png"])
def test_a_file_of_a_release_leaves_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    put_into_release(tmp_path, name, b"one")
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", killed)
        # As after a kill, which leaves no time to remove anything.
        patch.setattr(Path, "unlink", killed)
        with pytest.raises(KeyboardInterrupt):
            put_into_release(tmp_path, name, b"two")
    [left] = (tmp_path / ".staging").iterdir()
    assert left.name.startswith(f"{Path(name).name}.")
    rest = [path for path in tmp_path.rglob("*") if path.is_file() and path != left]
    assert rest == [tmp_path / name]
    put_into_release(tmp_path, name, b"two")
    assert (tmp_path / name).read_bytes() == b"two"
