"""What a release is: its folders and configs, and the manifest that lists it all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hfaef.build.staging.store import MANIFEST
from hfaef.catalog import SPLITS
from hfaef.core import codec
from hfaef.errors import ReleaseError
from hfaef.release.leakage import Leak

FORMAT = codec.FORMAT
"""Version of the rows' schema and of the meaning of their values."""

KINDS = ("data", "pooled")
"""Folders of a release: whole patches, and one vector a patch."""

MISSING = "missing.parquet"
"""A table of the patches that a release lacks; there is one only if it lacks some."""

PICTURES = ("embedding", "preview")
"""Columns that are compressed already."""

VECTORS = ("mean", "std", "min", "max")
"""Columns of pooled vectors, one number a band."""

ROW_GROUPS = "hfaef.row_groups"
"""Key in a table of pooled vectors: rows by row group by shard of the data of its cell."""

PACKAGES = ("hfaef", "datasets", "numpy", "pillow", "pyarrow", "pyproj", "rasterio")
"""Packages whose version may show in the bytes of a release."""


@dataclass(frozen=True)
class Form:
    """How rows lie in files."""

    format: Literal["parquet", "webdataset"] = "parquet"
    codec: Literal["png", "raw"] = "png"

    def suffix(self, kind: str) -> str:
        """Of the shards of a kind; pooled vectors are a table in every form."""
        return ".tar" if self.format == "webdataset" and kind == "data" else ".parquet"


class Part(BaseModel):
    """A part of the manifest; it comes from outside, so it is checked."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class File(Part):
    """A file of a release."""

    path: str = Field(pattern=r"^[A-Za-z0-9_=-]+(/[A-Za-z0-9_=-]+)*\.[a-z0-9]+$")
    """From the release's folder on, with ``/``."""
    bytes: int = Field(ge=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    rows: int = Field(ge=0)


class SplitPart(Part):
    """One split of a config."""

    name: Literal["train", "validation", "test"]
    glob: str
    """The files that hold it."""
    rows: int
    bytes: int


class Config(Part):
    """What `load_dataset` calls by name: some files, in splits."""

    name: str
    default: bool
    kind: Literal["data", "pooled"]
    year: int
    scheme: str | None
    splits: tuple[SplitPart, ...]


class Missing(Part):
    """A patch that is not in the release."""

    id: str
    year: int
    label: str
    reason: str


class Change(Part):
    """A published version, as the card's changelog tells it."""

    version: str
    lines: tuple[str, ...]
    """What is new in it; what matters first."""


class PreviewBasis(Part):
    """`preview.Basis`: how previews were coloured."""

    components: tuple[tuple[int, ...], ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


class Manifest(Part):
    """``release.json``: everything that the card, the check and the push rely on."""

    format: int
    name: str
    version: str | None = None
    """Given when it is published."""
    repo: str | None = None
    """``owner/name`` on the Hub, given when it is published."""
    history: tuple[Change, ...] = ()
    """Published versions, this one first; given when it is published."""
    recipe: dict[str, Any]
    """As of `Recipe.portable`."""
    recipe_sha256: str
    packages: dict[str, str]
    years: tuple[int, ...]
    schemes: tuple[str, ...]
    label_names: tuple[str, ...]
    rows: int
    rows_by_label: dict[str, int]
    configs: tuple[Config, ...]
    files: tuple[File, ...]
    """All but the card and the manifest itself."""
    missing: tuple[Missing, ...]
    """The same as in `MISSING`."""
    preview: PreviewBasis
    leakage: tuple[Leak, ...] = ()
    """How near the splits of each scheme come to each other, in the first year."""
    notes: tuple[str, ...] = ()

    @property
    def form(self) -> Form:
        """How its rows lie in files."""
        packing = self.recipe.get("pack", {})
        return Form(packing.get("format", "parquet"), packing.get("codec", "png"))

    def label_of(self, number: float) -> str | float:
        """What a row's label means: a name, or the number itself if it is to be predicted."""
        return self.label_names[int(number)] if self.label_names else number


def manifest_bytes(manifest: Manifest) -> bytes:
    """The content of ``release.json``, the same for the same manifest."""
    return (json.dumps(manifest.model_dump(mode="json"), indent=1, sort_keys=True) + "\n").encode()


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a release folder.

    Raises:
        ReleaseError: if there is none, or it is not one, or of a newer format.
    """
    path = folder / MANIFEST
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ReleaseError(
            f"{folder} holds no finished release (no {MANIFEST})", "hfaef build RECIPE --out DIR"
        ) from error
    return parse_manifest(content, str(path))


def parse_manifest(text: bytes, name: str) -> Manifest:
    """The manifest that a text is; `name` says where it comes from.

    Raises:
        ReleaseError: if it is none, or of a newer format.
    """
    try:
        content = json.loads(text)
    except ValueError as error:
        raise ReleaseError(f"{name} is not JSON: {error}", "build the release again") from error
    found = content.get("format") if isinstance(content, dict) else None
    if isinstance(found, int) and found > FORMAT:
        raise ReleaseError(
            f"{name} has format {found}, newer than this hfaef knows", "pip install -U hfaef"
        )
    try:
        return Manifest.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ReleaseError(
            f"{name} is no manifest: {where}: {first['msg']}", "build the release again"
        ) from error


def package_versions(packages: Sequence[str] = PACKAGES) -> dict[str, str]:
    """Versions of what made a release."""
    return {package: version(package) for package in packages}


def content_sha256(manifest: Manifest) -> str:
    """What the rows of a release are known by: its shards, whatever is said of them beside."""
    shards = [file for file in manifest.files if file.path.split("/", 1)[0] in KINDS]
    lines = [f"{file.path} {file.sha256}\n" for file in sorted(shards, key=lambda f: f.path)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def file_entry(folder: Path, path: Path, rows: int) -> File:
    """The manifest's line on a file."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    name = path.relative_to(folder).as_posix()
    return File(path=name, bytes=path.stat().st_size, sha256=digest, rows=rows)


def shuffled(identity: str) -> str:
    """Sort key of a row: an order without meaning, so every part of a shard has all labels."""
    return hashlib.sha256(identity.encode()).hexdigest()


def in_folders(years: Sequence[int], schemes: Sequence[str]) -> bool:
    """Whether one set of files serves several configs, and so lies in hive folders."""
    return len(years) > 1 or len(schemes) > 1


def cell_folder(
    kind: str, year: int, splits: dict[str, str], years: Sequence[int], schemes: Sequence[str]
) -> str:
    """The folder of the rows of a year that are in these splits: ``data/random=train/...``."""
    if not in_folders(years, schemes):
        return kind
    parts = [str(year)] if len(years) > 1 else []
    parts += [f"{scheme}={splits[scheme]}" for scheme in schemes] or ["split=train"]
    return "/".join([kind, *parts])


def split_glob(
    kind: str,
    year: int,
    scheme: str | None,
    split: str,
    years: Sequence[int],
    schemes: Sequence[str],
    suffix: str = ".parquet",
) -> str:
    """The pattern of the files that hold a split of a scheme in a year."""
    if not in_folders(years, schemes):
        return f"{kind}/{split}/*.tar" if suffix == ".tar" else f"{kind}/{split}-*.parquet"
    parts = [str(year)] if len(years) > 1 else []
    parts += [f"{name}={split}" if name == scheme else f"{name}=*" for name in schemes] or [
        "split=train"
    ]
    return "/".join([kind, *parts, f"*{suffix}"])


def shard_name(
    split: str, number: int, count: int, *, folders: bool, suffix: str = ".parquet"
) -> str:
    """The name of a shard in its folder."""
    if folders:
        return f"{number:05d}{suffix}"
    if suffix == ".tar":
        return f"{split}/{number:05d}.tar"
    return f"{split}-{number:05d}-of-{count:05d}.parquet"


def config_names(
    years: Sequence[int], schemes: Sequence[str]
) -> Iterator[tuple[str, str, int, str | None]]:
    """Name, kind, year and scheme of every config; the first is the default."""
    names = []
    for year in years:
        for scheme in schemes or (None,):
            plain = "default" if scheme in (None, "split") else str(scheme)
            if len(years) > 1:
                plain = str(year) if len(schemes) <= 1 else f"{plain}_{year}"
            names.append((plain, year, scheme))
    for kind in KINDS:
        for number, (name, year, scheme) in enumerate(names):
            pooled = "pooled" if number == 0 else f"pooled_{name}"
            yield (name if kind == "data" else pooled), kind, year, scheme


def make_configs(
    files: Sequence[File], years: Sequence[int], schemes: Sequence[str]
) -> tuple[Config, ...]:
    """The configs over these files; a split without a row is left out."""
    configs = []
    for number, (name, kind, year, scheme) in enumerate(config_names(years, schemes)):
        splits = []
        tar = any(file.path.startswith(f"{kind}/") and file.path.endswith(".tar") for file in files)
        for split in SPLITS:
            suffix = ".tar" if tar else ".parquet"
            glob = split_glob(kind, year, scheme, split, years, schemes, suffix)
            held = [file for file in files if matches(file.path, glob)]
            rows = sum(file.rows for file in held)
            if rows:
                size = sum(file.bytes for file in held)
                splits.append(SplitPart(name=split, glob=glob, rows=rows, bytes=size))
            if scheme is None:
                break
        configs.append(
            Config(
                name=name,
                default=number == 0,
                kind=kind,
                year=year,
                scheme=scheme,
                splits=tuple(splits),
            )
        )
    return tuple(configs)


def matches(path: str, glob: str) -> bool:
    """Whether a path is one that a config's pattern names."""
    from fnmatch import fnmatchcase

    parts, patterns = path.split("/"), glob.split("/")
    return len(parts) == len(patterns) and all(map(fnmatchcase, parts, patterns))
