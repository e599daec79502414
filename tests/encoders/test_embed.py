"""A model run over images: every vector at its id, staged, resumed, and never over others' files."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import threadpoolctl

from hfaef.catalog import open_catalog
from hfaef.core.files import folder_lock
from hfaef.encoders import embed as module
from hfaef.encoders.base import Channels, Encoder, Images, Needs, match
from hfaef.encoders.embed import Embedded, embed_images
from hfaef.encoders.images import image_files
from hfaef.encoders.parts import parts_folder
from hfaef.errors import FolderError, HfaefError, InputError
from hfaef.evaluation.features import read_features
from hfaef.evaluation.rows import Rows
from hfaef.release.format.scores import Provenance
from support.images import images_recipe, noise, write_image, write_images
from support.kills import run_killed

IMAGES = Images(("B04", "B03", "B02"), "DN")


@dataclass
class Means:
    """A model: the mean of each band. It keeps the shapes of what it is given."""

    shapes: list[tuple[int, ...]] = field(default_factory=list)
    fails_after: int | None = None
    """Batches."""

    def __call__(self, batch: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        if len(self.shapes) == self.fails_after:
            raise RuntimeError("out of memory")
        self.shapes.append(batch.shape)
        return batch.mean((2, 3))


def run(
    root: Path,
    out: Path,
    encode: Callable[..., Any] | None = None,
    *,
    batch: int = 2,
    model: str = "means",
    recipe: str = "trial",
    channels: Any = None,
) -> Embedded:
    files = image_files(open_catalog(images_recipe(root)))
    model, _, sha256 = model.partition(":")
    told = Provenance(model=model, weights_sha256=sha256, notes=("a note",))
    encoder = Encoder(Needs(), told, encode or Means())
    found = channels or match(IMAGES, encoder.needs, model)
    return embed_images(encoder, found, IMAGES, files, out, recipe=recipe, batch=batch)


def vectors(path: Path) -> dict[str, list[float]]:
    table = pq.read_table(path)
    return dict(zip(table["id"].to_pylist(), table["vector"].to_pylist(), strict=True))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Twenty patches: with a batch of two, three parts."""
    return write_images(tmp_path / "patches", 20)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "means.parquet"


@pytest.mark.parametrize("batch", [2, 64])
def test_every_image_has_its_vector_in_a_table_sorted_by_id(
    root: Path, out: Path, batch: int
) -> None:
    done = run(root, out, batch=batch)
    found = vectors(out)
    assert list(found) == sorted(f"P{number}" for number in range(20))
    for number in range(20):
        expected = noise(number).astype(np.float32).mean((1, 2))
        np.testing.assert_array_equal(found[f"P{number}"], expected)
    assert (done.vectors, done.dimensions, done.left_out, done.computed) == (20, 3, (), 20)
    assert 0 <= done.waited <= done.seconds


def test_the_table_says_what_its_vectors_are(root: Path, out: Path) -> None:
    run(root, out)
    schema = pq.read_schema(out)
    assert schema.field("id").type == pa.string()
    assert schema.field("vector").type == pa.list_(pa.float32(), 3)
    assert schema.metadata[b"hfaef.recipe"] == b"trial"
    told = Provenance.model_validate_json(schema.metadata[b"hfaef.provenance"])
    assert (told.model, told.notes) == ("means", ("a note",))


def test_evaluations_read_the_table_with_its_provenance(root: Path, out: Path) -> None:
    run(root, out)
    ids = tuple(sorted(f"P{number}" for number in range(20)))
    labels = np.arange(20) % 2
    rows = Rows(ids, labels, np.full(20, 2018), {"half": ("train",) * 20})
    found = read_features(f"means={out}", rows)
    assert found.provenance is not None
    assert found.provenance.model == "means"
    np.testing.assert_array_equal(found.vectors.array, [*vectors(out).values()])


def test_the_same_images_give_the_same_bytes(root: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        run(root, tmp_path / f"{name}.parquet")
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


def test_the_bytes_are_the_same_on_any_number_of_cores(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = set()
    for cores in (1, 2, 4):
        monkeypatch.setattr(module, "core_count", lambda cores=cores: cores)
        run(root, tmp_path / f"{cores}.parquet", batch=8)
        tables.add((tmp_path / f"{cores}.parquet").read_bytes())
    assert len(tables) == 1


def test_nothing_but_the_table_is_left(root: Path, out: Path) -> None:
    run(root, out)
    assert sorted(path.name for path in out.parent.iterdir()) == [out.name, "patches"]


def test_images_of_unequal_size_are_batched_with_their_like(tmp_path: Path, out: Path) -> None:
    root = tmp_path / "patches"
    for number in range(9):
        size = (8, 6, 8, 5)[number % 4]
        write_image(root / "a" / f"P{number}.tif", noise(number, 3, size), place=number)
    model = Means()
    done = run(root, out, model, batch=3)
    assert done.vectors == 9
    assert max(shape[0] for shape in model.shapes) == 3
    assert sorted(shape[0] for shape in model.shapes if shape[-1] == 8) == [2, 3]
    for number in range(9):
        size = (8, 6, 8, 5)[number % 4]
        expected = noise(number, 3, size).astype(np.float32).mean((1, 2))
        np.testing.assert_allclose(vectors(out)[f"P{number}"], expected, rtol=1e-6)


def test_few_images_wait_for_their_like(
    tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_AHEAD_BYTES", 3 * 4 * 30 * 30)
    root = tmp_path / "patches"
    for number in range(12):
        write_image(root / "a" / f"P{number:02}.tif", noise(number, 3, 20 + number), place=number)
    model = Means()
    assert run(root, out, model, batch=16).vectors == 12
    assert len(model.shapes) == 12
    assert [*vectors(out)] == [f"P{number:02}" for number in range(12)]


@pytest.mark.parametrize("batch", [2, 64])
def test_images_with_pixels_that_have_no_number_are_left_out_by_name(
    root: Path, out: Path, batch: int
) -> None:
    holed = noise(3)
    holed[0, 0, 0] = 0
    write_image(root / "River/P3.tif", holed, nodata=0, place=3)
    done = run(root, out, batch=batch)
    assert done.left_out == ("P3",)
    assert done.vectors == 19
    assert "P3" not in vectors(out)
    assert run(root, out, batch=batch).left_out == ("P3",)


def test_without_a_whole_image_there_is_no_table(tmp_path: Path, out: Path) -> None:
    write_image(tmp_path / "patches/a/P0.tif", np.zeros((3, 8, 8), np.uint16), nodata=0)
    with pytest.raises(HfaefError, match="no image has a number in every pixel"):
        run(tmp_path / "patches", out)
    assert not out.exists()


def test_readers_are_only_some_images_ahead_of_the_model(root: Path, out: Path) -> None:
    taken: list[int] = []

    class Counted(Channels):
        def take(self, image: Any) -> Any:
            taken.append(1)
            return super().take(image)

    found: list[int] = []

    def encode(batch: Any) -> Any:
        time.sleep(0.05)
        found.append(len(taken))
        return batch.mean((2, 3))

    channels = Counted(**vars(match(IMAGES, Needs(), "m")))
    write_images(root, 60)
    run(root, out, encode, channels=channels)
    ahead = [read - 2 * (number + 1) for number, read in enumerate(found)]
    assert max(ahead) <= 2 * 2 + module._THREADS + 1


def test_readers_leave_the_models_threads_alone(root: Path, out: Path) -> None:
    outside = [one["num_threads"] for one in threadpoolctl.threadpool_info()]
    inside = []

    def encode(batch: Any) -> Any:
        inside.append([one["num_threads"] for one in threadpoolctl.threadpool_info()])
        return batch.mean((2, 3))

    run(root, out, encode)
    assert all(one == outside for one in inside)


def test_after_a_failure_it_goes_on_where_it_stopped(root: Path, out: Path) -> None:
    with pytest.raises(RuntimeError, match="out of memory"):
        run(root, out, Means(fails_after=5))
    assert not out.exists()
    done = run(root, out)
    assert done.computed == 12
    assert "staged already: 8 of 20 images" in done.notes
    run(root, out.with_name("whole.parquet"))
    assert out.read_bytes() == out.with_name("whole.parquet").read_bytes()


def test_numbers_that_are_not_finite_are_refused_with_the_patch(root: Path, out: Path) -> None:
    def encode(batch: Any) -> Any:
        made = batch.mean((2, 3))
        made[batch[:, 0, 0, 0] == noise(4)[0, 0, 0], 1] = np.nan
        return made

    with pytest.raises(HfaefError, match="means gives numbers that are not finite for P4"):
        run(root, out, encode)
    assert parts_folder(out).is_dir()


@pytest.mark.parametrize("change", ["model", "batch", "image"])
def test_parts_of_another_model_or_other_images_are_dropped_and_that_is_said(
    root: Path, out: Path, change: str
) -> None:
    with pytest.raises(RuntimeError):
        run(root, out, Means(fails_after=5))
    if change == "image":
        os.utime(root / "Forest/P0.tif", (0, 0))
    done = run(
        root, out, model="m" if change == "model" else "means", batch=4 if change == "batch" else 2
    )
    assert "staged parts of other images or another model dropped: 1" in done.notes
    assert done.computed == 20


def test_a_part_that_is_damaged_is_made_again(root: Path, out: Path) -> None:
    with pytest.raises(RuntimeError):
        run(root, out, Means(fails_after=9))
    first, second = sorted(parts_folder(out).glob("*.npz"))
    first.write_bytes(first.read_bytes()[:50])
    second.write_bytes(b"")
    assert run(root, out).computed == 20


def test_a_table_that_is_there_is_not_computed_again(root: Path, out: Path) -> None:
    run(root, out)
    content = out.read_bytes()
    model = Means()
    done = run(root, out, model)
    assert not model.shapes
    assert (done.vectors, done.dimensions, done.computed) == (20, 3, 0)
    assert done.notes == (f"{out} is there already, of the same model and images",)
    assert out.read_bytes() == content


def test_a_table_of_other_images_is_replaced_and_that_is_said_before(
    root: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(root, out)
    write_image(root / "Forest/P0.tif", noise(77), place=0)
    note = f"{out} holds other vectors, and is replaced: of other images, or in another batch"
    seen = []

    def encode(batch: Any) -> Any:
        seen.append(capsys.readouterr().err)
        return batch.mean((2, 3))

    done = run(root, out, encode)
    assert note in done.notes
    assert f"note: {note}\n" in seen[0]
    np.testing.assert_array_equal(vectors(out)["P0"], noise(77).astype(np.float32).mean((1, 2)))


def test_a_table_in_another_batch_is_replaced_and_that_is_said(root: Path, out: Path) -> None:
    run(root, out)
    (note,) = run(root, out, batch=4).notes
    assert "is replaced: of other images, or in another batch" in note


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"recipe": "another"}, ""),
        ({"model": "other:aaaaaaaaaaaaaaa"}, ""),
        ({"model": "means:b"}, ", with other weights, SHA-256 aaaaaaaaaaaa"),
    ],
)
def test_a_table_of_another_recipe_model_or_weights_stays_and_says_what_it_holds(
    root: Path, out: Path, change: dict[str, str], why: str
) -> None:
    run(root, out, model="means:aaaaaaaaaaaaaaa")
    content = out.read_bytes()
    model = Means()
    words = f"{out} holds 20 vectors of means and the recipe trial{why}; it stays as it is"
    with pytest.raises(FolderError, match=re.escape(words)) as refusal:
        run(root, out, model, **{"model": "means:aaaaaaaaaaaaaaa", **change})
    assert f"give another --out, or remove {out}" in str(refusal.value)
    assert not model.shapes
    assert out.read_bytes() == content
    assert not parts_folder(out).exists()


@pytest.mark.parametrize("kind", ["text", "table", "folder", "link"])
def test_what_belongs_to_others_stays(root: Path, out: Path, kind: str) -> None:
    match kind:
        case "text":
            out.write_text("mine")
        case "table":
            pq.write_table(pa.table({"id": ["P0"], "vector": [[1.0]]}), out)
        case "folder":
            out.mkdir()
        case "link":
            out.symlink_to("nowhere")
    before = out.lstat().st_mtime_ns
    with pytest.raises(FolderError, match="is there, and no table of `hfaef embed`; it stays"):
        run(root, out)
    assert out.lstat().st_mtime_ns == before


def test_what_others_have_beside_the_table_stays(root: Path, out: Path) -> None:
    folder = parts_folder(out)
    folder.mkdir()
    (folder / "000000.npz").write_text("mine")
    with pytest.raises(FolderError, match=r"holds something else: 000000\.npz"):
        run(root, out)
    (folder / "000000.npz").rename(folder / "thesis.txt")
    with pytest.raises(FolderError, match=r"holds something else: thesis\.txt"):
        run(root, out)
    assert (folder / "thesis.txt").read_text() == "mine"


def test_two_runs_into_one_table_are_refused(root: Path, out: Path) -> None:
    with (
        folder_lock(parts_folder(out), "lock", "wait"),
        pytest.raises(FolderError, match="another hfaef is at work"),
    ):
        run(root, out)


def test_parts_before_an_image_that_cannot_be_read_are_kept(root: Path, out: Path) -> None:
    write_images(root, 60)
    assert sorted(f"P{number}" for number in range(60))[32] == "P38"  # the second part's first
    write_image(root / "Forest/P38.tif", noise(38, 4), place=38)
    with pytest.raises(InputError, match=r"P38\.tif has 4 bands, and is said to hold 3"):
        run(root, out, batch=8)
    assert [path.name for path in parts_folder(out).glob("*.npz")] == ["000000.npz"]


@pytest.mark.parametrize("batch", [2, 64])
def test_an_image_that_cannot_be_read_is_named_and_what_is_done_is_kept(
    root: Path, out: Path, batch: int
) -> None:
    path = root / "River/P9.tif"
    content = path.read_bytes()
    write_image(path, noise(9, 4), place=9)
    with pytest.raises(InputError, match=r"P9\.tif has 4 bands, and is said to hold 3"):
        run(root, out, batch=batch)
    status = path.stat()
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert run(root, out, batch=batch).vectors == 20


def test_killed_before_any_change_and_run_again_the_bytes_are_the_same(
    root: Path, tmp_path: Path
) -> None:
    run(root, tmp_path / "whole.parquet")
    whole = (tmp_path / "whole.parquet").read_bytes()
    folder = tmp_path / "killed"
    for number in range(1, 40):
        folder.mkdir(exist_ok=True)
        out = folder / "means.parquet"
        out.unlink(missing_ok=True)
        killed = run_killed(lambda out=out: run(root, out), folder, number)
        run(root, out)
        assert out.read_bytes() == whole
        assert [path.name for path in folder.iterdir() if path.suffix != ".part"] == [out.name]
        if not killed:
            break
    assert number > 8
    assert not killed


SCRIPT = """
import sys
from pathlib import Path
from hfaef.encoders import embed_recipe
from support.images import images_recipe
embed_recipe(images_recipe(Path(sys.argv[1])), "stats", Path(sys.argv[2]), batch=1)
"""


def test_killed_while_it_works_and_run_again_the_bytes_are_the_same(tmp_path: Path) -> None:
    root = write_images(tmp_path / "patches", 160)
    killed, whole = tmp_path / "killed.parquet", tmp_path / "whole.parquet"
    command = [sys.executable, "-W", "ignore", "-c", SCRIPT, str(root)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    process = subprocess.Popen([*command, str(killed)], env=environment, stderr=subprocess.DEVNULL)
    while not [*parts_folder(killed).glob("*.npz")]:
        assert process.poll() is None
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    assert process.wait(60) == -signal.SIGKILL
    assert not killed.exists()
    staged = len([*parts_folder(killed).glob("*.npz")])
    assert 0 < staged < 40
    for out in (killed, whole):
        subprocess.run([*command, str(out)], env=environment, check=True, capture_output=True)
    assert killed.read_bytes() == whole.read_bytes()
    assert not parts_folder(killed).exists()


def test_notes_and_devices_of_a_model_are_part_of_what_vectors_are_made_with(
    root: Path, out: Path
) -> None:
    files = image_files(open_catalog(images_recipe(root)))
    told = Provenance(model="means", device="cpu")
    encoder = Encoder(Needs(), told, Means())
    channels = match(IMAGES, encoder.needs, "means")
    embed_images(encoder, channels, IMAGES, files, out)
    other = replace(encoder, provenance=told.model_copy(update={"device": "cuda"}))
    assert embed_images(other, channels, IMAGES, files, out).computed == 20
