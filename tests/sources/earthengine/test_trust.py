"""No host gets credentials for Earth Engine because a recipe, or an answer, names it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from pydantic import ValidationError

from hfaef.cli import doctor
from hfaef.cli.main import run
from hfaef.cli.terminal.output import Mode, Output
from hfaef.errors import CredentialsError, SourceError
from hfaef.recipe.model import Cog, EarthEngine
from hfaef.sources import open_source
from hfaef.sources.earthengine.credentials import find_credentials
from hfaef.sources.earthengine.quota import RequestQuota
from hfaef.sources.earthengine.session import Tokens, Transport
from servers.earthengine.client import TOKEN, isolate

OUTSIDE = "192.0.2.1"
"""A host of nobody: https://www.rfc-editor.org/rfc/rfc5737"""


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    isolate(monkeypatch, tmp_path)
    monkeypatch.setenv("HFAEF_EE_TOKEN", TOKEN)


@pytest.fixture
def listener(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What a proxy is sent, through which all hosts but this machine's are reached."""
    heard: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            heard.append(f"{self.requestline}\n{self.headers}")
            self.send_error(502)

        do_POST = do_CONNECT = do_GET  # noqa: N815 - names of the standard library

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{server.server_address[1]}")
    yield heard
    server.shutdown()
    server.server_close()


def section(url: str) -> EarthEngine:
    return EarthEngine(kind="earthengine", project="p", url=url)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_host_that_a_recipe_names_is_not_asked(listener: list[str], scheme: str) -> None:
    with pytest.raises(CredentialsError, match=rf"would go to {OUTSIDE}") as caught:
        open_source(section(f"{scheme}://{OUTSIDE}"))
    assert f"--trust-endpoint {OUTSIDE}" in caught.value.hint
    assert not listener


def test_google_over_plain_http_is_not_asked(listener: list[str]) -> None:
    with pytest.raises(CredentialsError, match="over plain http"):
        open_source(section("http://earthengine.googleapis.com"))
    assert not listener


def test_a_host_that_the_user_trusts_is_asked_with_the_token(listener: list[str]) -> None:
    with pytest.raises(Exception, match="502"):
        open_source(section(f"http://{OUTSIDE}"), trusted=[OUTSIDE])
    assert f"Bearer {TOKEN}" in listener[0]


def test_credentials_do_not_follow_to_a_server_that_an_answer_names() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        transport = Transport(
            "http://127.0.0.1:9", Tokens(find_credentials()), RequestQuota(1, 60), 1, (1.0, 1.0)
        )
        with pytest.raises(CredentialsError, match="do not follow"):
            transport.request(f"http://127.0.0.1:{other.getsockname()[1]}/v1")
        transport.close()


def test_what_is_for_this_machine_goes_through_no_proxy(listener: list[str]) -> None:
    with pytest.raises(SourceError, match="connection refused"):
        open_source(section("http://127.0.0.1:9"))
    assert not listener


def test_doctor_sends_nothing_to_such_a_host_and_says_so(listener: list[str]) -> None:
    findings = doctor.earth_engine(section(f"https://{OUTSIDE}"))
    assert not findings[-1].fine
    assert OUTSIDE in findings[-1].message
    assert TOKEN not in str(findings)
    assert not listener


@pytest.mark.parametrize("option", [[], ["--trust-endpoint", OUTSIDE]])
def test_the_command_line_names_trusted_hosts(
    listener: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    option: list[str],
) -> None:
    (tmp_path / "points.csv").write_text("id,lon,lat,label\na,9.1,48.7,x\nb,9.2,48.7,y\n")
    (tmp_path / "r.toml").write_text(
        'name = "r"\nyears = [2018]\n'
        f'[patches]\nkind = "table"\npath = "{tmp_path}/points.csv"\nsize = 8\n'
        f'[source]\nkind = "earthengine"\nproject = "p"\nurl = "http://{OUTSIDE}"\n'
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["hfaef", "build", "r.toml", *option, "--json"])
    assert run(Output(Mode.JSON)) == 1
    said = json.dumps(capsys.readouterr())
    assert bool(listener) == bool(option)
    assert ("would go to" in said) == (not option)
    assert TOKEN not in said


@pytest.mark.parametrize("option", [[], ["--trust-endpoint", OUTSIDE]])
def test_the_hubs_token_goes_to_no_other_host_unless_the_user_says_so(
    listener: list[str], option: list[str]
) -> None:
    # The client reads the address when it is imported.
    environment = {**os.environ, "HF_ENDPOINT": f"http://{OUTSIDE}", "HF_TOKEN": "hf_a-secret"}
    code = "import sys; from hfaef.cli.main import main; sys.argv[0] = 'hfaef'; main()"
    ended = subprocess.run(
        [sys.executable, "-c", code, "check", "owner/name@1.0.0", *option],
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert ended.returncode == 1
    assert ("HF_ENDPOINT" in ended.stderr) == (not option)
    assert any("hf_a-secret" in request for request in listener) == bool(option)
    assert "secret" not in ended.stdout + ended.stderr


@pytest.mark.parametrize(
    "address",
    [
        "https://user:secret@host.example",
        "https://user@host.example/aef",
        "https://host.example?key=secret",
        "https://host.example#secret",
    ],
)
@pytest.mark.parametrize("key", ["url", "root", "index"])
def test_an_address_with_a_user_or_a_query_is_refused_by_its_key(key: str, address: str) -> None:
    kind = EarthEngine if key == "url" else Cog
    with pytest.raises(ValidationError) as caught:
        kind(**{"kind": "earthengine" if key == "url" else "cog", key: address})
    (error,) = caught.value.errors(include_input=False, include_url=False)
    assert error["loc"] == (key,)
    assert "secret" not in error["msg"]


@pytest.mark.parametrize("root", ["/data/what?/a#b", "folder@home", "s3://bucket/a", "C:\\aef"])
def test_folders_and_plain_addresses_are_kept(root: str) -> None:
    assert Cog(kind="cog", root=root).root == root
