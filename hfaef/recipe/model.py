"""The recipe: one TOML file that says which patches, from which source, packed how."""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
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
    model_validator,
)

from hfaef.core.names import LONGEST, clean, fault_of, printable
from hfaef.core.quantize import MAX_SIDE
from hfaef.recipe.licenses import require_license

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
        "label_name",
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

MOST_SHEET_PIXELS = 2 * 89_478_485 // 64
"""Pixels of a patch, 1,672 a side, whose sheet of 64 bands Pillow still opens:
https://pillow.readthedocs.io/en/stable/reference/Image.html#PIL.Image.open"""

RAW_HINT = 'set `pack.codec = "raw"`, or make the patches smaller'


def _split_name(name: object) -> object:
    return "validation" if name == "val" else name


def _free_name(name: str) -> str:
    if name in COLUMNS:
        raise ValueError(f"{name!r} is the name of a column; call the scheme something else")
    if name.startswith("pooled_") or re.search(r"_\d{4}$", name):
        raise ValueError(
            f"{name!r} is what a config of pooled vectors, or of a year, is called; "
            "call the scheme something else"
        )
    return name


def _label(name: str) -> str:
    cleaned = clean(name)
    if len(cleaned) != len(unicodedata.normalize("NFC", name)):
        raise ValueError(f"{name!r} begins or ends with spaces")
    if fault := fault_of(cleaned):
        raise ValueError(f"{printable(name)!r} {fault}")
    return cleaned


_REMOTE = ("http", "https", "s3", "gs")


def _plain(location: str) -> str:
    """A path, or an address that holds no secret."""
    if "://" in location:
        parts = urlsplit(location)
        if "@" in parts.netloc or parts.query or parts.fragment:
            raise ValueError("an address without user, password and what follows `?` or `#`")
        parts.port  # noqa: B018 - ValueError unless it can be one
        if parts.scheme not in _REMOTE or not parts.hostname:
            raise ValueError(f"an address of {', '.join(_REMOTE)}, with a host or bucket")
    return location


def _size(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError('a number of bytes, or a text such as "256MB"')  # noqa: TRY004 - pydantic's
    if isinstance(value, str) and len(value) > 40:
        raise ValueError("too long for a size")
    return value


NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,95}$"

Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
Scheme = Annotated[
    str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$"), AfterValidator(_free_name)
]
SplitName = Annotated[Literal["train", "validation", "test"], BeforeValidator(_split_name)]
HostName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9.-]+$")]
Location = Annotated[str, AfterValidator(_plain)]
HttpAddress = Annotated[Location, StringConstraints(pattern=r"^https?://[^\s/@?#\\]+$")]
License = Annotated[str, AfterValidator(require_license)]
Label = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST), AfterValidator(_label)]


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
    skip_bad: bool = False
    """Whether to go on without files that cannot be read; the release names them as missing."""

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
    skip_bad: bool = False
    """Whether to go on without files that cannot be read; the release names them as missing."""


class Table(Section):
    """Patches are rows of a table: points or boxes in lon/lat (WGS 84), or geometries."""

    kind: Literal["table"]
    path: Path
    """``.parquet``, ``.csv``, ``.geojson``, ``.gpkg``, ``.fgb`` or ``.shp``."""
    size: int = Field(64, ge=1, le=MAX_SIDE)
    """Pixels a side of the patch round a point."""
    resolution: Literal[10, 20, 40, 80, 160, 320] = 10
    """Metres a pixel; above 10, pixels are those of AEF's overviews."""
    target: Literal["class", "number"] = "class"
    """What `label` holds: the name of a class, or a number to predict."""
    labels: list[Label] | None = None
    """Label names in the order of their numbers; sorted by default."""
    schemes: list[Scheme] | None = None
    """Columns that hold split names; the column ``split``, if there is one, by default."""
    skip_bad: bool = False
    """Whether to go on without rows that have no place; the release names them as missing."""

    @model_validator(mode="after")
    def _possible(self) -> Table:
        if self.target == "number" and self.labels is not None:
            raise ValueError("labels: a number to predict has no names")
        if len(set(self.schemes or ())) != len(self.schemes or ()):
            raise ValueError("schemes names a column twice")
        return self


class Cog(Section):
    """AEF's cloud-optimised GeoTIFFs, in a folder or behind an address."""

    kind: Literal["cog"]
    root: Location = "s3://us-west-2.opendata.source.coop/tge-labs/aef/v1/annual"
    """The folder, or the ``s3://``, ``gs://`` or ``https://`` address, that holds
    ``aef_index.parquet`` and the year folders; the published one by default:
    https://source.coop/tge-labs/aef"""
    index: Location | None = None
    """Path or URL of the index; below the root by default."""
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
    """Half of the bytes, or read many times faster."""
    label_name: bool = True
    """Whether the name of a class stands beside its number, for those who read Parquet alone."""
    shard_bytes: Annotated[ByteSize, BeforeValidator(_size)] = Field(
        ByteSize(256_000_000), ge=1_000_000, le=2_000_000_000
    )

    @model_validator(mode="after")
    def _possible(self) -> Pack:
        if self.format == "webdataset" and self.codec != "png":
            raise ValueError("codec: a WebDataset holds sheets; leave it at png")
        return self


class Card(Section):
    """What the dataset card says beyond what is known from the release itself."""

    license: License = "cc-by-4.0"
    """One of those that the Hub knows."""
    pretty_name: str | None = None
    citation: str | None = None
    homepage: str | None = None
    description: str | None = None
    tags: list[Annotated[str, StringConstraints(min_length=1)]] = []
    notes: Path | None = None
    """A text file in UTF-8 that fills the card's notes."""


class Demo(Section):
    """A small made-up world of patches and AEF tiles, written before the patches are read."""

    root: Path
    seed: int = Field(0, ge=0)
    patches: int = Field(240, ge=20, le=400)
    years: list[Annotated[int, Field(ge=FIRST_YEAR, le=2100)]] = Field([2018], min_length=1)
    """Years of its tiles."""


class Recipe(Section):
    """A recipe: which patches, from which source, for which years, packed and described how."""

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
        if isinstance(self.patches, Table) and self.pack.codec == "png":
            side = self.patches.size
            if side**2 > MOST_SHEET_PIXELS:
                raise ValueError(
                    f"patches.size: the sheet of {side} x {side} pixels is over what PNG readers "
                    f"accept; {RAW_HINT}"
                )
        return self

    def portable(self) -> dict[str, Any]:
        """The recipe without what belongs to one machine or account: paths, project, speed.

        This is what a release publishes, so two machines publish the same.
        """
        content = self.model_dump(mode="json", exclude={"demo": {"root"}}, exclude_none=True)
        for key in ("root", "path", "download", "checksum", "splits", "skip_bad"):
            content["patches"].pop(key, None)
        if isinstance(self.patches, Geotiffs):
            content["patches"]["splits"] = {
                scheme: sorted(lists) for scheme, lists in self.patches.splits.items()
            }
        content["card"].pop("notes", None)  # they stand in the card
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


def _public_url(location: str) -> str | None:
    """A remote location without user, password and query; None for one on this machine."""
    parts = urlsplit(location)
    if parts.scheme not in _REMOTE or not parts.hostname:
        return None
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname}{port}{parts.path}"


SPLITS = ("train", "validation", "test")
"""Names of splits in a release, in the order in which they are listed."""
