"""A card tells the truth, its code runs as it stands, and its links lead somewhere."""

import re
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest
import yaml

from hfaef.core.quantize import dequantize
from hfaef.release.card.references import card_folder, read_references
from hfaef.release.card.render import front_matter, render_card, write_card
from hfaef.release.format.manifest import Change, content_sha256, read_manifest
from hfaef.release.format.scores import Origin, Provenance
from support.evaluations import difference, evaluation, feature_set, interval, score


def body(text):
    return text.split("---\n", 2)[2]


def blocks(text, language):
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def test_the_same_card_each_time(own_release):
    first = (own_release / "README.md").read_bytes()
    for _ in range(2):
        write_card(own_release)
        assert (own_release / "README.md").read_bytes() == first


def test_code_runs_as_it_stands(demo_release):
    pytest.importorskip("torch", reason="the extra `torchgeo` brings torch")
    found = blocks((demo_release / "README.md").read_text(), "python")
    assert len(found) == 7
    for block in found:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", block],
            cwd=demo_release.parent,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{block}\n{done.stderr}"


def test_code_for_the_hub_names_repo_and_version(demo_release):
    manifest = read_manifest(demo_release).model_copy(
        update={
            "version": "1.2.0",
            "repo": "owner/name",
            "history": (Change(version="1.2.0", lines=("3 rows more",)),),
        }
    )
    text = body(render_card(manifest))
    assert 'load_dataset("owner/name", revision="v1.2.0")' in text
    assert "hf://datasets/owner/name@v1.2.0/data/**/*.parquet" in text
    assert "AlphaEarth-Demo" not in "".join(blocks(text, "python"))
    assert "**1.2.0**\n\n- 3 rows more" in text
    for block in blocks(text, "python"):
        compile(block, "block", "exec")


def test_the_atlas_that_the_recipe_names_is_linked(demo_release):
    manifest = read_manifest(demo_release)
    plain = render_card(manifest, notes=None)
    recipe = {**manifest.recipe, "card": {**manifest.recipe["card"], "atlas": "ada/atlas"}}
    linked = render_card(manifest.model_copy(update={"recipe": recipe}), notes=None)
    link = "- **Look at it** on a map and in embedding space: [ada/atlas](https://huggingface.co/spaces/ada/atlas)."
    assert set(linked.splitlines()) - set(plain.splitlines()) == {link, '  "atlas": "ada/atlas",'}
    assert "huggingface.co/spaces" not in plain


def test_links_to_files_resolve(demo_release):
    text = body((demo_release / "README.md").read_text())
    links = re.findall(r"\]\(([^)\s]+)\)", text)
    local = [link for link in links if "://" not in link]
    assert "figures/labels.png" in local
    assert "release.json" in local
    for link in local:
        assert (demo_release / link).is_file(), link
    assert all(link.startswith("https://") for link in links if "://" in link)


def test_front_matter_goes_round_through_the_hubs_own_parser(demo_release):
    from huggingface_hub import DatasetCard, DatasetCardData

    text = (demo_release / "README.md").read_text()
    written = yaml.safe_load(text.split("---\n")[1])
    assert written == front_matter(read_manifest(demo_release))
    data = DatasetCardData(**written)
    assert data.to_dict() == written
    assert yaml.safe_load(data.to_yaml()) == written
    assert DatasetCard(text, ignore_metadata_errors=False).data.to_dict() == written
    assert {"geospatial", "earth-observation", "embeddings", "alphaearth"} <= set(written["tags"])
    assert written["license"] == "cc-by-4.0"
    assert written["language"] == ["en"]
    assert written["size_categories"] == ["n<1K"]


def test_golden_vector_is_what_dequantize_gives(demo_release):
    text = body((demo_release / "README.md").read_text())
    stored, floats = re.search(
        r"np.array\((\[.*?\]), np.uint8\).*?allclose\(golden, (\[.*?\])", text, re.DOTALL
    ).groups()
    import numpy as np

    expected = dequantize(np.array(yaml.safe_load(stored), np.uint8))
    np.testing.assert_allclose(yaml.safe_load(floats), expected, atol=1e-6)


def test_attribution_stands_in_every_card_of_real_embeddings(demo_release):
    manifest = read_manifest(demo_release)
    recipe = {name: value for name, value in manifest.recipe.items() if name != "demo"}
    text = body(render_card(manifest.model_copy(update={"recipe": recipe})))
    required = (
        "The AlphaEarth Foundations Satellite Embedding dataset is produced by Google "
        "and Google DeepMind. It is licensed under CC-BY 4.0."
    )
    assert text.count(required) == 2
    assert "- Source: AlphaEarth's cloud-optimized GeoTIFFs; 2018." in text


def test_a_card_of_made_up_embeddings_does_not_say_that_google_produced_them(demo_release):
    text = body((demo_release / "README.md").read_text())
    assert "produced by Google" not in text
    assert text.count("This data set of made-up embeddings comes from a formula of hfaef") == 2
    assert "- Source: made-up cloud-optimized GeoTIFFs; 2018." in text


def test_eurosat_is_known_by_its_labels(demo_release):
    manifest = read_manifest(demo_release)
    labels = read_references().eurosat.labels
    recipe = {**manifest.recipe, "demo": None}
    counts = dict.fromkeys(labels, 4)
    other = manifest.model_copy(
        update={"label_names": labels, "recipe": recipe, "rows_by_label": counts}
    )
    text = body(render_card(other))
    for word in ("helber2019eurosat", "stewart2022torchgeo", "corley2026pixels", "Tessera", "MIT"):
        assert word in text
    assert "cannot be compared" in text
    assert "Nothing here is real" not in text
    assert "helber2019eurosat" not in body(render_card(manifest))


def test_card_tells_what_is_near_another_split_or_that_nothing_is(demo_release):
    manifest = read_manifest(demo_release)
    text = body((demo_release / "README.md").read_text())
    for leak in manifest.leakage:
        start = f"| {leak.scheme} | {leak.second} | {leak.first} | {leak.patches} | "
        assert f"{start}{leak.overlapping} | {leak.near} (" in text
    assert any(leak.near for leak in manifest.leakage)
    apart = [replace(leak, near=0, near_pairs=0) for leak in manifest.leakage]
    other = body(render_card(manifest.model_copy(update={"leakage": tuple(apart)})))
    assert "no patch overlaps one of another split or lies within 1 km of one" in other


def test_text_from_a_recipe_cannot_break_a_table(demo_release):
    manifest = read_manifest(demo_release)
    missing = [{"id": "a", "year": 2018, "label": "x|y", "reason": "no | data\n<b>"}] * 25
    other = type(manifest).model_validate({**manifest.model_dump(), "missing": missing})
    text = body(render_card(other))
    assert "| a | 2018 | x\\|y | no \\| data &lt;b> |" in text
    assert "\nand 5 more.\n" in text


def test_a_label_that_is_markup_is_shown_as_it_is(demo_release):
    manifest = read_manifest(demo_release)
    label = "[md](http://evil/) **b** `c` a_b"
    names = [label, *manifest.label_names[1:]]
    counts = {**manifest.rows_by_label, label: 1}
    text = body(
        render_card(manifest.model_copy(update={"label_names": names, "rows_by_label": counts}))
    )
    assert "| \\[md\\](http://evil/) \\*\\*b\\*\\* \\`c\\` a\\_b | 1 |" in text


def measured(manifest, scores, *features: Any, **more: Any):
    """An evaluation of the rows of this manifest."""
    origin = Origin(content_sha256=content_sha256(manifest))
    return evaluation(features, scores, **more).model_copy(update={"measured_on": origin})


def first_screen(text):
    return body(text).partition("![")[0]


def test_a_card_of_several_years_says_which_one_and_shows_them_all(demo_release):
    manifest = read_manifest(demo_release)
    several = manifest.model_copy(update={"years": (2018, 2024)})
    scores = [score("mean", 0.5), score("mean", 0.6, year=2024)]
    found = measured(several, scores, feature_set("mean"))
    text = render_card(several, found)
    screen = first_screen(text)
    assert "on test patches of 2018, with 95 % intervals" in screen
    assert "- **Over the years** `mean` reaches 50.0 (2018) to 60.0 (2024) with kNN on " in screen
    section = text.partition("## Evaluation")[2].partition("## How it was made")[0]
    assert "of the same year; the tables are of **2018** unless they say another" in section
    assert "| 2024 | 60.0<br>58.0 to 62.0 |" in section
    one = render_card(manifest, measured(manifest, scores[:1], feature_set("mean")))
    assert "Over the years" not in one
    assert "unless they say another" not in one


def test_a_card_says_what_vectors_from_elsewhere_are_made_of(demo_release):
    manifest = read_manifest(demo_release)
    other = feature_set("other", "table").model_copy(
        update={"made_of": "the mean of 13 bands", "provenance": Provenance(model="a|b")}
    )
    found = measured(manifest, [score("mean", 0.5)], feature_set("mean"), other)
    text = render_card(manifest, found)
    assert "\n- `other`: the mean of 13 bands; model a\\|b.\n" in text
    alone = render_card(manifest, measured(manifest, [score("mean", 0.5)], feature_set("mean")))
    assert "are made of" not in alone


def test_first_screen_says_what_is_better_by_how_much_and_how_surely(demo_release):
    manifest = read_manifest(demo_release)
    names = ("mean", "max", "gem", "other")
    sets = [feature_set(name, "table" if name == "other" else "pooling") for name in names]
    scores = [score(name, 0.5 + number / 10) for number, name in enumerate(names)]
    pairs = [
        difference("mean", "max", (-0.03, -0.01, 0.01)),
        difference("mean", "gem", (-0.02, -0.005, 0.01)),
        difference("mean", "other", (-0.021, -0.012, -0.004)),
    ]
    found = measured(manifest, scores, *sets, differences=pairs)
    text = first_screen(render_card(manifest, found))
    assert "**overall accuracy** in per cent, on test patches, with 95 % intervals" in text
    assert "- **`other` is better than `mean`** by 1.2 points with kNN on `random`" in text
    assert "- Between `mean` and `max` **no difference can be shown**" in text
    for name in ("mean", "max", "other"):
        assert re.search(rf"\| `{name}` \| 64 \| \d\d\.\d<br>", text), (
            "bold in all cells tells nothing"
        )
    assert "`gem`" not in text  # it is neither the first, another model, nor the best pooling
    assert len(text) < 3000
    whole = render_card(manifest, found)
    assert "| `mean`, `gem` | kNN, random | -0.5 | -2.0 to 1.0 | - |" in whole
    assert render_card(manifest, found) == whole


@pytest.mark.parametrize(
    ("tests", "words"),
    [
        (1, "**Only one patch** to test on: a check that all works, no benchmark."),
        (48, "**Only 48 patches** to test on: a check that all works, no benchmark."),
        (5400, None),
    ],
)
def test_words_for_small_test_sets(demo_release, tests, words):
    manifest = read_manifest(demo_release)
    found = measured(manifest, [score("mean", 0.9, test=tests)], feature_set("mean"))
    text = first_screen(render_card(manifest, found))
    assert "90.0" in text
    assert words in text if words else "no benchmark" not in text


@pytest.mark.parametrize(
    ("target", "metric", "words"),
    [
        ("classes", "micro_ap", "the labels: **micro average precision** in per cent, on test"),
        ("number", "r2", "the number: **R2**, on test"),
    ],
)
def test_first_screen_names_what_decides(demo_release, target, metric, words):
    manifest = read_manifest(demo_release)
    one = score("mean", 0, metrics={metric: interval(0.5)})
    found = measured(manifest, [one], feature_set("mean"), target=target)
    assert f"How well vectors tell {words}" in first_screen(render_card(manifest, found))


def test_more_models_than_a_first_screen_holds_are_counted(demo_release):
    manifest = read_manifest(demo_release)
    names = ["mean", *(f"model{number}" for number in range(9))]
    found = measured(
        manifest,
        [score(name, 0.5) for name in names],
        *(feature_set(name, "table" if name != "mean" else "pooling") for name in names),
    )
    text = first_screen(render_card(manifest, found))
    assert "`model5`" in text
    assert "`model6`" not in text
    assert "- 3 more under [Evaluation](#evaluation)." in text


def test_scores_of_other_rows_are_left_out(demo_release):
    manifest = read_manifest(demo_release)
    found = evaluation([feature_set("mean")], [score("mean", 0.9)])
    assert render_card(manifest, found) == render_card(manifest)
    assert "Not evaluated yet. `hfaef eval` does it" in render_card(manifest)


def test_template_and_references_are_found():
    assert (card_folder() / "card.md.jinja").is_file()
