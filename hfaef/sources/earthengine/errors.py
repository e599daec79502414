"""Errors of Earth Engine's clients, classified once into the kinds of `hfaef.errors`.

The clients raise: ``ee.EEException`` for a status other than 200 (it is in
``__context__.resp``), ``ConnectionError`` for a reset or truncated response, ``TimeoutError`` for
none, ``google.auth`` errors for credentials, ``ValueError`` for a body that holds no pixels.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING

from hfaef.errors import (
    CredentialsError,
    PermanentError,
    QuotaExhausted,
    SourceError,
    Throttled,
    TooBig,
    Transient,
    one_line,
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
_LONG_QUOTA = re.compile(r"per[ _]?(?:month|day)|monthly|daily|\b1/(?:mo|d)\b", re.IGNORECASE)
"""Of quotas that no waiting within a build mends, such as "EECU-seconds per month":
https://developers.google.com/earth-engine/guides/usage"""
_RETRY_INFO = re.compile(rb'"retryDelay":\s*"([0-9.]+)s"')
_LIMIT = re.compile(rb'"quota_(?:limit|unit|metric)":\s*"([^"]{1,200})"')
_REGISTER = re.compile(r"not registered|not signed up|has not been used in project", re.IGNORECASE)


def classify_error(error: BaseException) -> SourceError:
    """A client's error as one of `hfaef.errors`, with the server's message and no secret."""
    if isinstance(error, SourceError):
        return error
    message = scrub(str(error)) or type(error).__name__
    response = http_error_of(error)
    if response is not None:
        return _classify_response(response, message)
    if _module(error).startswith("google.auth"):
        return _classify_credentials(error, message)
    if isinstance(error, OSError):
        broken = f"broke the connection: {reason_of(error)}"
        late = isinstance(error, TimeoutError)
        return Transient(f"Earth Engine {'did not answer in time' if late else broken}")
    # A page in place of pixels shows as whichever of these its parser meets first.
    if isinstance(error, ValueError | TypeError | LookupError | EOFError):
        return Transient(f"Earth Engine gave no pixels: {message[:200]}")
    return PermanentError(f"Earth Engine failed: {message[:300]}")


def scrub(text: str) -> str:
    """A text in one line, without anything that looks like a secret."""
    return one_line(_SECRETS.sub("[hidden]", text))


def _classify_credentials(error: BaseException, message: str) -> SourceError:
    if getattr(error, "retryable", False) or type(error).__name__ == "TransportError":
        return Transient(f"the server of access tokens does not answer: {reason_of(error)}")
    return CredentialsError(f"the credentials are not accepted: {message[:200]}", SIGN_IN)


def _classify_response(error: HttpError, message: str) -> SourceError:
    status = int(error.resp.status)
    text = f"Earth Engine answered {status}: {message[:300]}"
    over_quota = status < _SERVER_FAULT and _QUOTA.search(message)
    if status == HTTPStatus.TOO_MANY_REQUESTS or over_quota:
        lasts = _LONG_QUOTA.search(f"{message} {_limits(error)}")
        return QuotaExhausted(text, _LATER) if lasts else Throttled(text, delay=_delay(error))
    if status == HTTPStatus.UNAUTHORIZED:
        return CredentialsError(text, SIGN_IN)
    if status == HTTPStatus.FORBIDDEN:
        return CredentialsError(text, _hint_403(message))
    if status >= _SERVER_FAULT or status == HTTPStatus.REQUEST_TIMEOUT:
        return Transient(text)
    if _TOO_BIG.search(message):
        return TooBig(text)
    return PermanentError(text)


_LATER = (
    "it is renewed with the next month, or day; run again then (what is staged is kept), set "
    "another `source.project`, ask for more at https://console.cloud.google.com/iam-admin/quotas, "
    "or read the public files: `--set source.kind=cog`"
)


def _limits(error: HttpError) -> str:
    """Names and units of limits in Google's error details.

    https://cloud.google.com/apis/design/errors#error_details
    """
    found = _LIMIT.findall(bytes(error.content))
    return " ".join(name.decode("ascii", "replace") for name in found)


def _hint_403(message: str) -> str:
    if _REGISTER.search(message):
        link = re.search(r"https://\S*(?:register|apis?)\S*[^\s.,)]", message)
        page = link[0] if link else "https://code.earthengine.google.com/register"
        return f"register the project at {page}, or set another `source.project`"
    return "set a `source.project` that the account may use; `hfaef doctor` shows which is in use"


def http_error_of(error: BaseException) -> HttpError | None:
    """The ``googleapiclient.errors.HttpError`` behind an error, if there is one."""
    cause: BaseException | None = error
    while cause is not None:
        if hasattr(cause, "resp") and hasattr(cause, "content"):
            return cause
        # ee raises its own error while it handles the one that knows the response.
        cause = cause.__context__ if _module(cause).startswith("ee.") else None
    return None


def _delay(error: HttpError) -> float | None:
    """Seconds that the server asks to wait, in a header or in Google's error details.

    https://cloud.google.com/apis/design/errors#retry_info
    """
    header = error.resp.get("retry-after")
    if not header and (found := _RETRY_INFO.search(error.content)):
        return float(found[1])
    return retry_after(header)


def reason_of(error: BaseException) -> str:
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
