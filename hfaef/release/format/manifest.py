"""The manifest of a release, ``release.json``: its files, configs, missing patches and origin."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Literal

import pyarrow as pa
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from hfaef.core import codec
from hfaef.core.files import sha256_of
from hfaef.core.names import fault_of, printable, require_id, require_path, require_repo_id
from hfaef.errors import FolderError, ReleaseError, command_line, upgrade_command
from hfaef.recipe.columns import COLUMNS, HELD_SPLITS, KeptColumn, Target
from hfaef.release.format.paths import (
    KINDS,
    MANIFEST,
    StorageFormat,
    config_names,
    matches,
    split_glob,
)
from hfaef.release.format.preview import PreviewBasis
from hfaef.release.format.swap import recover
from hfaef.release.leakage import Leak

FORMAT = codec.FORMAT
"""Version of the rows' schema and of the meaning of their values."""

LARGEST = 256 << 20
"""Bytes of a manifest or of scores that are read: some 500,000 files, or missing patches."""

_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]|\xed[\xa0-\xbf]")
"""Half a character, perhaps; no text that can be written holds one alone."""

PACKAGES = ("hfaef", "datasets", "numpy", "pillow", "pyarrow", "pyproj", "rasterio")
"""Packages whose version may show in the bytes of a release."""


Name = Annotated[str, AfterValidator(partial(require_id, what="name"))]
"""Of a patch, a split scheme or a config."""


class Part(BaseModel):
    """A part of the manifest; it comes from outside, so it is checked."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class File(Part):
    """A file of a release."""

    path: Annotated[str, AfterValidator(require_path)]
    """From the release's folder on, with ``/``."""
    bytes: int = Field(ge=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    rows: int = Field(ge=0)


class SplitPart(Part):
    """One split of a config."""

    name: Literal["train", "validation", "test", "unassigned"]
    glob: Annotated[str, AfterValidator(partial(require_path, pattern=True))]
    """The files that hold it."""
    rows: int
    bytes: int


class Config(Part):
    """What `load_dataset` calls by name: some files, in splits."""

    name: Name
    default: bool
    kind: Literal["data", "pooled"]
    year: int | None
    """None for rows of all years, where each patch has its own."""
    scheme: Name | None
    splits: tuple[SplitPart, ...]


class Missing(Part):
    """A patch that is not in the release."""

    id: Name
    year: int
    label: str
    reason: str


class Change(Part):
    """A published version, as the card's changelog tells it."""

    version: str
    lines: tuple[str, ...]
    """What is new in it; what matters first."""


class _Card(BaseModel):
    """The recipe's ``card``, as far as a card is made from it."""

    model_config = ConfigDict(extra="ignore")
    pretty_name: str | None = None
    license: str = ""
    citation: str | None = None
    description: str | None = None
    tags: list[str] = []
    atlas: Annotated[str, AfterValidator(require_repo_id)] | None = None


class _Pack(BaseModel):
    """The recipe's ``pack``, as far as rows are read by it."""

    model_config = ConfigDict(extra="ignore", strict=True)
    format: Literal["parquet", "webdataset"] = "parquet"
    codec: Literal["png", "raw"] = "png"
    label_name: bool = False


class _Source(BaseModel):
    """The recipe's ``source``."""

    model_config = ConfigDict(extra="ignore")
    kind: str = ""


_SECTIONS: dict[str, type[BaseModel]] = {"card": _Card, "pack": _Pack, "source": _Source}


def _checked_recipe(recipe: dict[str, Any]) -> dict[str, Any]:
    """A recipe whose sections are what is made of them; keys of later versions are let through."""
    for name, section in _SECTIONS.items():
        try:
            section.model_validate(recipe.get(name, {}))
        except ValidationError as error:
            raise ValueError(f"{name}: {first_fault(error)}") from None
    return recipe


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
    recipe: Annotated[dict[str, Any], AfterValidator(_checked_recipe)]
    """`Recipe.portable`: without paths of a machine."""
    recipe_sha256: str
    packages: dict[str, str]
    years: tuple[int, ...] = Field(min_length=1)
    schemes: tuple[Name, ...]
    target: Target | None = None
    """What `label` holds; not in releases of hfaef 0.1, whose numbers are float64."""
    label_names: tuple[str, ...]
    folds: tuple[Name, ...] = ()
    """Schemes of folds, for cross-validation."""
    kept: tuple[KeptColumn, ...] = ()
    """Columns of the table of patches that came along."""
    own_years: bool = False
    """Whether each patch has a year of its own."""
    nearest_years: bool = False
    """Whether an embedding may be of another year than its patch: then rows say which."""
    previous_year: bool = False
    """Whether pooled rows have the column `PREVIOUS_YEAR`: some patch is there in several years."""
    emb: Literal["0.0.1"] | None = None
    """Version of the extension for embeddings in whose words shards say what their values are; then
    vectors say where they lie, too. Not in releases of hfaef 0.1."""
    rows: int
    rows_by_label: dict[str, int]
    """Rows that bear each label; with several labels a row they add up to more."""
    configs: tuple[Config, ...]
    files: tuple[File, ...]
    """All but the card and the manifest itself."""
    missing: tuple[Missing, ...]
    """The same as in `MISSING`."""
    preview: PreviewBasis
    """How previews were coloured."""
    leakage: tuple[Leak, ...] = ()
    """How near splits come to each other in each scheme, and folds, in the first year."""
    notes: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Manifest:
        if bool(self.label_names) == (self.labelling == "number"):
            raise ValueError(f"the target {self.labelling!r} and label_names contradict each other")
        if self.nearest_years and not self.own_years:
            raise ValueError("nearest_years: patches have no years of their own")
        if self.previous_year and len(self.years) < 2:
            raise ValueError("previous_year: there is one year")
        seen = {*self.schemes}
        for name in (*self.folds, *(column.name for column in self.kept)):
            if fault := fault_of(name):
                raise ValueError(f"the column {printable(name)!r} {fault}")
            if name in seen or name in COLUMNS:
                raise ValueError(f"there are two columns {name!r}")
            seen.add(name)
        return self

    @property
    def storage(self) -> StorageFormat:
        """How its rows lie in files."""
        packing = self.recipe.get("pack", {})
        form, codec = packing.get("format", "parquet"), packing.get("codec", "png")
        return StorageFormat(form, codec, packing.get("label_name", False))

    @property
    def labelling(self) -> Target:
        """What `label` holds."""
        return self.target or ("class" if self.label_names else "number")

    @property
    def config_years(self) -> tuple[int | None, ...]:
        """Years that have configs of their own; None for one of all years."""
        return (None,) if self.own_years else self.years

    def label_of(self, value: float | Sequence[int]) -> str | float | tuple[str, ...]:
        """A row's label: a class name, several, or the number itself if it is to be predicted."""
        if isinstance(value, (int, float)):
            return self.label_names[int(value)] if self.label_names else value
        return tuple(self.label_names[number] for number in value)


def manifest_bytes(manifest: Manifest) -> bytes:
    """The content of ``release.json``, the same for the same manifest."""
    content = manifest.model_dump(mode="json")
    if not manifest.previous_year:  # the same bytes as before there was such a column
        del content["previous_year"]
    return (json.dumps(content, indent=1, sort_keys=True) + "\n").encode()


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a release folder; a release that was being replaced is whole before.

    Raises:
        FolderError: if there is no such folder, or its release cannot be made whole.
        ReleaseError: if there is none, or it is not one, or of a newer format.
    """
    if not folder.is_dir():
        raise FolderError(f"{folder} is no folder", "name the folder of a release")
    recover(folder)
    path = folder / MANIFEST
    try:
        content = read_bounded(path)
    except FileNotFoundError as error:
        raise ReleaseError(
            f"{folder} holds no finished release (no {MANIFEST})",
            command_line("hfaef", "build", "RECIPE", "--out", folder),
        ) from error
    except (OSError, ValueError) as error:
        raise ReleaseError(f"cannot read {path}: {error}", "build the release again") from error
    return parse_manifest(content, str(path))


def read_bounded(path: Path) -> bytes:
    """The content of a file of JSON.

    Raises:
        OSError: if it cannot be read.
        ValueError: if it is larger than `LARGEST`.
    """
    with path.open("rb") as file:
        content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise ValueError(f"is larger than {LARGEST >> 20} MB")
    return content


def parse_manifest(text: bytes, name: str) -> Manifest:
    """The manifest in a file's content.

    Args:
        text: of the file.
        name: where it comes from, for messages.

    Raises:
        ReleaseError: if it is none, or of a newer format.
    """
    try:
        content = json.loads(text)
        if _SURROGATE.search(text):
            json.dumps(content, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise ReleaseError(f"{name} is not JSON: {error}", "build the release again") from error
    found = content.get("format") if isinstance(content, dict) else None
    if type(found) is int and found > FORMAT:
        raise ReleaseError(
            f"{name} has format {found}, newer than this hfaef knows", upgrade_command()
        )
    try:
        return Manifest.model_validate(content)
    except RecursionError as error:
        raise ReleaseError(f"{name} is no manifest: it is too deep", "build it again") from error
    except ValidationError as error:
        raise ReleaseError(
            f"{name} is no manifest: {first_fault(error)}", "build the release again"
        ) from error


def first_fault(error: ValidationError) -> str:
    """Key and fault of what stands first in an error."""
    first = error.errors(include_url=False)[0]
    where = ".".join(map(str, first["loc"]))
    return f"{where}: {first['msg']}" if where else str(first["msg"])


def package_versions(packages: Sequence[str] = PACKAGES) -> dict[str, str]:
    """Installed versions, by package."""
    return {package: version(package) for package in packages}


def content_sha256(manifest: Manifest) -> str:
    """SHA-256 over the paths and hashes of all shards: the same for the same rows."""
    shards = [file for file in manifest.files if file.path.split("/", 1)[0] in KINDS]
    lines = [f"{file.path} {file.sha256}\n" for file in sorted(shards, key=lambda f: f.path)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def file_entry(folder: Path, path: Path, rows: int) -> File:
    """The manifest's line on a file."""
    name = path.relative_to(folder).as_posix()
    return File(path=name, bytes=path.stat().st_size, sha256=sha256_of(path), rows=rows)


def make_configs(
    files: Sequence[File], years: Sequence[int | None], schemes: Sequence[str]
) -> tuple[Config, ...]:
    """The configs over these files; a split without a row is left out."""
    configs = []
    for number, (name, kind, year, scheme) in enumerate(config_names(years, schemes)):
        splits = []
        tar = any(file.path.startswith(f"{kind}/") and file.path.endswith(".tar") for file in files)
        for split in HELD_SPLITS:
            suffix = ".tar" if tar else ".parquet"
            glob = split_glob(kind, year, scheme, split, years, schemes, suffix)
            held = [file for file in files if matches(file.path, glob)]
            rows = sum(file.rows for file in held)
            if rows:
                size = sum(file.bytes for file in held)
                splits.append(SplitPart(name=split, glob=glob, rows=rows, bytes=size))
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


def missing_table(missing: Sequence[Missing]) -> pa.Table:
    """The table of the patches that a release lacks."""
    names = ("id", "label", "reason", "year")
    types = (pa.string(), pa.string(), pa.string(), pa.int32())
    return pa.Table.from_pylist(
        [patch.model_dump() for patch in missing],
        schema=pa.schema(list(zip(names, types, strict=True))),
    )
