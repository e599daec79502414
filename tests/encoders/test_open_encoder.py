"""Models by name: what there is, what a choice means, and what is said of what does not fit."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hfaef.encoders import Choices, embed_recipe, list_encoders, open_encoder, read_images
from hfaef.encoders.base import Images
from hfaef.errors import FolderError, InputError
from support.images import images_recipe, write_images

RGB = Images(("B04", "B03", "B02"), "DN", "L2A")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("stat", "there is no model 'stat', did you mean `stats`"),
        ("rfc", "did you mean `rcf`"),
        ("torchgeo", "there is no model 'torchgeo'"),
        ("timm:", "there is no model 'timm:'"),
        (
            "huggingface:x",
            "one of stats, rcf, rcf-empirical, torchgeo:MEMBER, timm:NAME, onnx:FILE",
        ),
        ("stats:x", "there is no model 'stats:x'"),
    ],
)
def test_a_name_that_is_none_is_refused_with_kinds_and_near_names(name: str, words: str) -> None:
    with pytest.raises(InputError) as raised:
        open_encoder(name, RGB)
    assert words in str(raised.value)


@pytest.mark.parametrize(
    ("name", "choices", "words"),
    [
        ("stats", Choices(weights=Path("w.pth")), "stats takes no --weights"),
        ("rcf", Choices(weights=Path("w.pth")), "rcf takes no --weights"),
        ("onnx:a.onnx", Choices(weights=Path("w.pth")), "onnx:a.onnx takes no --weights"),
        ("stats", Choices(device="cuda"), "stats runs on the CPU alone"),
        ("rcf", Choices(device="tpu"), "there is no device 'tpu'"),
    ],
)
def test_a_choice_that_means_nothing_is_refused(name: str, choices: Choices, words: str) -> None:
    with pytest.raises(InputError, match=words):
        open_encoder(name, RGB, choices)


def test_a_model_is_refused_by_its_name_before_patches_are_read(tmp_path: Path) -> None:
    recipe = images_recipe(tmp_path / "nowhere")
    with pytest.raises(InputError, match="there is no model 'nothing'"):
        embed_recipe(recipe, "nothing", tmp_path / "v.parquet")


def test_floors_are_listed_for_any_images() -> None:
    found, _ = list_encoders(RGB)
    assert [one.name for one in found[:3]] == ["stats", "rcf", "rcf-empirical"]
    assert not any(one.fault for one in found[:3])


def test_a_recipe_tells_what_its_images_hold(tmp_path: Path) -> None:
    recipe = images_recipe(write_images(tmp_path), level="L2A")
    assert read_images(recipe) == RGB


def test_a_trial_has_the_patches_of_a_build_with_the_same_limit(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    from hfaef.catalog import open_catalog

    recipe = images_recipe(write_images(tmp_path / "patches", 10))
    done = embed_recipe(recipe, "stats", tmp_path / "v.parquet", limit=3)
    assert done.vectors == 3
    found = pq.read_table(tmp_path / "v.parquet")["id"].to_pylist()
    assert found == [patch.id for patch in open_catalog(recipe).first(3).patches]


def test_a_trial_replaces_no_table_of_more_patches(tmp_path: Path) -> None:
    recipe = images_recipe(write_images(tmp_path / "patches", 10))
    out = tmp_path / "v.parquet"
    embed_recipe(recipe, "stats", out)
    content = out.read_bytes()
    words = (
        "holds 10 vectors of stats and the recipe trial, more than the 3 of this trial; it stays"
    )
    with pytest.raises(FolderError, match=words):
        embed_recipe(recipe, "stats", out, limit=3)
    assert out.read_bytes() == content
    assert embed_recipe(recipe, "stats", out, limit=10).computed == 0
    small = tmp_path / "small.parquet"
    embed_recipe(recipe, "stats", small, limit=3)
    os.utime(tmp_path / "patches/Forest/P0.tif", (0, 0))
    assert embed_recipe(recipe, "stats", small, limit=3).computed == 3
    done = embed_recipe(recipe, "stats", small)
    assert (done.vectors, any("is replaced" in note for note in done.notes)) == (10, True)


def test_a_table_of_another_model_is_refused_before_the_model_is_opened(tmp_path: Path) -> None:
    recipe = images_recipe(write_images(tmp_path / "patches", 4))
    out = tmp_path / "v.parquet"
    embed_recipe(recipe, "stats", out)
    for model in ("onnx:nothere.onnx", "timm:nothere", "torchgeo:nothere"):
        with pytest.raises(FolderError, match="holds 4 vectors of stats and the recipe trial"):
            embed_recipe(recipe, model, out)


@pytest.mark.slow
def test_filters_are_drawn_from_all_images_of_a_recipe_without_splits_and_that_is_said(
    tmp_path: Path,
) -> None:
    pytest.importorskip("torchgeo")
    recipe = images_recipe(write_images(tmp_path / "patches", 10))
    choices = Choices(device="cpu")
    out = tmp_path / "v.parquet"
    done = embed_recipe(recipe, "rcf-empirical", out, choices=choices, limit=3)
    note = "filters drawn from all images: the recipe has no split scheme"
    assert note in done.notes
    assert note in done.provenance.notes
    assert "drawn from 10 images" in done.provenance.transform
