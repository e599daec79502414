"""What would fail far from its cause is refused before the first request."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio

from hfaef.catalog import open_catalog
from hfaef.errors import CatalogError
from hfaef.recipe.model import MOST_SHEET_PIXELS, Recipe


def recipe_of(root: Path, source: dict[str, object] | None = None, **patches: object) -> Recipe:
    return Recipe.model_validate(
        {
            "name": "trial",
            "years": [2018, 2019],
            "patches": {"kind": "geotiffs", "root": root, **patches},
            "source": source or {"kind": "cog", "root": "aef"},
        }
    )


def with_codec(recipe: Recipe, codec: str) -> Recipe:
    return recipe.model_copy(update={"pack": recipe.pack.model_copy(update={"codec": codec})})


def write(root: Path, name: str, height: int = 8, width: int = 8, crs: str = "EPSG:32632") -> None:
    path = root / "x" / f"{name}.tif"
    path.parent.mkdir(exist_ok=True)
    profile = {"driver": "GTiff", "count": 1, "dtype": "uint8", "sparse_ok": True}
    affine = rasterio.Affine(10, 0, 600_000, 0, -10, 5_400_000)
    with rasterio.open(
        path, "w", height=height, width=width, crs=crs, transform=affine, **profile
    ) as file:
        file.write(np.ones((1, 1, 1), np.uint8), window=((height - 1, height), (width - 1, width)))


def test_the_limit_is_that_of_pillow() -> None:
    from PIL import Image

    assert Image.MAX_IMAGE_PIXELS == 89_478_485
    assert 1672**2 <= MOST_SHEET_PIXELS < 1673**2


def test_a_patch_whose_sheet_nobody_opens_is_refused_naming_the_way_out(tmp_path: Path) -> None:
    write(tmp_path, "fine", 1672, 1672)
    write(tmp_path, "large", 1673, 1673)
    write(tmp_path, "long", 699, 4001)
    recipe = recipe_of(tmp_path)
    with pytest.raises(CatalogError) as caught:
        open_catalog(recipe)
    message = str(caught.value)
    assert "patch large is 1673 x 1673 pixels" in message
    assert "patch long is 699 x 4001 pixels" in message
    assert 'pack.codec = "raw"' in message
    assert "fine" not in message
    assert len(open_catalog(with_codec(recipe, "raw")).patches) == 6


def test_a_patch_over_the_largest_side_is_refused_whatever_the_codec(tmp_path: Path) -> None:
    write(tmp_path, "fine", 8, 4096)
    write(tmp_path, "wide", 8, 4097)
    with pytest.raises(CatalogError, match="patch wide is 8 x 4097 pixels, over 4,096 a side"):
        open_catalog(with_codec(recipe_of(tmp_path), "raw"))


def test_patches_over_a_limit_may_be_skipped(tmp_path: Path) -> None:
    write(tmp_path, "fine")
    write(tmp_path, "wide", 8, 4097)
    found = open_catalog(recipe_of(tmp_path, skip_bad=True))
    assert [(patch.id, patch.year) for patch in found.patches] == [("fine", 2018), ("fine", 2019)]
    assert [(gone.id, gone.label) for gone in found.unreadable] == [("wide", "x")]


def test_a_box_whose_sheet_nobody_opens_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "boxes.csv"
    path.write_text("id,label,west,south,east,north\na,x,11,48,11.3,48.2\n")
    recipe = recipe_of(tmp_path).model_dump() | {"patches": {"kind": "table", "path": path}}
    with pytest.raises(CatalogError, match=r"patch a is \d+ x \d+ pixels, whose sheet"):
        open_catalog(Recipe.model_validate(recipe))


def test_xee_is_told_no_crs_that_it_cannot_take(tmp_path: Path) -> None:
    write(tmp_path, "plain")
    write(tmp_path, "other", crs="ESRI:54009")
    source = {"kind": "earthengine", "reader": "xee"}
    with pytest.raises(CatalogError, match=r"patch other lies in .* Xee takes EPSG codes only"):
        open_catalog(recipe_of(tmp_path, source))
    assert len(open_catalog(recipe_of(tmp_path, {"kind": "earthengine"})).patches) == 4
