"""A page that is small and known, and a server of it in a thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from hfaef.atlas.content import Content, read_folder
from hfaef.atlas.server import Server
from support.atlas_server import running

INDEX = """<!doctype html>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="connect-src 'self'">
<title>atlas</title>
<script src="atlas.js"></script>
"""


@pytest.fixture(scope="session")
def small_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a page in it, and a file that is none of its own."""
    folder = tmp_path_factory.mktemp("page")
    (folder / "index.html").write_text(INDEX)
    (folder / "atlas.js").write_text('"use strict";\n')
    (folder / ".hidden").write_text("no")
    return folder


Serve = Callable[[Path], Server]


@pytest.fixture
def serve(small_page: Path, tmp_path: Path) -> Iterator[Serve]:
    """Serves the release of a folder."""
    with ExitStack() as stack:

        def start(folder: Path) -> Server:
            def read() -> Content:
                return read_folder(folder, tmp_path / "scratch")

            return stack.enter_context(
                running(Server(read, watched=folder / "release.json", page=small_page))
            )

        yield start
