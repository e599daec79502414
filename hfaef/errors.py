"""The errors that hfaef raises on purpose, and the commands that their hints tell people to type.

HfaefError                exit 1   anything below
|-- InputError            exit 2   the command line, the recipe or the input is wrong
|   |-- RecipeError                a key of the recipe
|   |-- CatalogError               a patch, a label, a split list or a table
|   |-- FolderError                a folder that holds something else, or cannot hold more
|   `-- MissingPackageError        a package of an extra that is not installed
|-- IncompleteError       exit 3   finished, but some patches are missing
|-- ReleaseError          exit 1   a release is not what its manifest says
|-- HubError              exit 1   the Hub refuses, or does not answer
`-- SourceError           exit 1   a source did not give a patch
    |-- Throttled                  over a quota: wait, then ask again
    |-- Transient                  5xx, reset, truncated, timed out: ask again
    |-- TooBig                     more than one request may hold: split, then ask again
    |-- BatchRefused               not several patches at once: ask for each alone
    |-- CredentialsError           nobody may read: stop the whole build
    |-- QuotaExhausted             nothing more for days: stop the whole build
    `-- PermanentError             this patch never: write it down, go on with the others
        `-- NoDataError            nothing is there, so the next build does not ask again
"""

from __future__ import annotations

import json
import shlex
import unicodedata
from datetime import UTC, datetime
from urllib.parse import urlsplit


def one_line(text: str) -> str:
    """A text in one line, without characters that would steer a terminal or hide others."""
    shown = "".join(letter if _is_shown(letter) else " " for letter in text)
    return " ".join(shown.split())


def _is_shown(letter: str) -> bool:
    """Whether a letter is more than control: what words are joined with is shown."""
    return unicodedata.category(letter) not in _CONTROL or letter in "\u200c\u200d"


_CONTROL = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
"""Control and format characters, surrogates, and numbers without a character."""


class HfaefError(Exception):
    """What is wrong and where, in one line, and what to do next.

    Args:
        message: what is wrong, naming the file, key or patch.
        hint: the next command to type, or what to change.
        delay: seconds that a server asks to wait before it is asked again, if it said so.
    """

    exit_code = 1
    hung_reads = 0
    """Reads that hang in threads of this process, which may keep it from ending by itself."""
    details: tuple[str, ...] = ()
    """Lines that show more than the message says, such as the difference of two texts."""

    def __init__(self, message: str, hint: str = "", *, delay: float | None = None) -> None:
        super().__init__(message)
        self.message = one_line(message)
        self.hint = one_line(hint)
        self.delay = delay

    def __str__(self) -> str:
        return f"{self.message}; {self.hint}" if self.hint else self.message


class InputError(HfaefError):
    """The command line, the recipe or the input is wrong."""

    exit_code = 2


class RecipeError(InputError):
    """A key of the recipe is unknown, missing, of the wrong type, or contradicts another."""


class CatalogError(InputError):
    """A patch, a label, a split list or a table cannot be used."""


class FolderError(InputError):
    """A folder holds something else, or cannot hold what should be written."""


class MissingPackageError(InputError, ImportError):
    """A package that what was asked for needs is not installed; an ImportError, too."""


class IncompleteError(HfaefError):
    """The work ended, but some patches are missing."""

    exit_code = 3


class ReleaseError(HfaefError):
    """A release is not what its manifest says."""


class HubError(HfaefError):
    """The Hub refuses, or does not answer."""


class SourceError(HfaefError):
    """A source did not give a patch."""


class Throttled(SourceError):
    """Over a quota."""


def retry_after(header: str | None) -> float | None:
    """Seconds that a Retry-After header asks to wait, for `HfaefError.delay`.

    It holds seconds or a date: https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3
    """
    if not header:
        return None
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    from email.utils import parsedate_to_datetime  # slow to import

    try:
        return max(0.0, (parsedate_to_datetime(header) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


class Transient(SourceError):
    """The same request may succeed later."""


class TooBig(SourceError):
    """The request is over a limit of the source; a part of it may pass."""


class BatchRefused(SourceError):
    """The source does not know how to read several patches at once."""


class CredentialsError(SourceError):
    """The source does not let us in; no other patch will fare better."""


class QuotaExhausted(SourceError):
    """A quota of a day or a month is used up; no waiting within a build mends that."""


class PermanentError(SourceError):
    """The source will never give this patch."""


class NoDataError(PermanentError):
    """The source has nothing at this place in this year."""


ON_REGISTRY = False
"""Whether ``pip install hfaef`` finds hfaef; until then it is installed from its repository."""


EXTRAS = {
    "sklearn": "eval",
    "matplotlib": "eval",
    "torch": "torch",
    "torchgeo": "torchgeo",
    "timm": "encoders",
    "onnxruntime": "encoders",
    "dask": "dask",
    "distributed": "dask",
    "openTSNE": "atlas",
}
"""Extras by the packages that they bring; `BUILD` brings the others."""

BUILD = "build"
"""The extra that all but loading a release needs."""


def command_line(*words: object) -> str:
    """A command as it is typed into a shell: words that hold spaces or the like are quoted."""
    return shlex.join(map(str, words))


def repository() -> str:
    """The address of hfaef's repository, without a slash at its end."""
    from importlib import metadata  # slow to import

    for entry in metadata.metadata("hfaef").get_all("Project-URL") or ():
        topic, _, url = entry.partition(", ")
        if topic == "Repository":
            return str(url).rstrip("/")
    raise LookupError("hfaef's metadata name no Repository")


def requirement(extra: str = "") -> str:
    """What to give an installer for hfaef, with one of its extras if any is named."""
    name = f"hfaef[{extra}]" if extra else "hfaef"
    return name if ON_REGISTRY else f"{name} @ git+{repository()}"


def checkout() -> str | None:
    """The folder of the checkout that runs, as `uv sync` installs it; None for an installed copy."""
    from importlib import metadata

    found = json.loads(metadata.distribution("hfaef").read_text("direct_url.json") or "{}")
    if not found.get("dir_info", {}).get("editable"):
        return None
    from urllib.request import url2pathname  # slow to import

    return url2pathname(urlsplit(found["url"]).path)


def install_command(extra: str) -> str:
    """The command that adds an extra to the hfaef that runs."""
    folder = checkout()
    if folder is None:
        return command_line("pip", "install", requirement(extra))
    # Inexact: what other extras brought stays.
    return command_line("uv", "sync", "--inexact", "--extra", extra, "--directory", folder)


def upgrade_command() -> str:
    """The command that brings the newest hfaef."""
    folder = checkout()
    if folder is None:
        return command_line("pip", "install", "-U", requirement())
    return command_line("git", "-C", folder, "pull")


def missing_package(what: str, error: ImportError, extra: str = "") -> MissingPackageError:
    """What to raise where an import fails: the package, and the command that installs it.

    Args:
        what: needs the package.
        error: of the import.
        extra: that brings all it needs; by default the one that brings the package.
    """
    package = (error.name or "").partition(".")[0]
    if not package or not isinstance(error, ModuleNotFoundError):
        # It is there, and broken: its own words say more than its name.
        return MissingPackageError(
            f"{what} needs {package or 'a package'}, which cannot be imported: {error}",
            "install it again",
        )
    return MissingPackageError(
        f"{what} needs {package}, which is not installed",
        install_command(extra or EXTRAS.get(package, BUILD)),
    )
