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
    planned, refused = push(client, plain, "--dry-run"), push(client, plain)
    assert f"`hfaef show {plain}` again" in planned["error"]
    plan = planned.pop("details")
    assert plan[0].startswith("version:    1.")
    assert "deleted:    figures/map.png" in plan
    assert "planned" not in planned.values()
    assert {**planned, "errors": ""} == {**refused, "errors": ""}
    assert refused["exit"] == 2
    assert "figures/map.png" in refused["errors"]
    assert "--without-evaluation" in refused["errors"]
    assert list(hub.repo(NAME).tags) == ["v1.0.0"]
    planned = push(client, plain, "--without-evaluation", "--dry-run")
    assert (planned["exit"], planned["outcome"]) == (0, "planned")
    assert any(f"`hfaef show {plain}` again" in note for note in planned["notes"])
    assert push(client, plain, "--without-evaluation")["exit"] == 0
    assert len(hub.repo(NAME).tags) == 2
