"""A static site: whole or not at all, with a policy that names where its data lie."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from hfaef.atlas.content import Content, read_folder
from hfaef.atlas.policy import content_policy, data_origins, require_address, with_policy
from hfaef.atlas.site import write_site
from hfaef.errors import FolderError, InputError, ReleaseError
from support.releases import contents

HUB = "https://huggingface.co/datasets/ada/patches/resolve/v1.0.0/"


@pytest.fixture
def content(demo_release: Path, tmp_path: Path) -> Content:
    return read_folder(demo_release, tmp_path / "scratch")


def test_a_site_has_the_page_and_all_its_data(
    content: Content,
    small_page: Path,
    demo_release: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    site = tmp_path / "new" / "site"
    written = write_site(site, content, page=small_page)
    held = contents(site)
    assert held.keys() == {
        "index.html",
        "atlas.js",
        "atlas.json",
        *(f"data/{p}" for p in content.files),
    }
    for path in content.files:
        assert held[f"data/{path}"] == (demo_release / path).read_bytes()
    assert json.loads(held["atlas.json"])["data"] == "data/"
    assert content_policy() in held["index.html"].decode()
    assert (written.files, written.bytes) == (len(held), sum(map(len, held.values())))
    said = f"{site}: {written.files} files, {written.bytes / 1e6:,.1f} MB"
    assert capsys.readouterr().err.startswith(said)


def test_a_site_whose_data_lie_elsewhere_holds_none(
    content: Content, small_page: Path, tmp_path: Path
) -> None:
    write_site(tmp_path / "site", content, data=HUB, page=small_page)
    held = contents(tmp_path / "site")
    assert held.keys() == {"index.html", "atlas.js", "atlas.json"}
    assert json.loads(held["atlas.json"])["data"] == HUB
    policy = held["index.html"].decode()
    assert (
        "connect-src 'self' https://huggingface.co https://*.huggingface.co https://*.hf.co;"
        in policy
    )


@pytest.mark.parametrize("kind", ["file", "hidden", "link", "site"])
def test_a_folder_that_holds_something_stays(
    content: Content, small_page: Path, tmp_path: Path, kind: str
) -> None:
    site = tmp_path / "site"
    match kind:
        case "file":
            site.write_text("mine")
        case "hidden":
            site.mkdir()
            (site / ".git").write_text("mine")
        case "link":
            (tmp_path / "elsewhere").mkdir()
            site.symlink_to(tmp_path / "elsewhere")
        case _:
            write_site(site, content, page=small_page)
    before = contents(tmp_path)
    with pytest.raises(FolderError, match=r"stays; name a.* folder"):
        write_site(site, content, page=small_page)
    assert contents(tmp_path) == before


def test_an_empty_folder_becomes_the_site(
    content: Content, small_page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("beside", "inside"):
        (tmp_path / name).mkdir()
    write_site(tmp_path / "beside", content, page=small_page)
    monkeypatch.chdir(tmp_path / "inside")
    write_site(Path(), content, page=small_page)
    assert contents(tmp_path / "inside") == contents(tmp_path / "beside")


def test_a_damaged_shard_makes_no_site(own_release: Path, small_page: Path, tmp_path: Path) -> None:
    content = read_folder(own_release, tmp_path)
    path = next(path for path in content.files if path.startswith("data/"))
    text = (own_release / path).read_bytes()
    (own_release / path).write_bytes(text[:-1] + bytes([text[-1] ^ 1]))
    with pytest.raises(
        ReleaseError, match=f"{path} .* is not what its manifest lists.* hfaef check"
    ):
        write_site(tmp_path / "new" / "site", content, page=small_page)
    assert not list((tmp_path / "new").iterdir())


def test_a_site_of_a_release_without_points_has_those_that_are_made(
    own_release: Path, small_page: Path, tmp_path: Path
) -> None:
    expected = (own_release / "atlas/points.parquet").read_bytes()
    (own_release / "atlas/points.parquet").unlink()
    content = read_folder(own_release, tmp_path / "scratch")
    write_site(tmp_path / "site", content, page=small_page)
    shutil.rmtree(tmp_path / "scratch")
    assert (tmp_path / "site/data/atlas/points.parquet").read_bytes() == expected


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("https://example.org/a/b/", "https://example.org/a/b/"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000/"),
        ("https://example.org/a%20b", "https://example.org/a%20b/"),
    ],
)
def test_an_address_of_data_ends_as_a_folder(text: str, address: str) -> None:
    assert require_address(text, "--data") == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        "data/",
        "//example.org/",
        "ftp://example.org/",
        "s3://bucket/",
        "file:///etc/",
        "javascript:alert(1)",
        "https://",
        "https:///a",
        "https://example.org:99999/",
        "https://user:pass@example.org/",
        "https://example.org/?token=1",
        "https://example.org/#a",
        "https://example.org/;script-src *",
        "https://example.org; script-src */",
        'https://example.org/"><script>',
        "https://exa\nmple.org/",
        "https://[::1]/",
        "https://exämple.org/",
    ],
)
def test_an_address_that_a_page_cannot_read_or_that_holds_a_secret_is_refused(text: str) -> None:
    with pytest.raises(InputError) as error:
        require_address(text, "--data")
    assert "--data" in str(error.value)
    assert "pass" not in error.value.message.partition("password")[0]


def test_a_policy_names_origins_and_no_paths() -> None:
    assert data_origins("http://127.0.0.1:8000/a/b/", ["http://127.0.0.1:9000/c?d=e"]) == (
        "http://127.0.0.1:8000",
        "http://127.0.0.1:9000",
    )
    assert data_origins("https://nothuggingface.co/a/") == ("https://nothuggingface.co",)


@pytest.mark.parametrize("count", [0, 2])
def test_a_page_has_one_policy(count: int) -> None:
    meta = '<meta http-equiv="Content-Security-Policy" content="connect-src *">'
    with pytest.raises(LookupError, match=f"{count} policies"):
        with_policy(meta * count, content_policy())
