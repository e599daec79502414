"""Tables of scores: what is in which cell, in per cent or not."""

import pytest

from hfaef.release.card import tables
from hfaef.release.format.scores import Interval, Provenance, Stability, Transfer, shown
from support.evaluations import curve, evaluation, feature_set, interval, score, shrunk

MEAN, MAX, OTHER = feature_set("mean"), feature_set("max"), feature_set("other", "table", 32)
SCHEMES = ("random", "spatial")


def cells(table):
    """Rows of a Markdown table without its rule."""
    head, _, *rows = (
        [cell.strip() for cell in line[1:-1].split("|")] for line in table.split("\n")
    )
    return [head, *rows]


@pytest.mark.parametrize(
    ("value", "metric", "text"),
    [
        (0.8333, "accuracy", "83.3"),
        (0.8333, "r2", "0.833"),
        (-0.0001, "micro_ap", "0.0"),
        (-0.0001, "r2", "0.000"),
        (-0.051, "accuracy", "-5.1"),
        (12.5, "rmse", "12.500"),
    ],
)
def test_shares_are_per_cent_and_numbers_are_not(value, metric, text):
    assert shown(value, metric) == text


def test_scores_stand_by_probe_and_scheme_with_interval_and_gap():
    found = evaluation(
        [MEAN, OTHER],
        [
            score("mean", 0.9),
            score("mean", 0.8, scheme="spatial"),
            score("mean", 0.95, probe="linear"),
            score("other", 0.7),
        ],
    )
    head, mean, other = cells(tables.scores_table(found, SCHEMES, 2018))
    assert head == [
        *("vectors", "length"),
        *("kNN, random", "kNN, spatial", "kNN, gap"),
        *("linear, random", "linear, spatial", "linear, gap"),
    ]
    low = "90.0<br>88.0 to 92.0"
    assert mean[:5] == ["`mean`", "64", low, "80.0<br>78.0 to 82.0", "10.0"]
    assert mean[5:] == ["95.0<br>93.0 to 97.0", "-", "-"]
    assert other == ["`other`", "32", "70.0<br>68.0 to 72.0", "-", "-", "-", "-", "-"]


@pytest.mark.parametrize(
    ("schemes", "gap"), [(("random", "spatial", "fold"), "10.0"), (("random", "fold"), None)]
)
def test_the_gap_is_between_schemes_of_splits_and_never_folds(schemes, gap):
    scores = [score("mean", 0.9), score("mean", 0.8, scheme="spatial")][: len(schemes) - 1]
    found = evaluation([MEAN], [*scores, score("mean", 0.5, scheme="fold", fit="folds")])
    head, mean = cells(tables.scores_table(found, schemes, 2018))
    told = dict(zip(head, mean, strict=True))
    assert told.get("kNN, gap") == gap
    assert told["kNN, fold"] == "50.0<br>± 2.0"


def test_a_part_of_the_sets_has_no_gap():
    found = evaluation([MEAN, MAX], [score("mean", 0.9), score("max", 0.8)])
    head, *rows = cells(tables.scores_table(found, SCHEMES, 2018, ["max"]))
    assert [row[0] for row in rows] == ["`max`"]
    assert not any("gap" in cell for cell in head)


def test_scores_over_folds_have_a_deviation_and_no_interval():
    spread = Interval(value=0.8, low=0.55, high=1.05)
    found = evaluation([MEAN], [score("mean", 0.8, fit="folds", metrics={"accuracy": spread})])
    (_, mean) = cells(tables.scores_table(found, ["random"], 2018))
    assert mean[2] == "80.0<br>± 25.0"


def test_numbers_to_predict_are_no_per_cents():
    metrics = {"r2": interval(0.5), "rmse": interval(1.25), "mae": interval(0.75)}
    found = evaluation([MEAN], [score("mean", 0, metrics=metrics)], target="number")
    assert "0.500<br>0.480 to 0.520" in tables.scores_table(found, ["random"], 2018)
    table = cells(tables.metrics_table(found, "random", 2018))
    assert table[0] == ["vectors", "probe", "k, C", "R2", "RMSE", "MAE"]
    assert table[1] == ["`mean`", "kNN", "5", "0.500", "1.250", "0.750"]


def test_metrics_of_a_scheme_show_what_was_chosen_and_the_second_fit():
    metrics = {"accuracy": interval(0.9), "macro_f1": interval(0.8)}
    found = evaluation(
        [MEAN],
        [
            score("mean", 0, metrics=metrics),
            score("mean", 0.91, fit="train+validation"),
            score("mean", 0.95, probe="linear", penalty=0.01),
            score("mean", 0.1, scheme="spatial"),
        ],
    )
    head, knn, linear = cells(tables.metrics_table(found, "random", 2018))
    assert head[3:] == ["overall accuracy", "fit to validation, too", "macro F1"]
    assert knn == ["`mean`", "kNN", "5", "90.0", "91.0", "80.0"]
    assert linear == ["`mean`", "linear", "0.01", "95.0", "-", "-"]


def test_few_labels_tell_spread_and_how_many_are_enough():
    found = evaluation(
        [MEAN, OTHER],
        curves=[
            curve("mean", [(1, 0.5, 0.05), (10, 0.88, 0.01)], 0.95, enough=10),
            curve("other", [(1, 0.4, 0.1)], 0.8),
            curve("max", [(1, 0.0, 0.0)], 0.0, enough=1),
            curve("mean", [(1, 0.1, 0.0)], 0.2, year=2024),
        ],
    )
    head, mean, other, nothing = cells(tables.few_labels_table(found, 2018))
    assert head == ["vectors", "1", "10", "all", "enough"]
    assert mean == ["`mean`, random", "50.0 ± 5.0", "88.0 ± 1.0", "95.0", "10"]
    assert other == ["`other`, random", "40.0 ± 10.0", "-", "80.0", "all"]
    assert nothing[-1] == "-"  # nine tenths of nothing are no feat
    assert tables.few_labels_table(evaluation([MEAN]), 2018) == ""


def test_smaller_vectors_tell_the_bytes_of_each_set():
    found = evaluation(
        [MEAN, OTHER],
        [score("mean", 0.9, probe="linear"), score("other", 0.8, probe="linear")],
        shrunk=[
            shrunk("mean", "2 components", 8, 0.5),
            shrunk("mean", "int8", 64, 0.89),
            shrunk("mean", "1 bit", 8, 0.7),
            shrunk("other", "2 components", 8, 0.4),
            shrunk("other", "1 bit", 4, 0.6),
        ],
    )
    head, mean, other = cells(tables.shrunk_table(found, 2018))
    assert head == ["vectors", "float32", "2", "int8", "1 bit"]
    assert mean == ["`mean`, random", "90.0<br>256 B", "50.0<br>8 B", "89.0<br>64 B", "70.0<br>8 B"]
    assert other == ["`other`, random", "80.0<br>128 B", "40.0<br>8 B", "-", "60.0<br>4 B"]
    assert tables.shrunk_table(found, 2024) == ""


def test_transfers_stand_by_the_year_of_training_and_that_of_testing():
    years = {(2018, 2018): 0.9, (2018, 2024): 0.8, (2024, 2024): 0.95}
    transfers = [
        Transfer(features="mean", scheme="random", train_year=a, test_year=b, score=interval(value))
        for (a, b), value in years.items()
    ]
    found = evaluation([MEAN], transfers=transfers)
    assert cells(tables.transfers_table(found)) == [
        ["scheme", "asked about 2018", "asked about 2024"],
        ["random, fit to 2018", "90.0", "80.0"],
        ["random, fit to 2024", "-", "95.0"],
    ]
    assert tables.transfers_table(evaluation([MEAN])) == ""


def test_stability_tells_quantiles_of_cosines():
    one = Stability(
        features="mean", years=(2018, 2024), patches=1200, quantiles=(0.9, 0.95, 0.98, 0.99, 0.9999)
    )
    _, row = cells(tables.stability_table(evaluation([MEAN], stability=[one])))
    cosines = ["0.9000", "0.9500", "0.9800", "0.9900", "0.9999"]
    assert row == ["`mean`, 2018 and 2024", "1,200", *cosines]
    assert tables.stability_table(evaluation([MEAN])) == ""


def test_warnings_name_all_vectors_that_they_are_of():
    found = evaluation(
        [MEAN, MAX],
        [score("mean", 0.9, warnings=("W: slow",)), score("max", 0.9, warnings=("W: slow",))],
        skipped=[
            {
                "features": "other",
                "scheme": "random",
                "year": None,
                "probe": "linear",
                "reason": "no patch for test",
            }
        ],
    )
    assert list(tables.warnings(found)) == [
        "knn, random 2018: W: slow (`mean`, `max`)",
        "linear, random all years: not run, no patch for test (`other`)",
    ]


def test_every_year_of_the_first_set_has_a_row_and_a_place_in_words():
    values = {2018: 0.8, 2020: 0.7, 2024: 0.75}
    found = evaluation(
        [MEAN, MAX],
        [
            *(score("mean", value, year=year) for year, value in values.items()),
            *(score("max", 0.9, year=year) for year in values),
            score("mean", 0.6, scheme="spatial"),
        ],
    )
    head, *rows = cells(tables.years_table(found, SCHEMES, tuple(values)))
    assert head == ["year", "kNN, random", "kNN, spatial"]
    assert rows == [
        ["2018", "80.0<br>78.0 to 82.0", "60.0<br>58.0 to 62.0"],
        ["2020", "70.0<br>68.0 to 72.0", "-"],
        ["2024", "75.0<br>73.0 to 77.0", "-"],
    ]
    words = tables.over_years(found, SCHEMES, tuple(values))
    assert words == "`mean` reaches 70.0 (2020) to 80.0 (2018) with kNN on `random`"
    same = evaluation([MEAN], [score("mean", 0.8001, year=2018), score("mean", 0.8, year=2024)])
    assert tables.over_years(same, SCHEMES, (2018, 2024)) == (
        "`mean` reaches 80.0 in every year with kNN on `random`"
    )
    for years in ((2018,), (None,)):
        assert tables.years_table(found, SCHEMES, years) == ""
        assert tables.over_years(found, SCHEMES, years) == ""


MODEL = Provenance(
    model="ssl4eo_resnet50",
    address="https://huggingface.co/ada/ssl4eo_s12",
    license="CC-BY-4.0",
    bands=("B04", "B03"),
    level="L1C",
    transform="digital numbers by 10,000",
    pooling="mean of the last map",
    notes=("it was trained on L2A", "B10 is not there"),
)


def test_vectors_from_elsewhere_say_what_they_are_made_of():
    about = {"made_of": "the column 'vector'", "provenance": MODEL}
    sets = [MEAN, OTHER.model_copy(update=about), feature_set("bare", "table")]
    assert list(tables.origins(evaluation(sets))) == [
        (
            "`other`: the column 'vector'; model ssl4eo\\_resnet50; "
            "weights <https://huggingface.co/ada/ssl4eo_s12>, licence CC-BY-4.0; "
            "bands B04, B03 (L1C); images: digital numbers by 10,000; vector: mean of the last map; "
            "did not fit: it was trained on L2A, B10 is not there"
        )
    ]
    own = Provenance(model="mine", weights_sha256="a" * 64)
    alone = evaluation([OTHER.model_copy(update={"provenance": own})])
    assert list(tables.origins(alone)) == [
        "`other`: model mine; weights a file, SHA-256 aaaaaaaaaaaa, licence not stated"
    ]


HOSTILE = "a](https://evil.example) ![x](https://evil.example/p.png) <img src=x> **b** `c` |\n# d\n"


def test_words_of_others_are_shown_and_are_no_markup():
    from markdown_it import MarkdownIt

    fields = dict.fromkeys(("model", "address", "license", "level", "transform"), HOSTILE)
    hostile = Provenance(**fields, bands=(HOSTILE,), pooling=HOSTILE, notes=(HOSTILE,))
    about = {"made_of": HOSTILE, "provenance": hostile}
    (line,) = tables.origins(evaluation([OTHER.model_copy(update=about)]))
    assert "\n" not in line
    html = MarkdownIt("commonmark").enable("table").render(f"| a |\n| --- |\n| {line} |\n")
    for tag in ("<a", "<img", "<strong", "<em", "<h1"):
        assert tag not in html
    assert html.count("<code>") == html.count("<td>") == 1  # the name alone is code
    assert (
        html.count(HOSTILE.split(" |", maxsplit=1)[0].replace("<", "&lt;").replace(">", "&gt;"))
        == 9
    )
