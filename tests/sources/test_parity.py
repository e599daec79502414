"""The same patches from Earth Engine, alone and in batches, and from the COGs are the same bytes."""

from __future__ import annotations

from pathlib import Path

import pytest

from hfaef.core.grid import Grid
from hfaef.recipe.model import Cog
from hfaef.sources.base import Pixels
from hfaef.sources.cog.source import open_cog
from hfaef.sources.demo.field import Field
from hfaef.sources.demo.tiles import write_store
from servers.earthengine import Service, World, tiles_around
from servers.earthengine.client import isolate, source_of

YEAR = 2018
FIELD = Field(seed=3)
SIDE = 163_840.0
GRIDS = [
    Grid("EPSG:32632", (10.0, 0, 514_180.0, 0, -10.0, 5_549_890.0), 64, 64),
    # Across four images, and so across four tiles.
    Grid("EPSG:32632", (9.97, 0, 500_000 - 301.3, 0, -9.98, 5_242_880 + 283.1), 64, 64),
    # Across two tiles of one image.
    Grid("EPSG:32632", (10.01, 0, 500_000 + SIDE / 2 - 301.3, 0, -9.98, 5_550_000.0), 64, 64),
    # Across two zones, in the CRS of either, of a third, and in degrees.
    Grid("EPSG:32632", (10.0, 0, 285_261.7, 0, -10.0, 5_554_261.7), 64, 64),
    Grid("EPSG:32631", (10.0, 0, 714_410.0, 0, -10.0, 5_554_260.0), 64, 64),
    Grid("EPSG:32633", (9.99, 0, -140_000.5, 0, -9.97, 5_590_000.3), 64, 64),
    Grid("EPSG:4326", (1e-4, 0, 5.9970, 0, -1e-4, 50.1), 64, 64),
    # Rotated, and in the south.
    Grid("EPSG:32632", (8.0, 6.0, 512_345.6, 6.0, -8.0, 5_543_210.9), 64, 64),
    Grid("EPSG:32734", (10.0, 0, 453_380.0, 0, -10.0, 6_314_760.0), 64, 64),
]


def same_bytes(grids: list[Grid], folder: Path) -> tuple[int, int]:
    """Patches that are equal, and those that are not."""
    write_store(folder, FIELD, {YEAR: grids})
    cogs = open_cog(Cog(kind="cog", root=str(folder)))
    equal = 0
    with (
        Service(World(tiles_around(grids, (YEAR,)), FIELD)) as service,
        source_of(service, [YEAR]) as engine,
    ):
        for start in range(0, len(grids), 16):
            some = grids[start : start + 16]
            for grid, together in zip(some, engine.read_batch(some, YEAR), strict=True):
                one, two = cogs.read(grid, YEAR), engine.read(grid, YEAR)
                assert isinstance(together, Pixels)
                equal += one.codes.tobytes() == two.codes.tobytes() == together.codes.tobytes()
        assert service.conduct.tally.requests["pixels"] == len(grids) + -(-len(grids) // 16)
    return equal, len(grids) - equal


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    isolate(monkeypatch, tmp_path)
    monkeypatch.setenv("HFAEF_EE_TOKEN", "parity")


def test_borders_zones_and_odd_grids(tmp_path: Path) -> None:
    assert same_bytes(GRIDS, tmp_path / "store") == (len(GRIDS), 0)


@pytest.mark.slow
def test_all_real_eurosat_grids(eurosat_grids: dict[str, Grid], tmp_path: Path) -> None:
    assert same_bytes(list(eurosat_grids.values()), tmp_path / "store") == (100, 0)
