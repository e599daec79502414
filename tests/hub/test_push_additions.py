"""A push takes no scores and figures away in passing."""

from __future__ import annotations

from pathlib import Path

import pytest

from hfaef.release.card.additions import write_figures
from servers.hub import Hub
from servers.hub.fixtures import Client
from support.pushes import NAME, push
from support.releases import fresh_copy, make_release

pytestmark = pytest.mark.slow


def test_figures_of_the_version_before_go_only_on_request(
    hub: Hub, client: Client, demo_root: Path, tmp_path: Path
) -> None:
    release = make_release(demo_root, tmp_path / "made")
    drawn = fresh_copy(release, tmp_path / "drawn")
    write_figures(drawn)
    assert push(client, drawn)["exit"] == 0
    plain = fresh_copy(release, tmp_path / "plain")
    planned = push(client, plain, "--dry-run")
    assert planned["exit"] == 0
    assert any(f"`hfaef show {plain}` again" in note for note in planned["notes"])
    refused = push(client, plain)
    assert refused["exit"] == 2
    assert "figures/map.png" in refused["errors"]
    assert "--without-evaluation" in refused["errors"]
    assert list(hub.repo(NAME).tags) == ["v1.0.0"]
    assert push(client, plain, "--without-evaluation")["exit"] == 0
    assert len(hub.repo(NAME).tags) == 2
