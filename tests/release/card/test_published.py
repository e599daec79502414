"""Others' figures are those of their sources, and a card says plainly where AlphaEarth stands."""

import csv
import re
from collections import defaultdict

import numpy as np
import pytest

from hfaef.evaluation.pooling import POOLINGS, patch_stats, pool_stats
from hfaef.release.card.published import NEIGHBOURS, place, standings
from hfaef.release.card.references import LeaderboardRow, card_folder, read_references
from hfaef.release.card.render import render_card
from hfaef.release.format.manifest import content_sha256, read_manifest
from hfaef.release.format.scores import (
    PUBLISHED_NEIGHBOURS,
    SCORES_FORMAT,
    Evaluation,
    FeatureSet,
    Interval,
    Origin,
    Protocol,
    Score,
)

EUROSAT_NAMES = {"covariance": "flattened_cov", "center_weighted": "center_weighted_mean"}


def board(name, scheme):
    (found,) = (
        one for one in read_references().leaderboards if (one.name, one.scheme) == (name, scheme)
    )
    return found


def per_cent(value):
    return round(100 * float(value), 1)


def table(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def test_published_numbers_are_those_of_their_source(shared):
    with (shared / "tables/geopool_results.csv").open() as file:
        rows = {
            (row["encoder"], row["pooling"], row["probe"].removesuffix("5"), row["split"]): float(
                row["value"]
            )
            for row in csv.DictReader(file)
            if row["dataset"] == "EuroSAT" and row["source"].startswith("journal")
        }
    (published,) = read_references().published
    numbers = 0
    for encoder, poolings in published.encoders.items():
        for pooling, values in poolings.items():
            name = EUROSAT_NAMES.get(pooling, pooling)
            for (probe, split), value in zip(published.columns, values, strict=True):
                assert rows[encoder, name, probe, split] == value
                numbers += 1
    assert numbers == 3 * 11 * 4


def test_torchgeo_bench_has_the_best_models_the_floors_and_one_row_a_family(shared):
    rows = defaultdict(dict)
    for row in table(shared / "tables/torchgeo_bench_eurosat_spatial.csv"):
        assert row["metric_name"] == "accuracy"
        bands = {"all": "13 bands", "rgb": "RGB"}.get(row["bands"], "12 bands")
        rows[row["name"], bands] |= {
            row["method"]: per_cent(row["metric_value"]),
            "dimensions": int(row["feature_dim"]),
        }
    ours = board("torchgeo-bench", "spatial").rows
    for one in ours:
        found = rows[one.key, one.bands]
        assert (one.knn, one.linear, one.dimensions) == (
            found["knn5"],
            found["linear"],
            found["dimensions"],
        )
    best = sorted((scores["linear"] for scores in rows.values()), reverse=True)[:3]
    assert [one.linear for one in ours][:3] == best
    floors = {(one.key, one.bands) for one in ours if one.baseline}
    assert floors == {key for key in rows if key[0] in ("imagestats", "rcf")}


def test_hand_made_features_are_those_of_their_source(shared):
    random = {one.key: one for one in board("eurosat-min-params", "random").rows}
    models = {
        row["model"]: per_cent(row["accuracy"])
        for row in table(shared / "tables/eurosat_min_params_models.csv")
        if row["split"] == "test"
    }
    assert {key: one.linear for key, one in random.items()} == models
    assert random["306"].linear == 96.0
    (spatial,) = board("eurosat-min-params", "spatial").rows
    (whole,) = (
        row
        for row in table(shared / "tables/eurosat_min_params_spatial_summary.csv")
        if row["fraction"] == "1.00"
    )
    assert spatial.linear == per_cent(whole["test_accuracy"]) == 92.8
    assert all(one.baseline for one in (spatial, *random.values()))


def test_resized_encoders_are_the_best_mean_over_seeds_of_their_settings(shared):
    seeds = defaultdict(list)
    for row in table(shared / "tables/resize_eurosat_table_results.csv"):
        bands = "RGB" if row["rgb"] == "True" else "13 bands"
        setting = (row["size"], row["normalization"])
        seeds[row["model_name"], bands, setting].append(float(row["accuracy"]))
    best = defaultdict(float)
    for (model, bands, _), values in seeds.items():
        best[model, bands] = max(best[model, bands], sum(values) / len(values))
    for one in board("resize-is-all-you-need", "random").rows:
        assert one.knn == per_cent(best[one.key, one.bands])
        assert one.linear is None


def test_every_table_names_source_licence_protocol_and_what_differs():
    found = read_references()
    for one in (*found.published, *found.leaderboards):
        assert one.url.startswith("https://")
        assert all((one.source, one.licence, one.protocol, one.differs, one.metric))
    commits = re.findall(r"/blob/([0-9a-f]+)/", (card_folder() / "references.toml").read_text())
    assert len(commits) == len(found.published) + len(found.leaderboards)
    assert all(len(commit) == 40 for commit in commits)


def test_lengths_of_published_vectors_are_those_of_our_poolings():
    (published,) = read_references().published
    stored = np.random.default_rng(0).integers(0, 255, (64, 8, 8), np.uint8)
    pooled = pool_stats(patch_stats(stored), POOLINGS)
    ours = list(published.encoders).index("AEF")
    assert {name: lengths[ours] for name, lengths in published.lengths.items()} == {
        name: vectors.shape[1] for name, vectors in pooled.items()
    }
    for name, numbers in published.lengths.items():
        aef, *others = numbers
        assert [other / aef for other in others] == (
            [8256 / 2080] * 2 if name == "covariance" else [2, 2]
        )
    assert {name: len(rows) for name, rows in published.encoders.items()} == dict.fromkeys(
        published.encoders, len(published.lengths)
    )


def test_measured_knn_has_as_many_neighbours_as_the_published_ones():
    assert NEIGHBOURS == PUBLISHED_NEIGHBOURS == 5
    assert all("k = 5" in one.protocol for one in read_references().published)
    boards = [one for one in read_references().leaderboards if any(row.knn for row in one.rows)]
    assert boards
    assert all("k = 5" in one.protocol for one in boards)


def test_a_row_without_a_score_is_refused():
    with pytest.raises(ValueError, match="without a score"):
        LeaderboardRow(model="a", key="a", bands="RGB", dimensions=1)


@pytest.fixture
def eurosat(demo_release):
    """The demo's manifest as that of all of EuroSAT."""
    manifest = read_manifest(demo_release)
    references = read_references().eurosat
    return manifest.model_copy(
        update={
            "label_names": references.labels,
            "recipe": {**manifest.recipe, "demo": None},
            "rows_by_label": dict.fromkeys(references.labels, 2700),
            "rows": references.patches,
        }
    )


def evaluation_of(manifest, scores, tables=()):
    """Scores by vectors, scheme and neighbours (None for the linear probe)."""
    measured = []
    for (features, scheme, neighbours), value in scores.items():
        metric = Interval(value=value, low=value, high=value)
        measured.append(
            Score(
                features=features,
                scheme=scheme,
                year=manifest.config_years[0],
                probe="knn" if neighbours else "linear",
                neighbours=neighbours,
                cross_validated=neighbours is None,
                train=16200,
                test=5400,
                accuracy=metric,
                balanced_accuracy=metric,
                macro_f1=metric,
                confusion=((1,),),
            )
        )
    return Evaluation(
        format=SCORES_FORMAT,
        measured_on=Origin(content_sha256=content_sha256(manifest)),
        packages={"hfaef": "1", "scikit-learn": "1"},
        protocol=Protocol(on="values", knn="", linear="", interval="", seed=0),
        label_names=manifest.label_names,
        features=tuple(
            FeatureSet(name=name, kind="table" if name in tables else "pooling", dimensions=64)
            for name in dict.fromkeys(name for name, _, _ in scores)
        ),
        scores=tuple(measured),
    )


def test_the_spatial_mean_is_said_to_lie_far_below_the_best_and_below_the_floors(eurosat):
    text = render_card(eurosat)
    first, rest = text.split("## Load it")
    for part in (first, rest):
        assert (
            "reaches **81.1 %** (published by geopool), 16.7 points below the **97.8 %** of "
            "OlmoEarth v1 Base (12 bands, published by torchgeo-bench), and below what is simple: "
            "the 92.8 % of 33 hand-made image features (13 bands) and the 88.4 % of image "
            "statistics (13 bands). AlphaEarth's best there is 91.0 %, by `stats` "
            "(best of 11 poolings, published by geopool)."
        ) in part
    assert (
        "reaches **95.3 %** (published by geopool), 2.3 points below the **97.6 %** of Tessera"
        in rest
    )


def rows_of(text, scheme):
    """Rows of a scheme's table, by cells."""
    after = text.split(f"#### On the {scheme} split\n\n")[1].split("\n\n")[0].split("\n")
    assert after[0] == "| vectors | length | linear | kNN, k = 5 | from |"
    assert after[1] == "| --- | ---: | ---: | ---: | --- |"
    rows = [line.strip("| ").split(" | ") for line in after[2:]]
    assert {len(row) for row in rows} == {5}
    return rows


@pytest.mark.parametrize("scheme", ["random", "spatial"])
def test_a_table_a_scheme_is_best_first_with_floors_named_and_ours_in_bold(eurosat, scheme):
    rows = rows_of(render_card(eurosat), scheme)
    scores = [float(row[2] if row[2] != "-" else row[3]) for row in rows]
    assert scores == sorted(scores, reverse=True)
    ours = [row for row in rows if row[0].startswith("**AEF")]
    assert [row[0] for row in ours] == [
        "**AEF `stats` (best of 11 poolings)**",
        "**AEF `mean`**",
    ]
    floors = [row for row in rows if row[0].startswith("*floor:*")]
    boards = [one for one in read_references().leaderboards if one.scheme == scheme]
    assert len(floors) == sum(row.baseline for one in boards for row in one.rows) >= 5
    assert {row[4] for row in rows} == {"geopool", *(one.name for one in boards)}
    assert not [row for row in rows if row[4] == "**here**"]


def test_measured_vectors_lie_among_the_published_ones(eurosat):
    scores = {
        ("mean", "spatial", None): 0.812,
        ("mean", "spatial", 5): 0.856,
        ("stats", "spatial", None): 0.9111,
        ("max", "spatial", None): 0.86,
        ("tessera", "spatial", None): 0.949,
    }
    text = render_card(eurosat, evaluation_of(eurosat, scores, tables=("tessera",)))
    here = [row for row in rows_of(text, "spatial") if row[4] == "**here**"]
    assert [(row[0], row[2], row[3]) for row in here] == [
        ("`tessera`", "94.9", "-"),
        ("**AEF `stats`**", "91.1", "-"),
        ("**AEF `mean`**", "81.2", "85.6"),
    ]
    assert (
        "reaches **81.2 %** (measured here), 16.6 points below the **97.8 %** of OlmoEarth" in text
    )
    assert "AlphaEarth's best there is 91.1 %, by `stats` (measured here)" in text
    assert not [row for row in rows_of(text, "random") if row[4] == "**here**"]
    assert "AlphaEarth by pooling, as geopool published it and as measured here" in text
    assert "| `mean` | - | 94.6 | 85.6 | 85.5 | - | 95.3 | 81.2 | 81.1 |" in text


def test_a_k_that_was_chosen_is_said_beside_those_that_were_not(eurosat):
    published = evaluation_of(eurosat, {("mean", "spatial", None): 0.812})
    protocol = published.protocol.model_copy(update={"name": "default"})
    chosen = published.model_copy(update={"protocol": protocol})
    words = "say little; the kNN measured here has a k chosen on validation patches, rather than 5:"
    assert words in render_card(eurosat, chosen)
    for evaluation in (published, None):
        assert words not in render_card(eurosat, evaluation)


def test_scores_of_a_part_of_eurosat_stay_out_of_the_tables(eurosat):
    part = eurosat.model_copy(update={"rows": 100})
    text = render_card(part, evaluation_of(part, {("mean", "spatial", None): 0.99}))
    assert "this release holds 100, so its own scores cannot be compared" in text
    assert not [row for row in rows_of(text, "spatial") if row[4] == "**here**"]
    assert "reaches **81.1 %**" in text
    assert "AlphaEarth by pooling, as geopool published it</summary>" in text
    assert "| pooling | kNN, random | kNN, spatial | linear, random | linear, spatial |" in text


def test_a_mean_above_the_best_is_said_to_be_above(eurosat):
    scores = {("mean", "spatial", None): 0.99}
    rows = standings(read_references().of(eurosat), "spatial", evaluation_of(eurosat, scores), 2018)
    assert place(rows, "spatial").endswith(
        "reaches **99.0 %** (measured here), 1.2 points above the **97.8 %** of OlmoEarth v1 Base "
        "(12 bands, published by torchgeo-bench)."
    )
    assert place([row for row in rows if not row.ours], "spatial") == ""


def test_how_each_was_measured_stands_below_the_tables(eurosat):
    text = render_card(eurosat)
    for one in (*read_references().published, *read_references().leaderboards):
        assert f"From [{one.source}]({one.url}), licence: {one.licence}." in text
        assert f"{one.protocol}. Otherwise than here: {one.differs}." in text


def test_a_release_of_something_else_quotes_nobody(demo_release):
    text = render_card(read_manifest(demo_release))
    for word in ("Published results", "torchgeo-bench", "geopool", "Among others", "floor"):
        assert word not in text


def test_the_cards_markdown_has_no_broken_table(eurosat):
    from markdown_it import MarkdownIt

    text = render_card(eurosat).split("---\n", 2)[2]
    tokens = MarkdownIt("commonmark", {"html": True}).enable("table").parse(text)
    section = text.split("### Published results")[1].split("## How it was made")[0]
    written = len(re.findall(r"^\| ---", section, re.MULTILINE))
    assert written == len(read_references().published) + 2
    tables = [token for token in tokens if token.type == "table_open"]
    assert len(tables) == len(re.findall(r"^\| ---", text, re.MULTILINE))
    assert not [one for one in tokens if one.type == "inline" and one.content.startswith("| ")]
