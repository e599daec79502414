"""Small real releases that differ in a known way, built from the demo world."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from hfaef.build.pipeline import build
from hfaef.hub.open import open_release
from hfaef.recipe.read import read_recipe


@contextmanager
def inside(folder: Path) -> Iterator[None]:
    """Work in a folder, as paths of a recipe count from there."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def make_release(  # noqa: PLR0913 - a keyword for each way to differ
    demo_root: Path,
    folder: Path,
    *,
    patches: int = 24,
    drop: tuple[str, ...] = (),
    relabel: Mapping[str, str] | None = None,
    description: str = "A few patches.",
    shard_bytes: str = "1MB",
    resplit: Mapping[str, str] | None = None,
    previous: str | None = None,
    benchmark: bool = False,
) -> Path:
    """A release of some patches of the demo world; gives its folder.

    Args:
        demo_root: as the fixture.
        folder: is made; the release lies in ``release`` of it.
        patches: so many, those with the first names.
        drop: names of patches that are left out.
        relabel: other labels by the name of the patch.
        description: for the card.
        shard_bytes: size of a shard.
        resplit: other splits (train, val, test) by the name of the patch.
        previous: the release before, whose rows stay in their shards.
        benchmark: whether it is one on the Hub.
    """
    world = demo_root / "data/demo"
    names = sorted(path.stem for path in world.glob("patches/*/*.tif"))[:patches]
    for path in world.glob("patches/*/*.tif"):
        if path.stem in names and path.stem not in drop:
            label = (relabel or {}).get(path.stem, path.parent.name)
            (folder / "patches" / label).mkdir(parents=True, exist_ok=True)
            shutil.copy(path, folder / "patches" / label / path.name)
    for split in ("train", "val", "test"):
        listed = (world / f"lists/random-{split}.txt").read_text().split()
        stays = [name for name in listed if Path(name).stem not in (resplit or {})]
        moved = [name for name, other in (resplit or {}).items() if other == split]
        (folder / f"{split}.txt").write_text("\n".join([*stays, *moved]))
    lists = "\n".join(f'{split} = "{split}.txt"' for split in ("train", "val", "test"))
    recipe = f"""
name = "Patches"
years = [2018]
[patches]
kind = "geotiffs"
root = "patches"
labels = ["Dune", "Forest", "Heath", "Meadow", "Rock", "Town"]
[patches.splits.random]
{lists}
[source]
kind = "cog"
root = "{world}/aef"
[pack]
shard_bytes = "{shard_bytes}"
[card]
description = "{description}"
benchmark = {str(benchmark).lower()}
"""
    (folder / "hfaef.toml").write_text(recipe)
    with inside(folder):
        release = open_release(previous) if previous else None
        build(read_recipe(None), Path("release"), threads=1, previous=release)
    return folder / "release"


def fresh_copy(release: Path, folder: Path) -> Path:
    """A copy of a release, without what its build staged."""
    shutil.copytree(release, folder, ignore=shutil.ignore_patterns(".staging"))
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    """The files of a release by path, without the staging."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".staging" not in path.parts
    }
