"""How tests reach the service: the real source on it, and what it must give."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import shapely

from hfaef.core.grid import WGS84, Grid, project
from hfaef.core.quantize import BANDS, NODATA
from hfaef.recipe.model import EarthEngine as Section
from hfaef.sources.earthengine import source as earthengine
from servers.earthengine.server import Service
from servers.earthengine.world import World, crs_zone

TOKEN = "ya29.a-secret-that-nobody-sees"  # noqa: S105 - it opens nothing
PROJECT = "aef-tests"


def section(service: Service, **keys: Any) -> Section:
    """A recipe's section that names the service."""
    return Section(**{"kind": "earthengine", "project": PROJECT, "url": service.url, **keys})


@contextmanager
def source_of(
    service: Service, years: Sequence[int] = (), *, timeout: float = 20.0, **keys: Any
) -> Iterator[earthengine.EarthEngine]:
    """The real source, on the service."""
    source = earthengine.open(section(service, **keys), years, timeout=timeout)
    try:
        yield source
    finally:
        source.close()


def isolate(monkeypatch: pytest.MonkeyPatch, home: Any) -> None:
    """Hide this machine's own credentials."""
    for name in ("GOOGLE_APPLICATION_CREDENTIALS", "HFAEF_EE_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(home / "gcloud"))
    monkeypatch.setenv("NO_GCE_CHECK", "true")


def expected(world: World, grid: Grid, year: int) -> npt.NDArray[np.int8]:
    """The closed form on a grid, by the rule: own zone first, then the higher name; (64, H, W)."""
    codes = np.full((BANDS, grid.height, grid.width), NODATA, np.int8)
    own = crs_zone(grid.crs)
    order = sorted(world.tiles, key=lambda tile: (tile.zone == own, tile.index), reverse=True)
    near = shapely.box(*grid.bounds()).buffer(0.1)
    for tile in order:
        if year not in tile.years or not tile.footprint.intersects(near):
            continue
        x, y, inside = tile.pixels(*project(*grid.centres(), grid.crs, tile.crs))
        longitude, latitude = project(x, y, tile.crs, WGS84)
        inside &= np.abs(longitude - tile.meridian) <= 3 + world.zone_overlap
        inside &= codes[0] == NODATA
        codes[:, inside] = world.field.codes(longitude[inside], latitude[inside], year)
    return codes
