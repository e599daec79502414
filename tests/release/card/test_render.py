"""A card tells the truth, its code runs as it stands, and its links lead somewhere."""

import re
import subprocess
import sys
from dataclasses import replace

import pytest
import yaml

from hfaef.core.quantize import dequantize
from hfaef.release.card.references import card_folder, read_references
from hfaef.release.card.render import front_matter, render_card, write_card
from hfaef.release.format.manifest import Change, read_manifest


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


def test_attribution_stands_in_every_card(demo_release):
    text = body((demo_release / "README.md").read_text())
    required = (
        "The AlphaEarth Foundations Satellite Embedding dataset is produced by Google "
        "and Google DeepMind."
    )
    assert text.count(required) == 2


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


def test_template_and_references_are_found():
    assert (card_folder() / "card.md.jinja").is_file()
