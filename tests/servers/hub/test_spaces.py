"""Spaces of the loopback Hub, and what lets a page in a browser read from it."""

from __future__ import annotations

import http.client
from urllib.parse import urlsplit

import pytest

from servers.hub import Hub
from servers.hub.fixtures import Client
from servers.hub.samples import NAME, put_release

SPACE = "ada/page"
CREATE = "answer = api.create_repo(arguments[0], repo_type='space', space_sdk=arguments[1])"
README = "---\ntitle: Page\ncolorFrom: red\ncolorTo: blue\nsdk: {}\n---\n"
COMMIT = """
from huggingface_hub import CommitOperationAdd
adds = [CommitOperationAdd(path, text.encode()) for path, text in arguments[1].items()]
answer = api.create_commit(arguments[0], adds, commit_message='ours', repo_type='space').oid
"""


def test_a_new_space_begins_with_a_template(hub: Hub, client: Client) -> None:
    client.run(CREATE, SPACE, "static")
    held = client.run("answer = api.list_repo_files(arguments[0], repo_type='space')", SPACE)
    assert held == [".gitattributes", "README.md", "index.html", "style.css"]
    assert [one.title for one in hub.repo(SPACE, "spaces").log()] == ["initial commit"]
    said = client.run("f = api.space_info(arguments[0]); answer = [f.sdk, f.private]", SPACE)
    assert said == ["static", False]


def test_a_commit_of_a_space_is_read_back(hub: Hub, client: Client) -> None:
    client.run(CREATE, SPACE, "static")
    oid = client.run(COMMIT, SPACE, {"README.md": README.format("static"), "index.html": "<p>"})
    assert hub.repo(SPACE, "spaces").head.oid == oid
    fetch = (
        "answer = open(api.hf_hub_download(arguments[0], 'index.html', repo_type='space')).read()"
    )
    assert client.run(fetch, SPACE) == "<p>"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("no head", "Missing configuration in README"),
        (README.format("streamlet"), '"sdk" must be one of'),
        (README.format("static").replace("red", "cyan"), '"colorFrom" must be one of'),
    ],
)
def test_a_readme_that_configures_no_space_is_refused(
    client: Client, text: str, words: str
) -> None:
    client.run(CREATE, SPACE, "static")
    assert words in client.fail(COMMIT, SPACE, {"README.md": text})["text"]


def test_a_page_of_another_origin_may_read_ranges_and_asks_nothing_first(hub: Hub) -> None:
    put_release(hub)
    path = next(path for path in hub.repo(NAME).head.tree if path.endswith(".parquet"))
    origin = "http://127.0.0.1:1"

    def ask(url: str, method: str = "GET", **headers: str) -> http.client.HTTPResponse:
        parts = urlsplit(url)
        connection = http.client.HTTPConnection(parts.netloc, timeout=30)
        connection.request(method, f"{parts.path}?{parts.query}", headers=headers)
        found = connection.getresponse()
        found.read()
        connection.close()
        return found

    address = f"{hub.url}/datasets/{NAME}/resolve/main/{path}"
    sent = ask(address, Origin=origin, Range="bytes=0-3")
    assert (sent.status, sent.headers["Access-Control-Allow-Origin"]) == (302, origin)
    assert "Content-Range" in sent.headers["Access-Control-Expose-Headers"]
    place = sent.headers["Location"]
    assert urlsplit(place).netloc != urlsplit(address).netloc
    # A browser that was sent to a second origin tells it no longer from where it comes.
    found = ask(place, Origin="null", Range="bytes=0-3")
    assert (found.status, found.headers["Access-Control-Allow-Origin"]) == (206, "*")
    assert "Access-Control-Allow-Origin" not in ask(address).headers
    with Hub() as other:
        assert ask(f"{other.url}/datasets/{NAME}/resolve/main/{path}", "OPTIONS").status == 501
        assert other.unknown == [f"OPTIONS /datasets/{NAME}/resolve/main/{path}"]
