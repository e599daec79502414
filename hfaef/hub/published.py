"""A published version: found by ``OWNER/NAME@VERSION``, and checked where it lies."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from hfaef.core import codec
from hfaef.core.quantize import from_stored, pool
from hfaef.errors import HubError
from hfaef.hub.open import open_published
from hfaef.hub.repo import Snapshot
from hfaef.hub.tree import mixed_in
from hfaef.release.card.render import CARD, front_matter, loadable, parse_front_matter
from hfaef.release.check import Finding
from hfaef.release.format.manifest import Config, Manifest
from hfaef.release.format.paths import MANIFEST
from hfaef.release.format.schema import loaded_features
from hfaef.release.handle import Release
from hfaef.release.version import parse_version

_DECODED = 3
"""Rows of a split whose sheets are decoded; the hashes vouch for the others."""


def check_published(target: str) -> list[Finding]:
    """All that is wrong with a published version; nothing, if it is what its manifest says.

    Sizes and hashes come from the Hub's listing; every row's columns but the pictures are
    streamed, and a few sheets decoded.

    Raises:
        HubError: if the Hub has no such version.
    """
    found = open_published(target)
    manifest = found.release.manifest
    findings = list(_files(found.snapshot, manifest))
    findings += _card(found.release)
    version = target.partition("@")[2]
    if version and manifest.version != str(parse_version(version)):
        findings.append(Finding(MANIFEST, f"says that it is version {manifest.version}"))
    if not findings:
        for config in loadable(manifest):
            findings += _config(found.repo.id, found.snapshot.commit, config, manifest)
    return findings


def _files(snapshot: Snapshot, manifest: Manifest) -> Iterator[Finding]:
    for file in manifest.files:
        there = snapshot.files.get(file.path)
        if there is None:
            yield Finding(file.path, "is in the manifest, but not there")
        elif there.size != file.bytes:
            yield Finding(file.path, f"has {there.size:,} bytes, not {file.bytes:,}")
        elif there.sha256 != file.sha256:
            yield Finding(file.path, "has another SHA-256 than the manifest lists")
    listed = {file.path for file in manifest.files}
    for path in mixed_in(manifest, sorted(snapshot.files.keys() - listed)):
        yield Finding(path, "is not in the manifest, but load_dataset would read it")


def _card(release: Release) -> Iterator[Finding]:
    try:
        found = parse_front_matter(release.fetch(CARD).read_text(encoding="utf-8"))
    except (HubError, ValueError) as error:
        yield Finding(CARD, f"cannot be read: {error}")
        return
    wanted = front_matter(release.manifest)
    for key in ("configs", "dataset_info", "license", "size_categories"):
        if found.get(key) != wanted[key]:
            yield Finding(CARD, f"its `{key}` is not what the manifest says")


def _config(repo_id: str, commit: str, config: Config, manifest: Manifest) -> Iterator[Finding]:
    """What `load_dataset` makes of a config."""
    from datasets import load_dataset

    where = f"config {config.name!r}"
    try:
        loaded = load_dataset(repo_id, config.name, revision=commit, streaming=True)
        if set(loaded) != {split.name for split in config.splits}:
            yield Finding(where, f"loads as the splits {', '.join(loaded)}")
            return
        for split in config.splits:
            part = loaded[split.name]
            wanted = loaded_features(config.kind, manifest)
            if dict(part.features or {}) != dict(wanted):
                yield Finding(where, f"{split.name}: loads with other columns")
                return
            rows = sum(1 for _ in part.select_columns(["json" if "json" in wanted else "id"]))
            if rows != split.rows:
                yield Finding(where, f"{split.name}: has {rows:,} rows, not {split.rows:,}")
            if config.kind == "data":
                yield from _sheets(f"{where}, {split.name}", part)
    except Exception as error:  # noqa: BLE001 - whatever it raises is the finding
        yield Finding(where, f"load_dataset fails: {type(error).__name__}: {str(error)[:200]}")


def _sheets(where: str, part: Any) -> Iterator[Finding]:
    from datasets import Image

    tar = "png" in part.features
    pictures = [name for name in ("png", "embedding") if isinstance(part.features.get(name), Image)]
    for name in pictures:
        part = part.cast_column(name, Image(decode=False))
    for found in islice(part.remove_columns(["jpg" if tar else "preview"]), _DECODED):
        row = {"embedding": found["png"], **found["json"]} if tar else found
        shape = (row["height"], row["width"]) if "height" in row else None
        try:
            pooled = pool(from_stored(codec.decode(row["embedding"], shape)))
        except ValueError as error:
            yield Finding(where, f"patch {row['id']}: {error}")
            continue
        if abs(pooled.valid_fraction - row["valid_fraction"]) > 1e-6:
            yield Finding(where, f"patch {row['id']} has another valid_fraction than its sheet")
