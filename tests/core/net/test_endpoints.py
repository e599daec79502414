"""Credentials go to the hosts that they are for, to this machine, and where the user says."""

from __future__ import annotations

import pytest

from hfaef.core.net.endpoints import EARTH_ENGINE, HUB, require_trusted, same_origin, trusting
from hfaef.errors import CredentialsError, InputError


@pytest.mark.parametrize(
    "address",
    [
        "https://earthengine.googleapis.com",
        "https://earthengine-highvolume.googleapis.com",
        "https://EarthEngine.GoogleAPIs.com:443",
        "http://127.0.0.1:8080",
        "http://127.3.2.1",
        "http://[::1]:80",
        "http://localhost:1",
    ],
)
def test_google_and_this_machine_are_trusted(address: str) -> None:
    require_trusted(address, EARTH_ENGINE, "credentials")


@pytest.mark.parametrize(
    "address",
    [
        "http://earthengine.googleapis.com",
        "https://evil.example",
        "https://googleapis.com.evil.example",
        "https://notgoogleapis.com",
        "https://evil.example#.googleapis.com",
        "https://evil.example?.googleapis.com",
        "https://evil.example\\.googleapis.com",
        "https://.googleapis.com",
        "http://127.0.0.1.evil.example",
        "http://localhost.evil.example",
        "http://0.0.0.0",
        "https://huggingface.co",
        "https://",
    ],
)
def test_no_other_host_gets_credentials(address: str) -> None:
    with pytest.raises(CredentialsError, match="would go to"):
        require_trusted(address, EARTH_ENGINE, "credentials")


def test_the_hub_is_trusted_with_its_own_token_over_https_alone() -> None:
    require_trusted("https://huggingface.co", HUB, "the token")
    with pytest.raises(CredentialsError, match="over plain http"):
        require_trusted("http://huggingface.co", HUB, "the token")
    with pytest.raises(CredentialsError, match="which they are not for"):
        require_trusted("https://hub.corp.example", HUB, "the token")


@pytest.mark.parametrize(
    ("named", "address"),
    [
        ("hub.corp.example", "https://hub.corp.example"),
        ("Hub.Corp.example", "http://hub.corp.example:9000/path"),
        ("hub.corp.example:9000", "https://hub.corp.example:9000"),
        ("10.0.0.7", "http://10.0.0.7:8000"),
        ("2001:db8::1", "http://[2001:db8::1]:8000"),
        ("[2001:db8::1]:8000", "http://[2001:db8::1]:8000"),
    ],
)
def test_a_host_that_the_user_names_is_trusted_for_as_long(named: str, address: str) -> None:
    with trusting([named]):
        require_trusted(address, HUB, "the token")
    with pytest.raises(CredentialsError, match=r"--trust-endpoint"):
        require_trusted(address, HUB, "the token")


@pytest.mark.parametrize("other", ["https://hub.corp.example:9001", "https://a.hub.corp.example"])
def test_another_port_or_a_host_below_is_not_the_one_named(other: str) -> None:
    with trusting(["hub.corp.example:9000"]), pytest.raises(CredentialsError):
        require_trusted(other, HUB, "the token")


@pytest.mark.parametrize(
    "text", ["https://host", "user:secret@host", "host/path", "", "*", "*.example", "a b", "h:x"]
)
def test_what_is_no_name_of_a_host_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="no name of a host") as caught, trusting([text]):
        pass
    assert "secret" not in str(caught.value)


def test_an_origin_is_scheme_host_and_port() -> None:
    assert same_origin("https://a.example", "https://A.example:443/path?query")
    assert not same_origin("https://a.example", "http://a.example")
    assert not same_origin("https://a.example", "https://a.example:8443")
    assert not same_origin("https://a.example", "https://b.example")
    assert not same_origin("https://", "https://")
