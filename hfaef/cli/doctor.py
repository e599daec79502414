"""What `hfaef doctor` checks on this machine: versions, credentials, project, endpoint."""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata

from hfaef.core.net.endpoints import HUB, require_trusted
from hfaef.errors import BUILD, HfaefError, install_command
from hfaef.recipe.model import EarthEngine, Recipe

PACKAGES = (
    "hfaef",
    "earthengine-api",
    "xee",
    "google-auth",
    "rasterio",
    "pyproj",
    "pyarrow",
    "datasets",
    "huggingface-hub",
)
"""Whose versions matter when something goes wrong."""

TIMEOUT = 30.0
"""Seconds to wait for an endpoint."""


@dataclass(frozen=True)
class Finding:
    """The result of one check."""

    topic: str
    """``versions``, ``credentials``, ``project``, ``endpoint``, ``collection`` or ``hub``."""
    fine: bool
    message: str
    """What was found, in one line, without a secret."""
    hint: str = ""
    """What to type if it is not fine."""


def examine(recipe: Recipe | None = None) -> list[Finding]:
    """All checks, for a recipe, or for Earth Engine with the default keys.

    Asks Earth Engine four times at most, and only if credentials and a project are there.

    Args:
        recipe: one whose source is not Earth Engine gets no findings on it.
    """
    section = recipe.source if recipe else EarthEngine(kind="earthengine")
    found = [versions(), hub()]
    if isinstance(section, EarthEngine):
        found += earth_engine(section)
    return found


def versions() -> Finding:
    """Which versions are installed."""
    installed = [f"Python {platform.python_version()}"]
    missing = []
    for name in PACKAGES:
        try:
            installed.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            missing.append(name)
    message = ", ".join(installed)
    if missing:
        message = f"{message}; not installed: {', '.join(missing)}"
        return Finding("versions", False, message, install_command(BUILD))
    return Finding("versions", True, message)


def hub() -> Finding:
    """Whether there is a token for the Hugging Face Hub; it is not sent anywhere."""
    from huggingface_hub import constants, get_token

    if get_token():
        try:
            require_trusted(constants.ENDPOINT, HUB, "the token for the Hub (HF_ENDPOINT)")
        except HfaefError as error:
            return Finding("hub", False, error.message, error.hint)
        return Finding("hub", True, f"a token for {constants.ENDPOINT} is there")
    return Finding(
        "hub",
        False,
        f"no token for {constants.ENDPOINT}; only `push` needs one",
        "run `hf auth login`, or set HF_TOKEN",
    )


def earth_engine(section: EarthEngine) -> list[Finding]:
    """Credentials, project, endpoint and collection, each checked only if the one before passed."""
    from hfaef.sources.earthengine.credentials import find_credentials
    from hfaef.sources.earthengine.session import connect

    try:
        credentials = find_credentials()
    except HfaefError as error:
        return [Finding("credentials", False, error.message, error.hint)]
    found = [Finding("credentials", True, f"{credentials.kind} credentials are in use")]
    project = section.project or credentials.project
    try:
        session = connect(section, timeout=TIMEOUT)
    except HfaefError as error:
        topic = _topic(error)
        if project and topic != "project":
            found.append(Finding("project", True, f"{project}, not tried"))
        return [*found, Finding(topic, False, error.message, error.hint)]
    session.close()
    years = ", ".join(map(str, session.years))
    return [
        *found,
        Finding("project", True, f"{project} is registered"),
        Finding("endpoint", True, f"{section.url} answers"),
        Finding("collection", True, f"{section.collection} has {years}"),
    ]


_TOPICS: tuple[tuple[str, Callable[[str], bool]], ...] = (
    ("collection", lambda text: text.startswith("source.collection")),
    ("project", lambda text: "project" in text.lower()),
    ("credentials", lambda text: "credential" in text.lower() or "token" in text.lower()),
)


def _topic(error: HfaefError) -> str:
    """The topic that an error belongs to."""
    return next((topic for topic, holds in _TOPICS if holds(error.message)), "endpoint")
