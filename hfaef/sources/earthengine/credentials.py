"""Credentials of Earth Engine, and one access token for all threads."""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hfaef.errors import CredentialsError, SourceError
from hfaef.sources.earthengine.errors import classify_error, scrub

if TYPE_CHECKING:
    from google.auth.credentials import Credentials as GoogleCredentials
    from google.auth.transport import Response

TOKEN_VARIABLE = "HFAEF_EE_TOKEN"  # noqa: S105 - the name of a variable
"""Holds an access token, used as it is."""

SCOPES = (
    "https://www.googleapis.com/auth/earthengine",
    "https://www.googleapis.com/auth/cloud-platform",
)
"""For service accounts, which have none of their own:
https://developers.google.com/earth-engine/guides/service_account"""

TIMEOUT = 30.0
"""Seconds to wait for the server of access tokens."""


@dataclass(frozen=True)
class Credentials:
    """Credentials that were found."""

    kind: str
    """``HFAEF_EE_TOKEN``, ``stored``, ``application default`` or ``service account``."""
    project: str | None
    """The project that they name, if they name one."""
    fix: str
    """What to type when they are not accepted."""
    google: GoogleCredentials | None = field(repr=False)
    """``google.auth`` credentials; None for a token used as it is."""
    token: str = field(default="", repr=False)
    """The token used as it is."""


def find_credentials(environment: Mapping[str, str] = os.environ) -> Credentials:
    """Where Earth Engine's own client looks, but `TOKEN_VARIABLE` first; nothing is sent.

    Raises:
        CredentialsError: if there are none, or a file of them cannot be read.
    """
    token = environment.get(TOKEN_VARIABLE, "").strip()
    if token:
        return Credentials(
            kind=TOKEN_VARIABLE,
            project=None,
            fix=f"export {TOKEN_VARIABLE}=$(gcloud auth print-access-token)",
            google=None,
            token=token,
        )
    return _stored() or _application_default()


def _stored() -> Credentials | None:
    """What ``earthengine authenticate`` left."""
    from ee import oauth
    from google.oauth2.credentials import Credentials as UserCredentials

    try:
        arguments = oauth.get_credentials_arguments()
    except OSError:
        return None
    except (ValueError, AttributeError) as error:
        raise CredentialsError(
            "Earth Engine's stored credentials cannot be read: the file is not JSON",
            "run `earthengine authenticate --force`",
        ) from error
    if not arguments.get("refresh_token"):
        return None
    # The project is sent as Earth Engine's own header, not as the credentials' quota project.
    project = arguments.pop("quota_project_id", None)
    return Credentials(
        kind="stored",
        project=project,
        fix="run `earthengine authenticate --force`",
        google=UserCredentials(None, **arguments),
    )


def _application_default() -> Credentials:
    import google.auth
    from google.auth import exceptions

    try:
        with warnings.catch_warnings():
            # It advises a command that sets another project than the one needed here.
            warnings.filterwarnings("ignore", ".*(No project ID|quota project).*")
            found, project = google.auth.default(scopes=SCOPES)
    except exceptions.DefaultCredentialsError as error:
        raise CredentialsError(
            f"no Earth Engine credentials: {scrub(str(error)).split('. ')[0][:200]}",
            f"run `earthengine authenticate`, or set {TOKEN_VARIABLE} to an access token",
        ) from error
    if hasattr(found, "service_account_email"):
        return Credentials(
            kind="service account",
            project=project,
            fix="make a new key of the service account and name it in "
            "GOOGLE_APPLICATION_CREDENTIALS",
            google=found,
        )
    return Credentials(
        kind="application default",
        project=getattr(found, "quota_project_id", None) or project,
        fix="run `gcloud auth application-default login`",
        google=found,
    )


class Tokens:
    """Access tokens; the thread that needs a new one first fetches it for all.

    Args:
        credentials: where they come from.
        refresh: gives the ``google.auth`` credentials a new token.
    """

    def __init__(
        self, credentials: Credentials, refresh: Callable[[GoogleCredentials], None] | None = None
    ) -> None:
        self._credentials = credentials
        self._refresh = refresh or _refresh
        self._lock = threading.Lock()
        self._refused: SourceError | None = None

    def current(self) -> str:
        """A token that is valid as far as is known.

        Raises:
            CredentialsError: if there is none; later calls raise it again without a request.
            Transient: if the server of tokens does not answer.
        """
        return self._get(stale=None)

    def renewed(self, stale: str) -> str:
        """Another token than one that was not accepted.

        Raises:
            CredentialsError: if there is no other.
            Transient: if the server of tokens does not answer.
        """
        return self._get(stale=stale)

    def _get(self, stale: str | None) -> str:
        google = self._credentials.google
        if google is None:
            if stale is not None:
                raise self._not_accepted(f"the token in {TOKEN_VARIABLE} is expired or not valid")
            return self._credentials.token
        with self._lock:
            if self._refused is not None:
                raise self._refused
            if google.valid and google.token != stale:
                return str(google.token)
            try:
                self._refresh(google)
            except Exception as error:  # noqa: BLE001 - classified, not swallowed
                classified = classify_error(error)
                if isinstance(classified, CredentialsError):
                    classified = self._refused = self._not_accepted(classified.message)
                raise classified from None
            return str(google.token)

    def _not_accepted(self, message: str) -> CredentialsError:
        return CredentialsError(message, self._credentials.fix)


def _refresh(google: GoogleCredentials) -> None:
    import requests
    from google.auth.transport.requests import Request

    with requests.Session() as session:
        request = Request(session)

        def timed(*arguments: object, **options: object) -> Response:
            return request(*arguments, **{**options, "timeout": TIMEOUT, "allow_redirects": False})

        google.refresh(timed)
