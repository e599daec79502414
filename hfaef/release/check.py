"""Findings over a release folder: what would fail, or mislead silently, once it is published."""

from __future__ import annotations

import gc
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hfaef.core import codec
from hfaef.core.quantize import from_stored, pool
from hfaef.errors import HfaefError
from hfaef.recipe.names import fault_of, same_word
from hfaef.release.card.additions import ADDITIONS
from hfaef.release.card.render import CARD, front_matter, loadable, read_front_matter
from hfaef.release.format import webdataset
from hfaef.release.format.manifest import (
    Config,
    File,
    Manifest,
    file_entry,
    missing_table,
    read_manifest,
)
from hfaef.release.format.paths import KINDS, MANIFEST, MISSING, STAGING, matches
from hfaef.release.format.schema import file_schema
from hfaef.release.format.scores import SCORES, read_evaluation

_BYTES = re.compile(r"""b(['"]).*\1""", re.DOTALL)

_DECODED = 8
"""Rows of a shard whose sheets are decoded; the hashes vouch for the others."""


@dataclass(frozen=True)
class Finding:
    """Something that is wrong with a release."""

    path: str
    """The file, from the release's folder on."""
    problem: str

    def __str__(self) -> str:
        return f"{self.path}: {self.problem}"


def check_folder(folder: Path) -> list[Finding]:
    """All that is wrong with a release folder; nothing, if it may be published.

    Raises:
        ReleaseError: if it holds no manifest that can be read.
    """
    manifest = read_manifest(folder)
    findings = list(_files(folder, manifest))
    sound = {file.path for file in manifest.files} - {finding.path for finding in findings}
    seen: Counter[tuple[str, int, str]] = Counter()
    for file in manifest.files:
        if file.path == MISSING:
            findings += _missing(folder, manifest)
        elif file.path in sound and file.path not in ADDITIONS:
            findings += _shard(folder, file, manifest, seen)
    for (kind, year, identity), count in seen.items():
        if count > 1:
            findings.append(Finding(kind, f"patch {identity} of {year} occurs {count} times"))
    if manifest.missing and MISSING not in {file.path for file in manifest.files}:
        findings.append(Finding(MANIFEST, f"names missing patches, but lists no {MISSING}"))
    findings += _configs(manifest)
    findings += _label_names(manifest)
    findings += _card(folder, manifest)
    if SCORES in sound:
        findings += _scores(folder, manifest)
    if not findings:
        findings += _loads(folder, manifest)
    return findings


def _files(folder: Path, manifest: Manifest) -> Iterator[Finding]:
    """Listed files that are gone or changed, and files that nobody listed."""
    for file in manifest.files:
        path = folder / file.path
        if not path.is_file():
            yield Finding(file.path, "is in the manifest, but not there")
        elif path.is_symlink():
            yield Finding(file.path, "is a link, which is not published")
        elif (found := file_entry(folder, path, file.rows)) != file:
            what = "size" if found.bytes != file.bytes else "SHA-256"
            yield Finding(file.path, f"is not what the manifest lists (its {what} differs)")
    listed = {file.path for file in manifest.files} | {CARD, MANIFEST}
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
    if not file.path.endswith(manifest.form.suffix(kind)):
        yield Finding(file.path, f"is no {manifest.form.suffix(kind)} file, which the others are")
        return
    if file.path.endswith(".tar"):
        yield from _samples(folder, file, manifest, seen)
        return
    try:
        with pq.ParquetFile(folder / file.path) as shard:
            wrong = list(_schema(file.path, shard.schema_arrow, kind, manifest))
            yield from wrong
            rows = shard.metadata.num_rows
            if rows != file.rows:
                yield Finding(file.path, f"has {rows:,} rows, the manifest says {file.rows:,}")
            if not rows:
                yield Finding(file.path, "has no row, which makes its split fail to load")
            if wrong:
                return
            plain = [
                name for name in shard.schema_arrow.names if name not in ("embedding", "preview")
            ]
            table = shard.read(columns=plain)
            yield from _rows(file.path, table, manifest)
            seen.update(
                (kind, row["year"], row["id"]) for row in table.select(["year", "id"]).to_pylist()
            )
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
    if not len(table):
        yield Finding(file.path, "has no row, which makes its split fail to load")
    if len(table) != file.rows:
        yield Finding(file.path, f"has {len(table):,} rows, the manifest says {file.rows:,}")
    yield from _rows(file.path, table, manifest)
    seen.update(
        ("data", row["year"], row["id"]) for row in table.select(["year", "id"]).to_pylist()
    )


def _schema(path: str, found: pa.Schema, kind: str, manifest: Manifest) -> Iterator[Finding]:
    """Differences between a shard's columns and those that all shards must have."""
    wanted = file_schema(kind, manifest.label_names, manifest.schemes, manifest.form)
    for name in wanted.names:
        if name not in found.names:
            yield Finding(path, f"lacks the column {name!r}, which would load as None")
        elif found.field(name).type != wanted.field(name).type:
            there, here = found.field(name).type, wanted.field(name).type
            yield Finding(path, f"has {name!r} as {there}, not {here}")
    for name in found.names:
        if name not in wanted.names:
            yield Finding(path, f"has a column {name!r} that the others lack")
    if found.names != wanted.names and sorted(found.names) == sorted(wanted.names):
        yield Finding(path, "has its columns in another order")
    for key in wanted.metadata or {}:
        if (found.metadata or {}).get(key) != wanted.metadata[key]:
            what = "label names or column types" if key == b"huggingface" else key.decode()
            yield Finding(path, f"declares other {what} than the manifest")


def _rows(path: str, table: pa.Table, manifest: Manifest) -> Iterator[Finding]:
    """Rows whose values contradict the manifest or the folder they lie in."""
    for name in table.column_names:
        if table[name].null_count:
            yield Finding(path, f"has rows without {name!r}")
            return
    for row in table.select(["id", "label", "year", *manifest.schemes]).to_pylist():
        if manifest.label_names and not 0 <= row["label"] < len(manifest.label_names):
            yield Finding(
                path, f"patch {row['id']} has the label {row['label']}, which has no name"
            )
        if row["year"] not in manifest.years:
            yield Finding(
                path, f"patch {row['id']} is of {row['year']}, which is no year of the release"
            )
        for config in manifest.configs:
            if (
                config.scheme is None
                or config.year != row["year"]
                or config.kind != path.split("/", maxsplit=1)[0]
            ):
                continue
            globs = {split.name: split.glob for split in config.splits}
            own = globs.get(row[config.scheme])
            if own is None or not matches(path, own):
                split = row[config.scheme]
                yield Finding(
                    path, f"patch {row['id']} is in {config.scheme}={split}, but lies elsewhere"
                )


def _sheets(path: str, shard: pq.ParquetFile) -> Iterator[Finding]:
    """Sheets of some rows that cannot be decoded, or contradict their row."""
    step = max(shard.metadata.num_rows // _DECODED, 1)
    first = 0
    for group in range(shard.metadata.num_row_groups):
        rows = shard.metadata.row_group(group).num_rows
        wanted = [number - first for number in range(-(-first // step) * step, first + rows, step)]
        if wanted:
            columns = ["embedding", "id", "valid_fraction"]
            columns += [name for name in ("height", "width") if name in shard.schema_arrow.names]
            for row in shard.read_row_group(group, columns=columns).take(wanted).to_pylist():
                yield from _sheet(path, row)
        first += rows


def _sheet(path: str, row: dict[str, Any]) -> Iterator[Finding]:
    try:
        shape = (row["height"], row["width"]) if "height" in row else None
        pooled = pool(from_stored(codec.decode(row["embedding"], shape)))
    except ValueError as error:
        yield Finding(path, f"patch {row['id']}: {error}")
        return
    if abs(pooled.valid_fraction - row["valid_fraction"]) > 1e-6:
        yield Finding(path, f"patch {row['id']} has another valid_fraction than its sheet")


def _configs(manifest: Manifest) -> Iterator[Finding]:
    """Configs that would not load, or not load all."""
    if [config.default for config in manifest.configs].count(True) != 1:
        yield Finding(MANIFEST, "must have one default config")
    for config in manifest.configs:
        if not config.splits:
            yield Finding(MANIFEST, f"the config {config.name!r} has no split")
        yield from _config(config, manifest)
    rows = sum(file.rows for file in manifest.files if file.path.startswith("data/"))
    labelled = sum(manifest.rows_by_label.values()) if manifest.label_names else rows
    if rows != manifest.rows or labelled != rows:
        yield Finding(MANIFEST, f"says {manifest.rows:,} rows, but its files hold {rows:,}")


def _label_names(manifest: Manifest) -> Iterator[Finding]:
    """Names of classes that no reader should ever see."""
    groups = defaultdict(list)
    for name in manifest.label_names:
        groups[same_word(name)].append(name)
        if _BYTES.fullmatch(name):
            yield Finding(MANIFEST, f"has the label {name!r}, which is Python's writing of bytes")
        elif fault := fault_of(name.strip()):
            yield Finding(MANIFEST, f"has the label {name!r}, which {fault}")
    for group in groups.values():
        if len(group) > 1:
            names = " and ".join(map(repr, group))
            yield Finding(
                MANIFEST,
                f"has the labels {names}, which differ only in spaces, case or Unicode form",
            )


def _config(config: Config, manifest: Manifest) -> Iterator[Finding]:
    for split in config.splits:
        rows = sum(file.rows for file in manifest.files if matches(file.path, split.glob))
        if not rows:
            yield Finding(
                MANIFEST,
                f"the split {split.name!r} of the config {config.name!r} is empty, "
                "which makes the whole release fail to load",
            )
        elif rows != split.rows:
            yield Finding(
                MANIFEST,
                f"the split {split.name!r} of {config.name!r} has {rows:,} rows, not {split.rows:,}",
            )


def _card(folder: Path, manifest: Manifest) -> Iterator[Finding]:
    """A card whose YAML is not the one that makes the release load."""
    try:
        found = read_front_matter(folder)
    except HfaefError as error:
        yield Finding(CARD, error.message)
        return
    wanted = front_matter(manifest)
    for key in ("configs", "dataset_info", "license", "size_categories"):
        if found.get(key) != wanted[key]:
            yield Finding(
                CARD, f"its `{key}` is not what the manifest says; `hfaef card` writes it"
            )


def _scores(folder: Path, manifest: Manifest) -> Iterator[Finding]:
    """Scores that were measured on other rows than the release holds."""
    try:
        evaluation = read_evaluation(folder)
    except HfaefError as error:
        yield Finding(SCORES, error.message)
        return
    if evaluation is not None and not evaluation.of(manifest):
        yield Finding(SCORES, f"was measured on other rows; `hfaef eval {folder}` does it again")


def _loads(folder: Path, manifest: Manifest) -> Iterator[Finding]:
    """Configs that `datasets` itself cannot read; asked last, as it is the slowest judge."""
    from datasets import load_dataset

    for config in loadable(manifest):
        for split in config.splits:
            try:
                rows = load_dataset(str(folder), config.name, split=split.name, streaming=True)
                next(iter(rows))
                del rows
            except Exception as error:  # noqa: BLE001 - whatever it raises is the finding
                words = f"{type(error).__name__}: {error}"
                yield Finding(
                    CARD, f"load_dataset fails on {config.name!r}, {split.name!r}: {words[:200]}"
                )
    # A half-read stream that is left to the end of the process may abort it:
    # https://github.com/apache/arrow/issues/45214
    gc.collect()
