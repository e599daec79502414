"""A connection that fails: named whole, with its address and what to do."""

from __future__ import annotations

import pytest

from servers.hub.fixtures import OTHER, Client
from support.pushes import finish

LOAD = """
import hfaef
try:
    hfaef.load("ada/patches", version="1.0.0")
except hfaef.errors.HfaefError as error:
    answer = [error.message, error.hint]
"""


@pytest.mark.parametrize("value", ["socks5://ada:secret@127.0.0.1:1080", "http://127.0.0.1:port"])
def test_a_proxy_that_the_client_cannot_use_is_named(client: Client, value: str) -> None:
    result = finish(client.hfaef("check", "ada/patches", "--json", ALL_PROXY=value, NO_PROXY=""))
    assert result["exit"] == 2
    assert result["error"].startswith("ALL_PROXY is ")
    message, hint = client.run(LOAD, ALL_PROXY=value, NO_PROXY="", no_proxy="")
    for said in (result["error"], message):
        assert "no proxy over HTTP" in said
        assert "secret" not in said
    assert hint == result["hint"]


def test_a_proxy_without_a_scheme_works(client: Client) -> None:
    port = client.hub.url.rpartition(":")[2]
    # The loopback Hub is asked as a proxy, for whole addresses, and answers by their paths.
    variables = {"HF_ENDPOINT": "http://hub.example", "NO_PROXY": "", "no_proxy": ""}
    variables |= {"HTTP_PROXY": f"127.0.0.1:{port}", "http_proxy": f"127.0.0.1:{port}"}
    process = client.hfaef("check", "ada/nothing", "--json", token=None, **variables)
    assert "ada/nothing is not there" in finish(process)["error"]
    assert client.hub.calls("refs")


def test_a_connection_that_fails_is_told_whole(client: Client) -> None:
    variables = {"HF_ENDPOINT": "http://127.0.0.1:9"}
    result = finish(client.hfaef("diff", "ada/patches", "ada/patches", "--json", **variables))
    message, hint = client.run(LOAD, token=OTHER, **variables)
    for said in (result["error"], message):
        assert "http://127.0.0.1:9" in said
        assert "Connection refused" in said
        assert "…" not in said
    for said in (result["hint"], hint):
        assert "HTTPS_PROXY" in said
