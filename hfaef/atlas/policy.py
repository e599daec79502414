"""What the page may do: its Content-Security-Policy, and the origins that its data come from."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from hfaef.core.net.endpoints import HUB, host_of
from hfaef.errors import InputError

_META = re.compile(r'(<meta\s+http-equiv="Content-Security-Policy"\s+content=")[^"]*(")')

_STORAGE_OF_THE_HUB = ("https://*.huggingface.co", "https://*.hf.co")
"""Where the Hub sends whoever asks it for a large file."""


def content_policy(origins: Iterable[str] = ()) -> str:
    """The page's policy: its own files alone, and data of its own origin or of these."""
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self' blob: data:",
            " ".join(("connect-src 'self'", *origins)),
            "worker-src blob:",
            "font-src 'none'",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def with_policy(index: str, policy: str) -> str:
    """The page's HTML with a policy in the place of the one that it has.

    Raises:
        LookupError: if it has none, or several.
    """
    text, count = _META.subn(lambda found: found[1] + policy + found[2], index)
    if count != 1:
        raise LookupError(f"index.html has {count} policies, not one")
    return text


def data_origins(address: str, redirects: Iterable[str] = ()) -> tuple[str, ...]:
    """Origins that a page asks whose data lie at an address.

    Args:
        address: ``http(s)://HOST/...``.
        redirects: addresses that its answers may lead to; those of the Hub are known.
    """
    found = [origin_of(address), *map(origin_of, redirects)]
    if any(host_of(address) == host or host_of(address).endswith(f".{host}") for host in HUB):
        found += _STORAGE_OF_THE_HUB
    return tuple(dict.fromkeys(found))


def origin_of(address: str) -> str:
    """Scheme, host and port of an address, as a policy names them."""
    parts = urlsplit(address)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{host_of(address)}{port}"


def require_address(text: str, option: str) -> str:
    """An address of a folder that an option names, with a slash at its end.

    Raises:
        InputError: if it is none that a page can read from, or it holds a secret.
    """
    try:
        parts = urlsplit(text)
        possible = parts.scheme in ("http", "https") and bool(host_of(text)) and parts.port != 0
    except ValueError:
        possible = False
    plain = possible and text.isascii() and not re.search(r"[\s\"'<>\\]", text)
    if not plain or ":" in host_of(text):
        raise InputError(
            f"{option} {text.rpartition('@')[2]!r} is no address",
            "give http(s)://HOST/PATH of the folder that holds the release's files",
        )
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise InputError(
            f"{option} holds a user, a password, or what follows ? or #, which all would read",
            "give the address without it",
        )
    return text if text.endswith("/") else f"{text}/"
