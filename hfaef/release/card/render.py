"""The dataset card: ``README.md`` of a release, made from its manifest, scores and references.

`render_card` makes all of it: `front_matter` the YAML at its head, ``dataset_card/card.md.jinja``
the text below.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from hfaef.core.files import atomic_write, folder_errors
from hfaef.core.quantize import dequantize
from hfaef.errors import ReleaseError, count_of, requirement
from hfaef.recipe.columns import HELD_SPLITS, SPLITS
from hfaef.recipe.licenses import require_license
from hfaef.release.card import published, tables, verdicts
from hfaef.release.card.edits import keep_notes, put_card, released_notes
from hfaef.release.card.notes import BEGIN, END, README, sealed
from hfaef.release.card.references import References, card_folder, read_references
from hfaef.release.format.manifest import Config, Manifest, content_sha256, read_manifest
from hfaef.release.format.paths import KINDS, MANIFEST
from hfaef.release.format.schema import column_types, loaded_features, row_schema
from hfaef.release.format.scores import METRICS, SCORES, Evaluation, read_evaluation
from hfaef.release.handle import Release, open_folder
from hfaef.release.label_names import require_label_names
from hfaef.release.plots.lettering import labels_as_drawn
from hfaef.release.stac.data_card import DESCRIPTION, embedding_keys

if TYPE_CHECKING:
    import jinja2

CARD = README

UNLISTED = (CARD, MANIFEST)
"""Files of a release that its manifest does not list: itself, and the card that is made from it."""

CHECKED_KEYS = ("configs", "dataset_info", "license", "size_categories")
"""Keys of the card's YAML that must be what the manifest says, or the release loads otherwise or
bears another licence; people may change the others."""

_TAGS = ("geospatial", "earth-observation", "embeddings", "alphaearth")

LEAD = 7
"""Sets of vectors in the card's first table; all others stand under its evaluation."""

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
"""https://huggingface.co/docs/hub/datasets-cards"""


def front_matter(manifest: Manifest) -> dict[str, Any]:
    """The card's YAML: what makes `load_dataset` work, and what the Hub shows and filters by."""
    settings = manifest.recipe.get("card", {})
    content = content_sha256(manifest)[:16]
    loadable = loadable_configs(manifest)
    configs = [
        {
            "config_name": config.name,
            "data_files": [{"split": split.name, "path": split.glob} for split in config.splits],
            **({"default": True} if config.default else {}),
            # For a folder, this YAML is all that `datasets` knows its cache by: without a word of
            # the rows, it would give those of a release that was in the same place before.
            "description": f"content {content}",
        }
        for config in loadable
    ]
    size = next((name for limit, name in _SIZES if manifest.rows < limit), "n>1M")
    task = "image-classification" if manifest.label_names else "tabular-regression"
    several = manifest.labelling == "classes"
    return {
        "pretty_name": settings.get("pretty_name") or manifest.name,
        "license": settings.get("license", "cc-by-4.0"),
        "language": ["en"],
        "task_categories": [task],
        **({"task_ids": ["multi-label-image-classification"]} if several else {}),
        "tags": list(dict.fromkeys([*_TAGS, *settings.get("tags", [])])),
        "size_categories": [size],
        **embedding_keys(manifest),
        "configs": configs,
        "dataset_info": [_dataset_info(config, manifest) for config in loadable],
    }


def loadable_configs(manifest: Manifest) -> list[Config]:
    """Configs that `load_dataset` calls by name: it reads one format of files in a release."""
    kinds = ("data",) if manifest.storage.format == "webdataset" else KINDS
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


@cache
def _template() -> jinja2.Template:
    """The card's template: compiling it takes a third of a second."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(card_folder()),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701 - it is Markdown; cells are escaped by the filter `cell`
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"thousands": _thousands, "cell": _cell, "plain": tables.plain}
    environment.filters |= {"rows_of": _rows_of, "spans": _spans, "count_of": count_of}
    return environment.get_template("card.md.jinja")


def render_card(
    manifest: Manifest, evaluation: Evaluation | None = None, notes: str | None = ""
) -> str:
    """The whole card, the same for the same arguments.

    Args:
        manifest: of the release; its code reads the Hub if this names a repository.
        evaluation: of the release; left out of the card if it is of other rows.
        notes: people's own words; None leaves out the section for them, which cards had not always.

    Raises:
        ReleaseError: if the manifest lacks something.
    """
    import jinja2

    settings = manifest.recipe.get("card", {})
    references = read_references().of(manifest)
    repo = manifest.repo
    tag = f"v{manifest.version}" if repo and manifest.version else None
    values = dict(
        manifest=manifest,
        requirement=requirement(),
        splits=[name for name in HELD_SPLITS if name in SPLITS or _holds(manifest, name)],
        pretty_name=settings.get("pretty_name") or manifest.name,
        description=settings.get("description") or DESCRIPTION,
        citation=settings.get("citation"),
        location=repo or manifest.name,
        tag=tag,
        files=f"hf://datasets/{repo}{f'@{tag}' if tag else ''}" if repo else manifest.name,
        paths={file.path for file in manifest.files},
        megabytes=f"{sum(file.bytes for file in manifest.files) / 1e6:,.1f}",
        numbered=_numbered(manifest),
        golden=_golden(),
        columns=column_types(row_schema(manifest)),
        recipe=json.dumps(manifest.recipe, indent=1, sort_keys=True),
        references=references,
        notes=notes,
        marks=(BEGIN, END),
        **_scores(
            manifest, references, evaluation if evaluation and evaluation.of(manifest) else None
        ),
    )
    try:
        body = _template().render(values)
    except jinja2.UndefinedError as error:
        raise ReleaseError(
            f"the {MANIFEST} of {manifest.name} lacks what its card needs: {error}",
            "build the release again",
        ) from error
    header = yaml.safe_dump(front_matter(manifest), sort_keys=False, allow_unicode=True, width=100)
    text = f"---\n{header}---\n\n{body}"
    return text if notes is None else sealed(text)


def _scores(
    manifest: Manifest, references: References, evaluation: Evaluation | None
) -> dict[str, Any]:
    """What the card says of scores, measured and published."""
    year = manifest.config_years[0]
    found: dict[str, Any] = {
        "evaluation": evaluation,
        "published": _published(manifest, references, evaluation),
    }
    if evaluation:
        schemes, years = (*manifest.schemes, *manifest.folds), manifest.config_years
        measured = (evaluation, schemes, year)
        deciding = verdicts.deciding(*measured)
        found |= {
            "lead": tables.scores_table(*measured, deciding[:LEAD]) if evaluation.scores else "",
            "left_out": max(len(deciding) - LEAD, 0),
            "pooled": [one.name for one in evaluation.features if one.kind == "pooling"],
            "others": [one.name for one in evaluation.features if one.kind == "table"],
            "scores": tables.scores_table(*measured),
            "shown_year": year if len(years) > 1 else None,
            "over_years": tables.over_years(evaluation, schemes, years),
            "by_year": tables.years_table(evaluation, schemes, years),
            "origins": list(tables.origins(evaluation)),
            "metrics": {one: tables.metrics_table(evaluation, one, year) for one in schemes},
            "neighbours": (
                tables.neighbours_table(*measured)
                if evaluation.protocol.name == "published"
                else ""
            ),
            "metric": METRICS[evaluation.primary],
            "verdicts": list(verdicts.verdicts(*measured)),
            "differences": (
                tables.markdown(*verdicts.differences_table(*measured))
                if verdicts.compared(*measured)
                else ""
            ),
            "few_labels": tables.few_labels_table(evaluation, year),
            "shrunk": tables.shrunk_table(evaluation, year),
            "transfers": tables.transfers_table(evaluation),
            "stability": tables.stability_table(evaluation),
            "few_tests": tables.few_tests(evaluation),
            "warnings": list(tables.warnings(evaluation)),
        }
    return found


def _published(
    manifest: Manifest, references: References, evaluation: Evaluation | None
) -> dict[str, Any]:
    """What the card says of others' results; nothing if there are none."""
    if not references.published and not references.leaderboards:
        return {}
    year = manifest.config_years[0]
    whole = manifest.rows == references.eurosat.patches
    comparable = evaluation if whole else None
    schemes = published.published_schemes(references)
    rows = {one: published.standings(references, one, comparable, year) for one in schemes}
    cells = {one: [row.cells() for row in rows[one]] for one in schemes}
    return {
        "whole": whole,
        "measured": comparable is not None,
        "places": [text for one in schemes if (text := published.place(rows[one], one))],
        "tables": [
            (one, tables.markdown(published.HEAD, cells[one], published.TEXTS)) for one in schemes
        ],
        "poolings": [
            (one.name, tables.markdown(*published.by_pooling(one, comparable, year)))
            for one in references.published
        ],
        "methods": [*references.published, *references.leaderboards],
    }


def _holds(manifest: Manifest, split: str) -> bool:
    return any(part.name == split for config in manifest.configs for part in config.splits)


def _numbered(manifest: Manifest) -> list[tuple[int, str]]:
    """Number and name of the labels that the figures cannot write out."""
    names = manifest.label_names
    drawn = zip(names, labels_as_drawn(names), strict=True)
    return [(number, name) for number, (name, text) in enumerate(drawn) if name != text]


def _golden() -> dict[str, list[float]]:
    """Stored values and the floats they stand for."""
    stored = np.array([0, 63, 127, 128, 191, 254], np.uint8)
    return {
        "stored": stored.tolist(),
        "floats": [round(value, 6) for value in dequantize(stored).tolist()],
    }


def write_card(folder: Path, *, replace: bool = False) -> Path:
    """Write the card of a release folder again, with the notes it has; gives its path.

    Args:
        folder: of the release.
        replace: whether edits outside the notes may go.

    Raises:
        ReleaseError: if the folder holds no finished release, its shards have other label names
            than its manifest, the card was edited outside its notes, or the Hub knows no such
            licence.
    """
    path = folder / CARD
    manifest = read_manifest(folder)
    require_label_names(open_folder(folder))
    try:
        require_license(front_matter(manifest)["license"])
    except ValueError as error:
        raise ReleaseError(
            f"{folder}: {error}", "set `card.license` in its recipe and build it again"
        ) from error
    notes = kept_notes(folder, replace=replace)
    put_card(path, render_card(manifest, read_evaluation(folder), notes))
    return path


def copy_card(release: Release, out: Path) -> Path:
    """Write the card of a release, wherever it lies, to a file, with the notes it has; gives its path.

    Args:
        release: whose card stays as it is.
        out: a file that is there is replaced.

    Raises:
        ReleaseError: if the marks of its notes are damaged, its scores cannot be read, or its
            shards have other label names than its manifest.
        HubError: if the Hub does not give them.
        FolderError: if the file cannot be written.
    """
    require_label_names(release)
    manifest, evaluation = release.manifest, None
    if SCORES in {file.path for file in manifest.files}:
        evaluation = read_evaluation(release.fetch(SCORES).parent)
    notes = released_notes(release)
    with folder_errors(out):
        atomic_write(out, render_card(manifest, evaluation, notes).encode())
    return out


def card_edits(folder: Path) -> tuple[str, ...]:
    """What stops a folder's card from being written again, and the ways out; mostly nothing."""
    try:
        kept_notes(folder)
    except ReleaseError as error:
        return (str(error),)
    return ()


def kept_notes(folder: Path, *, replace: bool = False) -> str:
    """The notes of a folder's card; empty if there is no card.

    Raises:
        ReleaseError: if it was edited outside its notes, unless these edits may go.
    """

    def again(notes: str | None) -> str:
        return render_card(read_manifest(folder), read_evaluation(folder), notes)

    return keep_notes(folder / CARD, again, replace=replace)


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


def _thousands(number: Any) -> str:
    return f"{int(number):,}"  # what is undefined says so here, and not to `format`


def _cell(text: str) -> str:
    """A text as a cell of a Markdown table."""
    return " ".join(text.split()).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")


def _spans(years: Sequence[int]) -> str:
    """Years in order, three and more in a row as their first and last."""
    runs: list[list[int]] = []
    for year in sorted(years):
        if runs and year == runs[-1][-1] + 1:
            runs[-1].append(year)
        else:
            runs.append([year])
    shown = [[f"{run[0]} to {run[-1]}"] if len(run) > 2 else map(str, run) for run in runs]
    return ", ".join(text for run in shown for text in run)


def _rows_of(config: Config, split: str) -> str:
    return next((f"{part.rows:,}" for part in config.splits if part.name == split), "-")
