"""The errors that hfaef raises on purpose; each carries the next command to type.

HfaefError                exit 1   anything below
|-- InputError            exit 2   the command line, the recipe or the input is wrong
|   |-- RecipeError                a key of the recipe
|   |-- CatalogError               a patch, a label, a split list or a table
|   `-- FolderError                a folder that holds something else, or cannot hold more
|-- IncompleteError       exit 3   finished, but some patches are missing
|-- ReleaseError          exit 1   a release is not what its manifest says
|-- HubError              exit 1   the Hub refuses, or does not answer
`-- SourceError           exit 1   a source did not give a patch
    |-- Throttled                  over a quota: wait, then ask again
    |-- Transient                  5xx, reset, truncated, timed out: ask again
    |-- TooBig                     more than one request may hold: split, then ask again
    |-- CredentialsError           nobody may read: stop the whole build
    `-- PermanentError             this patch never: write it down, go on with the others
"""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


class HfaefError(Exception):
    """What is wrong and where, in one line, and what to do next.

    Args:
        message: what is wrong, naming the file, key or patch.
        hint: the next command to type, or what to change.
    """

    exit_code = 1
    hung_reads = 0
    """Reads that hang in threads of this process, which may keep it from ending by itself."""
    details: tuple[str, ...] = ()
    """Lines that show more than the message says, such as the difference of two texts."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = " ".join(message.split())
        self.hint = " ".join(hint.split())

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
    """Over a quota.

    Args:
        message: what the source said.
        delay: seconds the source asks to wait, if it said so.
    """

    def __init__(self, message: str, hint: str = "", *, delay: float | None = None) -> None:
        super().__init__(message, hint)
        self.delay = delay


def retry_after(header: str | None) -> float | None:
    """Seconds that a Retry-After header asks to wait, for `Throttled.delay`.

    It holds seconds or a date: https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3
    """
    if not header:
        return None
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    try:
        return max(0.0, (parsedate_to_datetime(header) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


class Transient(SourceError):
    """The same request may succeed later."""


class TooBig(SourceError):
    """The request is over a limit of the source; a part of it may pass."""


class CredentialsError(SourceError):
    """The source does not let us in; no other patch will fare better."""


class PermanentError(SourceError):
    """The source will never give this patch."""
