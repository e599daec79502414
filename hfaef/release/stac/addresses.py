"""Addresses and media types of a release's files, from its STAC files on."""

from __future__ import annotations

from urllib.parse import quote

UP = "../"
"""The release's folder, from the folder of its table of items."""

PARQUET_TYPE = "application/vnd.apache.parquet"
TAR_TYPE = "application/x-tar"


def shard_address(path: str, up: str = UP) -> str:
    """Address of a file of a release."""
    return up + quote(path, safe="/=")


def media_type(path: str) -> str:
    """Of a file of rows."""
    return TAR_TYPE if path.endswith(".tar") else PARQUET_TYPE
