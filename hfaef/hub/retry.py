"""What the Hub refuses with, as errors in one line; which are asked about again, and how long."""

from __future__ import annotations

import itertools
import logging
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, TypeVar

from hfaef.core.net.repository import describe_failure
from hfaef.core.net.text import clean_text
from hfaef.errors import HubError, retry_after

if TYPE_CHECKING:
    from huggingface_hub.errors import HfHubHTTPError

Result = TypeVar("Result")

_LOG = logging.getLogger(__name__)

_AGAIN = "run the same command again, which keeps what was sent"
_TRANSIENT = frozenset({408, 409, 412, 429, 500, 502, 503, 504})
"""Statuses after which the same request may succeed; 409 and 412 are conflicts of writes."""

_STATUS = re.compile(r"\((?P<status>[1-5]\d\d)(?P<words>[\w -]{0,60})\)")
"""How the client of the storage (Xet) tells the status of an answer."""
_MOST_WORDS = 4000
"""Characters of an error that are looked at."""
_ADDRESS = re.compile(r"(?:, domain: )?\bhttps?://\S+")


class TransientHubError(HubError):
    """The same request may succeed later; of one that writes, it is not known whether it did."""


@dataclass(frozen=True)
class RetryPolicy:
    """How patient hfaef is with the Hub.

    Retried is what ends with a TransientHubError: a broken connection, the statuses 408, 429, 500,
    502, 503 and 504, and the conflicts 409 and 412. Reads are repeated as they are; a commit or a
    tag only after a look at the repository shows that it was not made. Uploads and pages of
    listings are left to huggingface_hub, which asks for each up to six times itself.

    Attempts are bounded because a person waits, and the next push goes on where one stopped: the
    last attempt starts 15.5 s after the first failure. The Hub's delays are bounded by the five
    minutes over which it counts requests, https://huggingface.co/docs/hub/rate-limits.
    """

    attempts: int = 6
    """Of one request, the first one too."""
    first_wait: float = 0.5
    """Seconds before the second attempt; they double with each further one."""
    longest_wait: float = 8.0
    """Seconds that a wait may grow to."""
    longest_delay: float = 300.0
    """Seconds that the Hub may ask to wait, which come before the wait above; if it asks for more,
    there is no further attempt."""
    sleep: Callable[[float], None] = time.sleep

    def call(self, request: Callable[[], Result], *, hint: str | None = None) -> Result:
        """What a request gives, tried again while it raises a TransientHubError.

        Args:
            request: that is safe to repeat when it raised one.
            hint: for the error after the last attempt; the request's own by default.

        Raises:
            HubError: of the last attempt; never a TransientHubError, so that retries do not nest.
        """
        for attempt in itertools.count(1):
            try:
                return request()
            except TransientHubError as error:
                delay = error.delay or 0.0
                if attempt >= self.attempts or delay > self.longest_delay:
                    raise HubError(error.message, hint or error.hint) from error
                wait = delay + min(self.first_wait * 2.0 ** (attempt - 1), self.longest_wait)
                _LOG.info("the Hub is asked again in %.1f s: %s", wait, error.message)
                self.sleep(wait)
        raise AssertionError("unreachable")

    def call_once(
        self, request: Callable[[], Result], find: Callable[[], Result | None], *, hint: str
    ) -> Result:
        """What a request that writes gives, repeated only where it is seen that it wrote nothing.

        Args:
            request: that may have written though it raised a TransientHubError.
            find: looks for what it wrote; None if it is not there.
            hint: for the error after the last attempt.

        Raises:
            HubError: of the last attempt, or of `find`.
        """

        def attempt() -> Result:
            try:
                return request()
            except TransientHubError:
                if (found := find()) is not None:
                    return found
                raise

        return self.call(attempt, hint=hint)


@contextmanager
def translate_hub_errors(repo_id: str) -> Iterator[None]:
    """Turn an error of huggingface_hub into one line without links and tokens.

    Raises:
        TransientHubError: if the same request may succeed later.
        HubError: if the Hub refuses, or is switched off.
    """
    from huggingface_hub import constants
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled
    from huggingface_hub.utils import httpx  # type: ignore[attr-defined]

    try:
        yield
    except OfflineModeIsEnabled as error:
        raise HubError(
            f"the Hub ({constants.ENDPOINT}) is switched off", "unset HF_HUB_OFFLINE"
        ) from error
    except ValueError as error:  # a card that is refused, or an answer that is no answer
        raise HubError(f"the Hub does not take it: {clean_text(error, 300)}", _AGAIN) from error
    except (HfHubHTTPError, httpx.TransportError, RuntimeError, OSError) as error:
        for found in (error, error.__cause__):  # huggingface_hub wraps what an upload ends with
            if isinstance(found, HfHubHTTPError):
                raise _translated(repo_id, found) from error
            if isinstance(found, httpx.TransportError):
                raise TransientHubError(
                    f"the connection to the Hub ({constants.ENDPOINT}) broke at {repo_id}: "
                    f"{describe_failure(found)}",
                    f"{_AGAIN}; see that the network, and HTTPS_PROXY if you need one, let it through",
                ) from error
        raise _untyped(repo_id, error) from error


def _untyped(repo_id: str, error: Exception) -> HubError:
    """The error behind one of Python's own: of the storage's client, or of a file here."""
    name = getattr(error, "filename", None)
    if isinstance(error, OSError) and name is not None:
        return HubError(
            f"cannot read or write {name}: {error.strerror}",
            "mend that, then run the same command again",
        )
    while error.__cause__ is not None and isinstance(error.__cause__, (OSError, RuntimeError)):
        error = error.__cause__
    words = clean_text(_ADDRESS.sub("", str(error)[:_MOST_WORDS])) or type(error).__name__
    found = _STATUS.search(words)
    if found is None:
        kind = TransientHubError if isinstance(error, (ConnectionError, TimeoutError)) else HubError
        return kind(f"{repo_id}: the Hub's storage failed ({words})", _AGAIN)
    status = int(found["status"])
    message = f"{repo_id}: the Hub's storage answers {status}{found['words']}"
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return HubError(
            message,
            f"see that your token may write to {repo_id} (hf auth login), then run the same "
            "command again",
        )
    return (TransientHubError if status in _TRANSIENT else HubError)(message, _AGAIN)


def _translated(repo_id: str, error: HfHubHTTPError) -> HubError:
    from huggingface_hub import constants
    from huggingface_hub.errors import (
        GatedRepoError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    answer = error.response
    reason = clean_text((error.server_message or "").split("\n")[0], 300)
    login = "hf auth login, or set HF_TOKEN"
    match error, answer.status_code:
        case RevisionNotFoundError(), _:
            message, hint = f"{repo_id} has no such version", "name one of those on its page"
        case GatedRepoError(), _:
            message, hint = f"{repo_id} is gated", "ask for access on its page, then run it again"
        case RepositoryNotFoundError(), _:
            message = f"on the Hub {repo_id} is not there, or your token may not see it"
            hint = login
        case _, HTTPStatus.UNAUTHORIZED:
            message, hint = "the Hub does not know your token", login
        case _, HTTPStatus.FORBIDDEN:
            message = f"your token may not write to {repo_id} ({reason})"
            settings = f"{constants.ENDPOINT}/settings/tokens"
            hint = f"make one that may at {settings}, then hf auth login"
        case _, status:
            message, hint = f"the Hub answers {status} ({reason})", _AGAIN
    if answer.status_code not in _TRANSIENT:
        return HubError(message, hint)
    delay = _delay(answer.headers)
    asks = f" and asks to wait {delay:,.0f} s" if delay else ""
    return TransientHubError(message + asks, hint, delay=delay)


def _delay(headers: Mapping[str, str]) -> float | None:
    """Seconds that the Hub asks to wait: until its rate limit is reset, or ``Retry-After``."""
    from huggingface_hub.utils import parse_ratelimit_headers  # type: ignore[attr-defined]

    limit = parse_ratelimit_headers(headers)
    if limit is not None and limit.remaining == 0:
        return limit.reset_in_seconds
    return retry_after(headers.get("Retry-After"))
