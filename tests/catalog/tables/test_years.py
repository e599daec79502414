"""Years of the patches' own: how tables write them, and which embedding each patch gets."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfaef.catalog.patch import Catalog, Patch
from hfaef.catalog.years import choose_years
from hfaef.core.grid import Grid
from hfaef.errors import CatalogError
from support.table_formats import FORMATS, by_id, open_table, points, write_table

GRID = Grid("EPSG:32632", (10.0, 0.0, 500_000.0, 0.0, -10.0, 5_000_000.0), 8, 8)
DATES = "dates in `when` of which the year is taken: 2"
NOON, MIDNIGHT = dt.datetime(2019, 7, 1, 12), dt.datetime(2018, 12, 31)  # noqa: DTZ001


@pytest.mark.parametrize("suffix", FORMATS)
def test_each_patch_has_the_year_of_its_row_from_any_format(tmp_path: Path, suffix: str) -> None:
    path = write_table(tmp_path / f"a.{suffix}", points(year=[2019, 2018, 2019]))
    found = open_table(path, year="year")
    assert found.own_years
    assert by_id(found, "year") == {"p0": 2019, "p1": 2018, "p2": 2019}
    assert [patch.id for patch in found.patches] == ["p1", "p0", "p2"]
    assert found.notes == ()


@pytest.mark.parametrize(
    ("column", "note"),
    [
        (pa.array([2019, 2018], pa.int16()), None),
        (pa.array([2019.0, 2018.0]), None),
        (pa.array(["2019", " 2018 "]), None),
        (pa.array([Decimal(2019), Decimal(2018)]), None),
        (pa.array(["2019-07-01", "2018-12-31"]), DATES),
        (pa.array(["2019-07-01T10:00:00Z", "2018-12-31 23:59:59"]), DATES),
        (pa.array([dt.date(2019, 7, 1), dt.date(2018, 12, 31)]), DATES),
        (pa.array([NOON, MIDNIGHT], pa.timestamp("us")), DATES),
        (pa.array([NOON, MIDNIGHT], pa.timestamp("ns")), DATES),
        (pa.array(["2019-07-01", "2018"]), "dates in `when` of which the year is taken: 1"),
    ],
    ids=lambda given: str(getattr(given, "type", "")),
)
def test_years_may_be_numbers_texts_or_dates_and_dates_are_told(
    tmp_path: Path, column: pa.Array, note: str | None
) -> None:
    found = open_table(write_table(tmp_path / "a.parquet", points(when=column)), year="when")
    assert by_id(found, "year") == {"p0": 2019, "p1": 2018}
    assert found.notes == ((note,) if note else ())


@pytest.mark.parametrize(
    ("value", "word"),
    [
        ("", "has no when"),
        ("summer", "has the when 'summer', which is no year"),
        ("2018.5", r"has the when 2018\.5, which is no year"),
        ("18", "has the when 18, which is no year"),
        ("20190701", "has the when 20190701, which is no year"),
        ("01/07/2019", "has the when '01/07/2019', which is no year"),
        ("2019-13-01", "has the when '2019-13-01', which is no year"),
        ("nan", "has the when 'nan', which is no year"),
    ],
)
def test_what_is_no_year_is_named_with_its_row(tmp_path: Path, value: str, word: str) -> None:
    path = write_table(tmp_path / "a.csv", points(when=["2018", value]))
    with pytest.raises(CatalogError, match=rf"row 2 \(line 3\): patch p1 {word}"):
        open_table(path, year="when")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None])
def test_numbers_that_are_no_year_are_named_with_their_row(
    tmp_path: Path, value: float | None
) -> None:
    path = write_table(tmp_path / "a.parquet", points(year=[2018.0, value]))
    with pytest.raises(CatalogError, match=r"row 2: patch p1 has (no year|the year (nan|inf))"):
        open_table(path, year="year")


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("name", ["year", "Year", "YEAR"])
def test_a_column_of_years_that_no_key_names_is_refused_telling_both_ways_out(
    tmp_path: Path, name: str, suffix: str
) -> None:
    path = write_table(tmp_path / f"a.{suffix}", points(**{name: [2018, 2019]}))
    with pytest.raises(CatalogError) as caught:
        open_table(path)
    assert caught.value.message.endswith(
        f"has a column {name!r}, and the recipe does not say what it is"
    )
    assert f'set patches.year = "{name}"' in caught.value.hint
    assert f'set patches.ignore = ["{name}"]' in caught.value.hint
    assert by_id(open_table(path, year=name), "year") == {"p0": 2018, "p1": 2019}
    ignored = open_table(path, ignore=[name])
    assert (by_id(ignored, "year"), ignored.notes) == ({"p0": 2018, "p1": 2018}, ())


def test_a_column_of_years_may_be_kept_beside_the_years_of_the_recipe(tmp_path: Path) -> None:
    path = write_table(tmp_path / "a.parquet", points(Year=[2016, 2019]))
    found = open_table(path, keep=["Year"])
    assert by_id(found, "kept") == {"p0": (2016,), "p1": (2019,)}
    assert by_id(found, "year") == {"p0": 2018, "p1": 2018}
    with pytest.raises(CatalogError, match=r'patches\.year = "Year"'):
        open_table(path, keep="all")


def test_a_column_of_years_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = write_table(tmp_path / "a.csv", points(label=["x"]))
    with pytest.raises(CatalogError, match=r"no column 'season'; mend `patches\.year`"):
        open_table(path, year="season")


def test_years_of_the_recipe_that_are_not_used_are_told(tmp_path: Path) -> None:
    from hfaef.catalog import open_catalog
    from hfaef.recipe.model import Recipe

    path = write_table(tmp_path / "a.csv", points(year=[2018, 2019]))
    recipe = Recipe.model_validate(
        {
            "name": "trial",
            "years": [2020, 2021],
            "patches": {"kind": "table", "path": path, "size": 8, "year": "year"},
            "source": {"kind": "cog", "root": "aef"},
        }
    )
    found = open_catalog(recipe)
    assert by_id(found, "year") == {"p0": 2018, "p1": 2019}
    assert found.notes == ("`years` of the recipe is not used: each patch has its own",)


def test_the_same_id_in_two_years_is_two_patches(tmp_path: Path) -> None:
    path = write_table(tmp_path / "a.csv", points(id=["a", "a"], year=[2018, 2019]))
    found = open_table(path, year="year")
    assert [(patch.id, patch.year) for patch in found.patches] == [("a", 2018), ("a", 2019)]
    with pytest.raises(CatalogError, match="patch a occurs twice"):
        open_table(
            write_table(tmp_path / "a.csv", points(id=["a", "a"], year=[2018] * 2)), year="year"
        )


# --- The embedding that each patch gets


def test_a_year_without_embeddings_is_missing_with_its_reason(tmp_path: Path) -> None:
    path = write_table(tmp_path / "a.csv", points(year=[2016, 2018, 2022, 1999, 2016]))
    found = open_table(path, year="year", available=range(2017, 2021))
    assert by_id(found, "year") == {"p1": 2018}
    assert [(gone.id, gone.year, gone.reason) for gone in found.unreadable] == [
        ("p0", 2016, "is of 2016, before AlphaEarth's first year, 2017"),
        ("p2", 2022, "is of 2022, of which the source has no embedding"),
        ("p3", 1999, "is of 1999, before AlphaEarth's first year, 2017"),
        ("p4", 2016, "is of 2016, before AlphaEarth's first year, 2017"),
    ]
    assert found.notes == (
        "patches of years without embeddings, which are missing: 4 (1999: 1, 2016: 2, 2022: 1)",
    )


def test_the_nearest_year_is_taken_only_if_the_recipe_says_so(tmp_path: Path) -> None:
    path = write_table(tmp_path / "a.csv", points(year=[2016, 2018, 2022, 2016]))
    found = open_table(path, year="year", nearest_year=True, available=[2017, 2018, 2020])
    assert found.nearest_years
    assert found.unreadable == ()
    assert {patch.id: (patch.row_year, patch.year) for patch in found.patches} == {
        "p0": (2016, 2017),
        "p1": (2018, 2018),
        "p2": (2022, 2020),
        "p3": (2016, 2017),
    }
    assert found.notes == (
        "patches with the embedding of the nearest year: 3 (2016 as 2017 (2), 2022 as 2020 (1))",
    )


def test_of_two_nearest_years_the_earlier_is_taken(tmp_path: Path) -> None:
    path = write_table(tmp_path / "a.csv", points(year=[2018]))
    found = open_table(path, year="year", nearest_year=True, available=[2019, 2017])
    assert by_id(found, "year") == {"p0": 2017}


@pytest.mark.parametrize(
    "keys", [{"available": [2018, 2019]}, {"available": [], "nearest_year": True}]
)
def test_a_table_of_years_that_are_nowhere_is_refused(
    tmp_path: Path, keys: dict[str, object]
) -> None:
    path = write_table(tmp_path / "a.csv", points(year=[2015, 2016]))
    with pytest.raises(
        CatalogError,
        match=r"no patch is of a year that the source has: 2015: 1, 2016: 1.*nearest_year = true",
    ):
        open_table(path, year="year", **keys)


def test_two_years_of_a_patch_that_would_get_one_embedding_are_refused(tmp_path: Path) -> None:
    path = write_table(tmp_path / "a.csv", points(id=["a", "a"], year=[2016, 2017]))
    with pytest.raises(CatalogError, match="patch a is there for 2 years whose nearest is 2017"):
        open_table(path, year="year", nearest_year=True, available=[2017, 2018])
    left = open_table(path, year="year", available=[2017, 2018])
    assert [(patch.id, patch.year) for patch in left.patches] == [("a", 2017)]


@given(
    st.lists(st.integers(2010, 2030), min_size=1, max_size=12),
    st.sets(st.integers(2017, 2025), min_size=1),
)
def test_every_patch_is_there_with_a_year_of_the_source_or_missing(
    years: list[int], available: set[int]
) -> None:
    patches = tuple(Patch(f"p{n}", GRID, "x", {}, year) for n, year in enumerate(years))
    catalog = Catalog(patches, ("x",), (), own_years=True)
    near = choose_years(catalog, available, nearest=True)
    assert len(near.patches) == len(years)
    for patch in near.patches:
        stated = years[int(patch.id[1:])]
        assert patch.row_year == stated
        assert abs(patch.year - stated) == min(abs(year - stated) for year in available)
    if not available & set(years):
        return
    exact = choose_years(catalog, available, nearest=False)
    assert {patch.id for patch in exact.patches} == {
        f"p{n}" for n, year in enumerate(years) if year in available
    }
    assert len(exact.patches) + len(exact.unreadable) == len(years)


def test_a_patch_that_cannot_be_placed_is_missing_in_its_own_year_alone(tmp_path: Path) -> None:
    columns = points(id=["a", "a"], year=[2018, 2019], lon=[11.5, None])
    found = open_table(write_table(tmp_path / "a.parquet", columns), year="year", skip_bad=True)
    assert [(patch.id, patch.year) for patch in found.patches] == [("a", 2018)]
    assert [(gone.id, gone.year) for gone in found.unreadable] == [("a", 2019)]


def test_a_patch_over_a_limit_is_missing_in_its_own_year_alone(tmp_path: Path) -> None:
    boxes = {
        "id": ["a", "a"],
        "label": ["x", "x"],
        "year": [2018, 2019],
        "west": [11.5, 11.5],
        "south": [48.1, 48.1],
        "east": [11.501, 11.8],
        "north": [48.101, 48.3],
    }
    path = write_table(tmp_path / "a.csv", boxes)
    found = open_table(path, year="year", skip_bad=True)
    assert [(patch.id, patch.year) for patch in found.patches] == [("a", 2018)]
    assert [(gone.id, gone.year) for gone in found.unreadable] == [("a", 2019)]


def test_a_file_of_own_years_is_read_as_the_recipe_says(shared: Path) -> None:
    path = shared.parent / "cases/shape-own-years/points.csv"
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    keys: dict[str, object] = {"year": "year", "keep": "all", "available": [2018, 2024]}
    found = open_table(path, **keys)
    assert {patch.year for patch in found.patches} == {2018, 2024}
    assert len(found.patches) + len(found.unreadable) == 40
    assert {gone.reason for gone in found.unreadable} == {
        "is of 2017, of which the source has no embedding"
    }
    nearest = open_table(path, **keys, nearest_year=True)
    assert (len(nearest.patches), nearest.unreadable) == (40, ())
    assert {(p.row_year, p.year) for p in nearest.patches} == {
        (2017, 2018),
        (2018, 2018),
        (2024, 2024),
    }
