"""Files of a web server or a public bucket: whole, or parts of them, over pooled connections.

The only module that talks to a host of tiles. It asks no host but the root's own and those that are
declared, retries nothing (`build.fetch` does), and raises errors by what is to be done about them.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import quote, urljoin, urlsplit

import urllib3
from urllib3.exceptions import HTTPError

from hfaef.core.net.proxies import proxy_for
from hfaef.core.net.text import LONGEST, clean_text
from hfaef.errors import (
    CredentialsError,
    HfaefError,
    InputError,
    PermanentError,
    Throttled,
    Transient,
    one_line,
    retry_after,
)

_LOG = logging.getLogger(__name__)

CONNECTIONS = 64
"""Requests under way at once. S3 takes 5,500 a second for each prefix:
https://docs.aws.amazon.com/AmazonS3/latest/userguide/optimizing-performance.html"""

_REGIONS = {"us-west-2.opendata.source.coop": "us-west-2"}
"""Of buckets that are known to be elsewhere than us-east-1."""

_MIRRORS = {
    "data.source.coop": frozenset({"s3.us-west-2.amazonaws.com"}),
    "s3.us-west-2.amazonaws.com": frozenset({"data.source.coop"}),
}
"""Hosts of the same files, by the host that may redirect to them."""

_CONNECT_SECONDS = 10.0
_SILENT_SECONDS = 60.0
_MOST_REDIRECTS = 3
_SMALL_BYTES = 1 << 16
_REGION = re.compile(r"[a-z0-9-]{1,40}")
_CODE = re.compile(rb"<Code>(\w{1,60})</Code>")
"""Of an error of S3, and of Google's store, which uses the same codes:
https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html"""

_CLIENT = re.compile(r"^(<[^>]* object at 0x\w+>|HTTPS?Connection(Pool)?\([^)]*\)): ")
"""Begin of what urllib3 says of a connection."""
_LONGEST_REASON = 400
"""Characters of what went wrong with one."""
_AGAIN = "run the same command again"

_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})")


class VersionChanged(Exception):
    """A file is another version than the one that was read before."""


@dataclass(frozen=True)
class ObjectMeta:
    """Version and size of a file, from the headers of a response."""

    version: str
    """ETag, else Last-Modified; empty if the server sends neither."""
    size: int
    """Bytes of the whole file; -1 if the server does not say."""


class Body(Protocol):
    """The body of a response, read as it arrives."""

    def read_exactly(self, count: int) -> bytes:
        """The next bytes, exactly so many.

        Raises:
            Transient: if fewer come.
        """


def address_of(root: str) -> str:
    """The http(s) address of a root.

    Args:
        root: ``s3://BUCKET/PREFIX``, ``gs://BUCKET/PREFIX`` or ``http(s)://HOST/PREFIX``.

    Raises:
        InputError: if it is none of them, or holds a password.
    """
    parts = urlsplit(root)
    if parts.username or parts.password or parts.query or parts.fragment or not parts.netloc:
        raise InputError(
            f"`source.root` {parts.scheme}://{parts.hostname} is not a plain address",
            "leave user, password and what follows `?` out",
        )
    path = quote(parts.path.strip("/"))
    if parts.scheme in ("http", "https"):
        return f"{parts.scheme}://{parts.netloc}/{path}".rstrip("/")
    if parts.scheme == "s3":
        # The path style: names of buckets with dots do not go with certificates for subdomains.
        named = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
        region = _REGIONS.get(parts.netloc) or named or "us-east-1"
        endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
        host = endpoint or f"https://s3.{region}.amazonaws.com"
    elif parts.scheme == "gs":
        host = os.environ.get("STORAGE_EMULATOR_HOST") or "https://storage.googleapis.com"
    else:
        raise InputError(f"`source.root` {root} is no folder, s3://, gs:// or https:// address")
    return f"{host.rstrip('/')}/{parts.netloc}/{path}".rstrip("/")


class Remote:
    """Files below one address; used from many threads.

    Args:
        base: the address, http or https.
        hosts: other hosts that it may redirect to.
        connections: kept open.
    """

    def __init__(
        self, base: str, hosts: Iterable[str] = (), connections: int = CONNECTIONS
    ) -> None:
        self.base = base
        parts = urlsplit(base)
        self._host = parts.hostname or ""
        self._hosts = {self._host, *hosts} | _MIRRORS.get(self._host, frozenset())
        self._pool = _pool(base, connections)
        self._lock = threading.Lock()
        self._read_any = False
        """Whether some file could be read, so that a refusal concerns a single file."""
        self._read_range = False
        """Whether some range of a file could be read."""
        self.requests = 0
        self.received = 0
        """Bytes of bodies."""

    def close(self) -> None:
        """Close all connections."""
        self._pool.clear()

    def read_range(self, path: str, start: int, count: int) -> tuple[bytes, ObjectMeta]:
        """Bytes of a file, fewer if it ends before, and its version and size.

        Raises:
            SourceError: of the kind that says what to do about it.
        """
        with self._request(path, {"Range": f"bytes={start}-{start + count - 1}"}) as response:
            meta, first, last = self._partial(response, path)
            if first != start or not start <= last <= start + count - 1:
                raise Transient(f"{path}: other bytes came than were asked for")
            return _Body(self, response, self._whole(path)).read_exactly(last - first + 1), meta

    @contextmanager
    def stream_range(
        self, path: str, start: int, count: int, expected: ObjectMeta
    ) -> Iterator[Body]:
        """Bytes of a file that was read before, as they arrive.

        Raises:
            VersionChanged: if the file is another version by now.
            SourceError: of the kind that says what to do about it.
        """
        headers = {"Range": f"bytes={start}-{start + count - 1}"}
        # If-Match never holds for a weak tag: RFC 9110, section 13.1.1.
        if expected.version.startswith('"'):
            headers["If-Match"] = expected.version
        with self._request(path, headers) as response:
            meta, first, last = self._partial(response, path)
            if meta != expected:
                raise VersionChanged
            if (first, last) != (start, start + count - 1):
                raise Transient(f"{path}: other bytes came than were asked for")
            yield _Body(self, response, self._whole(path))

    @contextmanager
    def stream_file(self, path: str, known: str = "") -> Iterator[tuple[Body, ObjectMeta] | None]:
        """A whole file as it arrives; None if it is the version that is known.

        Raises:
            SourceError: of the kind that says what to do about it.
        """
        with self._request(path, {"If-None-Match": known} if known else {}) as response:
            if response.status == 304:
                yield None
            elif response.status != 200:
                raise PermanentError(f"{path}: {self._host} answered {response.status}")
            else:
                length = response.headers.get("Content-Length", "")
                size = int(length) if length.isdecimal() else -1
                self._read_any = True
                yield _Body(self, response, self._whole(path)), ObjectMeta(_version(response), size)

    def add_received(self, received: int) -> None:
        """Count bytes of a body."""
        with self._lock:
            self.received += received

    @contextmanager
    def _request(self, path: str, headers: dict[str, str]) -> Iterator[urllib3.BaseHTTPResponse]:
        """A response whose status is no failure, after redirects."""
        address = self._whole(path)
        try:
            response = self._get(address, headers)
            for _ in range(_MOST_REDIRECTS):
                elsewhere = response.status in (301, 302, 303, 307, 308)
                if not elsewhere or "Location" not in response.headers:
                    break
                address = self._redirect(response, address, path)
                response = self._get(address, headers)
        except (HTTPError, OSError) as error:
            if "CERTIFICATE_VERIFY_FAILED" in str(error):
                raise InputError(
                    f"the certificate of {urlsplit(address).hostname} is not trusted",
                    "if it is your own network's, name the file with it in SSL_CERT_FILE",
                ) from error
            raise _broken(address, _reason(error)) from error
        try:
            self._require(response, path)
            yield response
        finally:
            _release(response)

    def _whole(self, path: str) -> str:
        """The address of a file."""
        return f"{self.base}/{path}"

    def _get(self, address: str, headers: dict[str, str]) -> urllib3.BaseHTTPResponse:
        with self._lock:
            self.requests += 1
        _LOG.debug("GET %s %s", _without_secrets(address), headers.get("Range", "whole"))
        return self._pool.request(
            "GET",
            address,
            headers={"Accept-Encoding": "identity", "User-Agent": "hfaef", **headers},
            redirect=False,
            retries=False,
            preload_content=False,
            decode_content=False,
            timeout=urllib3.Timeout(connect=_CONNECT_SECONDS, read=_SILENT_SECONDS),
        )

    def _redirect(self, response: urllib3.BaseHTTPResponse, address: str, path: str) -> str:
        _release(response)
        target = urljoin(address, response.headers["Location"])
        parts, before = urlsplit(target), urlsplit(address)
        if (before.scheme, parts.scheme) == ("https", "http"):
            raise PermanentError(f"{path}: {before.hostname} sends us from https to plain http")
        if parts.hostname not in self._hosts:
            elsewhere = clean_text(parts.hostname or "")
            raise PermanentError(
                f"{path}: {before.hostname} sends us to {parts.scheme}://{elsewhere}, which is "
                "not declared",
                "name that host in `source.hosts` if you trust it",
            )
        return target

    def _require(self, response: urllib3.BaseHTTPResponse, path: str) -> None:
        """Raise unless the status says that there is a file."""
        if response.status == 412:
            raise VersionChanged
        if response.status not in (200, 206, 304):
            raise self._failure(response.status, response, path)

    def _failure(self, status: int, response: urllib3.BaseHTTPResponse, path: str) -> HfaefError:
        region = response.headers.get("x-amz-bucket-region", "")
        if status in (301, 307, 400) and _REGION.fullmatch(region):
            raise InputError(
                f"the bucket is in the region {region}, which {self._host} does not serve",
                f"run the same command with AWS_REGION={region}",
            )
        code = f"{status}{_code(response)}"
        message = f"{path}: {self._host} answered {code}"
        busy = f"{_without_secrets(self._whole(path))} answered {code}"
        if status in (429, 503):
            delay = retry_after(response.headers.get("Retry-After"))
            return Throttled(busy, _AGAIN, delay=delay)
        if status >= 500 or status == 408:
            return Transient(busy, _AGAIN)
        if status == 401 or (status == 403 and not self._read_any):
            return CredentialsError(message, "choose a `source.root` that is public")
        if status in (403, 404, 410):
            # S3 answers 403 for a file that is not there, to those who may not list.
            return PermanentError(f"{path} is not there ({self._host} answered {code})")
        return PermanentError(message)

    def _partial(
        self, response: urllib3.BaseHTTPResponse, path: str
    ) -> tuple[ObjectMeta, int, int]:
        """Version and size of the file that a range is of, its first and its last byte."""
        if response.status != 206:
            if self._read_range:
                raise Transient(f"{path}: the whole file came instead of a part")
            raise InputError(
                f"{self._host} gives whole files only, not the parts that a patch needs",
                "name a server with byte ranges in `source.root`, or a folder with its tiles",
            )
        self._read_any = self._read_range = True
        found = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if not found:
            raise Transient(f"{path}: the answer does not say which part it is")
        first, last, size = (int(number) for number in found.groups())
        return ObjectMeta(_version(response), size), first, last


class _Body:
    """The `Body` of one response, whose bytes are counted."""

    def __init__(self, remote: Remote, response: urllib3.BaseHTTPResponse, address: str) -> None:
        self._remote = remote
        self._response = response
        self._address = address

    def read_exactly(self, count: int) -> bytes:
        try:
            content = self._response.read(count)
            while len(content) < count:
                more = self._response.read(count - len(content))
                if not more:
                    raise _broken(self._address, f"{count - len(content)} bytes are missing")
                content += more
        except (HTTPError, OSError) as error:
            raise _broken(self._address, _reason(error)) from error
        self._remote.add_received(len(content))
        return content


def _release(response: urllib3.BaseHTTPResponse) -> None:
    """Return a connection to the pool, or close it if many bytes are still to come."""
    if response.length_remaining is not None and response.length_remaining <= _SMALL_BYTES:
        response.drain_conn()
    else:
        response.close()
    response.release_conn()


def _pool(base: str, connections: int) -> urllib3.PoolManager:
    proxy = proxy_for(base)
    if proxy:
        return urllib3.ProxyManager(proxy, maxsize=connections, block=True)
    return urllib3.PoolManager(maxsize=connections, block=True)


def _code(response: urllib3.BaseHTTPResponse) -> str:
    """A blank and the error code of an object store, if the response has one."""
    try:
        found = _CODE.search(response.read(_SMALL_BYTES))
    except (HTTPError, OSError):
        return ""
    return f" {found[1].decode()}" if found else ""


def _version(response: urllib3.BaseHTTPResponse) -> str:
    """ETag or date, as it may be written; a tag that is not as it came is a weak one."""
    sent = response.headers.get("ETag") or response.headers.get("Last-Modified") or ""
    version = clean_text(sent)
    if len(sent) > LONGEST:
        digest = hashlib.sha256(sent.encode("utf-8", "surrogateescape")).hexdigest()
        version = f"{clean_text(sent, LONGEST // 2)}{digest[:32]}"
    return version if version == sent or not version.startswith('"') else f"W/{version}"


def _without_secrets(address: str) -> str:
    """An address without user, password and query, which may be a signature."""
    parts = urlsplit(address)
    return clean_text(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}", 1000)


def _broken(address: str, words: str) -> Transient:
    """The error of a connection that gives no whole answer."""
    proxy = f"{urlsplit(address).scheme.upper()}_PROXY"
    return Transient(
        f"the connection to {_without_secrets(address)} broke: {words}",
        f"{_AGAIN}; see that the network, and {proxy} if you need one, let it through",
    )


def _reason(error: BaseException) -> str:
    """What went wrong with a connection, without the objects of the client that failed."""
    name = type(error).__name__.removesuffix("Error")
    text = _CLIENT.sub("", one_line(str(error)))
    return f"{name}: {clean_text(text, _LONGEST_REASON)}"
