"""The recipe: one TOML file that says which patches, from which source, packed how.

Relative paths count from the working folder, for a recipe file, a built-in one and ``--set``
alike.
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ByteSize,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from hfaef.errors import RecipeError

FIRST_YEAR = 2017
"""The first year of AEF: https://developers.google.com/earth-engine/datasets/catalog/GOOGLE_SATELLITE_EMBEDDING_V1_ANNUAL"""

KINDS = frozenset({"geotiffs", "torchgeo", "table", "cog", "earthengine"})
"""Kinds of patches and of sources."""

COLUMNS = frozenset(
    {
        "embedding",
        "preview",
        "id",
        "label",
        "year",
        "crs",
        "transform",
        "bounds",
        "geometry",
        "valid_fraction",
        "resampled",
        "source",
        "mean",
        "min",
        "max",
        "std",
        "height",
        "width",
        "mask",
        "pooled",
        "default",
    }
)
"""Names that a split scheme cannot have: it names a column, a folder and a config."""


def _split_name(name: object) -> object:
    return "validation" if name == "val" else name


def _free_name(name: str) -> str:
    if name in COLUMNS:
        raise ValueError(f"{name!r} is the name of a column; call the scheme something else")
    return name


_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,95}$"

Name = Annotated[str, StringConstraints(pattern=_NAME)]
Scheme = Annotated[
    str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$"), AfterValidator(_free_name)
]
SplitName = Annotated[Literal["train", "validation", "test"], BeforeValidator(_split_name)]
HostName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9.-]+$")]
HttpAddress = Annotated[str, StringConstraints(pattern=r"^https?://[^\s/@]+$")]
Label = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class Section(BaseModel):
    """A table of the recipe; a key that it does not know is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Geotiffs(Section):
    """Patches are GeoTIFFs in one folder a label."""

    kind: Literal["geotiffs"]
    root: Path
    """Holds ``LABEL/NAME.tif``, at any depth."""
    labels: list[Label] | None = None
    """Label names in the order of their numbers; alphabetical by default."""
    splits: dict[Scheme, dict[SplitName, Path]] = {}
    """For each scheme its lists, a patch name a line."""

    @model_validator(mode="after")
    def _lists_given(self) -> Geotiffs:
        for scheme, lists in self.splits.items():
            if not lists:
                raise ValueError(f"the scheme {scheme!r} names no list")
        return self


class TorchGeo(Section):
    """Patches are a data set of TorchGeo, which downloads, checks and splits it."""

    kind: Literal["torchgeo"]
    dataset: Literal["EuroSAT", "EuroSAT100"]
    root: Path
    """Where TorchGeo keeps the data set."""
    download: bool = False
    checksum: bool = True
    """Whether to compare MD5 sums of what is on disk with TorchGeo's."""
    schemes: list[Literal["random", "spatial"]] = Field(["random", "spatial"], min_length=1)


class Table(Section):
    """Patches are rows of a table: points, boxes or geometries in lon/lat (WGS 84)."""

    kind: Literal["table"]
    path: Path
    """``.parquet``, ``.csv`` or ``.geojson``."""
    size: int = Field(64, ge=1, le=4096)
    """Pixels a side of the patch round a point."""
    resolution: Literal[10, 20, 40, 80, 160, 320] = 10
    """Metres a pixel; above 10, pixels are those of AEF's overviews."""
    target: Literal["class", "number"] = "class"
    """What `label` holds: the name of a class, or a number to predict."""
    labels: list[Label] | None = None
    """Label names in the order of their numbers; sorted by default."""
    schemes: list[Scheme] | None = None
    """Columns that hold split names; the column ``split``, if there is one, by default."""

    @model_validator(mode="after")
    def _names_are_of_classes(self) -> Table:
        if self.target == "number" and self.labels is not None:
            raise ValueError("labels: a number to predict has no names")
        return self


class Cog(Section):
    """AEF's cloud-optimised GeoTIFFs, in a folder or behind an address."""

    kind: Literal["cog"]
    root: str = "s3://us-west-2.opendata.source.coop/tge-labs/aef/v1/annual"
    """The folder, or the ``s3://``, ``gs://`` or ``https://`` address, that holds
    ``aef_index.parquet`` and the year folders; the published one by default:
    https://source.coop/tge-labs/aef"""
    index: str | None = None
    """Another place of the index."""
    hosts: list[HostName] = []
    """Other hosts that the root's may send us to."""


class EarthEngine(Section):
    """AEF's image collection in Earth Engine."""

    kind: Literal["earthengine"]
    project: str | None = Field(None, min_length=1)
    """The Cloud project that asks; by default the one that the credentials name."""
    url: HttpAddress = "https://earthengine-highvolume.googleapis.com"
    """The endpoint: https://developers.google.com/earth-engine/guides/processing_environments"""
    collection: str = Field("GOOGLE/SATELLITE_EMBEDDING/V1/ANNUAL", min_length=1)
    reader: Literal["pixels", "xee"] = "pixels"
    """One request a patch, or the same pixels through Xee with two."""
    max_requests: int = Field(40, ge=1, le=1000)
    """Requests at once: https://developers.google.com/earth-engine/guides/usage"""
    requests_per_minute: int = Field(6000, ge=1)
    workload_tag: str = Field("hfaef", pattern=r"^[a-z0-9]([-_a-z0-9]{0,61}[a-z0-9])?$")
    """Tells this work's cost from other work's:
    https://developers.google.com/earth-engine/guides/workload_tags"""


class Pack(Section):
    """How rows become files."""

    format: Literal["parquet", "webdataset"] = "parquet"
    codec: Literal["png", "raw"] = "png"
    """Less than half of the bytes, or ten times faster to read."""
    shard_bytes: ByteSize = Field(ByteSize(256_000_000), ge=1_000_000, le=2_000_000_000)

    @model_validator(mode="after")
    def _possible(self) -> Pack:
        if self.format == "webdataset" and self.codec != "png":
            raise ValueError("codec: a WebDataset holds sheets; leave it at png")
        return self


class Card(Section):
    """What the dataset card says beyond what the release itself tells."""

    license: str = "cc-by-4.0"
    pretty_name: str | None = None
    citation: str | None = None
    homepage: str | None = None
    description: str | None = None
    tags: list[str] = []


class Demo(Section):
    """A small made-up world of patches and AEF tiles, written before the patches are read."""

    root: Path
    seed: int = 0
    patches: int = Field(240, ge=20, le=400)
    years: list[Annotated[int, Field(ge=FIRST_YEAR, le=2100)]] = Field([2018], min_length=1)
    """Years of its tiles."""


class Recipe(Section):
    """What `hfaef build` is told."""

    name: Name
    years: list[Annotated[int, Field(ge=FIRST_YEAR, le=2100)]] = Field(min_length=1)
    patches: Geotiffs | TorchGeo | Table = Field(discriminator="kind")
    source: Cog | EarthEngine = Field(discriminator="kind")
    pack: Pack = Pack()
    card: Card = Card()
    demo: Demo | None = None

    @model_validator(mode="after")
    def _distinct(self) -> Recipe:
        if len(set(self.years)) != len(self.years):
            raise ValueError("years names a year twice")
        return self

    def portable(self) -> dict[str, Any]:
        """The recipe without what belongs to one machine or account: paths, project, speed.

        This is what a release publishes, so two machines publish the same.
        """
        content = self.model_dump(mode="json", exclude={"demo": {"root"}}, exclude_none=True)
        for key in ("root", "path", "download", "checksum", "splits"):
            content["patches"].pop(key, None)
        if isinstance(self.patches, Geotiffs):
            content["patches"]["splits"] = {
                scheme: sorted(lists) for scheme, lists in self.patches.splits.items()
            }
        source = content["source"]
        if isinstance(self.source, EarthEngine):
            source.pop("url")  # every endpoint gives the same pixels
        for key in ("root", "index", "url"):
            if key in source:
                public = _public_url(source.pop(key))
                if public:
                    source[key] = public
        for key in (
            "project",
            "max_requests",
            "requests_per_minute",
            "workload_tag",
            "reader",
            "hosts",
        ):
            source.pop(key, None)
        return content

    def digest(self) -> str:
        """SHA-256 of the portable recipe."""
        text = json.dumps(self.portable(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


def _public_url(place: str) -> str | None:
    """A remote place without user, password and query; None for a place on this machine."""
    parts = urlsplit(place)
    if parts.scheme not in ("http", "https", "s3", "gs") or not parts.hostname:
        return None
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname}{port}{parts.path}"


def built_in() -> dict[str, str]:
    """Names and texts of the recipes that come with hfaef."""
    folder = resources.files("hfaef.recipe") / "builtin"
    found = {entry.name: entry.read_text() for entry in folder.iterdir() if entry.is_file()}
    return {
        name.removesuffix(".toml"): text
        for name, text in sorted(found.items())
        if name.endswith(".toml")
    }


def read_recipe(name: str | None, changes: Sequence[str] = ()) -> Recipe:
    """The recipe of a file or a built-in name, with ``KEY=VALUE`` changes applied in order.

    Args:
        name: a path to a TOML file, the name of a built-in recipe, or None for ``hfaef.toml``.
        changes: dotted keys with TOML values; a text needs no quotes. Changing a ``kind``
            empties its table first, as the keys of another kind mean nothing there.

    Raises:
        RecipeError: naming the file and the key.
    """
    known = built_in()
    if name in known and name is not None:
        origin, text = name, known[name]
    else:
        path = Path(name or "hfaef.toml")
        origin = str(path)
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not UTF-8"
            raise RecipeError(
                f"cannot read the recipe {origin}: {reason}",
                f"give a TOML file or one of {', '.join(known)}; `hfaef init NAME` writes one",
            ) from error
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{origin} is not TOML: {error}", "mend that line") from error
    for change in changes:
        _apply(content, change)
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        raise RecipeError(f"{origin}: {_explain(error)}", "see `hfaef init --help`") from error


def write_commented(name: str) -> Path:
    """Write a commented recipe, ``NAME.toml``, that builds as it is.

    Raises:
        RecipeError: if the name cannot be one, or the file is there.
    """
    name = name.removesuffix(".toml")
    text = (resources.files("hfaef.recipe") / "builtin" / "commented.txt").read_text(
        encoding="utf-8"
    )
    if not re.fullmatch(_NAME, name):
        raise RecipeError(
            f"{name!r} cannot be a data set's name", "use letters, digits, `.`, `_` and `-`"
        )
    path = Path(f"{name}.toml")
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text.replace("NAME", name))
    except OSError as error:
        raise RecipeError(
            f"cannot write {path}: {error.strerror}", "choose another name"
        ) from error
    return path


def _apply(content: dict[str, Any], change: str) -> None:
    key, separator, value = change.partition("=")
    parts = key.split(".")
    if not separator or not all(re.fullmatch(r"[A-Za-z0-9_-]+", part) for part in parts):
        raise RecipeError(f"--set {change}: not KEY=VALUE", "as in `--set source.kind=cog`")
    table = content
    for part in parts[:-1]:
        table = table.setdefault(part, {})
        if not isinstance(table, dict):
            raise RecipeError(f"--set {change}: {part} is not a table", "name another key")
    try:
        parsed = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        parsed = value
    if parts[-1] == "kind" and table.get("kind") != parsed:
        table.clear()
    table[parts[-1]] = parsed


def _explain(error: ValidationError) -> str:
    """The first thing that is wrong, with its dotted key, in one line."""
    errors = error.errors(include_url=False, include_input=False)
    first = errors[0]
    place = [str(part) for part in first["loc"]]
    if len(place) > 1 and place[0] in ("patches", "source") and place[1] in KINDS:
        del place[1]  # pydantic names the kind it chose, which is no key of the file
    message = {
        "extra_forbidden": "unknown key",
        "missing": "missing",
        "union_tag_not_found": "`kind` is missing",
    }.get(first["type"], first["msg"].removeprefix("Value error, "))
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return f"{'.'.join(place)}: {message}{more}" if place else f"{message}{more}"
