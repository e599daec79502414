"""What is said to be better: only what is shown, never a bare ranking."""

import pytest

from hfaef.release.card.tables import markdown
from hfaef.release.card.verdicts import deciding, differences_table, verdict, verdicts
from support.evaluations import difference, evaluation, feature_set

SETS = [
    feature_set("mean"),
    feature_set("max"),
    feature_set("gem"),
    feature_set("other", "table"),
    feature_set("mean+other", "fused"),
]


def test_the_better_one_is_named_with_margin_and_interval():
    pair = difference("mean", "other", (0.004, 0.012, 0.021))
    assert verdict([pair]) == (
        "**`mean` is better than `other`** by 1.2 points with kNN on `random` (interval 0.4 to 2.1)"
    )


def test_the_second_may_be_the_better_one():
    pair = difference("mean", "other", (-0.021, -0.012, -0.004))
    assert verdict([pair]) == (
        "**`other` is better than `mean`** by 1.2 points with kNN on `random` (interval 0.4 to 2.1)"
    )


def test_an_interval_that_holds_0_shows_no_difference_and_says_how_large_it_was():
    pair = difference("mean", "other", (-0.01, 0.012, 0.03))
    assert verdict([pair]) == (
        "Between `mean` and `other` **no difference can be shown** for kNN on `random` "
        "(`mean` less the other 1.2 points, interval -1.0 to 3.0)"
    )
    both = [pair, difference("mean", "other", (-0.02, -0.01, 0.01), probe="linear")]
    assert verdict(both).endswith(
        "(`mean` less the other 1.2 points, interval -1.0 to 3.0) and linear on `random` (-1.0, -2.0 "
        "to 1.0)"
    )


def test_where_the_exact_test_doubts_the_interval_no_difference_is_shown():
    pair = difference("mean", "other", (0.02, 0.08, 0.17), only_a=4, only_b=0, p_value=0.125)
    assert pair.better is None
    assert "no difference can be shown" in verdict([pair])
    assert verdict([pair]).endswith(
        "(`mean` less the other 8.0 points, interval 2.0 to 17.0, McNemar p = 0.12)"
    )
    sure = difference("mean", "other", (0.02, 0.08, 0.17), only_a=9, only_b=0, p_value=0.004)
    assert sure.better == "mean"


def test_probes_and_schemes_that_disagree_are_told_apart():
    pair = [
        difference("mean", "other", (0.1, 0.2, 0.3)),
        difference("mean", "other", (0.1, 0.15, 0.2), scheme="spatial"),
        difference("mean", "other", (-0.3, -0.2, -0.1), probe="linear"),
        difference("mean", "other", (-0.1, 0.0, 0.1), probe="linear", scheme="spatial"),
    ]
    assert verdict(pair) == (
        "**`mean` is better than `other`** by 20.0 points with kNN on `random` (interval 10.0 to "
        "30.0) and 15.0 with kNN on `spatial` (10.0 to 20.0); **`other` is better than `mean`** by "
        "20.0 points with linear on `random` (interval 10.0 to 30.0); **no difference can be "
        "shown** for linear on `spatial` (`mean` less the other 0.0 points, interval -10.0 to 10.0)"
    )


def test_numbers_to_predict_differ_by_no_points():
    pair = difference("mean", "other", (0.264, 0.456, 0.696), metric="r2")
    assert verdict([pair]) == (
        "**`mean` is better than `other`** by 0.456 R2 with kNN on `random` (interval 0.264 to 0.696)"
    )


def differences():
    return [
        difference("mean", "max", (-0.03, -0.01, 0.01)),
        difference("mean", "gem", (-0.05, -0.03, -0.01)),
        difference("mean", "other", (0.1, 0.2, 0.3)),
        difference("mean", "mean+other", (-0.1, 0.0, 0.1)),
        difference("other", "mean+other", (-0.3, -0.2, -0.1)),
        difference("mean", "other", (-0.3, -0.2, -0.1), year=2024),
        difference("mean", "other", (-0.3, -0.2, -0.1), scheme="gone"),
    ]


def test_other_models_come_first_and_of_the_poolings_only_the_best():
    found = evaluation(SETS, differences=differences())
    assert deciding(found, ["random"], 2018) == ("mean", "other", "mean+other", "gem")
    said = list(verdicts(found, ["random"], 2018))
    assert [text.split("**")[1] for text in said] == [
        "`mean` is better than `other`",
        "no difference can be shown",
        "`gem` is better than `mean`",
    ]
    assert said[-1].endswith(
        "(`gem` is the best of 2 other poolings on these very test patches, which flatters it)"
    )
    (later,) = verdicts(found, ["random"], 2024)
    assert later.startswith("**`other` is better than `mean`**")


def test_a_single_other_pooling_was_not_picked():
    found = evaluation(SETS[:2], differences=differences()[:1])
    (said,) = verdicts(found, ["random"], 2018)
    assert "flatters" not in said


@pytest.mark.parametrize("features", [SETS[:1], SETS])
def test_without_comparisons_nothing_is_said(features):
    found = evaluation(features)
    assert list(verdicts(found, ["random"], 2018)) == []
    assert differences_table(found, ["random"], 2018)[1] == []


def test_all_pairs_stand_in_the_table_with_what_only_one_gets_right():
    pairs = [
        difference("mean", "max", (-0.03, -0.01, 0.01), probe="linear"),
        difference("mean", "other", (0.1, 0.2, 0.3), only_a=1200, only_b=3, p_value=0.0004),
    ]
    found = differences_table(evaluation(SETS, differences=pairs), ["random"], 2018)
    head, _, *rows = markdown(*found).split("\n")
    assert head == (
        "| first, second | probe, scheme | first less second | interval | only first right "
        "| only second right | McNemar p | better |"
    )
    assert rows == [
        "| `mean`, `other` | kNN, random | 20.0 | 10.0 to 30.0 | 1,200 | 3 | 0.0004 | `mean` |",
        "| `mean`, `max` | linear, random | -1.0 | -3.0 to 1.0 | - | - | - | - |",
    ]


def test_without_right_and_wrong_patches_the_table_is_narrower():
    pair = difference("mean", "other", (0.1, 0.2, 0.3), metric="r2")
    found = differences_table(evaluation(SETS, differences=[pair]), ["random"], 2018)
    table = markdown(*found)
    assert "McNemar" not in table
    assert table.endswith("| `mean`, `other` | kNN, random | 0.200 | 0.100 to 0.300 | `mean` |")
