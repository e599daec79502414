"""The dataset card: ``README.md`` of a release, made from its manifest, scores and references."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from hfaef.core.files import folder_errors
from hfaef.core.quantize import dequantize
from hfaef.errors import ReleaseError
from hfaef.recipe.model import SPLITS
from hfaef.release.card import tables as comparison
from hfaef.release.card.references import card_folder, read_references
from hfaef.release.format.manifest import Config, Manifest, content_sha256, read_manifest
from hfaef.release.format.paths import KINDS, put_into_release
from hfaef.release.format.schema import features, loaded_features
from hfaef.release.format.scores import Evaluation, read_evaluation

CARD = "README.md"

_TAGS = ("geospatial", "earth-observation", "embeddings", "alphaearth")

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
"""https://huggingface.co/docs/hub/datasets-cards"""


def front_matter(manifest: Manifest) -> dict[str, Any]:
    """The card's YAML: what makes `load_dataset` work, and what the Hub shows and filters by."""
    settings = manifest.recipe.get("card", {})
    content = content_sha256(manifest)[:16]
    configs, infos = [], []
    for config in loadable(manifest):
        files = [{"split": split.name, "path": split.glob} for split in config.splits]
        default = {"default": True} if config.default else {}
        entry = {"config_name": config.name, "data_files": files, **default}
        # For a folder, this YAML is all that `datasets` knows its cache by: without a word of the
        # rows, it would give those of a release that was in the same place before.
        configs.append({**entry, "description": f"content {content}"})
        infos.append(_dataset_info(config, manifest))
    size = next((name for limit, name in _SIZES if manifest.rows < limit), "n>1M")
    return {
        "pretty_name": settings.get("pretty_name") or manifest.name,
        "license": settings.get("license", "cc-by-4.0"),
        "language": ["en"],
        "task_categories": [
            "image-classification" if manifest.label_names else "tabular-regression"
        ],
        "tags": list(dict.fromkeys([*_TAGS, *settings.get("tags", [])])),
        "size_categories": [size],
        "configs": configs,
        "dataset_info": infos,
    }


def loadable(manifest: Manifest) -> list[Config]:
    """Configs that `load_dataset` calls by name: it reads one format of files in a release."""
    kinds = ("data",) if manifest.form.format == "webdataset" else KINDS
    return [config for config in manifest.configs if config.kind in kinds]


def _dataset_info(config: Config, manifest: Manifest) -> dict[str, Any]:
    from datasets import DatasetInfo
    from datasets.info import DatasetInfosDict
    from huggingface_hub import DatasetCardData

    columns = loaded_features(config.kind, manifest)
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


def render_card(
    manifest: Manifest, evaluation: Evaluation | None = None, repo_id: str | None = None
) -> str:
    """The whole card, the same for the same arguments.

    Args:
        manifest: of the release.
        evaluation: of the release; left out of the card if it is of other rows.
        repo_id: ``owner/name``, if the card is for the Hub; the manifest's own by default.
    """
    import jinja2

    settings = manifest.recipe.get("card", {})
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(card_folder()),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701 - it is Markdown; cells are escaped by the filter `cell`
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["thousands"] = "{:,}".format
    environment.filters["cell"] = _cell
    environment.filters["rows_of"] = _rows_of
    repo_id = repo_id or manifest.repo
    tag = f"v{manifest.version}" if repo_id and manifest.version else None
    body = environment.get_template("card.md.jinja").render(
        manifest=manifest,
        splits=SPLITS,
        pretty_name=settings.get("pretty_name") or manifest.name,
        description=settings.get("description")
        or "AlphaEarth Foundations embeddings of labelled, georeferenced patches.",
        citation=settings.get("citation"),
        place=repo_id or manifest.name,
        tag=tag,
        files=f"hf://datasets/{repo_id}{f'@{tag}' if tag else ''}" if repo_id else manifest.name,
        paths={file.path for file in manifest.files},
        megabytes=f"{sum(file.bytes for file in manifest.files) / 1e6:,.1f}",
        golden=_golden(),
        columns=_columns(manifest),
        recipe=json.dumps(manifest.recipe, indent=1, sort_keys=True),
        references=read_references().about(manifest),
        **_tables(manifest, evaluation if evaluation and evaluation.of(manifest) else None),
    )
    header = yaml.safe_dump(front_matter(manifest), sort_keys=False, allow_unicode=True, width=100)
    return f"---\n{header}---\n\n{body}"


def _tables(manifest: Manifest, evaluation: Evaluation | None) -> dict[str, Any]:
    year = manifest.years[0]
    references = read_references().about(manifest)
    tables: dict[str, Any] = {
        "evaluation": evaluation,
        "headline": "",
        "published": [
            {
                "about": published,
                "ours": comparison.published_table(published, evaluation, year).markdown(),
                "encoders": comparison.encoders_table(published).markdown(),
            }
            for published in references.published
        ],
    }
    if evaluation:
        about = (evaluation, manifest.schemes, year)
        tables["headline"] = comparison.headline(*about)
        tables["pooled"] = [one.name for one in evaluation.features if one.kind == "pooling"]
        tables["others"] = [one.name for one in evaluation.features if one.kind == "table"]
        tables["scores"] = comparison.scores_table(*about).markdown()
        tables["metrics"] = comparison.metrics_table(*about).markdown()
        tables["neighbours"] = comparison.neighbours_table(*about).markdown()
        tables["warnings"] = list(comparison.said_by_solver(evaluation))
    return tables


def _golden() -> dict[str, list[float]]:
    """Stored values and the floats they stand for."""
    stored = np.array([0, 63, 127, 128, 191, 254], np.uint8)
    return {
        "stored": stored.tolist(),
        "floats": [round(value, 6) for value in dequantize(stored).tolist()],
    }


def _columns(manifest: Manifest) -> dict[str, str]:
    """Type of each column of the rows, as people write it."""
    types = {}
    columns = features("data", manifest.label_names, manifest.schemes, manifest.form)
    for name, feature in columns.items():
        kind = type(feature).__name__
        if kind == "Value":
            kind = feature.dtype
        elif kind == "List":
            length = f"[{feature.length}]" if feature.length > 0 else ""
            kind = f"list of {feature.feature.dtype}{length}"
        types[name] = kind
    return types


def write_card(folder: Path, repo_id: str | None = None) -> Path:
    """Write the card of a release folder again; gives its path.

    Raises:
        ReleaseError: if the folder holds no finished release.
    """
    path = folder / CARD
    content = render_card(read_manifest(folder), read_evaluation(folder), repo_id).encode()
    with folder_errors(path):
        put_into_release(folder, CARD, content)
    return path


def read_front_matter(folder: Path) -> dict[str, Any]:
    """The YAML of a folder's card.

    Raises:
        ReleaseError: if there is no card, or its YAML cannot be read.
    """
    path = folder / CARD
    try:
        return parse_front_matter(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ReleaseError(f"cannot read {path}: {error}", f"hfaef card {folder}") from error
    except ValueError as error:
        raise ReleaseError(f"{path} {error}", f"hfaef card {folder}") from error


def parse_front_matter(text: str) -> dict[str, Any]:
    """The YAML at a card's head, between two lines that are ``---`` and nothing else.

    Raises:
        ValueError: if there is none, or it is no YAML.
    """
    head, *lines = text.split("\n")
    content = None
    if head == "---" and "---" in lines:
        try:
            content = yaml.safe_load("\n".join(lines[: lines.index("---")]))
        except yaml.YAMLError as error:
            raise ValueError(f"has no YAML at its head: {error}") from error
    if not isinstance(content, dict):
        raise ValueError("has no YAML at its head")  # noqa: TRY004 - of a text, not of an argument
    return content


def _cell(text: str) -> str:
    """A text as a cell of a Markdown table."""
    return " ".join(text.split()).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")


def _rows_of(config: Config, split: str) -> str:
    return next((f"{part.rows:,}" for part in config.splits if part.name == split), "-")
