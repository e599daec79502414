"""Splits that are made here: shares, labels, blocks of the ground, and what new rows change."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hfaef.catalog.make_splits import make_splits
from hfaef.catalog.patch import Catalog, Label, Patch
from hfaef.catalog.tables.geometry import make_grids, places_of_boxes
from hfaef.core.grid import Grid
from hfaef.errors import CatalogError
from hfaef.recipe.columns import Target
from hfaef.recipe.patches import MakeSplits
from support.table_formats import open_recipe, open_table, points, splits_of, write_table

GRID = Grid("EPSG:32632", (10.0, 0.0, 500_000.0, 0.0, -10.0, 5_000_000.0), 8, 8)
KM_A_DEGREE = 111.195


def section(**schemes: object) -> MakeSplits:
    return MakeSplits.model_validate(schemes)


def labelled(labels: Sequence[Label], prefix: str = "p") -> Catalog:
    """Patches in one place with these labels."""
    names = {name for label in labels for name in (label if isinstance(label, tuple) else [label])}
    target: Target = "number" if isinstance(labels[0], float) else "class"
    target = "classes" if isinstance(labels[0], tuple) else target
    listed = () if target == "number" else tuple(sorted(map(str, names)))
    patches = tuple(Patch(f"{prefix}{n}", GRID, label, {}, 2018) for n, label in enumerate(labels))
    return Catalog(patches, listed, (), target)


def placed(places: Sequence[tuple[float, float]], *, years: Sequence[int] = ()) -> Catalog:
    """Patches of 8 x 8 pixels at these lon and lat; those that no UTM zone takes are left out."""
    lon, lat = (np.array(values) for values in zip(*places, strict=True))
    grids = make_grids(places_of_boxes(lon, lat, lon, lat, wrong={}), 8, 10)
    patches = tuple(
        Patch(f"p{n}", grid, "x", {}, years[n] if years else 2018)
        for n, grid in enumerate(grids)
        if isinstance(grid, Grid)
    )
    return Catalog(patches, ("x",), ())


def moved(before: Catalog, after: Catalog, scheme: str) -> int:
    """How many patches of the first catalog are in another split of the second."""
    now = splits_of(after, scheme)
    return sum(now[identity] != split for identity, split in splits_of(before, scheme).items())


# --- At random


def test_random_splits_give_each_label_the_same_shares() -> None:
    labels = ["a"] * 100 + ["b"] * 50 + ["c"] * 10
    made = make_splits(labelled(labels), section(random={}))
    assert made.schemes == ("random",)
    counts = Counter((patch.label, patch.splits["random"]) for patch in made.patches)
    for label, count in (("a", 100), ("b", 50), ("c", 10)):
        for split, share in (("train", 0.6), ("validation", 0.2), ("test", 0.2)):
            assert abs(counts[label, split] - share * count) <= 1
    told = Counter(splits_of(made, "random").values())
    words = ", ".join(f"{split} {told[split]}" for split in ("train", "validation", "test"))
    words += " of the catalog's 160 patches"
    assert made.notes == (f"scheme 'random' made here: seed 0; {words}",)


@given(
    st.lists(st.integers(0, 3), min_size=30, max_size=200),
    st.integers(0, 3),
    st.integers(0, 5),
    st.sampled_from(["class", "classes", "number"]),
)
@settings(max_examples=60)
def test_a_row_that_is_added_moves_few_others(
    numbers: list[int], added: int, seed: int, kind: str
) -> None:
    def as_label(number: int) -> Label:
        return {"class": f"l{number}", "classes": (f"l{number}",), "number": float(number)}[kind]

    wanted = section(random={"seed": seed})
    before = make_splits(labelled([as_label(n) for n in numbers]), wanted)
    after = make_splits(labelled([as_label(n) for n in (*numbers, added)]), wanted)
    # One at each end of a share of its label; two more where the label was that of one patch.
    assert moved(before, after, "random") <= 5


def test_labels_of_one_patch_each_share_all_splits() -> None:
    made = make_splits(labelled([(f"l{number}",) for number in range(100)]), section(random={}))
    counts = Counter(splits_of(made, "random").values())
    assert counts == {"train": 60, "validation": 20, "test": 20}


@pytest.mark.parametrize("labels", [["a"] * 50, [0.5 * n for n in range(50)]])
def test_the_order_of_rows_changes_nothing_and_the_seed_does(labels: list[Label]) -> None:
    catalog = labelled(labels)
    turned = Catalog(catalog.patches[::-1], catalog.label_names, (), catalog.target)
    wanted = section(random={"seed": 1})
    one = splits_of(make_splits(catalog, wanted), "random")
    assert splits_of(make_splits(turned, wanted), "random") == one
    assert splits_of(make_splits(catalog, section(random={"seed": 2})), "random") != one


def test_shares_are_those_of_the_recipe() -> None:
    made = make_splits(labelled(["a"] * 100), section(random={"shares": [0.9, 0.0, 0.1]}))
    assert Counter(splits_of(made, "random").values()) == {"train": 90, "test": 10}


@pytest.mark.parametrize("labels", [["a"], ["a", "b"], [1.0, 2.0]])
def test_too_few_patches_for_all_splits_are_refused(labels: list[Label]) -> None:
    with pytest.raises(
        CatalogError, match=r"scheme 'random' \(seed 0\) leaves (train|validation|test) empty"
    ):
        make_splits(labelled(labels), section(random={}))


# --- By blocks of the ground


def block_of(lon: float, lat: float, km: float) -> tuple[int, int]:
    """Row and column of a place in a grid of blocks, worked out one by one."""
    row = int(np.floor(lat * KM_A_DEGREE / km))
    middle = min(max((row + 0.5) * km / KM_A_DEGREE, -89.9), 89.9)
    return row, int(np.floor(lon * KM_A_DEGREE * np.cos(np.radians(middle)) / km))


LON = st.one_of(
    st.floats(-179.99, 179.99),
    st.floats(179.9, 179.99),
    st.floats(-179.99, -179.9),
    st.floats(-0.2, 0.2),
)
LAT = st.one_of(st.floats(-79.9, 83.9), st.floats(79.5, 83.9), st.floats(-0.2, 0.2))


@given(
    st.lists(st.tuples(LON, LAT), min_size=3, max_size=60, unique=True),
    st.sampled_from([0.5, 5.0, 20.0, 300.0]),
    st.integers(0, 3),
)
@settings(max_examples=60)
def test_no_two_splits_lie_in_one_block(
    places: list[tuple[float, float]], km: float, seed: int
) -> None:
    catalog = placed(places)
    blocks: dict[tuple[int, int], set[str]] = defaultdict(set)
    try:
        made = make_splits(catalog, section(spatial={"km": km, "seed": seed}))
    except CatalogError as error:
        assert "empty" in str(error)  # noqa: PT017 - it may be raised, and then for that
        return
    for patch in made.patches:
        west, south, east, north = patch.grid.bounds()
        block = block_of((west + east) / 2, (south + north) / 2, km)
        # The middle of a grid and that of its bounds may lie some metres apart.
        edge = 0.0005
        if all(
            block_of((west + east) / 2 + x, (south + north) / 2 + y, km) == block
            for x in (-edge, edge)
            for y in (-edge, edge)
        ):
            blocks[block].add(patch.splits["spatial"])
    assert all(len(splits) == 1 for splits in blocks.values())
    assert {*splits_of(made, "spatial").values()} == {"train", "validation", "test"}


def test_blocks_are_as_wide_as_they_are_tall_near_the_pole(tmp_path: Path) -> None:
    lon = [15 + number * 0.02 for number in range(200)]  # 0.39 km apart at 80 degrees north
    path = write_table(tmp_path / "a.csv", points(lon=lon, lat=[80.05] * 200))
    found = open_table(path, make_splits={"spatial": {"km": 10}})
    (note,) = found.notes
    assert note.startswith(
        ("scheme 'spatial' made here: 8 blocks", "scheme 'spatial' made here: 9")
    )
    order = [splits_of(found, "spatial")[f"p{number}"] for number in range(200)]
    changes = sum(one != other for one, other in pairwise(order))
    assert changes <= 9


def field(count: int, seed: int = 0) -> list[tuple[float, float]]:
    """Places all over a country."""
    random = np.random.default_rng(seed)
    lon, lat = random.uniform(6, 14, count).tolist(), random.uniform(47, 54, count).tolist()
    return list(zip(lon, lat, strict=True))


def test_spatial_splits_have_about_their_shares() -> None:
    made = make_splits(placed(field(2000)), section(spatial={"km": 20}))
    counts = Counter(splits_of(made, "spatial").values())
    for split, share in (("train", 0.6), ("validation", 0.2), ("test", 0.2)):
        assert abs(counts[split] / 2000 - share) < 0.01


def test_places_that_are_added_move_few_blocks() -> None:
    wanted = section(spatial={"km": 20})
    places = field(1000)
    before = make_splits(placed(places), wanted)
    after = make_splits(placed([*places, *field(10, seed=1)]), wanted)
    assert moved(before, after, "spatial") <= 20


def test_three_blocks_are_enough_for_three_splits(tmp_path: Path) -> None:
    lon = [11.5 + block + number / 1000 for block in range(3) for number in range(5)]
    path = write_table(tmp_path / "a.csv", points(lon=lon))
    found = open_table(path, make_splits={"spatial": {"km": 25}})
    assert Counter(splits_of(found, "spatial").values()) == {
        "train": 5,
        "validation": 5,
        "test": 5,
    }
    assert "smaller" not in found.notes[0]


def test_a_train_split_smaller_than_another_is_named_with_the_key_to_change() -> None:
    places = [(11.5, 48 + n / 1000) for n in range(3)]
    for block in range(1, 7):
        places += [(11.5 + block, 48 + n / 1000) for n in range(12 if block == 1 else 1)]
    notes = [
        make_splits(placed(places), section(spatial={"km": 20, "seed": seed})).notes[0]
        for seed in range(20)
    ]
    smaller = [note for note in notes if "train is smaller than" in note]
    for note in notes:
        counts = {split: int(n) for split, n in re.findall(r"(train|validation|test) (\d+)", note)}
        assert (note in smaller) == (counts["train"] < max(counts.values()))
    assert smaller
    assert smaller[0].endswith("make the blocks smaller: patches.make_splits.spatial.km")


def test_blocks_that_leave_a_split_empty_are_refused_naming_the_key(tmp_path: Path) -> None:
    path = write_table(tmp_path / "a.csv", points(lon=[11.5, 11.51, 11.52]))
    with pytest.raises(
        CatalogError,
        match=r"the scheme 'spatial' \(1 block of 500 km, seed 0\) leaves validation empty; make "
        r"the blocks smaller: patches\.make_splits\.spatial\.km",
    ):
        open_table(path, make_splits={"spatial": {"km": 500}})


# --- Both


@pytest.mark.parametrize("scheme", ["random", "spatial"])
def test_patches_of_one_id_are_in_one_split(tmp_path: Path, scheme: str) -> None:
    places = field(60)
    columns = {
        "id": [f"p{number}" for number in range(60)] * 2,
        "label": ["a"] * 60 + ["b"] * 60,
        "lon": [lon for lon, _ in places] + [lon + 0.4 for lon, _ in places],
        "lat": [lat for _, lat in places] * 2,
        "year": [2018] * 60 + [2019] * 60,
    }
    path = write_table(tmp_path / "a.csv", columns)
    found = open_table(path, year="year", make_splits={scheme: {}})
    assert len(found.patches) == 120
    split_of: dict[str, set[str]] = defaultdict(set)
    for patch in found.patches:
        split_of[patch.id].add(patch.splits[scheme])
    assert all(len(splits) == 1 for splits in split_of.values())


def test_all_years_of_the_recipe_have_the_same_splits(tmp_path: Path) -> None:
    path = write_table(tmp_path / "a.csv", points(label=["a"] * 50))
    found = open_table(path, years=[2018, 2019], make_splits={"random": {}})
    of_year = {
        year: {p.id: p.splits["random"] for p in found.patches if p.year == year}
        for year in (2018, 2019)
    }
    assert len(found.patches) == 100
    assert of_year[2018] == of_year[2019]


def test_patches_without_an_embedding_do_not_count(tmp_path: Path) -> None:
    columns = points(year=[2018] * 50 + [2016] * 50)
    path = write_table(tmp_path / "a.csv", columns)
    found = open_table(
        path, year="year", available=[2018], make_splits={"random": {"shares": [0.5, 0, 0.5]}}
    )
    assert Counter(splits_of(found, "random").values()) == {"train": 25, "test": 25}


@pytest.mark.parametrize("kind", ["boxes", "polygons"])
def test_boxes_and_polygons_are_split_by_their_middles(tmp_path: Path, kind: str) -> None:
    places = field(40)
    labels = {"id": [f"p{number}" for number in range(40)], "label": ["x"] * 40}
    if kind == "boxes":
        sides = {
            "west": [lon for lon, _ in places],
            "south": [lat for _, lat in places],
            "east": [lon + 0.01 for lon, _ in places],
            "north": [lat + 0.01 for _, lat in places],
        }
        path = write_table(tmp_path / "a.csv", {**labels, **sides})
    else:
        import geopandas
        import shapely

        shapes = [shapely.Point(place).buffer(0.01) for place in places]
        path = tmp_path / "a.gpkg"
        geopandas.GeoDataFrame(labels, geometry=shapes, crs=4326).to_file(path)
    found = open_table(path, make_splits={"spatial": {"km": 50}})
    blocks: dict[tuple[int, int], set[str]] = defaultdict(set)
    for patch in found.patches:
        west, south, east, north = patch.grid.bounds()
        blocks[block_of((west + east) / 2, (south + north) / 2, 50)].add(patch.splits["spatial"])
    assert all(len(splits) == 1 for splits in blocks.values())


def test_made_schemes_stand_after_those_of_the_table(tmp_path: Path) -> None:
    places = field(40)
    columns = points(
        split=["train", "test"] * 20,
        lon=[lon for lon, _ in places],
        lat=[lat for _, lat in places],
    )
    path = write_table(tmp_path / "a.csv", columns)
    found = open_table(path, make_splits={"random": {}, "spatial": {}})
    assert found.schemes == ("split", "random", "spatial")
    assert [note.split(" made")[0] for note in found.notes] == [
        "scheme 'random'",
        "scheme 'spatial'",
    ]


def test_a_scheme_that_is_there_already_is_refused() -> None:
    catalog = make_splits(labelled(["a"] * 20), section(random={}))
    with pytest.raises(CatalogError, match="there is a scheme 'random' already"):
        make_splits(catalog, section(random={"seed": 1}))


def test_geotiffs_may_be_split_too(eurosat_images: Path) -> None:
    found = open_recipe(
        {
            "kind": "geotiffs",
            "root": eurosat_images,
            "make_splits": {"random": {}, "spatial": {"km": 100}},
        }
    )
    assert found.schemes == ("random", "spatial")
    for scheme in found.schemes:
        assert {*splits_of(found, scheme).values()} == {"train", "validation", "test"}
