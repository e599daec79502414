"""Releases from Earth Engine in batches are those one by one, also when all goes wrong."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from build.test_pipeline import digests

from hfaef.build.pipeline import Built, build
from hfaef.build.plan import plan
from hfaef.build.status import read_status
from hfaef.catalog import open_catalog
from hfaef.cli import build as cli
from hfaef.core.grid import Grid
from hfaef.load import load
from hfaef.recipe.model import Recipe
from servers.earthengine import Fault, Service, World
from servers.earthengine.client import TOKEN, expected, isolate
from support.kills import run_killed
from support.kinds import KINDS, YEARS, recipe_of, write_points
from support.points import asked, over, patches_in_batches, points, served


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    isolate(monkeypatch, tmp_path)
    monkeypatch.setenv("HFAEF_EE_TOKEN", TOKEN)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_points(tmp_path_factory.mktemp("world"))


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_catalog_is_the_same_release_in_batches(
    world: Path, tmp_path: Path, kind: str
) -> None:
    recipe = recipe_of(kind, world, tmp_path / "points.parquet")
    with served(recipe, YEARS) as service:
        found = []
        for batch in (1, 5, "auto"):
            before = asked(service)
            made = build(
                over(recipe, service, batch=batch), tmp_path / str(batch), allow_missing=True
            )
            found.append((digests(made.folder), asked(service) - before))
    assert found[0][0] == found[1][0] == found[2][0]
    assert found[0][1] >= 12
    status = read_status(tmp_path / "auto")
    assert status.together == status.fetched
    assert (status.batches + status.checks, status.unchecked) == (found[2][1], 0)


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    """Patches that are read as images."""
    return points(tmp_path_factory.mktemp("rows"), 48, 16)


@pytest.fixture
def service(rows: Recipe) -> Iterator[Service]:
    with served(rows) as running:
        yield running


@pytest.fixture(scope="module")
def one_by_one(rows: Recipe, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Digests of the release that is made without batches."""
    with pytest.MonkeyPatch.context() as patched, served(rows) as service:
        folder = tmp_path_factory.mktemp("one-by-one")
        isolate(patched, folder)
        patched.setenv("HFAEF_EE_TOKEN", TOKEN)
        return digests(build(over(rows, service, batch=1), folder / "out").folder)


def require_same(made: Built, one_by_one: dict[str, str]) -> None:
    assert digests(made.folder) == one_by_one
    assert read_status(made.folder).unchecked == 0


def test_three_batches_and_their_checks_make_the_release(
    rows: Recipe, service: Service, one_by_one: dict[str, str], tmp_path: Path
) -> None:
    recipe = over(rows, service)
    planned = plan(recipe, tmp_path / "out").costs[0]
    made = build(recipe, tmp_path / "out")
    require_same(made, one_by_one)
    assert not made.notes
    status = read_status(made.folder)
    assert (status.together, status.batches) == (48, 3)
    assert status.checks in (16, 17)
    assert asked(service) == 3 + status.checks <= planned.requests - 4 == 3 + 17
    assert planned.requests_one_by_one == 48 + 4


def test_plan_and_status_say_what_batches_save_and_what_was_checked(
    rows: Recipe, service: Service, tmp_path: Path
) -> None:
    settings = [f"source.url={service.url}", "source.kind=earthengine", "source.project=p"]
    settings += ["name=Points", "years=[2018]", "patches.kind=table", "patches.size=16"]
    settings.append(f"patches.path={rows.patches.path}")
    (tmp_path / "r.toml").write_text("")
    lines = cli.plan(str(tmp_path / "r.toml"), tmp_path / "out", settings).lines
    assert "with 17 requests that check them; one by one 52 requests, 0.5 s" in str(lines[-1])
    assert str(lines[-1]).endswith(", as with --scheduler")
    build(over(rows, service), tmp_path / "out")
    lines = cli.status(tmp_path / "out").lines
    assert str(lines[1]).startswith("48 of them in 3 batches; 1")
    assert str(lines[1]).endswith(" were read once more, alone, and were the same")


def test_pixels_half_a_pixel_off_are_found_in_the_first_batch_and_none_stays(
    rows: Recipe, service: Service, one_by_one: dict[str, str], tmp_path: Path
) -> None:
    service.conduct.half_a_pixel_off = True
    made = build(over(rows, service), tmp_path / "out", threads=1)
    require_same(made, one_by_one)
    (note,) = made.notes
    assert note.startswith("patches were read one by one: p00")
    assert "is another than it is alone; 16 that came together were read again" in note
    status = read_status(made.folder)
    assert (status.together, status.checks, status.fetched) == (0, 0, 48)


@pytest.mark.parametrize("operation", ["Image.changeProj", "Image.cat", "Image.reproject"])
def test_a_service_that_does_not_know_an_operation_makes_the_same_release(
    rows: Recipe, service: Service, one_by_one: dict[str, str], tmp_path: Path, operation: str
) -> None:
    service.conduct.unknown = frozenset({operation})
    made = build(over(rows, service), tmp_path / "out")
    require_same(made, one_by_one)
    (note,) = made.notes
    assert operation in note
    assert asked(service) <= 48 + 3


def test_a_service_with_little_memory_makes_the_same_release(
    rows: Recipe, service: Service, one_by_one: dict[str, str], tmp_path: Path
) -> None:
    service.conduct.max_bands = 5 * 64
    require_same(build(over(rows, service), tmp_path / "out"), one_by_one)


@pytest.mark.parametrize("batch", [1, 4])
def test_a_fifth_of_all_answers_may_fail(
    rows: Recipe, service: Service, one_by_one: dict[str, str], tmp_path: Path, batch: int
) -> None:
    chance = random.Random(5)
    usual = [
        Fault("status", 503),
        Fault("status", 429, "Quota exceeded."),
        Fault("reset"),
        Fault("truncate"),
        Fault("garbage"),
        Fault("zero"),
    ]
    service.conduct.plan(
        chance.choice(usual) if chance.random() < 0.2 else None for _ in range(400)
    )
    made = build(over(rows, service, batch=batch), tmp_path / "out")
    require_same(made, one_by_one)
    assert (read_status(made.folder).together > 24) == (batch > 1)
    assert sum(service.conduct.tally.statuses[code] for code in (429, 503)) > 0


def test_a_quota_that_is_lower_than_said_is_found(
    rows: Recipe, service: Service, one_by_one: dict[str, str], tmp_path: Path
) -> None:
    service.conduct.at_once, service.conduct.latency = 2, 0.05
    require_same(build(over(rows, service, batch=2), tmp_path / "out"), one_by_one)


@contextmanager
def dropping(service: Service, after: int, name: str, quota: int) -> Iterator[None]:
    """Lower a quota of a service once it was asked so often."""
    dropped = threading.Event()

    def drop() -> None:
        while asked(service) < after:
            time.sleep(0.001)
        setattr(service.conduct, name, quota)
        dropped.set()

    threading.Thread(target=drop, daemon=True).start()
    yield
    assert dropped.is_set()


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize(("name", "quota"), [("at_once", 2), ("per_minute", 10)])
def test_a_quota_that_drops_in_the_middle_of_a_build_loses_nothing(
    rows: Recipe,
    service: Service,
    one_by_one: dict[str, str],
    tmp_path: Path,
    name: str,
    quota: int,
    batch: int,
) -> None:
    service.conduct.latency, service.conduct.minute = 0.05, 0.5
    with dropping(service, 8, name, quota):
        made = build(over(rows, service, batch=batch), tmp_path / "out")
    require_same(made, one_by_one)
    assert not made.notes
    assert service.conduct.tally.statuses[429] > 0
    assert read_status(made.folder).together == (0 if batch == 1 else 48)


def killed(rows: Recipe, service: Service, folder: Path, numbers: range) -> int:
    """Build in a process that is killed again and again; gives how often it was."""

    def action() -> None:
        build(over(rows, service, batch=4), folder, threads=2)

    kills = 0
    for number in numbers:
        if not run_killed(action, folder, number):
            break
        kills += 1
    return kills


def test_killed_again_and_again_it_ends_with_the_same_bytes(
    rows: Recipe, service: Service, one_by_one: dict[str, str], tmp_path: Path
) -> None:
    kills = killed(rows, service, tmp_path / "out", range(3, 99, 12))
    assert kills >= 3
    require_same(build(over(rows, service), tmp_path / "out"), one_by_one)
    # What two threads had not staged when they were killed is read again, and nothing else.
    assert patches_in_batches(service) <= 48 + kills * 2 * 4


def test_killed_amid_lies_it_ends_with_the_same_bytes(
    rows: Recipe, service: Service, one_by_one: dict[str, str], tmp_path: Path
) -> None:
    """What was staged and not checked when the process died is not believed."""
    service.conduct.half_a_pixel_off = True
    service.conduct.latency = 0.02
    kills = killed(rows, service, tmp_path / "out", range(10, 60, 20))
    assert kills >= 2
    service.conduct.half_a_pixel_off = False
    require_same(build(over(rows, service, batch=1), tmp_path / "out"), one_by_one)


def test_hundreds_of_points_are_few_requests_and_no_code_is_wrong(tmp_path: Path) -> None:
    recipe = points(tmp_path, 400, 1, step=0.0007)
    with served(recipe) as service:
        made = build(over(recipe, service), tmp_path / "out")
        assert not made.notes
        zones = len({patch.grid.crs for patch in open_catalog(recipe).patches})
        assert zones == 2
        assert service.conduct.tally.requests["features"] == zones
        assert service.conduct.tally.requests["pixels"] <= 16 + 1
        require_right(made, recipe, service.world)


def require_right(made: Built, recipe: Recipe, world: World) -> None:
    """Every staged patch is the closed form."""
    grids: dict[str, Grid] = {patch.id: patch.grid for patch in open_catalog(recipe).patches}
    loaded = list(load(made.folder, "train"))
    assert len(loaded) == len(grids)
    for row in loaded:
        stored = np.asarray(row["embedding"], np.int16) - 127
        assert (stored == expected(world, grids[row["id"]], 2018)).all()
