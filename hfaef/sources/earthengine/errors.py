"""What goes wrong with Earth Engine, sorted once into the kinds of `hfaef.errors`.

The clients raise: ``ee.EEException`` for an answer other than 200 (its status is in
``__context__.resp``), ``ConnectionError`` for a reset or truncated one, ``TimeoutError`` for
none, ``google.auth`` errors for credentials, ``ValueError`` for a body that is no answer.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING

from hfaef.errors import (
    CredentialsError,
    PermanentError,
    SourceError,
    Throttled,
    TooBig,
    Transient,
    retry_after,
)

if TYPE_CHECKING:
    from googleapiclient.errors import HttpError

SIGN_IN = "run `earthengine authenticate`, or set HFAEF_EE_TOKEN; `hfaef doctor` checks it"

_SERVER_FAULT = HTTPStatus.INTERNAL_SERVER_ERROR
_SECRETS = re.compile(
    r"ya29\.[\w.~+/-]+|(?<=Bearer )\S+|(?<=token=)[^\s&]+|1//[\w-]{10,}|AIza[\w-]{30,}"
    r"|eyJ[\w-]+\.[\w-]+\.?[\w-]*"
)
_TOO_BIG = re.compile(
    r"total request size|memory limit|must be less than or equal to|too many pixels|too large",
    re.IGNORECASE,
)
_QUOTA = re.compile(
    r"quota exceeded|too many concurrent|rate limit|resource_exhausted", re.IGNORECASE
)
_RETRY_INFO = re.compile(rb'"retryDelay":\s*"([0-9.]+)s"')
_REGISTER = re.compile(r"not registered|not signed up|has not been used in project", re.IGNORECASE)


def sort_failure(error: BaseException) -> SourceError:
    """The kind of an error that a client raised, with the server's words and no secret."""
    if isinstance(error, SourceError):
        return error
    kind: type[SourceError]
    refusal = refusal_of(error)
    words = scrub(str(error)) or type(error).__name__
    if refusal is not None:
        return _sort_answer(refusal, words)
    if _module(error).startswith("google.auth"):
        return _sort_credentials(error, words)
    if isinstance(error, TimeoutError):
        kind, words = Transient, "did not answer in time"
    elif isinstance(error, OSError):
        kind, words = Transient, f"broke the connection: {cause_of(error)}"
    # A page in place of an answer shows as whichever of these its reader meets first.
    elif isinstance(error, ValueError | TypeError | LookupError | EOFError):
        kind, words = Transient, f"gave no pixels: {words[:200]}"
    else:
        kind, words = PermanentError, f"failed: {words[:300]}"
    return kind(f"Earth Engine {words}")


def scrub(text: str) -> str:
    """A text in one line, without anything that looks like a secret."""
    return " ".join(_SECRETS.sub("[hidden]", text).split())


def _sort_credentials(error: BaseException, words: str) -> SourceError:
    if getattr(error, "retryable", False) or type(error).__name__ == "TransportError":
        return Transient(f"the server of access tokens does not answer: {cause_of(error)}")
    return CredentialsError(f"the credentials are not accepted: {words[:200]}", SIGN_IN)


def _sort_answer(refusal: HttpError, words: str) -> SourceError:
    status = int(refusal.resp.status)
    said = f"Earth Engine said {status}: {words[:300]}"
    if status == HTTPStatus.TOO_MANY_REQUESTS or (status < _SERVER_FAULT and _QUOTA.search(words)):
        return Throttled(said, delay=_delay(refusal))
    if status == HTTPStatus.UNAUTHORIZED:
        return CredentialsError(said, SIGN_IN)
    if status == HTTPStatus.FORBIDDEN:
        return CredentialsError(said, _hint_403(words))
    if status >= _SERVER_FAULT or status == HTTPStatus.REQUEST_TIMEOUT:
        return Transient(said)
    if _TOO_BIG.search(words):
        return TooBig(said)
    return PermanentError(said)


def _hint_403(words: str) -> str:
    if _REGISTER.search(words):
        link = re.search(r"https://\S*(?:register|apis?)\S*[^\s.,)]", words)
        place = link[0] if link else "https://code.earthengine.google.com/register"
        return f"register the project at {place}, or set another `source.project`"
    return "set a `source.project` that the account may use; `hfaef doctor` shows which is in use"


def refusal_of(error: BaseException) -> HttpError | None:
    """The ``googleapiclient.errors.HttpError`` behind an error, if there is one."""
    seen: BaseException | None = error
    while seen is not None:
        if hasattr(seen, "resp") and hasattr(seen, "content"):
            return seen
        # ee raises its own error while it handles the one that knows the answer.
        seen = seen.__context__ if _module(error).startswith("ee.") else None
    return None


def _delay(refusal: HttpError) -> float | None:
    """Seconds that the server asks to wait, as a header or in Google's error details.

    https://cloud.google.com/apis/design/errors#retry_info
    """
    header = refusal.resp.get("retry-after")
    if not header and (found := _RETRY_INFO.search(refusal.content)):
        return float(found[1])
    return retry_after(header)


def cause_of(error: BaseException) -> str:
    """The innermost reason of a broken connection, in a few words."""
    text = str(error)
    if isinstance(error, TimeoutError):
        return "no answer in time"
    for sign, reason in (
        ("Connection refused", "connection refused"),
        ("Name or service not known", "no such host"),
        ("Failed to resolve", "no such host"),
        ("timed out", "no answer in time"),
        ("Connection reset", "reset by the server"),
        ("IncompleteRead", "the answer was cut off"),
        ("RemoteDisconnected", "closed by the server"),
        ("certificate", "the certificate is not trusted"),
    ):
        if sign.lower() in text.lower():
            return reason
    return scrub(text)[:120] or type(error).__name__


def _module(error: BaseException) -> str:
    return type(error).__module__ or ""
