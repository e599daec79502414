from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hfaef.build.staging.ledger import Outcome
from hfaef.build.staging.store import Store
from hfaef.catalog.patch import Patch
from hfaef.core.grid import Grid
from hfaef.errors import FolderError, ReleaseError
from hfaef.release.format.paths import put_into_release
from hfaef.sources.base import Pixels

GRID = Grid("EPSG:32632", (10.0, 0.0, 500_000.0, 0.0, -10.0, 5_000_000.0), 4, 5)
PATCH = Patch("Forest_1", GRID, "Forest", {}, 2018)
PIXELS = Pixels(np.ones((64, 4, 5), np.int8), ("2018/32N/x.tiff",), resampled=True)
OUTCOME = Outcome(2018, "Forest_1", fetched=True, origins=PIXELS.origins, resampled=True)
INPUTS = {"years": [2018], "source": {"kind": "cog"}, "patches": 1, "places": "abc"}


def test_what_is_staged_comes_back(tmp_path: Path) -> None:
    with Store(tmp_path / "out") as store:
        store.pixels.write(PATCH, PIXELS)
        store.record(OUTCOME)
    with Store(tmp_path / "out") as store:
        assert store.outcomes() == {(2018, "Forest_1"): OUTCOME}
        assert np.array_equal(store.pixels.read(PATCH), PIXELS.codes)


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
        store.pixels.write(PATCH, Pixels(np.ones((64, 9, 9), np.int8), (), resampled=False))
        with pytest.raises(ReleaseError, match="4 x 5"):
            store.pixels.read(PATCH)


@pytest.mark.parametrize(
    ("key", "value", "word"),
    [
        ("years", [2019], "years"),
        ("source", {"kind": "earthengine"}, "source"),
        ("patches", 2, "number of patches"),
        ("places", "xyz", "places"),
    ],
)
def test_staging_of_another_recipe_is_refused_and_kept(
    tmp_path: Path, key: str, value: object, word: str
) -> None:
    with Store(tmp_path) as store:
        store.claim(INPUTS)
        store.claim(INPUTS)
        store.pixels.write(PATCH, PIXELS)
        with pytest.raises(FolderError, match=word):
            store.claim({**INPUTS, key: value})
    assert (tmp_path / ".staging/pixels/2018/Forest_1.npy").is_file()


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
