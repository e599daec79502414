from __future__ import annotations

import json
import shutil
import uuid
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import fsspec
import numpy as np
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from hfaef.build.fetch.engine import fetch
from hfaef.build.fetch.read import read_patch
from hfaef.build.fetch.retry import Policy
from hfaef.build.fetch.threads import ThreadExecutor
from hfaef.build.staging.filesystem import LocalStaging, StagingStore, open_staging
from hfaef.build.staging.identity import Inputs, grid_digest
from hfaef.build.staging.store import Store
from hfaef.build.status import read_status
from hfaef.errors import FolderError, InputError, ReleaseError, Transient
from support.fakes import FieldSource, patches, truth


class Flaky(MemoryFileSystem):
    """An object store of which some puts fail."""

    protocol = "tos"
    failures: ClassVar[Counter[str]] = Counter()
    """Puts that will fail, by the kind of their error."""

    @classmethod
    def _strip_protocol(cls, path: Any) -> str:
        return MemoryFileSystem._strip_protocol(str(path).replace("tos://", "memory://"))

    def pipe_file(self, path: str, value: bytes, **kwargs: Any) -> None:
        kind = next((kind for kind, left in self.failures.items() if left), "")
        if kind:
            self.failures[kind] -= 1
            raise {"passing": ConnectionError, "lasting": PermissionError}[kind](f"{kind}, 503")
        super().pipe_file(path, value, **kwargs)


fsspec.register_implementation("tos", Flaky, clobber=True)


@pytest.fixture(params=["path", "object store"])
def base(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Below which pixels are staged, in a folder and in an object store."""
    (tmp_path / "shared").mkdir()
    return f"{tmp_path}/shared" if request.param == "path" else f"memory://{uuid.uuid4().hex}"


@pytest.fixture
def flaky() -> str:
    Flaky.failures.clear()
    return f"tos://{uuid.uuid4().hex}"


@pytest.fixture
def files(base: str) -> StagingStore:
    files = open_staging(f"{base}/own")
    files.prepare()
    return files


def test_what_is_put_is_there(files: StagingStore) -> None:
    assert files.names() == []
    files.put("2018/A.npy", b"one")
    files.put("2018/B.npy", b"two")
    files.put("2019/A.npy", b"three")
    files.put("2018/A.npy", b"four")
    assert sorted(files.names()) == ["2018/A.npy", "2018/B.npy", "2019/A.npy"]
    assert (files.get("2018/A.npy"), files.get("2019/A.npy")) == (b"four", b"three")
    files.remove("2018/A.npy")
    files.remove("2018/A.npy")
    assert sorted(files.names()) == ["2018/B.npy", "2019/A.npy"]
    with pytest.raises(FileNotFoundError):
        files.get("2018/A.npy")


def test_a_store_that_was_never_made_holds_nothing(base: str) -> None:
    assert open_staging(f"{base}/nowhere").names() == []


def test_what_others_put_is_seen(base: str, files: StagingStore) -> None:
    """Clients that remember listings would miss it."""
    files.names()
    open_staging(f"{base}/own").put("2018/A.npy", b"one")
    assert files.names() == ["2018/A.npy"]


def test_what_a_killed_build_left_is_no_file(files: StagingStore) -> None:
    files.put("2018/A.npy", b"one")
    files.put("2018/B.npy.0123.part", b"tw")
    files.put("0123.part", b"")
    assert files.names() == ["2018/A.npy"]
    files.prepare()
    assert files.names() == ["2018/A.npy"]


@pytest.mark.parametrize("protocol", ["", "file://"])
def test_what_a_killed_build_left_in_a_folder_is_removed(tmp_path: Path, protocol: str) -> None:
    files = open_staging(f"{protocol}{tmp_path}/own")
    files.prepare()
    files.put("2018/A.npy", b"one")
    files.put("2018/A.npy", b"two")
    files.put("2018/B.npy.0123.part", b"thr")
    files.put("0123.part", b"")
    files.prepare()
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["A.npy"]


@pytest.mark.parametrize("protocol", ["", "file://"])
def test_a_folder_that_is_removed_is_not_made_again(tmp_path: Path, protocol: str) -> None:
    files = open_staging(f"{protocol}{tmp_path}/own")
    files.prepare()
    shutil.rmtree(tmp_path / "own")
    with pytest.raises(FileNotFoundError):
        files.put("2018/A.npy", b"one")


@pytest.mark.parametrize("protocol", ["", "file://"])
def test_a_share_that_is_not_mounted_is_not_made(tmp_path: Path, protocol: str) -> None:
    with pytest.raises(FolderError, match="shared"):
        Store(tmp_path / "out", f"{protocol}{tmp_path}/shared")
    assert not (tmp_path / "shared").exists()


@pytest.mark.parametrize(
    "url",
    [
        "s3://KEY:hunter2@bucket/folder",
        "s3://KEY:hun/ter2@bucket/folder",
        "sftp://me:hunter2@host/folder",
        "https://host/folder?signature=hunter2",
        "https://host/folder#hunter2",
        "simplecache::s3://hunter2",
    ],
)
def test_an_address_with_a_secret_is_refused_and_not_shown(url: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--staging takes a plain URL, without a pass") as caught:
        Store(tmp_path / "out", url)
    assert "hunter2" not in str(caught.value)
    assert not [path for path in tmp_path.rglob("*") if b"hunter2" in _content(path)]


def _content(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""


def test_a_user_without_a_password_is_no_secret() -> None:
    with pytest.raises(InputError, match="needs a package that is not installed"):
        open_staging("abfs://container@account.dfs.core.windows.net/folder")


@pytest.mark.parametrize("protocol", ["x3", "sftp", "http", "https", "smb", "webhdfs", "local"])
def test_a_filesystem_whose_files_may_be_seen_half_written_is_refused(
    protocol: str, tmp_path: Path
) -> None:
    with pytest.raises(
        InputError,
        match=rf"--staging {protocol}://host/folder: {protocol}:// is no object store.*; "
        "name a folder that all machines see, or one of an object store: --staging s3://",
    ):
        Store(tmp_path / "out", f"{protocol}://host/folder")
    assert not list(tmp_path.rglob("*.json"))


def test_a_file_url_is_a_folder(tmp_path: Path) -> None:
    assert open_staging(f"file://{tmp_path}/shared") == LocalStaging(tmp_path / "shared")


def test_a_package_that_is_not_there_is_named() -> None:
    with pytest.raises(
        InputError, match=r"--staging oci:// needs .*; pip install ocifs, here and on all workers"
    ):
        open_staging("oci://bucket/folder")


def test_an_address_without_a_folder_is_refused() -> None:
    with pytest.raises(InputError, match="--staging memory:// names no folder"):
        open_staging("memory://")


@pytest.mark.parametrize(("kind", "error"), [("passing", Transient), ("lasting", FolderError)])
def test_an_object_store_that_takes_nothing_is_named_before_any_read(
    flaky: str, tmp_path: Path, kind: str, error: type[Exception]
) -> None:
    Flaky.failures[kind] = 1
    with pytest.raises(error, match=rf"cannot write tos://.*{kind}, 503"):
        Store(tmp_path / "out", flaky)
    # The lock is given back, and nothing is remembered.
    with Store(tmp_path / "out") as store:
        assert store.pixels.files == LocalStaging(tmp_path / "out/.staging/pixels")


def test_where_pixels_are_staged_is_remembered(base: str, tmp_path: Path) -> None:
    wanted = patches(5)
    with Store(tmp_path / "out", base) as store:
        grids = {(patch.year, patch.id): grid_digest(patch.grid) for patch in wanted}
        store.claim(Inputs((2018,), {"kind": "cog"}, grids))
        executor = ThreadExecutor(partial(read_patch, FieldSource(), store.pixels, Policy()), 2)
        fetch(wanted, executor, store)
        files = store.pixels.files
    assert str(files).startswith(f"{base}/out-")
    assert not list((tmp_path / "out").rglob("*.npy"))
    assert read_status(tmp_path / "out").fetched == 5
    for again in (None, base, f"{base}/"):
        with Store(tmp_path / "out", again) as store:
            assert store.pixels.files == files
            assert len(store.outcomes()) == 5
            assert np.array_equal(store.pixels.read(wanted[3]), truth(wanted[3].grid, 2018))


def test_two_folders_share_no_file(base: str, tmp_path: Path) -> None:
    with Store(tmp_path / "one/out", base) as one, Store(tmp_path / "two/out", base) as two:
        assert one.pixels.files != two.pixels.files


def test_another_store_is_refused_while_pixels_are_in_the_first(tmp_path: Path) -> None:
    [patch] = patches(1)
    with Store(tmp_path / "out") as store:
        read_patch(FieldSource(), store.pixels, Policy(), patch)
    with pytest.raises(FolderError, match=r"staged pixels in .*pixels; build without --staging"):
        Store(tmp_path / "out", "memory://elsewhere")
    with Store(tmp_path / "out") as store:
        assert store.pixels.keys() == {(2018, patch.id)}


def test_another_store_is_taken_while_nothing_is_staged(tmp_path: Path) -> None:
    with Store(tmp_path / "out"):
        pass
    with Store(tmp_path / "out", "memory://elsewhere") as store:
        assert str(store.pixels.files).startswith("memory://elsewhere/out-")


def test_a_damaged_record_of_the_store_is_named(tmp_path: Path) -> None:
    with Store(tmp_path / "out", "memory://elsewhere"):
        pass
    (tmp_path / "out/.staging/place.json").write_text(json.dumps(["x"]))
    with pytest.raises(FolderError, match=r"place\.json is damaged; remove"):
        Store(tmp_path / "out")


def test_pixels_that_are_gone_are_named(base: str, tmp_path: Path) -> None:
    [patch] = patches(1)
    with (
        Store(tmp_path / "out", base) as store,
        pytest.raises(ReleaseError, match=r"P000000\.npy cannot be read: .*; run the same command"),
    ):
        store.pixels.read(patch)


def test_a_put_that_fails_is_tried_again_without_another_read(flaky: str, tmp_path: Path) -> None:
    [patch] = patches(1)
    source, waits = FieldSource(), []
    with Store(tmp_path / "out", flaky) as store:
        Flaky.failures["passing"] = 3
        read_patch(source, store.pixels, Policy(), patch, sleep=waits.append)
        assert np.array_equal(store.pixels.read(patch), truth(patch.grid, 2018))
    assert (sum(source.reads.values()), len(waits)) == (1, 3)


@pytest.mark.parametrize(("kind", "tries"), [("passing", 8), ("lasting", 1)])
def test_a_store_that_takes_nothing_ends_the_build(
    flaky: str, tmp_path: Path, kind: str, tries: int
) -> None:
    with Store(tmp_path / "out", flaky) as store:
        read = partial(read_patch, FieldSource(), store.pixels, Policy(first_wait=0.001))
        Flaky.failures[kind] = 100
        with pytest.raises(FolderError, match=rf"cannot write tos://.*{kind}, 503"):
            fetch(patches(50), ThreadExecutor(read, 1), store)
    assert Flaky.failures[kind] == 100 - tries
