"""The card's YAML has the keys of the geo-embeddings data card, whatever is published."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from hfaef.release.card.references import read_references
from hfaef.release.card.render import front_matter
from hfaef.release.check import check_folder
from hfaef.release.format.manifest import read_manifest
from hfaef.release.stac.data_card import embedding_keys

REQUIRED = (
    "embedding_spatial_types",
    "embedding_temporal_type",
    "embedding_spatial_context",
    "embedding_temporal_context",
    "embedding_dimension",
    "grid_spacing",
    "inference_datasets",
    "model_name",
    "model_link",
)
"""Of the template's groups of what embeddings are and what they were made from."""


@pytest.mark.parametrize("demo", [True, False])
def test_every_required_key_has_a_value_of_the_template(smallest: Path, demo: bool) -> None:
    manifest = read_manifest(smallest)
    recipe = {**manifest.recipe, "demo": {} if demo else None}
    keys = embedding_keys(manifest.model_copy(update={"recipe": recipe}))
    assert all(keys[key] for key in REQUIRED)
    assert set(keys["embedding_spatial_types"]) <= {"pixel", "patch", "scene"}
    assert set(keys["embedding_temporal_type"]) <= {"single-date", "multi-date"}
    assert keys["embedding_dimension"] == 64
    assert keys["quantization"].startswith("uint8")
    assert keys["grid_spacing"] == ["10, 10"]
    assert (keys["model_name"] == "AlphaEarth Foundations") is not demo
    assert ("Sentinel-2" in keys["inference_datasets"]) is not demo


def test_the_creator_is_the_owner_of_the_repository(smallest: Path) -> None:
    manifest = read_manifest(smallest)
    assert "creator" not in embedding_keys(manifest)
    published = manifest.model_copy(update={"repo": "ada/patches", "version": "1.0.0"})
    assert embedding_keys(published)["creator"] == "ada"


def test_the_card_in_the_folder_has_them_and_checks(smallest: Path) -> None:
    text = (smallest / "README.md").read_text()
    written = yaml.safe_load(text.split("---\n")[1])
    manifest = read_manifest(smallest)
    assert embedding_keys(manifest).items() <= written.items()
    assert written == front_matter(manifest)
    assert check_folder(smallest) == []


def test_other_words_of_these_keys_are_nobody_s_fault(own_smallest: Path) -> None:
    path = own_smallest / "README.md"
    path.write_text(path.read_text().replace("embedding_dimension: 64", "embedding_dimension: 32"))
    assert check_folder(own_smallest) == []


def test_each_release_has_one_model(smallest: Path) -> None:
    assert {model.when for model in read_references().models} == {"real", "made-up"}
    assert len(read_references().of(read_manifest(smallest)).models) == 1
