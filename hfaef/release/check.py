"""Findings over a release folder: what would fail, or mislead silently, once it is published.

`hfaef.hub.published` does the same where a published version lies.
"""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hfaef.core.codec import embedding_problem
from hfaef.core.files import links_in, require_loadable
from hfaef.core.names import BYTES, alike, fault_of, printable, require_id
from hfaef.errors import FolderError, HfaefError, command_line
from hfaef.recipe.licenses import require_license
from hfaef.recipe.model import FIRST_YEAR
from hfaef.release.atlas.check import atlas_problems
from hfaef.release.benchmark.eval_yaml import EVAL_YAML, benchmark_problems
from hfaef.release.card.render import (
    CARD,
    CHECKED_KEYS,
    UNLISTED,
    front_matter,
    loadable_configs,
    parse_front_matter,
)
from hfaef.release.format import webdataset
from hfaef.release.format.manifest import (
    File,
    Manifest,
    file_entry,
    missing_table,
    read_manifest,
)
from hfaef.release.format.paths import (
    ATLAS_FILES,
    FIGURE_FILES,
    KINDS,
    MANIFEST,
    MISSING,
    PICTURES,
    PREVIOUS_YEAR,
    STAC_FILES,
    STAGING,
    matches,
)
from hfaef.release.format.rows import wrong_cosines
from hfaef.release.format.schema import file_schema, label_problem, row_schema
from hfaef.release.format.scores import SCORES, read_evaluation
from hfaef.release.handle import Release, open_folder
from hfaef.release.stac.check import stac_problems

_WITHOUT_ROWS = frozenset({SCORES, EVAL_YAML, *FIGURE_FILES, *STAC_FILES, *ATLAS_FILES})

_DECODED = 8
"""Rows of a shard whose sheets are decoded; of the others the hash of the file is checked."""


@dataclass(frozen=True)
class Finding:
    """Something that is wrong with a release."""

    path: str
    """The file, from the release's folder on."""
    problem: str

    def __str__(self) -> str:
        return f"{self.path}: {' '.join(self.problem.split())}"  # libraries' words have lines


def check_folder(folder: Path, *, card: bool = True) -> list[Finding]:
    """All that is wrong with a release folder; nothing, if it may be published.

    Args:
        folder: of the release.
        card: whether its card counts, and what `datasets` makes of it; not, if another one is
            about to be written.

    Raises:
        ReleaseError: if it holds no manifest that can be read.
    """
    if links := links_in(folder):  # through which nothing is read
        return [Finding(printable(link), "is a link, which is not published") for link in links]
    manifest = read_manifest(folder)
    findings = list(_files(folder, manifest))
    intact = {file.path for file in manifest.files} - {finding.path for finding in findings}
    seen: Counter[tuple[str, int, str]] = Counter()
    for file in manifest.files:
        if file.path == MISSING:
            findings += _missing(folder, manifest)
        elif file.path in intact and file.path not in _WITHOUT_ROWS:
            findings += _shard(folder, file, manifest, seen)
    for (kind, year, identity), count in seen.items():
        if count > 1:
            findings.append(Finding(kind, f"patch {identity} of {year} occurs {count} times"))
    findings += [] if findings else _cosines(folder, manifest)
    findings += _configs(manifest)
    findings += _label_names(manifest)
    about_card = check_card(open_folder(folder))
    findings += (finding for finding in about_card if card or finding.path != CARD)
    findings += (Finding(EVAL_YAML, problem) for problem in benchmark_problems(folder, manifest))
    if SCORES in intact:
        findings += _scores(folder, manifest)
    if not findings:
        findings += (Finding(*problem) for problem in stac_problems(folder, manifest))
        findings += (Finding(*problem) for problem in atlas_problems(folder, manifest))
    if card and not findings:
        findings += _loads(folder, manifest)
    return findings


def _files(folder: Path, manifest: Manifest) -> Iterator[Finding]:
    """Listed files that are gone or changed, and files that the manifest does not list."""
    for file in manifest.files:
        path = folder / file.path
        if not path.is_file():
            yield Finding(file.path, "is in the manifest, but not there")
        elif (found := file_entry(folder, path, file.rows)) != file:
            what = "size" if found.bytes != file.bytes else "SHA-256"
            yield Finding(file.path, f"is not what the manifest lists (its {what} differs)")
    listed = {file.path for file in manifest.files}.union(UNLISTED)
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if not path.is_dir() and name.split("/")[0] != STAGING and name not in listed:
            yield Finding(name, "is not in the manifest")


def _missing(folder: Path, manifest: Manifest) -> Iterator[Finding]:
    """Differences between the table of missing patches and the manifest."""
    try:
        found = pq.read_table(folder / MISSING)
    except (OSError, pa.ArrowException) as error:
        yield Finding(MISSING, f"is no readable Parquet: {error}")
        return
    if not found.equals(missing_table(manifest.missing)):
        yield Finding(MISSING, "names other patches or reasons than the manifest")


def _shard(
    folder: Path, file: File, manifest: Manifest, seen: Counter[tuple[str, int, str]]
) -> Iterator[Finding]:
    """What is wrong inside one shard; counts its ids in `seen`."""
    kind = file.path.partition("/")[0]
    if kind not in KINDS:
        yield Finding(file.path, f"is in none of the folders {', '.join(KINDS)}")
        return
    if not file.path.endswith(manifest.storage.suffix(kind)):
        yield Finding(
            file.path, f"is no {manifest.storage.suffix(kind)} file, which the others are"
        )
        return
    if file.path.endswith(".tar"):
        yield from _samples(folder, file, manifest, seen)
        return
    try:
        with pq.ParquetFile(folder / file.path) as shard:
            schema = shard.schema_arrow
            differences = list(_schema(file.path, schema, kind, manifest))
            yield from differences
            yield from _row_count(file, shard.metadata.num_rows)
            if differences:
                return
            plain = [name for name in schema.names if name not in PICTURES]
            yield from _rows(file.path, shard.read(columns=plain), manifest, seen)
            if kind == "data":
                yield from _sheets(file.path, shard)
    except (OSError, pa.ArrowException) as error:
        yield Finding(file.path, f"is no readable Parquet: {error}")


def _samples(
    folder: Path, file: File, manifest: Manifest, seen: Counter[tuple[str, int, str]]
) -> Iterator[Finding]:
    """What is wrong inside a tar file; counts its ids in `seen`."""
    step = max(file.rows // _DECODED, 1)
    problems, table = webdataset.inspect(folder / file.path, manifest, step)
    for problem in problems:
        yield Finding(file.path, problem)
    if table is None:
        return
    yield from _row_count(file, len(table))
    yield from _rows(file.path, table, manifest, seen)


def _row_count(file: File, rows: int) -> Iterator[Finding]:
    if rows != file.rows:
        yield Finding(file.path, f"has {rows:,} rows, the manifest says {file.rows:,}")
    if not rows:
        yield Finding(file.path, "has no row, which makes its split fail to load")


def _schema(path: str, found: pa.Schema, kind: str, manifest: Manifest) -> Iterator[Finding]:
    """Differences between a shard's columns and those that all shards must have."""
    expected = file_schema(kind, row_schema(manifest))
    for name in expected.names:
        if name not in found.names:
            yield Finding(path, f"lacks the column {name!r}, which would load as None")
        elif (held := found.field(name).type) != expected.field(name).type:
            yield Finding(path, f"has {name!r} as {held}, not {expected.field(name).type}")
    for name in found.names:
        if name not in expected.names:
            yield Finding(path, f"has a column {name!r} that the others lack")
    if found.names != expected.names and sorted(found.names) == sorted(expected.names):
        yield Finding(path, "has its columns in another order")
    for key in expected.metadata or {}:
        if (found.metadata or {}).get(key) != expected.metadata[key]:
            what = "label names or column types" if key == b"huggingface" else key.decode()
            yield Finding(path, f"declares other {what} than the manifest")


def _rows(
    path: str, table: pa.Table, manifest: Manifest, seen: Counter[tuple[str, int, str]]
) -> Iterator[Finding]:
    """Rows whose values contradict the manifest or the folder they lie in; counts ids in `seen`."""
    kind = path.partition("/")[0]
    seen.update((kind, row["year"], row["id"]) for row in table.select(["year", "id"]).to_pylist())
    may_lack = {PREVIOUS_YEAR, *(column.name for column in manifest.kept)}
    for name in table.column_names:
        if table[name].null_count and name not in may_lack:
            yield Finding(path, f"has rows without {name!r}")
            return
    optional = [name for name in ("label_name", "observed_year") if name in table.column_names]
    splits = [*manifest.schemes, *manifest.folds]
    for row in table.select(["id", "label", "year", *optional, *splits]).to_pylist():
        try:
            patch = f"patch {require_id(row['id'])}"
        except ValueError as error:
            yield Finding(path, str(error))
            continue
        for problem in _contradictions(path, kind, row, manifest):
            yield Finding(path, f"{patch} {problem}")


def _contradictions(path: str, kind: str, row: dict[str, Any], manifest: Manifest) -> Iterator[str]:
    """What a row says that its manifest or its folder does not."""
    if problem := label_problem(row["label"], manifest):
        yield problem
    elif _listed(row.get("label_name", name := manifest.label_of(row["label"]))) != _listed(name):
        yield "has a `label_name` that is not the name of its label"
    if row["year"] not in manifest.years:
        yield f"is of {row['year']}, which is no year of the release"
    if row.get("observed_year", FIRST_YEAR) < FIRST_YEAR:
        yield f"has an embedding of {row['observed_year']}, before the first one, {FIRST_YEAR}"
    for name in manifest.folds:
        if not row[name].strip():
            yield f"has an empty fold in {name!r}"
    for config in manifest.configs:
        if config.scheme is None or config.kind != kind or config.year not in (None, row["year"]):
            continue
        split = row[config.scheme]
        glob = {one.name: one.glob for one in config.splits}.get(split)
        if glob is None or not matches(path, glob):
            yield f"is in {config.scheme}={split}, but lies elsewhere"


def _cosines(folder: Path, manifest: Manifest) -> Iterator[Finding]:
    """Pooled rows that say something else of the year before than their vectors do."""
    if manifest.previous_year:
        yield from (Finding(*found) for found in wrong_cosines(folder, manifest))


def _listed(label: object) -> object:
    return list(label) if isinstance(label, tuple) else label


def _sheets(path: str, shard: pq.ParquetFile) -> Iterator[Finding]:
    """Sheets of some rows that cannot be decoded, or contradict their row."""
    step = max(shard.metadata.num_rows // _DECODED, 1)
    first = 0
    for group in range(shard.metadata.num_row_groups):
        rows = shard.metadata.row_group(group).num_rows
        chosen = [number - first for number in range(-(-first // step) * step, first + rows, step)]
        if chosen:
            columns = ["embedding", "id", "valid_fraction"]
            columns += [name for name in ("height", "width") if name in shard.schema_arrow.names]
            for row in shard.read_row_group(group, columns=columns).take(chosen).to_pylist():
                if problem := embedding_problem(row):
                    yield Finding(path, f"patch {row['id']} {problem}")
        first += rows


def _configs(manifest: Manifest) -> Iterator[Finding]:
    """Configs that would not load, or not load all, and missing patches that are not listed."""
    if manifest.missing and MISSING not in {file.path for file in manifest.files}:
        yield Finding(MANIFEST, f"names missing patches, but lists no {MISSING}")
    if [config.default for config in manifest.configs].count(True) != 1:
        yield Finding(MANIFEST, "must have one default config")
    for config in manifest.configs:
        if not config.splits:
            yield Finding(MANIFEST, f"the config {config.name!r} has no split")
        for split in config.splits:
            where = f"the split {split.name!r} of the config {config.name!r}"
            rows = sum(file.rows for file in manifest.files if matches(file.path, split.glob))
            if not rows:
                problem = "is empty, which makes the whole release fail to load"
                yield Finding(MANIFEST, f"{where} {problem}")
            elif rows != split.rows:
                yield Finding(MANIFEST, f"{where} has {rows:,} rows, not {split.rows:,}")
    rows = sum(file.rows for file in manifest.files if file.path.startswith("data/"))
    labelled = sum(manifest.rows_by_label.values()) if manifest.labelling == "class" else rows
    if rows != manifest.rows or labelled != rows:
        yield Finding(MANIFEST, f"says {manifest.rows:,} rows, but its files hold {rows:,}")


def _label_names(manifest: Manifest) -> Iterator[Finding]:
    """Names of classes that no reader should ever see."""
    for name in manifest.label_names:
        if BYTES.fullmatch(name):
            yield Finding(MANIFEST, f"has the label {name!r}, which is Python's writing of bytes")
        elif fault := fault_of(name.strip()):
            yield Finding(MANIFEST, f"has the label {name!r}, which {fault}")
    for group in alike(manifest.label_names):
        names = " and ".join(map(repr, group))
        yield Finding(
            MANIFEST, f"has the labels {names}, which differ only in spaces, case or Unicode form"
        )


def check_card(release: Release) -> Iterator[Finding]:
    """A card whose YAML is not the one that makes the release load, wherever it lies."""
    try:
        found = parse_front_matter(release.fetch(CARD).read_text(encoding="utf-8"))
    except (HfaefError, OSError, ValueError) as error:
        yield Finding(CARD, f"cannot be read: {error}")
        return
    expected = front_matter(release.manifest)
    try:
        require_license(expected["license"])
    except ValueError as error:
        yield Finding(MANIFEST, str(error))
    for key in CHECKED_KEYS:
        if found.get(key) != expected[key]:
            yield Finding(
                CARD,
                f"its `{key}` is not what the manifest says; `hfaef card --replace-card` writes it",
            )


def _scores(folder: Path, manifest: Manifest) -> Iterator[Finding]:
    """Scores that were measured on other rows than the release holds."""
    try:
        evaluation = read_evaluation(folder)
    except HfaefError as error:
        yield Finding(SCORES, error.message)
        return
    if evaluation is not None and not evaluation.of(manifest):
        yield Finding(
            SCORES,
            f"was measured on other rows; `{command_line('hfaef', 'eval', folder)}` does it again",
        )


def _loads(folder: Path, manifest: Manifest) -> Iterator[Finding]:
    """Configs that `datasets` itself cannot read; the slowest check, so the last."""
    from datasets import load_dataset

    name = str(folder.resolve())  # it names the data set after the folder, and `.` has no name
    try:
        require_loadable(folder, "move it to another folder")
    except FolderError as error:
        yield Finding(CARD, str(error))
        return
    for config in loadable_configs(manifest):
        where = repr(config.name)
        try:
            loaded = load_dataset(name, config.name, streaming=True)
            for split in config.splits:
                where = f"{config.name!r}, {split.name!r}"
                next(iter(loaded[split.name]))
            del loaded
        except Exception as error:  # noqa: BLE001 - whatever it raises is the finding
            words = f"{type(error).__name__}: {error}"
            yield Finding(CARD, f"load_dataset fails on {where}: {words[:200]}")
    # A half-read stream that is left to the end of the process may abort it:
    # https://github.com/apache/arrow/issues/45214
    gc.collect()
