"""Proxies that the environment names, as all clients of hfaef understand them.

Each client reads these variables in its own way: some take no address without a scheme, some need
packages of their own for SOCKS, and say so in the middle of their work.
"""

from __future__ import annotations

from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from hfaef.core.net.endpoints import host_of, is_loopback
from hfaef.errors import InputError


def proxy_for(address: str) -> str | None:
    """The proxy for an address, as ``http(s)://[USER@]HOST:PORT``; None if it is asked directly.

    What is for this machine goes through nobody, nor does what NO_PROXY names.

    Raises:
        InputError: naming the variable, if it does not name a proxy over HTTP.
    """
    host = host_of(address)
    if is_loopback(host) or proxy_bypass(host):
        return None
    named = getproxies()
    scheme = urlsplit(address).scheme
    key = scheme if scheme in named else "all"
    return _usable(key, named[key]) if named.get(key) else None


def require_usable_proxies() -> None:
    """Raise InputError if any proxy that the environment names is none over HTTP.

    For clients that set up all of them, whichever they need.
    """
    for key, value in getproxies().items():
        if key in {"http", "https", "all"} and value:
            _usable(key, value)


def _usable(key: str, value: str) -> str:
    address = value if "://" in value else f"http://{value}"
    try:
        parts = urlsplit(address)
        fine = parts.scheme in {"http", "https"} and host_of(address) and parts.port != 0
    except ValueError:
        fine = False
    if not fine:
        # Without what stands before an @, which may be a password.
        scheme, mark, rest = value.partition("://")
        shown = scheme + mark + rest.rpartition("@")[2] if mark else value.rpartition("@")[2]
        raise InputError(
            f"{key.upper()}_PROXY is {shown!r}, which is no proxy over HTTP",
            f"set {key.upper()}_PROXY=http://HOST:PORT, or unset it; a SOCKS proxy needs one over "
            "HTTP before it",
        )
    return address
