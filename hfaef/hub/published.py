"""Findings over a published version, where it lies; `release.check` has those over a folder."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from hfaef.core.codec import embedding_problem
from hfaef.core.files import sha256_of
from hfaef.core.net.text import clean_text
from hfaef.errors import count_of
from hfaef.hub.open import PublishedRelease, open_published
from hfaef.hub.target import HubTarget
from hfaef.hub.tree import LONGEST_PATH, conflicting_paths
from hfaef.release.card.render import loadable_configs
from hfaef.release.check import Finding, check_card
from hfaef.release.format.manifest import Config, Manifest
from hfaef.release.format.paths import MANIFEST
from hfaef.release.format.schema import loaded_features

_DECODED = 3
"""Rows of a split whose sheets are decoded; of the others the hash of the file is checked."""


def check_published(target: HubTarget) -> list[Finding]:
    """All that is wrong with a published version; nothing, if it is what its manifest says.

    Sizes and hashes come from the Hub's listing; every row's columns but the pictures are
    streamed, and a few sheets decoded.

    Raises:
        HubError: if the Hub has no such version.
    """
    found = open_published(target)
    manifest = found.release.manifest
    findings = list(_files(found))
    findings += check_card(found.release)
    if target.version and manifest.version != str(target.version):
        findings.append(
            Finding(MANIFEST, f"says that it is version {clean_text(manifest.version)}")
        )
    if not findings:
        for config in loadable_configs(manifest):
            findings += _config(found.repo.id, found.snapshot.commit, config, manifest)
    return findings


def _files(found: PublishedRelease) -> Iterator[Finding]:
    snapshot, manifest = found.snapshot, found.release.manifest

    def fetch(path: str) -> Path:  # not the release's, which raises
        return found.repo.fetch(path, snapshot.commit)

    for file in manifest.files:
        remote = snapshot.files.get(file.path)
        if remote is None:
            yield Finding(file.path, "is in the manifest, but not there")
        elif remote.size != file.bytes:
            yield Finding(file.path, f"has {count_of(remote.size, 'byte')}, not {file.bytes:,}")
        # Of a file that the Hub keeps in git, its listing tells no SHA-256.
        elif (remote.sha256 or sha256_of(fetch(file.path))) != file.sha256:
            yield Finding(file.path, "has another SHA-256 than the manifest lists")
    listed = {file.path for file in manifest.files}
    for path in conflicting_paths(manifest, sorted(snapshot.files.keys() - listed)):
        problem = "is not in the manifest, but load_dataset would read it"
        yield Finding(clean_text(path, LONGEST_PATH), problem)


def _config(repo_id: str, commit: str, config: Config, manifest: Manifest) -> Iterator[Finding]:
    """What `load_dataset` makes of a config."""
    from datasets import load_dataset

    where = f"config {config.name!r}"
    try:
        loaded = load_dataset(repo_id, config.name, revision=commit, streaming=True)
        if set(loaded) != {split.name for split in config.splits}:
            yield Finding(where, f"loads as the splits {clean_text(', '.join(loaded))}")
            return
        for split in config.splits:
            part = loaded[split.name]
            expected = loaded_features(config.kind, manifest)
            if dict(part.features or {}) != dict(expected):
                yield Finding(where, f"{split.name}: loads with other columns")
                return
            rows = sum(1 for _ in part.select_columns(["json" if "json" in expected else "id"]))
            if rows != split.rows:
                yield Finding(
                    where, f"{split.name}: has {count_of(rows, 'row')}, not {split.rows:,}"
                )
            if config.kind == "data":
                yield from _sheets(f"{where}, {split.name}", part)
    except Exception as error:  # noqa: BLE001 - whatever it raises is the finding
        yield Finding(where, f"load_dataset fails: {type(error).__name__}: {clean_text(error)}")


def _sheets(where: str, part: Any) -> Iterator[Finding]:
    from datasets import Image

    tar = "png" in part.features
    pictures = [name for name in ("png", "embedding") if isinstance(part.features.get(name), Image)]
    for name in pictures:
        part = part.cast_column(name, Image(decode=False))
    for found in islice(part.remove_columns(["jpg" if tar else "preview"]), _DECODED):
        row = {"embedding": found["png"], **found["json"]} if tar else found
        if problem := embedding_problem(row):
            yield Finding(where, f"patch {row['id']} {problem}")
