"""Versions, and what a change means."""

from __future__ import annotations

from typing import Any

import pytest

from hfaef.errors import InputError
from hfaef.release.bump import classify_changes
from hfaef.release.format.manifest import Manifest
from hfaef.release.version import FIRST, Version, parse_version, version_of_tag


def manifest(**changes: Any) -> Manifest:
    content = {
        "format": 1,
        "name": "Patches",
        "recipe": {"pack": {"codec": "png", "format": "parquet"}},
        "recipe_sha256": "",
        "packages": {},
        "years": (2018,),
        "schemes": ("random",),
        "label_names": ("Dune", "Forest"),
        "rows": 3,
        "rows_by_label": {"Dune": 1, "Forest": 2},
        "configs": (),
        "files": ({"path": "data/a.parquet", "bytes": 1, "sha256": "a" * 64, "rows": 3},),
        "missing": (),
        "preview": {"components": (), "low": (), "high": ()},
    }
    return Manifest.model_validate(content | changes)


def test_versions_are_read_written_and_ordered() -> None:
    assert str(parse_version("1.20.3")) == "1.20.3"
    assert parse_version("v1.2.3").tag == "v1.2.3"
    assert parse_version("1.10.0") > parse_version("1.9.9") > FIRST
    assert version_of_tag("v0.0.1") == Version(0, 0, 1)


@pytest.mark.parametrize(
    "text", ["", "1.2", "1.2.3.4", "01.2.3", "1.2.x", "1.2.3-rc1", "vv1.2.3", "1.2.3\u0660"]
)
def test_what_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="no version"):
        parse_version(text)


def test_the_next_version_resets_what_is_below() -> None:
    version = Version(1, 2, 3)
    assert str(version.next("major")) == "2.0.0"
    assert str(version.next("minor")) == "1.3.0"
    assert str(version.next("patch")) == "1.2.4"


@pytest.mark.parametrize(
    ("changes", "level", "reason"),
    [
        ({"format": 2}, "major", "format 2"),
        ({"recipe": {"pack": {"codec": "raw", "format": "parquet"}}}, "major", "codec"),
        ({"label_names": ("Forest", "Dune")}, "major", "label numbers"),
        ({"label_names": ("Dune",)}, "major", "label numbers"),
        ({"schemes": ("spatial",)}, "major", "scheme random is gone"),
        ({"label_names": ("Dune", "Forest", "Town")}, "minor", "label Town is new"),
        ({"schemes": ("random", "spatial")}, "minor", "scheme spatial is new"),
        ({"years": (2018, 2019)}, "minor", "year 2019 is new"),
        ({"years": (2019,)}, "minor", "year 2019 is new"),
        ({"rows": 4}, "minor", "4 rows instead of 3"),
        (
            {"files": ({"path": "data/a.parquet", "bytes": 1, "sha256": "b" * 64, "rows": 3},)},
            "minor",
            "other data",
        ),
        (
            {"files": ({"path": "data/b.parquet", "bytes": 1, "sha256": "a" * 64, "rows": 3},)},
            "minor",
            "other names",
        ),
        ({"packages": {"numpy": "3.0"}}, "patch", "described anew"),
        (
            {"recipe": {"pack": {"codec": "png", "format": "parquet", "label_name": True}}},
            "minor",
            "column label_name is new",
        ),
        ({"notes": ("a note",)}, "patch", "described anew"),
        ({}, "patch", "described anew"),
    ],
)
def test_what_changed_decides_the_version(changes: dict[str, Any], level: str, reason: str) -> None:
    bump = classify_changes(manifest(), manifest(**changes))
    assert bump.level == level
    assert reason in bump.reasons[0]


def test_a_major_change_still_tells_the_minor_ones() -> None:
    bump = classify_changes(manifest(), manifest(format=2, rows=5))
    assert len(bump.reasons) == 2
    assert "5 rows" in bump.reasons[1]
