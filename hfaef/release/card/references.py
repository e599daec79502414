"""What cards quote from others, each with its source: ``dataset_card/references.toml``."""

from __future__ import annotations

import tomllib
from importlib import resources
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from hfaef.release.format.manifest import Manifest, Part

When = Literal["always", "real", "made-up", "eurosat"]
"""For which releases something holds."""


class Attribution(Part):
    """Who made the embeddings, in the words that their licence asks for."""

    when: When
    text: str
    licence: str


class LicensedPart(Part):
    """A part of a release and its licence."""

    when: When
    what: str
    name: str
    by: str
    """Who made it."""
    licence: str
    url: str | None = None


class Model(Part):
    """What made the embeddings of a release."""

    when: When
    name: str
    url: str
    """Of what describes it."""
    inputs: tuple[str, ...] = Field(min_length=1)
    """What it saw."""
    source: str
    """Address of the data set of embeddings that patches are cut from."""
    spatial_context: bool
    """Whether a pixel's embedding is also of what lies around it."""
    temporal_context: bool
    """Whether a year's embedding is also of other years."""


class Limit(Part):
    """What a release cannot tell, or should not be used for."""

    when: When
    text: str


class PublishedResults(Part):
    """Published results by pooling, AlphaEarth's own among them."""

    when: When
    name: str
    """Of the tool, as tables write it."""
    source: str
    url: str
    licence: str
    protocol: str
    differs: str
    """What is done otherwise here."""
    metric: str
    lengths: dict[str, tuple[int, ...]]
    """Numbers a vector by pooling, in the order of the encoders."""
    columns: tuple[tuple[Literal["knn", "linear"], str], ...]
    """Probe and scheme of each number of a row."""
    encoders: dict[str, dict[str, tuple[float, ...]]]
    """Rows by encoder and pooling, per cent."""

    @property
    def schemes(self) -> tuple[str, ...]:
        """Split schemes of its numbers."""
        return tuple(dict.fromkeys(scheme for _, scheme in self.columns))


class LeaderboardRow(Part):
    """What one model reaches, per cent."""

    model: str
    key: str
    """Its name in the source."""
    bands: str
    dimensions: int
    knn: float | None = None
    linear: float | None = None
    baseline: bool = False
    """Whether it is simple, and so a floor under all embeddings."""

    @model_validator(mode="after")
    def _scored(self) -> LeaderboardRow:
        if self.knn is None and self.linear is None:
            raise ValueError("a row without a score")
        return self


class Leaderboard(Part):
    """Rows of somebody's public table of one split scheme."""

    when: When
    name: str
    """Of the tool, as tables write it."""
    scheme: str
    source: str
    url: str
    licence: str
    metric: str
    protocol: str
    differs: str
    """What is done otherwise here."""
    rows: tuple[LeaderboardRow, ...] = Field(min_length=1)

    @property
    def schemes(self) -> tuple[str, ...]:
        """Split schemes of its numbers: one."""
        return (self.scheme,)


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
    attributions: tuple[Attribution, ...]
    """One, of a release."""
    parts: tuple[LicensedPart, ...]
    models: tuple[Model, ...]
    """One, of a release."""
    limits: tuple[Limit, ...]
    published: tuple[PublishedResults, ...]
    leaderboards: tuple[Leaderboard, ...]
    citations: tuple[Citation, ...]

    @property
    def attribution(self) -> Attribution:
        """That of a release."""
        return self.attributions[0]

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
                for name in (
                    *("attributions", "parts", "models", "limits"),
                    *("published", "leaderboards", "citations"),
                )
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
