"""A table of patches in a row over a border of zones, and an Earth Engine that shows them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hfaef.catalog import open_catalog
from hfaef.recipe.model import Recipe
from hfaef.recipe.read import read_recipe
from servers.earthengine import Service, World, tiles_around
from servers.earthengine.client import section


def point_settings(folder: Path, count: int, size: int, step: float = 0.01) -> list[str]:
    """Write the table and an empty recipe, ``points.toml``; gives what to set in that."""
    rows = [
        f"p{n:04d},{5.9 + step * n:.5f},{50.1 + step * (n % 3):.5f},{'ab'[n % 2]}\n"
        for n in range(count)
    ]
    (folder / "points.csv").write_text("id,lon,lat,label\n" + "".join(rows))
    (folder / "points.toml").write_text("")
    settings = ["name=Points", "years=[2018]", "patches.kind=table", f"patches.size={size}"]
    return [*settings, f"patches.path={folder / 'points.csv'}", "source.kind=earthengine"]


def points(folder: Path, count: int, size: int, step: float = 0.01) -> Recipe:
    """The recipe of that table."""
    settings = point_settings(folder, count, size, step)
    return read_recipe(str(folder / "points.toml"), settings)


@contextmanager
def served(recipe: Recipe, years: tuple[int, ...] = (2018,)) -> Iterator[Service]:
    """A service that shows all patches of a recipe."""
    grids = [patch.grid for patch in open_catalog(recipe, list(years)).patches]
    with Service(World(tiles_around(grids, years))) as service:
        yield service


def over(recipe: Recipe, service: Service, **keys: object) -> Recipe:
    """The recipe, read from a service."""
    return recipe.model_copy(update={"source": section(service, **keys)})


def asked(service: Service) -> int:
    """Requests for pixels or points."""
    return service.conduct.tally.requests["pixels"] + service.conduct.tally.requests["features"]


def patches_in_batches(service: Service) -> int:
    """Patches that were asked for together with others, each as often as it was."""
    return sum(size * count for size, count in service.conduct.tally.patches.items() if size > 1)
