"""What recipe, catalog and release agree on: targets, names of splits and columns, a patch's side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import StringConstraints

Target = Literal["class", "classes", "number"]
"""What a label is: one of some names, any number of them, or a number to predict."""

SPLITS = ("train", "validation", "test")
"""Names of splits, in the order in which they are listed."""

UNASSIGNED = "unassigned"
"""Split of the patches to which a scheme gives none."""

HELD_SPLITS = (*SPLITS, UNASSIGNED)
"""Names of splits that a release may hold."""

COLUMNS = frozenset(
    {
        "embedding",
        "preview",
        "id",
        "label",
        "label_name",
        "year",
        "observed_year",
        "crs",
        "transform",
        "bounds",
        "bbox",
        "geometry",
        "valid_fraction",
        "resampled",
        "source",
        "mean",
        "min",
        "max",
        "std",
        "cosine_previous_year",
        "height",
        "width",
        "mask",
        "pooled",
        "default",
    }
)
"""Names that neither a split scheme nor a kept column can have: hfaef's own columns and configs."""

DTYPE = (
    r"bool|u?int(8|16|32|64)|float(32|64)|string|date32"
    r"|timestamp\[(s|ms|us|ns)(, tz=[A-Za-z0-9_+:/-]+)?\]"
)
"""Types of kept columns, as `datasets` writes them:
https://huggingface.co/docs/datasets/package_reference/main_classes#datasets.Value"""


@dataclass(frozen=True)
class KeptColumn:
    """A column of the table of patches that comes along into the rows."""

    name: str
    dtype: Annotated[str, StringConstraints(pattern=f"^({DTYPE})$")]
    """Of its values; a value may be missing."""
    is_list: bool = False
    """Whether each value is a list of those."""
