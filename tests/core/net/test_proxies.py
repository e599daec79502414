"""Proxies that the environment names: all clients understand them, or one line says why not."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfaef.core.net.proxies import _usable, proxy_for, require_usable_proxies
from hfaef.errors import InputError
from hfaef.recipe.model import Cog, EarthEngine
from hfaef.sources import open_source

HUB, HERE = "https://huggingface.co", "http://127.0.0.1:80"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP", "HTTPS", "ALL", "NO"):
        for variable in (f"{name}_PROXY", f"{name}_proxy".lower()):
            monkeypatch.delenv(variable, raising=False)


def test_without_a_proxy_there_is_none() -> None:
    assert proxy_for(HUB) is None
    require_usable_proxies()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("http://proxy.example:3128", "http://proxy.example:3128"),
        ("https://proxy.example:3128", "https://proxy.example:3128"),
        ("proxy.example:3128", "http://proxy.example:3128"),
        ("10.0.0.1:3128", "http://10.0.0.1:3128"),
        ("[::1]:3128", "http://[::1]:3128"),
        ("ada:secret@proxy.example:3128", "http://ada:secret@proxy.example:3128"),
        ("", None),
    ],
)
@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
def test_an_address_without_a_scheme_is_one_over_http(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, expected: str | None
) -> None:
    monkeypatch.setenv(variable, value)
    assert proxy_for(HUB) == expected
    assert proxy_for(HERE) is None
    require_usable_proxies()
    monkeypatch.setenv("NO_PROXY", "huggingface.co")
    assert proxy_for(HUB) is None


def test_the_proxy_of_a_scheme_goes_before_that_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://all.example:1")
    monkeypatch.setenv("HTTPS_PROXY", "http://safe.example:2")
    assert proxy_for(HUB) == "http://safe.example:2"
    assert proxy_for("http://tiles.example") == "http://all.example:1"


BAD = ["socks5://proxy.example:1080", "socks5h://p:1", "SOCKS4://p:1", "ftp://p:1", "http://:3128"]
BAD += ["http://proxy.example:port", "http://proxy.example:99999", "http://", "proxy example:1"]


@pytest.mark.parametrize("value", BAD)
@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "ALL_PROXY"])
def test_what_is_no_proxy_over_http_is_named(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    for asked in (lambda: proxy_for(HUB), require_usable_proxies):
        with pytest.raises(
            InputError, match=f"^{variable} is .*, which is no proxy over HTTP"
        ) as e:
            asked()
        assert f"set {variable}=http://HOST:PORT" in e.value.hint
    assert proxy_for(HERE) is None


def test_a_password_of_a_proxy_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    for value in ("socks5://ada:secret@proxy.example:1", "ada:secret@proxy.example:port"):
        monkeypatch.setenv("ALL_PROXY", value)
        with pytest.raises(InputError, match=r"proxy\.example") as caught:
            require_usable_proxies()
        assert "secret" not in str(caught.value)


@given(st.text(max_size=60))
def test_any_value_is_understood_or_named(value: str) -> None:
    with contextlib.suppress(InputError):
        assert _usable("https", value).startswith(("http://", "https://"))


@pytest.mark.parametrize("value", ["socks5://127.0.0.1:1", "http://127.0.0.1:port"])
def test_sources_name_such_a_proxy_before_they_ask(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("ALL_PROXY", value)
    monkeypatch.setenv("HFAEF_EE_TOKEN", "token")
    sections = [
        Cog(kind="cog", root="https://tiles.example/aef"),
        EarthEngine(kind="earthengine", project="p"),
    ]
    for section in sections:
        with pytest.raises(InputError, match=r"ALL_PROXY is .*, which is no proxy over HTTP"):
            open_source(section, [2018])
