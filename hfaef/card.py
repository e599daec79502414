"""The dataset card: ``README.md`` of a release, made from its manifest and nothing else."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from hfaef.catalog import SPLITS
from hfaef.errors import ReleaseError
from hfaef.release import Config, Manifest, features, read_manifest, shown_first
from hfaef.store import put_into_release, writing

CARD = "README.md"

_TAGS = ("geospatial", "earth-observation", "embeddings", "alphaearth")

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
"""https://huggingface.co/docs/hub/datasets-cards"""


def card_folder() -> Path:
    """Where the card's template lies: in the installed package, or beside it in a checkout."""
    installed = Path(str(resources.files("hfaef"))) / "dataset_card"
    return installed if installed.is_dir() else installed.parent.parent / "dataset_card"


def front_matter(manifest: Manifest) -> dict[str, Any]:
    """The card's YAML: what makes `load_dataset` work, and what the Hub shows and filters by."""
    settings = manifest.recipe.get("card", {})
    configs, infos = [], []
    for config in manifest.configs:
        files = [{"split": split.name, "path": split.glob} for split in config.splits]
        default = {"default": True} if config.default else {}
        configs.append({"config_name": config.name, "data_files": files, **default})
        infos.append(_dataset_info(config, manifest))
    size = next((name for limit, name in _SIZES if manifest.rows < limit), "n>1M")
    return {
        "pretty_name": settings.get("pretty_name") or manifest.name,
        "license": settings.get("license", "cc-by-4.0"),
        "task_categories": ["image-classification"],
        "tags": list(dict.fromkeys([*_TAGS, *settings.get("tags", [])])),
        "size_categories": [size],
        "configs": configs,
        "dataset_info": infos,
    }


def _dataset_info(config: Config, manifest: Manifest) -> dict[str, Any]:
    from datasets import DatasetInfo
    from datasets.info import DatasetInfosDict
    from huggingface_hub import DatasetCardData

    columns = shown_first(features(config.kind, manifest.label_names, manifest.schemes))
    # The one public way to the form that `datasets` reads back.
    card = DatasetCardData()
    DatasetInfosDict({config.name: DatasetInfo(features=columns)}).to_dataset_card_data(card)
    size = sum(split.bytes for split in config.splits)
    return {
        "config_name": config.name,
        "features": vars(card)["dataset_info"]["features"],
        "splits": [
            {"name": split.name, "num_bytes": split.bytes, "num_examples": split.rows}
            for split in config.splits
        ],
        "download_size": size,
        "dataset_size": size,
    }


def render_card(manifest: Manifest) -> str:
    """The whole card, the same for the same manifest."""
    import jinja2

    settings = manifest.recipe.get("card", {})
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(card_folder()),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701 - it is Markdown; cells are escaped by the filter `cell`
        keep_trailing_newline=True,
    )
    environment.filters["thousands"] = "{:,}".format
    environment.filters["cell"] = _cell
    environment.filters["rows_of"] = _rows_of
    body = environment.get_template("card.md.jinja").render(
        manifest=manifest,
        splits=SPLITS,
        pretty_name=settings.get("pretty_name") or manifest.name,
        description=settings.get("description")
        or "AlphaEarth Foundations embeddings of labelled, georeferenced patches.",
        licence=settings.get("license", "cc-by-4.0"),
        citation=settings.get("citation"),
    )
    header = yaml.safe_dump(front_matter(manifest), sort_keys=False, allow_unicode=True, width=100)
    return f"---\n{header}---\n\n{body}"


def write_card(folder: Path) -> Path:
    """Write the card of a release folder again; gives its path.

    Raises:
        ReleaseError: if the folder holds no finished release.
    """
    path = folder / CARD
    content = render_card(read_manifest(folder)).encode()
    with writing(path):
        put_into_release(folder, CARD, content)
    return path


def read_front_matter(folder: Path) -> dict[str, Any]:
    """The YAML of a folder's card.

    Raises:
        ReleaseError: if there is no card, or its YAML cannot be read.
    """
    path = folder / CARD
    try:
        parts = path.read_text(encoding="utf-8").split("---\n", 2)
        content = yaml.safe_load(parts[1]) if len(parts) > 2 and not parts[0] else None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ReleaseError(f"cannot read {path}: {error}", f"hfaef card {folder}") from error
    if not isinstance(content, dict):
        raise ReleaseError(f"{path} has no YAML at its head", f"hfaef card {folder}")
    return content


def _cell(text: str) -> str:
    """A text as a cell of a Markdown table."""
    return " ".join(text.split()).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")


def _rows_of(config: Config, split: str) -> str:
    return next((f"{part.rows:,}" for part in config.splits if part.name == split), "-")
