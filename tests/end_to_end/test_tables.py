from __future__ import annotations

from hfaef.cli.terminal.output import Table


def test_columns_are_aligned_and_numbers_lie_to_the_right() -> None:
    table = Table(("name", "rows", "why"), [("a", "5", "one [b]"), ("longer", "1,200", "")])
    assert table.lines() == [
        "name     rows  why",
        "a           5  one [b]",
        "longer  1,200",
    ]


def test_wide_letters_take_two_columns() -> None:
    table = Table(("label", "n"), [("森林", "1"), ("wood", "2")])
    assert table.lines() == ["label  n", "森林   1", "wood   2"]


def test_a_table_without_rows_is_its_head() -> None:
    assert Table(("a", "b"), []).lines() == ["a  b"]
