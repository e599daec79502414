"""Which hosts credentials may be sent to: those they are made for, this machine, and those that the
user names.

A recipe comes from anybody, so what it names is not trusted: a host is trusted on the command line
alone, with ``--trust-endpoint``, or in code with `trusting`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

from hfaef.errors import CredentialsError, InputError

EARTH_ENGINE = ("googleapis.com",)
"""Domains that Google's credentials are for."""

HUB = ("huggingface.co", "hf.co")
"""Domains that a token of the Hugging Face Hub is for."""

_HOST = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*\.?|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*")
_trusted: ContextVar[frozenset[str]] = ContextVar("trusted", default=frozenset())


@contextmanager
def trusting(hosts: Iterable[str]) -> Iterator[None]:
    """Let credentials go to these hosts, too, for a while.

    Args:
        hosts: ``HOST`` or ``HOST:PORT``; without a port, all of its ports.

    Raises:
        InputError: if one is no name of a host.
    """
    before = _trusted.get()
    _trusted.set(before | {_host_and_port(host) for host in hosts})
    try:
        yield
    finally:
        _trusted.set(before)


def trusted_hosts() -> frozenset[str]:
    """Hosts that the user named."""
    return _trusted.get()


def require_trusted(address: str, domains: Iterable[str], what: str) -> None:
    """Raise unless credentials may be sent to an address.

    Args:
        address: ``http(s)://HOST``.
        domains: that the credentials are for: trusted over https, with all below them.
        what: the credentials, for the message.

    Raises:
        CredentialsError: naming the host and the option.
    """
    parts, host = urlsplit(address), host_of(address)
    if is_loopback(host) or _is_named(parts, host):
        return
    for_it = any(host == domain or host.endswith(f".{domain}") for domain in domains)
    if for_it and parts.scheme == "https":
        return
    why = "over plain http, where all may read them" if for_it else "which they are not for"
    raise CredentialsError(
        f"{what} would go to {host or 'a host that is not clear'}, {why}",
        f"--trust-endpoint {host} sends them all the same" if host else "name another address",
    )


def host_of(address: str) -> str:
    """The host of an address, in lower case; empty if it is not clear which it is."""
    try:
        host = urlsplit(address).hostname or ""
    except ValueError:
        return ""
    # Clients differ in what they make of other characters, a backslash for one.
    return host.rstrip(".") if _HOST.fullmatch(host) else ""


def is_loopback(host: str) -> bool:
    """Whether a host is this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def same_origin(one: str, other: str) -> bool:
    """Whether two addresses are of one server: scheme, host and port are the same."""
    first, second = urlsplit(one), urlsplit(other)
    same_host = bool(host_of(one)) and host_of(one) == host_of(other)
    return same_host and first.scheme == second.scheme and _port(first) == _port(second)


def _is_named(parts: SplitResult, host: str) -> bool:
    shown = f"[{host}]" if ":" in host else host
    return bool(host) and not _trusted.get().isdisjoint({host, f"{shown}:{_port(parts)}"})


def _port(parts: SplitResult) -> int | None:
    try:
        return parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return None


def _host_and_port(text: str) -> str:
    """As it is kept; ``HOST``, or ``HOST:PORT`` with an IPv6 address in brackets."""
    try:
        bare = ip_address(text.strip("[]"))
    except ValueError:
        pass
    else:
        return str(bare)
    host, port = host_of(f"//{text}"), _port(urlsplit(f"//{text}")) if "/" not in text else None
    shown = f"[{host}]" if ":" in host else host
    whole = f"{shown}:{port}" if port else shown
    if not host or whole != text.lower().rstrip("."):
        raise InputError(
            f"--trust-endpoint {text.rpartition('@')[2]!r} is no name of a host",
            "give HOST or HOST:PORT, without https://, user and path",
        )
    return f"{shown}:{port}" if port else host
