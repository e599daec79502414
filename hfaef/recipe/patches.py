"""The recipe's ``[patches]``: which patches, and what is said of them: labels, years, splits."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)

from hfaef.core.names import LONGEST, clean, fault_of, printable
from hfaef.core.quantize import MAX_SIDE
from hfaef.recipe.bands import SENTINEL2, Level, Unit, canonical_band, with_colour
from hfaef.recipe.columns import COLUMNS, Target


def _split_name(name: object) -> object:
    return "validation" if name == "val" else name


def _no_float(value: object) -> object:
    if isinstance(value, float):
        raise ValueError(f"a whole number, not the float {value}")  # noqa: TRY004 - pydantic's
    return value


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


Scheme = Annotated[
    str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$"), AfterValidator(_free_name)
]
SplitName = Annotated[
    Literal["train", "validation", "test"],
    BeforeValidator(_split_name),
    WithJsonSchema({"enum": ["train", "validation", "val", "test"], "type": "string"}),
]
Label = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST), AfterValidator(_label)]
Column = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST)]
Band = Annotated[str, AfterValidator(canonical_band)]
Shares = tuple[
    Annotated[StrictFloat, Field(gt=0, lt=1)],
    Annotated[StrictFloat, Field(ge=0, lt=1)],
    Annotated[StrictFloat, Field(gt=0, lt=1)],
]


class Section(BaseModel):
    """A table of the recipe; a key that it does not know is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class RandomSplits(Section):
    """A scheme made here: patches at random, each label in the same shares."""

    seed: StrictInt = Field(0, ge=0)
    """Another one gives other splits."""
    shares: Shares = (0.6, 0.2, 0.2)
    """Of train, validation and test."""

    @model_validator(mode="after")
    def _whole(self) -> RandomSplits:
        if abs(sum(self.shares) - 1) > 1e-6:
            raise ValueError(f"shares add up to {sum(self.shares):g}, not to 1")
        return self


class SpatialSplits(RandomSplits):
    """A scheme made here: square blocks of the ground at random, each whole in one split."""

    km: StrictFloat = Field(20.0, ge=0.1, le=2000)
    """Kilometres a side of a block."""


class MakeSplits(Section):
    """Schemes that are made here, for patches that have none."""

    random: RandomSplits | None = None
    """Patches at random, each label in the same shares."""
    spatial: SpatialSplits | None = None
    """Whole blocks of ground, so that no two splits share one."""


class Described(Section):
    """What is said of each patch: by a table's columns, or by its folder."""

    target: Target = "class"
    """What `label` holds: a name, several names, or a number to predict."""
    separator: str | None = Field(None, min_length=1, max_length=3)
    """What stands between the names of several labels, where they are one text."""
    labels: list[Label] | None = None
    """Label names in the order of their numbers; sorted by default."""
    year: Column | None = None
    """Column that holds each patch's own year, or a date in it, instead of `years` for all."""
    nearest_year: StrictBool = False
    """Whether a year without embeddings gives way to the nearest that has some."""
    schemes: list[Scheme] | None = None
    """Columns that hold split names; the column ``split``, if there is one, by default."""
    folds: list[Scheme] = []
    """Columns that hold the names of folds, for cross-validation."""
    unassigned: Literal["keep", "drop"] | None = None
    """What becomes of patches without a split: `keep` makes them a split of their own,
    ``unassigned``, and `drop` leaves them out. Lists may leave patches out only if this is given."""
    make_splits: MakeSplits = MakeSplits()
    """Schemes that are made here, beside those of the table or the lists."""
    keep: list[Column] | Literal["all"] = []
    """Columns that come along into the rows, typed as in the table (a CSV's are texts), or
    ``"all"``: every one that no other key names."""
    ignore: list[Column] = []
    """Columns that are left out without a note."""
    skip_bad: StrictBool = False
    """Whether to go on without what cannot be read or placed; the release names it as missing."""

    @model_validator(mode="after")
    def _possible(self) -> Described:
        if self.target == "number" and self.labels is not None:
            raise ValueError("labels: a number to predict has no names")
        if self.target != "classes" and self.separator is not None:
            raise ValueError('separator: it parts several labels; set target = "classes"')
        if self.nearest_year and self.year is None:
            raise ValueError("nearest_year: name the column of the years, in `year`")
        keep = [] if self.keep == "all" else self.keep
        made = [name for name in ("random", "spatial") if getattr(self.make_splits, name)]
        named: dict[str, str] = {}
        for key, names in (
            ("schemes", self.schemes or []),
            ("folds", self.folds),
            ("make_splits", made),
            ("keep", keep),
            ("ignore", self.ignore),
        ):
            for name in names:
                if name in named:
                    too = "twice" if named[name] == key else f"that `{named[name]}` names, too"
                    raise ValueError(f"{key} names {name!r} {too}")
                named[name] = key
        if self.year in self.ignore:
            raise ValueError(f"ignore names {self.year!r}, the column of `year`")
        if taken := sorted(COLUMNS & set(keep)):
            raise ValueError(
                f"keep: {taken[0]!r} is the name of one of hfaef's own columns; rename it"
            )
        return self


class Geotiffs(Described):
    """Patches are GeoTIFFs: in one folder a label, or anywhere with a table of their labels."""

    kind: Literal["geotiffs"]
    root: Path
    """Holds ``LABEL/NAME.tif``, at any depth; with `table`, files in any folders."""
    table: Path | None = None
    """Names each file (``id``, without folder and extension) and its ``label``."""
    splits: dict[Scheme, dict[SplitName, Path]] = {}
    """For each scheme its lists, a patch name a line."""
    bands: list[Band] = []
    """What the images hold, in their order, for `hfaef embed`: ``["B04", "B03", "B02"]``."""
    unit: Unit | None = None
    """Of their numbers, for `hfaef embed`: `DN` is reflectance times 10,000."""
    level: Level | None = None
    """Of Sentinel-2, for `hfaef embed`."""

    @model_validator(mode="after")
    def _complete(self) -> Geotiffs:
        if twice := [band for band in SENTINEL2 if self.bands.count(band) > 1]:
            raise ValueError(f"bands: named twice: {', '.join(map(with_colour, twice))}")
        for scheme, lists in self.splits.items():
            if not lists:
                raise ValueError(f"the scheme {scheme!r} names no list")
            if scheme in (*(self.schemes or ()), *self.folds):
                raise ValueError(f"splits: {scheme!r} is a column of the table, too")
            if scheme in ("random", "spatial") and getattr(self.make_splits, scheme):
                raise ValueError(f"splits: {scheme!r} is made by `make_splits`, too")
        if self.table is None:
            for name in ("separator", "year", "schemes", "folds", "keep", "ignore"):
                if getattr(self, name):
                    raise ValueError(f"{name}: columns are those of `table`, which is not given")
            if self.target != "class":
                raise ValueError(
                    "target: a folder a label gives one label a patch; name a table of labels"
                )
        return self


class TorchGeo(Section):
    """Patches are a data set of TorchGeo, which downloads, checks and splits it."""

    kind: Literal["torchgeo"]
    dataset: Literal["EuroSAT", "EuroSAT100"]
    """27,000 patches of ten classes, or 100 of them to try things on."""
    root: Path
    """Where TorchGeo keeps the data set."""
    download: StrictBool = False
    """Whether TorchGeo may fetch what is not there."""
    checksum: StrictBool = True
    """Whether to compare MD5 sums of what is on disk with TorchGeo's."""
    schemes: list[Literal["random", "spatial"]] = Field(["random", "spatial"], min_length=1)
    """Split schemes, the default config first: EuroSAT's own, and EuroSATSpatial's by longitude."""
    skip_bad: StrictBool = False
    """Whether to go on without files that cannot be read; the release names them as missing."""


class Table(Described):
    """Patches are rows of a table: points or boxes in lon/lat (WGS 84), or geometries."""

    kind: Literal["table"]
    path: Path
    """``.parquet``, ``.csv``, ``.geojson``, ``.gpkg``, ``.fgb`` or ``.shp``."""
    size: StrictInt = Field(64, ge=1, le=MAX_SIDE)
    """Pixels a side of the patch round a point."""
    resolution: Annotated[Literal[10, 20, 40, 80, 160, 320], BeforeValidator(_no_float)] = 10
    """Metres a pixel; above 10, pixels are those of AEF's overviews."""
