"""Words of any kind for tests of arbitrary tables, and what a catalog says of them."""

from __future__ import annotations

import math
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from hfaef.catalog import table
from hfaef.catalog.patch import Catalog
from hfaef.core.names import decode_id
from hfaef.recipe.patches import Table

few = settings(max_examples=60, suppress_health_check=list(HealthCheck), database=None)


def read(path: Path, **changes: object) -> Catalog:
    section = {"kind": "table", "path": path, **changes}
    return table.read(Table.model_validate(section), 2018)


def written(catalog: Catalog) -> list[tuple[str, object]]:
    """Names and labels of all patches."""
    gone = [(one.id, one.label) for one in catalog.unreadable]
    rows = [(patch.id, patch.label) for patch in catalog.patches] + gone
    return sorted((decode_id(identity), label) for identity, label in rows)


PLAIN = [
    "a",
    "b",
    "001",
    "true",
    "NA",
    "1e5",
    "A",
    "ä",
    "森",
    "a,b",
    "=1+1",
    "../a",
    "a/b",
    "C:\\a",
    "plot_0x2E_1",
    "_0x41_",
    "-1",
    "b'a'",
]
ODD = ["", " ", " a", "a ", "a\u0308", '"', "a\nb", "a\rb", "\0", "\u200b", "\ufeff", "\u2028"]
LONG = ["x" * 201, "9" * 5000, "\U0010ffff"]
WORDS = st.sampled_from([*PLAIN, *ODD, *LONG]) | st.text(
    st.characters(exclude_categories=["Cs"]), max_size=4
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.sampled_from([10**18, 10**400, -1, 0.5, math.nan, math.inf, 1e308, 181.0, -91.0])
    | WORDS
)
JSON = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "id", "label", "coordinates", "x"]), inner)
    ),
    max_leaves=6,
)
