"""The JSON Schema of recipes: what an editor says of a recipe is what hfaef says of it."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from typer.testing import CliRunner

from hfaef.cli.main import app, run
from hfaef.cli.terminal.output import Output
from hfaef.recipe.builtin import built_in, commented
from hfaef.recipe.write import SCHEMA_FILE, schema_text

VALIDATOR = Draft202012Validator(json.loads(schema_text()))


@pytest.mark.parametrize("text", [*built_in().values(), commented("mine")])
def test_recipes_that_come_with_hfaef_are_right_to_an_editor(text: str) -> None:
    assert not list(VALIDATOR.iter_errors(tomllib.loads(text)))


@pytest.mark.parametrize(
    "wrong",
    [
        {"yeers": [2018]},
        {"years": [2016]},
        {"years": ["2018"]},
        {"pack": {"codec": "jpeg"}},
        {"source": {"kind": "cog", "project": "mine"}},
    ],
)
def test_what_hfaef_refuses_is_wrong_to_an_editor(wrong: dict[str, object]) -> None:
    assert not VALIDATOR.is_valid({**tomllib.loads(built_in()["demo"]), **wrong})


@pytest.mark.parametrize("table", [None, "points.csv"])
def test_init_writes_the_schema_that_its_recipe_names(
    table: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "points.csv").write_text("id,label,lon,lat\n1,Farm,11.5,48.0\n2,Town,11.6,48.0\n")
    words = ["init", "mine", *(["--from", table] if table else [])]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0
    first, _, _ = (tmp_path / "mine.toml").read_text().partition("\n")
    assert first == f"#:schema ./{SCHEMA_FILE}"
    assert (tmp_path / SCHEMA_FILE).read_text() == schema_text()
    assert SCHEMA_FILE not in done.stderr
    said = f"wrote {SCHEMA_FILE}, by which editors know the keys of recipes\n"
    assert said in done.stdout
    words[1] = "other"
    assert said not in CliRunner().invoke(app, words).stdout


@pytest.mark.parametrize("table", [None, "points.csv"])
def test_init_under_a_name_that_is_taken_says_so_and_what_to_do(
    table: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "points.csv").write_text("id,label,lon,lat\n1,Farm,11.5,48.0\n2,Town,11.6,48.0\n")
    (tmp_path / "mine.toml").write_text("mine")
    source = ["--from", table] if table else []
    monkeypatch.setattr("sys.argv", ["hfaef", "init", "mine", *source])
    assert run(Output()) == 2
    assert capsys.readouterr().err == (
        "error: there is a mine.toml already, and it stays as it is; choose another name, or move "
        "it away\n"
    )
    assert (tmp_path / "mine.toml").read_text() == "mine"
    assert not (tmp_path / SCHEMA_FILE).exists()


def test_a_schema_of_another_version_stays_and_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / SCHEMA_FILE).write_text("{}")
    done = CliRunner().invoke(app, ["init", "mine"])
    assert done.exit_code == 0
    assert "`hfaef recipe schema > hfaef.schema.json` renews it" in done.stderr
    assert (tmp_path / SCHEMA_FILE).read_text() == "{}"
