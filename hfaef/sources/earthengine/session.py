"""One connection to Earth Engine for all threads, under its quotas, without retries of its own."""

from __future__ import annotations

import logging
import os
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from importlib.metadata import version
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from hfaef.core.net.endpoints import EARTH_ENGINE, host_of, require_trusted, same_origin
from hfaef.core.net.proxies import proxy_for
from hfaef.core.net.text import clean_text
from hfaef.errors import CredentialsError, RecipeError, SourceError, Throttled, Transient
from hfaef.recipe.model import FIRST_YEAR
from hfaef.recipe.model import EarthEngine as Section
from hfaef.sources.earthengine.credentials import Credentials, Tokens, find_credentials
from hfaef.sources.earthengine.errors import classify_error, http_error_of, reason_of
from hfaef.sources.earthengine.expression import years_of
from hfaef.sources.earthengine.quota import RequestQuota

_LOG = logging.getLogger(__name__)

CONNECT_TIMEOUT = 20.0
"""Seconds to reach the endpoint."""

READ_TIMEOUT = 300.0
"""Seconds without a byte; the server gives an interactive request five minutes:
https://developers.google.com/earth-engine/guides/computation_overview"""

if TYPE_CHECKING:
    from httplib2 import Response

_ZONE = re.compile(r"\d{1,2}[NS]")


class Transport:
    """Sends the requests of the Earth Engine client, with `httplib2`'s interface.

    All requests of all threads pass here, those of Xee too, so the limit is kept and the token
    added here.

    Args:
        url: the endpoint.
        tokens: for the ``Authorization`` header; they go to the endpoint alone.
        limit: entered by each request.
        connections: kept open at once.
        timeout: seconds to connect, and without a byte.
    """

    def __init__(
        self,
        url: str,
        tokens: Tokens,
        limit: RequestQuota,
        connections: int,
        timeout: tuple[float, float],
    ) -> None:
        import requests
        from requests.adapters import HTTPAdapter

        self._url = url
        self._tokens = tokens
        self._limit = limit
        self._timeout = timeout
        self._session = requests.Session()
        # The environment is read once, not with each request; its .netrc would replace the token.
        self._session.trust_env = False
        if proxy := proxy_for(url):
            self._session.proxies.update({"http": proxy, "https": proxy})
        self._session.verify = (
            os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True
        )
        adapter = HTTPAdapter(pool_connections=4, pool_maxsize=connections, max_retries=0)
        for scheme in ("https://", "http://"):
            self._session.mount(scheme, adapter)

    def request(
        self,
        uri: str,
        method: str = "GET",
        body: str | bytes | None = None,
        headers: dict[str, str] | None = None,
        redirections: int | None = None,  # noqa: ARG002
        connection_type: object = None,  # noqa: ARG002
    ) -> tuple[Response, bytes]:
        """Status and headers, and the body.

        Raises:
            ConnectionError: if the connection cannot be made, breaks, or ends too early.
            TimeoutError: if nothing comes for too long.
            CredentialsError: if there is no token, or the request is for another server.
        """
        # The client takes addresses from what the server describes itself with.
        if not same_origin(uri, self._url):
            raise CredentialsError(
                f"{self._url} sends us to {host_of(uri)}, which credentials do not follow to",
                "check `source.url`",
            )
        token = self._tokens.current()
        response, content = self._send(uri, method, body, headers, token)
        if response.status == HTTPStatus.UNAUTHORIZED:
            # A token may end before its time: one more try, with another.
            token = self._tokens.renewed(stale=token)
            response, content = self._send(uri, method, body, headers, token)
        return response, content

    def close(self) -> None:
        """Close all connections; requests that wait for their turn fail at once."""
        self._limit.close()
        self._session.close()

    def _send(
        self,
        uri: str,
        method: str,
        body: str | bytes | None,
        headers: dict[str, str] | None,
        token: str,
    ) -> tuple[Response, bytes]:
        import httplib2
        import urllib3
        from requests import exceptions

        sent = {**(headers or {}), "authorization": f"Bearer {token}"}
        try:
            with (
                self._limit,
                self._session.request(
                    method,
                    uri,
                    data=body,
                    headers=sent,
                    timeout=self._timeout,
                    allow_redirects=False,
                    stream=True,
                ) as response,
            ):
                # In one piece; `response.content` would join it of pieces of 10 KiB.
                content = response.raw.read(decode_content=True)
                status = {**response.headers, "status": str(response.status_code)}
        except (exceptions.Timeout, urllib3.exceptions.TimeoutError) as error:
            raise TimeoutError(str(error)) from error
        except (exceptions.RequestException, urllib3.exceptions.HTTPError) as error:
            raise ConnectionError(str(error)) from error
        path = urlsplit(uri).path
        _LOG.debug("%s %s: %s, %s bytes", method, path, response.status_code, len(content))
        return httplib2.Response(status), content


@dataclass(frozen=True)
class Year:
    """Versions of a year in the collection."""

    dataset_version: str
    model_version: str


@dataclass(frozen=True)
class Session:
    """An initialized client of Earth Engine, and the years of the collection."""

    transport: Transport
    years: dict[int, Year]
    """The years that the collection has images of."""

    def close(self) -> None:
        """Close the connections and forget the client's state."""
        import ee

        ee.Reset()
        self.transport.close()


def connect(
    section: Section, *, limit: RequestQuota | None = None, timeout: float = READ_TIMEOUT
) -> Session:
    """Connect to Earth Engine and read the collection's years, with four requests.

    Args:
        section: the recipe's.
        limit: of requests at once and a minute; the section's by default.
        timeout: seconds without a byte after which a request fails.

    Raises:
        RecipeError: without a project, or if the collection cannot be read.
        CredentialsError: if there are none, neither they nor the project are accepted, or they
            may not be sent to the endpoint.
        SourceError: if the endpoint does not answer as Earth Engine does.
    """
    require_trusted(section.url, EARTH_ENGINE, "credentials for Earth Engine")
    credentials = find_credentials()
    project = section.project or credentials.project
    if not project:
        raise RecipeError(
            "source.project: no project for Earth Engine",
            "add `project = ...` to [source], or `--set source.project=ID`; projects are listed "
            "at https://console.cloud.google.com/earth-engine",
        )
    transport = Transport(
        section.url,
        Tokens(credentials),
        limit or RequestQuota(section.max_requests, section.requests_per_minute),
        section.max_requests,
        (min(CONNECT_TIMEOUT, timeout), timeout),
    )
    try:
        _initialize(section, project, transport)
        years = _read_years(section, credentials)
    except BaseException:
        Session(transport, {}).close()
        raise
    return Session(transport, years)


def _initialize(section: Section, project: str, transport: Transport) -> None:
    import ee

    ee.Reset()
    # The fetch engine owns retries; two owners would multiply them.
    ee.data.setMaxRetries(0)
    ee.data.setUserAgent(f"hfaef/{version('hfaef')}")
    try:
        # Without credentials the client adds no header of its own: the transport does.
        ee.Initialize(credentials=None, url=section.url, project=project, http_transport=transport)
    except Exception as error:
        raise _start_failure(error, section.url) from error
    ee.data.setDefaultWorkloadTag(section.workload_tag)
    ee.data.resetWorkloadTag()


def _start_failure(error: Exception, url: str) -> SourceError:
    """What is wrong with the endpoint or the credentials, and what to do about it."""
    classified = classify_error(error)
    if classified.hint:
        return classified
    hint = "check `source.url` and the network; `hfaef doctor` tries it again"
    if isinstance(error, OSError):
        return SourceError(f"{url} does not answer: {reason_of(error)}", hint)
    if http_error_of(error) is None:
        return SourceError(f"{url} does not answer as Earth Engine does", hint)
    if isinstance(classified, (Throttled, Transient)):
        classified.hint = "try again in a while"
        return classified
    return SourceError(f"{url}: {classified.message}", hint)


def _read_years(section: Section, credentials: Credentials) -> dict[int, Year]:
    """The collection's years, with one request."""
    wanted = range(FIRST_YEAR, datetime.now(UTC).year + 1)
    try:
        found = years_of(section.collection, wanted).getInfo()
    except Exception as error:
        if "not found" in str(error):
            raise RecipeError(
                f"source.collection: {section.collection} does not exist, or the "
                f"{credentials.kind} credentials may not read it",
                "leave the key out for AEF's own collection",
            ) from error
        raise _start_failure(error, section.url) from error
    years = {}
    for year, (count, zones, datasets, models) in found.items():
        if count:
            if not zones or not _ZONE.fullmatch(str(zones[0])):
                raise RecipeError(
                    f"source.collection: {section.collection} has no UTM_ZONE such as 32N on its "
                    "images",
                    "leave the key out for AEF's own collection",
                )
            years[int(year)] = Year(_text(datasets), _text(models))
    if not years:
        raise RecipeError(
            f"source.collection: {section.collection} has no image of any year since {FIRST_YEAR}",
            "leave the key out for AEF's own collection",
        )
    return dict(sorted(years.items()))


def _text(values: list[object]) -> str:
    return clean_text(values[0]) if values else ""
