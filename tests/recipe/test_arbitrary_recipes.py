"""Whatever a recipe or a `--set` holds is used, or refused with the key, in one line."""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hfaef.catalog import open_catalog
from hfaef.recipe.model import Card, Cog, Demo, EarthEngine, Pack, Recipe
from hfaef.recipe.patches import Geotiffs, Table, TorchGeo
from hfaef.recipe.paths import require_inputs
from hfaef.recipe.read import read_recipe
from support.refusals import used_or_refused

few = settings(max_examples=60, suppress_health_check=list(HealthCheck), database=None)

WORDS = [
    "a",
    "val",
    "train",
    "2018",
    "png",
    "/",
    "..",
    "~",
    "256MB",
    "1e400",
    "table",
    "cog",
    "earthengine",
    "torchgeo",
    "geotiffs",
    "---",
    "森",
]
PLACES = ["s3://", "https://[", "https://a:99999/b", "http://u:p@a/", "foo://a", "file:///etc"]
ODD = ["", "x" * 300, "\0", "a\nb", "\u202e", "9" * 50, "$\\frac$"]
TEXTS = st.sampled_from([*WORDS, *PLACES, *ODD]) | st.text(
    st.characters(exclude_categories=["Cs"]), max_size=4
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.booleans()
    | st.integers(-2, 2)
    | st.sampled_from([2016, 2017, 2018, 2100, 2101, 10**18, -(10**18), 0.5, math.nan, math.inf])
    | st.sampled_from([dt.date(2018, 1, 1), dt.time(1, 2), dt.datetime(2018, 1, 1)])  # noqa: DTZ001
    | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)
SECTIONS = {"patches": (Geotiffs, TorchGeo, Table), "source": (Cog, EarthEngine)}
SECTIONS |= {"pack": (Pack,), "card": (Card,), "demo": (Demo,)}
KEYS = sorted(
    {(key,) for key in Recipe.model_fields}
    | {
        (name, key)
        for name, models in SECTIONS.items()
        for one in models
        for key in one.model_fields
    }
    | {
        ("patches", "splits", "random"),
        ("patches", "splits", "random", "train"),
        ("x",),
        ("card", ""),
    }
)
KINDS = {
    "geotiffs": {"kind": "geotiffs", "root": "patches"},
    "table": {"kind": "table", "path": "points.csv"},
    "torchgeo": {"kind": "torchgeo", "dataset": "EuroSAT100", "root": "data"},
}


def toml(value: object) -> str:
    """A value as TOML, tables inline."""
    match value:
        case bool():
            return str(value).lower()
        case str():
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        case dict():
            return (
                f"{{{', '.join(f'{toml(str(key))} = {toml(one)}' for key, one in value.items())}}}"
            )
        case list():
            return f"[{', '.join(map(toml, value))}]"
        case dt.date() | dt.time():
            return value.isoformat()
    return str(value)


def text_of(content: dict[str, Any]) -> str:
    return "\n".join(f"{toml(key)} = {toml(value)}" for key, value in content.items())


def use(path: Path, changes: list[str]) -> Recipe:
    """What all commands do with a recipe before they ask a source."""
    recipe = read_recipe(str(path), changes)
    json.dumps(recipe.portable())
    assert len(recipe.digest()) == 64
    require_inputs(recipe, str(path))
    if not isinstance(recipe.patches, TorchGeo) and recipe.demo is None:
        open_catalog(recipe)
    return recipe


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "patches").mkdir()
    (tmp_path / "points.csv").write_text("id,label,lon,lat\na,x,11.5,48.1\n")
    return tmp_path


def changed(content: dict[str, Any], key: tuple[str, ...], value: object) -> None:
    for part in key[:-1]:
        if not isinstance(content.setdefault(part, {}), dict):
            return
        content = content[part]
    content[key[-1]] = value


@few
@given(
    st.sampled_from(sorted(KINDS)),
    st.lists(st.tuples(st.sampled_from(KEYS), VALUES), min_size=1, max_size=3),
)
def test_any_value_of_any_key(
    folder: Path, kind: str, entries: list[tuple[tuple[str, ...], object]]
) -> None:
    content: dict[str, Any] = {"name": "trial", "years": [2018], "patches": dict(KINDS[kind])}
    content["source"] = {"kind": "cog", "root": "aef"}
    for key, value in entries:
        changed(content, key, value)
    path = folder / "trial.toml"
    path.write_text(text_of(content), "utf-8")
    used_or_refused(lambda: use(path, []))


@few
@given(
    st.lists(
        st.sampled_from(
            ["name", "years", "[patches]", "[[patches]]", "=", "'", '"', "\n", "[", "{"]
        )
        | st.text(max_size=3)
    )
)
def test_any_text_of_a_recipe(folder: Path, parts: list[str]) -> None:
    path = folder / "trial.toml"
    path.write_bytes("".join(parts).encode(errors="surrogatepass"))
    assert used_or_refused(lambda: use(path, []), "trial.toml") is None


@few
@given(
    st.sampled_from([".".join(key) for key in KEYS]) | st.text(max_size=4),
    st.text(max_size=6) | VALUES.map(toml) | st.just("\udcff"),
)
def test_any_change_of_the_command_line(folder: Path, key: str, value: str) -> None:
    path = folder / "trial.toml"
    content = {"name": "trial", "years": [2018], "patches": KINDS["table"]}
    path.write_text(text_of({**content, "source": {"kind": "cog", "root": "aef"}}), "utf-8")
    used_or_refused(lambda: use(path, [f"{key}={value}"]))


def extremes() -> Iterator[str]:
    yield "years = " + "[" * 5000
    yield "years = " + "[" * 200 + "]" * 200
    yield "years = " + "9" * 5000
    yield 'name = "' + "x" * 100_000 + '"'
    yield "x" * 100_000 + " = 1"
    yield 'name = "a\\u0000b"'
    yield "a" + ".a" * 3000 + " = 1"
    yield '[patches.splits.random]\ntrain = ""\n[patches]\nkind = "geotiffs"\nroot = "."'


@pytest.mark.parametrize("text", [*extremes()], ids=lambda text: text[:20])
def test_extreme_texts(folder: Path, text: str) -> None:
    path = folder / "trial.toml"
    path.write_text(text, "utf-8")
    assert used_or_refused(lambda: use(path, []), "trial.toml") is None


@pytest.mark.parametrize(
    "change",
    [
        "pack.shard_bytes=inf",
        "pack.shard_bytes=[1]",
        "pack.shard_bytes=1e400MB",
        "pack.shard_bytes=99999999999999999999999999999999999999999999999999999999999MB",
        "patches.path=" + "x" * 300,
        "patches.path=" + "x/" * 3000,
        "source.root=https://a:99999/b",
        "source.root=https://[",
        "source.root=https://",
        "source.root=foo://bucket/aef",
        "source.index=s3:///index.parquet",
        "demo.seed=-1",
        "kind=cog",
        "card.pretty_name=\udcff",
        "years=" + "[" * 3000,
        "years=" + "9" * 5000,
    ],
    ids=lambda change: change[:30],
)
def test_extreme_changes_are_refused(folder: Path, change: str) -> None:
    path = folder / "trial.toml"
    content = {"name": "trial", "years": [2018], "patches": KINDS["table"], "demo": {"root": "x"}}
    path.write_text(text_of({**content, "source": {"kind": "cog", "root": "aef"}}), "utf-8")
    changes = [change] if change.startswith("demo") else ["demo.root=x", change]
    assert used_or_refused(lambda: read_recipe(str(path), changes)) is None or "path" in change


@pytest.mark.parametrize("name", ["x" * 300, "a\0b", ".", "\udcff"])
def test_a_name_that_is_no_recipe(name: str) -> None:
    assert used_or_refused(lambda: read_recipe(name)) is None
