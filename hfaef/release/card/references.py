"""What cards quote from others, each with its source: ``dataset_card/references.toml``."""

from __future__ import annotations

import tomllib
from importlib import resources
from pathlib import Path
from typing import Literal

from hfaef.release.format.manifest import Manifest, Part

When = Literal["always", "real", "made-up", "eurosat"]
"""For which releases something holds."""


class Attribution(Part):
    """What AlphaEarth's licence asks for."""

    text: str
    licence: str


class LicensedPart(Part):
    """A part of a release and its licence."""

    when: When
    what: str
    name: str
    licence: str
    url: str | None = None


class Limit(Part):
    """What a release cannot tell, or should not be used for."""

    when: When
    text: str


class PublishedResults(Part):
    """A table of published results."""

    when: When
    title: str
    source: str
    url: str
    protocol: str
    metric: str
    columns: tuple[tuple[Literal["knn", "linear"], str], ...]
    """Probe and scheme of each number of a row."""
    encoders: dict[str, dict[str, tuple[float, ...]]]
    """Rows by encoder and pooling, per cent."""


class Baseline(Part):
    """A result of a simple method, which embeddings should beat."""

    when: When
    name: str
    scheme: str
    accuracy: float
    """Per cent."""
    source: str
    url: str


class Citation(Part):
    """A work to cite."""

    when: When
    bibtex: str


class EuroSat(Part):
    """How a release of EuroSAT is known."""

    labels: tuple[str, ...]
    patches: int


class References(Part):
    """All that may be quoted."""

    eurosat: EuroSat
    attribution: Attribution
    parts: tuple[LicensedPart, ...]
    limits: tuple[Limit, ...]
    published: tuple[PublishedResults, ...]
    baselines: tuple[Baseline, ...]
    citations: tuple[Citation, ...]

    def of(self, manifest: Manifest) -> References:
        """What holds for this release."""
        holds: set[When] = {"always", "real"}
        if manifest.recipe.get("demo") is not None:
            holds = {"always", "made-up"}
        elif sorted(manifest.label_names) == sorted(self.eurosat.labels):
            holds.add("eurosat")
        return self.model_copy(
            update={
                name: tuple(item for item in getattr(self, name) if item.when in holds)
                for name in ("parts", "limits", "published", "baselines", "citations")
            }
        )


def card_folder() -> Path:
    """Where template and references lie: in the installed package, or beside it in a checkout."""
    installed = Path(str(resources.files("hfaef"))) / "dataset_card"
    return installed if installed.is_dir() else installed.parent.parent / "dataset_card"


def read_references() -> References:
    """All references."""
    text = (card_folder() / "references.toml").read_text(encoding="utf-8")
    return References.model_validate(tomllib.loads(text))
