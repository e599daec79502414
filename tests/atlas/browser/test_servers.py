"""Where the data come from: other origins, redirects, servers without ranges, folders; and damage."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from hfaef.atlas.content import read_folder
from hfaef.atlas.policy import data_origins
from hfaef.atlas.site import page_files
from servers.files import Fault, FileServer, Request
from support.atlas import POINTS, POLICY, SHOWN, Points, change_points, read_points
from support.browser import Visit, Visits

OPEN = {"Access-Control-Allow-Origin": "*"}


@pytest.fixture(scope="module")
def points(evaluated_release: Path) -> Points:
    return read_points(evaluated_release)


@pytest.fixture
def page_of(evaluated_release: Path, tmp_path: Path) -> Callable[..., Path]:
    """Writes the page of the demo's release alone, for data at an address."""

    def make(data: str, *redirects: str) -> Path:
        folder = tmp_path / "page"
        shown = read_folder(evaluated_release, tmp_path)
        for name, content in page_files(shown, data, data_origins(data, redirects)).items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        return folder

    return make


def assert_works(page: Visit, points: Points, row: int = 5) -> None:
    """Asserts that a click shows previews and the right neighbours."""
    page.click(row)
    assert [one["id"] for one in page.near(SHOWN)] == [one[0] for one in points.near(row)]
    assert 0 not in page.pictures(1 + SHOWN)


def cross_origin(request: Request) -> Fault:
    return Fault(405) if request.method == "OPTIONS" else Fault(headers=OPEN)


def test_data_of_another_origin_need_no_preflight(
    visit: Visits, evaluated_release: Path, points: Points, page_of: Callable[..., Path]
) -> None:
    with FileServer(evaluated_release, fail=cross_origin) as data:
        with FileServer(page_of(data.url + "/")) as server:
            page = visit().open(server.url + "/")
            assert_works(page, points)
            page.is_clean(server.url, data.url)
        assert {request.method for request in data.requests} == {"GET"}


def test_no_part_of_a_file_is_asked_for_twice_or_kept_by_the_browsers_cache(
    visit: Visits, demo_site: Path, points: Points
) -> None:
    with FileServer(demo_site, fail=lambda _: POLICY) as server:
        page = visit().open(server.url + "/")
        server.forget()
        assert_works(page, points)
        assert_works(page, points, 11)
        parts = [request for request in server.requests if request.range]
        asked = Counter((request.path, request.range) for request in parts)
        assert set(asked.values()) == {1}
        assert {request.headers["cache-control"] for request in parts} == {"no-cache"}


def test_a_redirect_is_followed_once_a_file(
    visit: Visits, evaluated_release: Path, points: Points, page_of: Callable[..., Path]
) -> None:
    with FileServer(evaluated_release, fail=cross_origin) as storage:

        def lead(request: Request) -> Fault:
            place = f"{storage.url}{request.path}"
            return Fault(302, {**OPEN, "Location": place})

        with (
            FileServer(evaluated_release, fail=lead) as data,
            FileServer(page_of(data.url + "/", storage.url)) as server,
        ):
            page = visit().open(server.url + "/")
            assert_works(page, points)
            assert_works(page, points, 11)
            page.is_clean(server.url, data.url, storage.url)
            asked = Counter(request.path for request in data.requests)
            assert set(asked.values()) == {1}
            assert len(storage.requests) > len(data.requests)


def test_a_server_without_ranges_is_named_and_no_shard_is_read_whole(
    visit: Visits, demo_site: Path
) -> None:
    whole = Fault(headers=POLICY.headers, whole=True)
    with FileServer(demo_site, fail=lambda _: whole) as server:
        page = visit().open(server.url + "/")
        page.click(4)
        page.page.wait_for_function("() => /range/i.test(document.body.innerText)")
        assert "hfaef atlas" in page.text()
        bar = page.page.locator("#bar").inner_text()
        assert "serve it with a server that answers ranges, such as nginx or Caddy" in bar
        assert page.text().count("such as nginx") == 1
        assert page.said == []
        shards = {request.path for request in server.requests if "/data/data/" in request.path}
        assert len(shards) <= 1


def test_a_page_from_a_file_reads_the_folder_that_is_picked(
    visit: Visits, demo_site: Path, evaluated_release: Path, points: Points
) -> None:
    page = visit()
    page.page.goto((demo_site / "index.html").as_uri())
    picker = page.page.locator("input[webkitdirectory]")
    picker.wait_for(state="attached")
    picker.set_input_files(evaluated_release)
    page.ready()
    assert page.call("shown") == len(points.table)
    assert_works(page, points)
    assert page.said == []
    assert {url.partition(":")[0] for url in page.asked} <= {"file", "blob", "data"}


def test_a_folder_that_is_no_release_is_named_and_another_can_be_picked(
    visit: Visits, demo_site: Path, evaluated_release: Path, tmp_path: Path
) -> None:
    (tmp_path / "holiday").mkdir()
    (tmp_path / "holiday/one.txt").write_text("1")
    page = visit()
    page.page.goto((demo_site / "index.html").as_uri())
    picker = page.page.locator("input[webkitdirectory]")
    picker.wait_for(state="attached")
    picker.set_input_files(tmp_path / "holiday")
    alert = page.page.get_by_role("alert")
    alert.wait_for()
    assert "holiday is no release with points (atlas/points.parquet)" in alert.inner_text()
    assert "`hfaef build` or `hfaef eval` makes them" in alert.inner_text()
    picker.set_input_files(evaluated_release)
    page.ready()
    assert page.said == []


def test_what_the_server_says_is_wrong_is_shown(visit: Visits, demo_site: Path) -> None:
    words = b"a.parquet: the file is cut off\nTry: hfaef check"
    text = {"Content-Type": "text/plain; charset=utf-8"}

    def fail(request: Request) -> Fault:
        return Fault(503, text, words) if request.path == "/atlas.json" else POLICY

    with FileServer(demo_site, fail=fail) as server:
        page = visit()
        page.page.goto(server.url + "/")
        alert = page.page.get_by_role("alert")
        alert.wait_for()
        assert "a.parquet: the file is cut off" in alert.inner_text()
        assert "beside this page" not in alert.inner_text()


def damage(path: str, change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    """Changes the bytes of a file of a site's data."""

    def work(data: Path) -> None:
        (data / path).write_bytes(change((data / path).read_bytes()))

    return work


def told(**words: Any) -> Callable[[Path], None]:
    """Other words about the points."""
    return lambda data: change_points(data, lambda about: about.update(words))


def columns(**values: Any) -> Callable[[Path], None]:
    """Other columns of all points."""

    def work(data: Path) -> None:
        rows = len(read_points(data).table)
        change_points(data, **{name: [value] * rows for name, value in values.items()})

    return work


HOSTILE = {
    "gone": lambda data: (data / POINTS).unlink(),
    "empty": damage(POINTS, lambda _: b""),
    "cut": damage(POINTS, lambda content: content[: len(content) // 2]),
    "no Parquet": damage(POINTS, lambda _: b"<html>not here</html>" * 50),
    "a footer of 4 GB": damage(POINTS, lambda one: one[:-8] + b"\xff\xff\xff\x7fPAR1"),
    "noise": damage(POINTS, lambda one: one[:200] + bytes(2000) + one[2200:]),
    "another format": told(format=99),
    "no JSON": lambda data: change_points(data, lambda about: about.clear()),
    "names that are none": told(label_names={"length": 1e9}),
    "schemes that are none": told(schemes=[{"name": None, "split": "__proto__", "predicted": 7}]),
    "labels without a name": columns(label=2**31 - 1),
    "previews elsewhere": columns(preview_length=2**31 - 1),
    "previews before the file": columns(preview_offset=-5),
}
"""What may be wrong with points, by what a person would call it."""


@pytest.mark.parametrize("name", HOSTILE)
def test_damaged_points_are_words_and_no_blank_page(
    visit: Visits, demo_site: Path, tmp_path: Path, name: str
) -> None:
    site = Path(shutil.copytree(demo_site, tmp_path / "site"))
    HOSTILE[name](site / "data")
    with FileServer(site, fail=lambda _: POLICY) as server:
        page = visit()
        page.page.goto(server.url + "/")
        alert = page.page.locator("[role=alert]:visible").first
        alert.wait_for()
        assert len(alert.inner_text()) > 20
        assert [one for one in page.said if "Failed to load resource" not in one] == []
        assert page.violations == []


def test_without_vectors_a_patch_is_shown_and_it_is_said_what_is_missing(
    visit: Visits, demo_site: Path, tmp_path: Path, points: Points
) -> None:
    site = Path(shutil.copytree(demo_site, tmp_path / "site"))
    path = points.about["vectors"]["files"][0]["path"]
    (site / "data" / path).unlink()
    with FileServer(site, fail=lambda _: POLICY) as server:
        page = visit().open(server.url + "/")
        page.click(4)
        assert 0 not in page.pictures(1)
        page.page.wait_for_function("(path) => document.body.innerText.includes(path)", arg=path)
        assert page.call("near") == []
        assert [one for one in page.said if "Failed to load resource" not in one] == []


def vector_chunks(data: Path, points: Points) -> Iterator[tuple[Path, int, int]]:
    """File, start and length of each chunk of vectors."""
    for file in points.about["vectors"]["files"]:
        metadata = pq.read_metadata(data / file["path"])
        for group in range(metadata.num_row_groups):
            for number in range(metadata.num_columns):
                chunk = metadata.row_group(group).column(number)
                if chunk.path_in_schema.startswith(points.about["vectors"]["column"] + "."):
                    yield data / file["path"], chunk.data_page_offset, chunk.total_compressed_size


def test_damaged_vectors_are_named_and_the_patch_is_shown(
    visit: Visits, demo_site: Path, tmp_path: Path, points: Points
) -> None:
    site = Path(shutil.copytree(demo_site, tmp_path / "site"))
    for path, start, length in vector_chunks(site / "data", points):
        content = bytearray(path.read_bytes())
        content[start + length // 2 : start + length] = bytes(length - length // 2)
        path.write_bytes(content)
    with FileServer(site, fail=lambda _: POLICY) as server:
        page = visit().open(server.url + "/")
        page.click(4)
        near = page.page.get_by_role("region", name="Nearest neighbours")
        near.get_by_text(re.compile("cannot be read as Parquet .*hfaef check")).wait_for()
        assert "pooled/" in near.inner_text()
        assert 0 not in page.pictures(1)
        page.is_clean(server.url)


OTHERWISE: tuple[dict[str, Any], ...] = (
    {"data_page_version": "2.0"},
    {"use_dictionary": True},
    {"compression": "none"},
)
"""How a file of vectors may be written."""


def test_vectors_that_are_packed_otherwise_are_read_as_well(
    visit: Visits, demo_site: Path, tmp_path: Path, points: Points
) -> None:
    site = Path(shutil.copytree(demo_site, tmp_path / "site"))
    files = points.about["vectors"]["files"]
    for file, other in zip(files, cycle(OTHERWISE), strict=False):
        path = site / "data" / file["path"]
        table = pq.ParquetFile(path).read()
        pq.write_table(table, path, **{"use_dictionary": False, "compression": "zstd", **other})
        file["bytes"] = path.stat().st_size
    change_points(site / "data", lambda about: about["vectors"].update(files=files))
    with FileServer(site, fail=lambda _: POLICY) as server:
        page = visit().open(server.url + "/")
        assert_works(page, points)
        page.is_clean(server.url)


NO_WORKERS = {
    "none there": "delete window.Worker",
    "refused at once": "window.Worker = class { constructor() { throw new Error('refused'); } }",
    "ends with an error": "URL.createObjectURL = () => 'blob:nothing'",
}
"""Why a browser may run no worker."""


@pytest.mark.parametrize("name", NO_WORKERS)
def test_a_browser_that_runs_no_worker_is_told_of_and_the_page_does_not_hang(
    visit: Visits, served: FileServer, name: str
) -> None:
    page = visit()
    page.page.add_init_script(NO_WORKERS[name])
    page.open(served.url + "/").click(4)
    near = page.page.get_by_role("region", name="Nearest neighbours")
    near.get_by_text(re.compile("does not run the worker .*use another browser")).wait_for()
    assert page.call("near") == []
