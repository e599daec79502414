"""The recipe: one TOML file that says which patches, from which source, packed how."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ByteSize,
    Field,
    StrictBool,
    StrictInt,
    StringConstraints,
    model_validator,
)

from hfaef.core.names import require_repo_id
from hfaef.recipe.licenses import require_license
from hfaef.recipe.patches import Described, Geotiffs, Section, Table, TorchGeo

FIRST_YEAR = 2017
"""The first year of AEF: https://developers.google.com/earth-engine/datasets/catalog/GOOGLE_SATELLITE_EMBEDDING_V1_ANNUAL"""

KINDS = frozenset({"geotiffs", "torchgeo", "table", "cog", "earthengine"})
"""Kinds of patches and of sources."""

MOST_SHEET_PIXELS = 2 * 89_478_485 // 64
"""Pixels of a patch, 1,672 a side, whose sheet of 64 bands Pillow still opens:
https://pillow.readthedocs.io/en/stable/reference/Image.html#PIL.Image.open"""

RAW_HINT = 'set `pack.codec = "raw"`, or make the patches smaller'


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


def _batch(value: object) -> object:
    number = value if isinstance(value, int) and not isinstance(value, bool) else 0
    if value != "auto" and number < 1:
        raise ValueError('"auto", or how many patches, 1 or more')
    return value


NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,95}$"

Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
HostName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9.-]+$")]
Location = Annotated[str, AfterValidator(_plain)]
HttpAddress = Annotated[Location, StringConstraints(pattern=r"^https?://[^\s/@?#\\]+$")]
Batch = Annotated[Literal["auto"] | Annotated[StrictInt, Field(ge=1)], BeforeValidator(_batch)]
License = Annotated[str, AfterValidator(require_license)]


class Cog(Section):
    """AEF's cloud-optimised GeoTIFFs, in a folder or behind an address."""

    kind: Literal["cog"]
    root: Location = "s3://us-west-2.opendata.source.coop/tge-labs/aef/v1/annual"
    """The folder, or the ``s3://``, ``gs://`` or ``https://`` address, that holds
    ``aef_index.parquet`` and the year folders; the published one by default:
    https://source.coop/tge-labs/aef"""
    index: Location | None = None
    """Path or URL of the index; below the root by default."""
    hosts: list[HostName] = Field(default_factory=list)
    """Other hosts that the root's may send us to."""


class EarthEngine(Section):
    """AEF's image collection in Earth Engine."""

    kind: Literal["earthengine"]
    project: str | None = Field(None, min_length=1)
    """The Cloud project that asks; by default the one that the credentials name."""
    url: HttpAddress = "https://earthengine-highvolume.googleapis.com"
    """The endpoint: https://developers.google.com/earth-engine/guides/processing_environments"""
    collection: str = Field("GOOGLE/SATELLITE_EMBEDDING/V1/ANNUAL", min_length=1)
    """The image collection; another one of the same bands will do."""
    reader: Literal["pixels", "xee"] = "pixels"
    """One request a patch or batch, or the same pixels through Xee with two a patch."""
    batch: Batch = "auto"
    """The most patches of a request, or as many as fit, which is never exceeded: 1,024 bands hold 16
    of more than a few pixels. 1 reads one by one."""
    max_requests: StrictInt = Field(40, ge=1, le=1000)
    """Requests at once: https://developers.google.com/earth-engine/guides/usage"""
    requests_per_minute: StrictInt = Field(6000, ge=1)
    """Requests a minute that the project's quota allows."""
    workload_tag: str = Field("hfaef", pattern=r"^[a-z0-9]([-_a-z0-9]{0,61}[a-z0-9])?$")
    """Tells this work's cost from other work's:
    https://developers.google.com/earth-engine/guides/workload_tags"""


class Pack(Section):
    """How rows become files."""

    format: Literal["parquet", "webdataset"] = "parquet"
    """Shards as Parquet, which most programs read, or as tar files for `webdataset`."""
    codec: Literal["png", "raw"] = "png"
    """A PNG sheet a patch, half of the bytes; or plain bytes, read many times faster."""
    label_name: StrictBool = True
    """Whether the name of a class stands beside its number, for those who read Parquet alone."""
    shard_bytes: Annotated[ByteSize, BeforeValidator(_size)] = Field(
        ByteSize(256_000_000), ge=1_000_000, le=2_000_000_000
    )
    """Bytes of a file, about: a number, or a text such as `"256MB"`; 1 MB to 2 GB."""

    @model_validator(mode="after")
    def _possible(self) -> Pack:
        if self.format == "webdataset" and self.codec != "png":
            raise ValueError("codec: a WebDataset holds sheets; leave it at png")
        return self


class Card(Section):
    """What the dataset card says beyond what is known from the release itself."""

    license: License = "cc-by-4.0"
    """Of your labels; one of those that the Hub knows."""
    pretty_name: str | None = None
    """Title of the card; the recipe's name by default."""
    citation: str | None = None
    """How to cite the data set, as BibTeX."""
    homepage: str | None = None
    """Address of the project that the labels come from."""
    description: str | None = None
    """What the patches are, who labelled them, and how."""
    tags: list[Annotated[str, StringConstraints(min_length=1)]] = Field(default_factory=list)
    """Words by which the data set is found on the Hub, beside those that hfaef sets."""
    notes: Path | None = None
    """A text file in UTF-8 that fills the card's notes."""
    atlas: Annotated[str, AfterValidator(require_repo_id)] | None = None
    """OWNER/NAME of the Space that shows the release, as ``hfaef atlas --space`` pushes it; the card
    links to it."""
    benchmark: bool = False
    """Whether the release is a benchmark on the Hub, which ``eval.yaml`` tells it:
    https://huggingface.co/docs/hub/eval-results"""


class Demo(Section):
    """A small made-up world of patches and AEF tiles, written before the patches are read."""

    root: Path
    """The folder that it is written to."""
    seed: StrictInt = Field(0, ge=0)
    """Another one gives another world."""
    patches: StrictInt = Field(240, ge=20, le=400)
    """How many patches it has."""
    years: list[Annotated[StrictInt, Field(ge=FIRST_YEAR, le=2100)]] = Field([2018], min_length=1)
    """Years of its tiles."""


class Recipe(Section):
    """A recipe: which patches, from which source, for which years, packed and described how."""

    name: Name
    """Of the data set; the release goes to ``build/NAME``."""
    years: list[Annotated[StrictInt, Field(ge=FIRST_YEAR, le=2100)]] = Field(default_factory=list)
    """Of all patches, unless each has its own (`patches.year`)."""
    patches: Geotiffs | TorchGeo | Table = Field(discriminator="kind")
    """Which patches, and what is said of them."""
    source: Cog | EarthEngine = Field(discriminator="kind")
    """Where embeddings come from."""
    pack: Pack = Pack()
    """How rows lie in files."""
    card: Card = Card()
    """What the card says beyond the release itself."""
    demo: Demo | None = None
    """A made-up world that is written first, to try hfaef on."""

    @model_validator(mode="after")
    def _distinct(self) -> Recipe:
        if len(set(self.years)) != len(self.years):
            raise ValueError("years names a year twice")
        if not self.years and self.year_column is None:
            raise ValueError("years: name at least one, as in `years = [2018]`")
        if isinstance(self.patches, Table) and self.pack.codec == "png":
            side = self.patches.size
            if side**2 > MOST_SHEET_PIXELS:
                raise ValueError(
                    f"patches.size: the sheet of {side} x {side} pixels is over what PNG readers "
                    f"accept; {RAW_HINT}"
                )
        return self

    @property
    def year_column(self) -> str | None:
        """Column of the table of patches that holds each one's own year."""
        return self.patches.year if isinstance(self.patches, Described) else None

    def portable(self) -> dict[str, Any]:
        """The recipe without what belongs to one machine or account: paths, project, speed.

        This is what a release publishes, so two machines publish the same.
        """
        # Notes stand in the card; what is not asked for says nothing.
        silent = {"notes"} if self.card.benchmark else {"notes", "benchmark"}
        excluded = {"demo": {"root"}, "card": silent}
        content = self.model_dump(mode="json", exclude=excluded, exclude_none=True)
        images = ("bands", "unit", "level")  # they say nothing of embeddings
        for key in (
            "root",
            "path",
            "table",
            "download",
            "checksum",
            "splits",
            "skip_bad",
            *images,
        ):
            content["patches"].pop(key, None)
        for key, value in list(content["patches"].items()):
            if value in ([], {}, False):  # it says nothing
                del content["patches"][key]
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
            "batch",
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
