"""The cache of `hfaef.load(..., decoded=True)` among processes, kills and full disks."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import pytest
from build.test_pipeline import demo_recipe
from datasets import Dataset, Features, Image

import hfaef
from hfaef.build.pipeline import build
from hfaef.core import sheet
from hfaef.errors import FolderError
from hfaef.load.decoded import decode_once


@pytest.fixture(scope="module")
def sheets(demo_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(demo_recipe(demo_root), tmp_path_factory.mktemp("sheets") / "release").folder


RUN = """
import os, resource, signal, sys
sys.argv, code = [sys.argv[0], *sys.argv[2:]], sys.argv[1]
import hashlib, json
import datasets, hfaef
from hfaef.errors import HfaefError
datasets.disable_progress_bars() if os.environ.get("QUIET") else None
folder = sys.argv[1]

def digest(rows):
    arrays = b"".join(array.tobytes() for array in rows["embedding"][:])
    return hashlib.sha256(arrays).hexdigest()

def cache():
    return sorted(
        [path.name, path.stat().st_size, path.stat().st_ino]
        for path in __import__("pathlib").Path(datasets.config.HF_DATASETS_CACHE).rglob("decoded-*")
    )

answer = None
exec(code)
print(json.dumps(answer), flush=True)
os._exit(0)
"""


def start(
    code: str, folder: Path, home: Path, *before: str, **variables: str
) -> subprocess.Popen[str]:
    """Start Python that knows `folder` and has caches of its own in `home`."""
    environment = {**os.environ, "HF_DATASETS_CACHE": str(home), **variables}
    return subprocess.Popen(
        [*before, sys.executable, "-W", "ignore", "-c", RUN, code, str(folder)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(code: str, folder: Path, home: Path, *before: str, **variables: str) -> Any:
    process = start(code, folder, home, *before, **variables)
    output, errors = process.communicate(timeout=100)
    assert process.returncode == 0, errors
    return json.loads(output.splitlines()[-1])


LOAD = """
try:
    rows = hfaef.load(folder, "train", decoded=True)
    answer = digest(rows), cache()
except HfaefError as error:
    answer = type(error).__name__, error.message, error.hint
"""
LIMITED = """
hfaef.load(folder, "train")
signal.signal(signal.SIGXFSZ, signal.{action})
resource.setrlimit(resource.RLIMIT_FSIZE, (3_000_000, 3_000_000))
"""
"""No file grows beyond 3 MB, as on a full disk, or the process is killed when one would."""


def test_a_process_that_is_killed_leaves_nothing_that_is_taken_for_whole(
    sheets: Path, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    killed = start(LIMITED.format(action="SIG_DFL") + LOAD, sheets, home)
    killed.communicate(timeout=100)
    assert killed.returncode == -signal.SIGXFSZ
    (left,) = home.rglob("decoded-*")
    assert left.suffix == ".part"
    assert 0 < left.stat().st_size <= 3_000_000
    content, cache = run(LOAD, sheets, home)
    assert content == run('answer = digest(hfaef.load(folder, "train"))', sheets, home)
    assert [name.endswith(".arrow") for name, _, _ in cache] == [True], "nothing else is left"


def test_a_disk_that_is_full_in_the_middle_is_named_and_nothing_is_left(
    sheets: Path, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    kind, message, hint = run(LIMITED.format(action="SIG_IGN") + LOAD, sheets, home)
    assert kind == "FolderError"
    assert message.startswith("cannot write ")
    assert message.endswith(": File too large")
    assert "HF_DATASETS_CACHE" in hint
    assert not [*home.rglob("decoded-*")]
    assert len(run(LOAD, sheets, home)) == 2


def test_of_processes_at_once_one_decodes_and_the_others_wait_for_it(
    sheets: Path, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    place = Path(
        run('answer = hfaef.load(folder, "train").cache_files', sheets, home)[0]["filename"]
    )
    with filelock.FileLock(place.parent / "decoded.lock"):
        several = [start(LOAD, sheets, home) for _ in range(3)]
        for process in several:
            assert process.stderr is not None
            assert "another process decodes into" in process.stderr.readline()
    found = [process.communicate(timeout=100) for process in several]
    assert len({output for output, _ in found}) == 1, "the same values of one file"
    assert sum("patches once, into" in errors for _, errors in found) == 1


def test_its_size_is_told_before_and_datasets_may_be_asked_to_be_quiet(
    sheets: Path, tmp_path: Path
) -> None:
    rows = len(hfaef.load(sheets, "train"))
    for quiet in ("", "yes"):
        process = start(LOAD, sheets, tmp_path / f"home{quiet}", QUIET=quiet)
        _, errors = process.communicate(timeout=100)
        lines = [line for line in errors.splitlines() if "decod" in line]
        if quiet:
            assert lines == []
        else:
            size = rows * 64**3 / 1e6
            assert lines[0].startswith(f"decoding {rows} patches once, into {size:.0f} MB in ")
            assert lines[1].startswith(f"decode train: {rows} of {rows}")


def test_patches_that_need_more_than_the_disk_has_are_not_decoded(tmp_path: Path) -> None:
    """A sheet of the largest patch says in its head that it takes 1 GiB."""
    free = os.statvfs(tmp_path).f_bavail * os.statvfs(tmp_path).f_frsize
    png = bytearray(sheet.encode(np.zeros((64, 1, 1), np.uint8)))
    png[16:24] = (8 * 4096).to_bytes(4) * 2
    cells = [{"bytes": bytes(png), "path": None}] * (free // 2**30 + 2)
    rows = Dataset.from_dict({"embedding": cells}, Features({"embedding": Image(decode=False)}))
    words = (
        rf"decoding [\d,]+ patches needs [\d,]+ MB in {tmp_path}, where [\d,]+ MB are free; make"
    )
    with pytest.raises(FolderError, match=words):
        decode_once({"train": rows}, tmp_path, "content", "bands_first")
    assert not [*tmp_path.glob("decoded-*")]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 8 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small disk")
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("no small disk can be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_nothing_is_begun_on_a_disk_without_room(sheets: Path, disk: Path) -> None:
    kind, message, hint = run(LOAD, sheets, disk / "home")
    assert kind == "FolderError"
    assert message.startswith("decoding 24 patches needs 6 MB in ")
    assert message.endswith(" MB are free")
    assert "HF_DATASETS_CACHE" in hint
    assert not [*disk.rglob("decoded-*")]
    subprocess.run(["mount", "-o", "remount,size=60m", str(disk)], check=True)
    assert len(run(LOAD, sheets, disk / "home")) == 2


def test_a_cache_that_cannot_be_written_is_named_and_one_that_is_there_is_read(
    sheets: Path, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    place = Path(
        run('answer = hfaef.load(folder, "train").cache_files', sheets, home)[0]["filename"]
    )
    # Root may write anywhere, unless it gives that up.
    bare = ["setpriv", "--bounding-set", "-dac_override"] if os.geteuid() == 0 else []
    place.parent.chmod(0o555)
    kind, message, hint = run(LOAD, sheets, home, *bare)
    assert kind == "FolderError"
    assert message == f"cannot write {place.parent / 'decoded.lock'}: Permission denied"
    assert "HF_DATASETS_CACHE" in hint
    place.parent.chmod(0o755)
    found = run(LOAD, sheets, home, *bare)
    place.parent.chmod(0o555)
    assert run(LOAD, sheets, home, *bare) == found
    place.parent.chmod(0o755)
