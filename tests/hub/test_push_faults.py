"""Pushes that are cut off, fail, or meet others: never a half version, never a wrong tag."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path
from threading import Timer

import pytest

from servers.hub import ANY, Fault, Hub
from servers.hub.fixtures import READER, WRITER, Client
from support.forks import Fork
from support.long import LONG_TESTS
from support.pushes import NAME, finish, is_whole, push
from support.releases import contents, fresh_copy, make_release

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def second(demo_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_release(demo_root, tmp_path_factory.mktemp("second"), drop=("Dune_2",))


@pytest.fixture
def release(patches_release: Path, tmp_path: Path) -> Path:
    return fresh_copy(patches_release, tmp_path / "release")


def ours(hub: Hub, name: str = NAME) -> list[str]:
    """Titles of the commits that pushes made, the newest first."""
    return [commit.title for commit in hub.repo(name).log() if commit.title.startswith("v")]


@pytest.mark.parametrize(
    "faults",
    [
        (Fault("commit", "lost"), Fault("tag", "lost")),
        (Fault("commit", "broken", status=500), Fault("tag", "broken", status=502)),
        (Fault("commit", "status", status=409, times=2), Fault("tag", "status", times=2)),
        (Fault("commit", "drop", after=100), Fault("put", "drop", after=50_000)),
        (Fault("put", "status", status=500), Fault("batch", "status"), Fault("verify", "lost")),
        (Fault("info", "status"), Fault("tree", "lost"), Fault("refs", "status", status=429)),
    ],
    ids=lambda faults: "+".join(f"{fault.route}-{fault.kind}" for fault in faults),
)
def test_a_fault_of_the_hub_costs_nothing(
    hub: Hub, client: Client, release: Path, faults: tuple[Fault, ...]
) -> None:
    for fault in faults:
        hub.fail(fault)
    result = push(client, release)
    assert result["exit"] == 0, result
    assert ours(hub) == ["v1.0.0: first release: 24 rows, 6 labels"]
    assert list(hub.repo(NAME).tags) == ["v1.0.0"]
    is_whole(hub, release, "1.0.0")


def test_a_repository_whose_making_went_unanswered_is_filled_by_the_next_run(
    hub: Hub, client: Client, release: Path
) -> None:
    hub.fail(Fault("create", "broken", status=500))
    assert push(client, release)["exit"] == 1
    assert push(client, release)["exit"] == 0
    is_whole(hub, release, "1.0.0")


def test_a_repository_that_is_not_made_for_a_conflict_is_told(
    hub: Hub, client: Client, release: Path
) -> None:
    hub.fail(Fault("create", "status", status=409))
    result = push(client, release)
    assert result["exit"] == 1
    assert "the Hub answers 409" in result["error"]
    assert "run the same command again" in result["hint"]
    assert push(client, release)["exit"] == 0
    is_whole(hub, release, "1.0.0")


def test_a_hub_that_stays_down_leaves_no_version(hub: Hub, client: Client, release: Path) -> None:
    hub.fail(Fault("commit", "status", status=503, times=1000))
    result = push(client, release)
    assert result["exit"] == 1
    assert "503" in result["error"]
    assert f"hfaef push {release} {NAME}" in result["hint"]
    assert ours(hub) == []
    assert hub.repo(NAME).tags == {}
    hub.faults.clear()
    hub.forget()
    assert push(client, release)["exit"] == 0
    assert hub.calls("put") == []  # all contents were there


def test_somebody_elses_commit_meanwhile_stops_the_push(
    hub: Hub, client: Client, release: Path
) -> None:
    hub.fail(Fault("commit", "nothing", meanwhile=lambda: _note(hub)))
    result = push(client, release)
    assert result["exit"] == 1
    assert "somebody else changed ada/patches meanwhile" in result["error"]
    assert f"hfaef push {release} {NAME}" in result["hint"]
    assert ours(hub) == []
    assert hub.repo(NAME).tags == {}
    result = push(client, release)
    assert (result["exit"], result["files"]["left_alone"]) == (0, ["notes.txt"])


def _note(hub: Hub) -> None:
    hub.put(NAME, {"notes.txt": b"by somebody"})


def test_a_lost_commit_is_found_below_somebody_elses(
    hub: Hub, client: Client, release: Path
) -> None:
    hub.fail(Fault("commit", "lost"))
    hub.fail(Fault("commits", "nothing", meanwhile=lambda: _note(hub)))
    result = push(client, release)
    assert result["exit"] == 0
    log = hub.repo(NAME).log()
    assert [commit.title for commit in log] == [
        "by hand",
        "v1.0.0: first release: 24 rows, 6 labels",
        "initial commit",
    ]
    assert hub.repo(NAME).tags["v1.0.0"].commit == log[1].oid


def test_a_commit_that_nobody_can_look_for_is_not_repeated(
    hub: Hub, client: Client, release: Path
) -> None:
    hub.fail(Fault("commit", "lost"))
    hub.fail(Fault("commits", "status", times=1000))
    result = push(client, release)
    assert result["exit"] == 1
    assert len(hub.calls("commit")) == 1
    assert len(hub.calls("commits")) == 6
    hub.faults.clear()
    assert push(client, release)["exit"] == 0
    assert ours(hub) == ["v1.0.0: first release: 24 rows, 6 labels"]
    is_whole(hub, release, "1.0.0")


def test_a_tag_that_somebody_else_set_is_not_moved(hub: Hub, client: Client, release: Path) -> None:
    def take() -> None:
        repo = hub.repo(NAME)
        repo.tag("v1.0.0", repo.log()[-1].oid, "taken", "bob")

    hub.fail(Fault("tag", "nothing", meanwhile=take))
    result = push(client, release)
    assert result["exit"] == 1
    assert "published by somebody else meanwhile" in result["error"]
    repo = hub.repo(NAME)
    assert repo.tags["v1.0.0"].commit == repo.log()[-1].oid
    assert push(client, release)["version"] == "2.0.0"


def test_a_commit_that_is_not_what_was_sent_gets_no_tag(
    hub: Hub, client: Client, release: Path
) -> None:
    def spoil() -> None:
        repo = hub.repo(NAME)
        tree = dict(repo.head.tree)
        path = next(path for path in tree if path.startswith("data/"))
        tree[path] = replace(tree[path], sha256="0" * 64)
        repo.commits[repo.head.oid] = replace(repo.head, tree=tree)

    hub.fail(Fault("tree", "nothing", call=2, meanwhile=spoil))
    result = push(client, release)
    assert result["exit"] == 1
    assert "is not what was sent, so 1.0.0 gets no tag" in result["error"]
    assert "data/test-00000-of-00001.parquet" in result["error"]
    assert hub.repo(NAME).tags == {}


def test_of_two_pushes_at_once_one_wins(
    hub: Hub, client: Client, release: Path, second: Path, tmp_path: Path
) -> None:
    hub.create(NAME)
    other = fresh_copy(second, tmp_path / "other")
    # Both have looked and sent when the first of them commits.
    hub.fail(Fault("put", "slow", seconds=2.0, times=1000))
    racers = [client.hfaef("push", folder, NAME, "--json") for folder in (release, other)]
    results = [finish(racer) for racer in racers]
    hub.faults.clear()
    assert sorted(result["exit"] for result in results) == [0, 1]
    loser = next(result for result in results if result["exit"] == 1)
    assert "somebody else" in loser["error"]
    assert "then: hfaef push" in loser["hint"]
    assert len(ours(hub)) == 1
    winner, beaten = (release, other) if results[0]["exit"] == 0 else (other, release)
    is_whole(hub, winner, "1.0.0")
    assert push(client, beaten)["version"] == "1.1.0"
    is_whole(hub, beaten, "1.1.0")


def test_two_pushes_of_the_same_make_one_version(
    hub: Hub, client: Client, release: Path, tmp_path: Path
) -> None:
    hub.create(NAME)
    twin = fresh_copy(release, tmp_path / "twin")
    hub.fail(Fault("put", "slow", seconds=2.0, times=1000))
    racers = [client.hfaef("push", folder, NAME, "--json") for folder in (release, twin)]
    results = [finish(racer) for racer in racers]
    assert {result["exit"] for result in results} <= {0, 1}
    assert 0 in {result["exit"] for result in results}
    assert len(ours(hub)) == 1
    hub.faults.clear()
    # Who came second may have been refused; then its folder knows of the version only now.
    for folder, result in zip((release, twin), results, strict=True):
        if result["exit"] == 0:
            is_whole(hub, folder, "1.0.0")
        assert (
            finish(client.hfaef("push", folder, NAME, "--json"))["outcome"] == "already published"
        )
        is_whole(hub, folder, "1.0.0")


def test_a_folder_is_pushed_by_one_process_at_a_time(
    hub: Hub, client: Client, release: Path
) -> None:
    hub.fail(Fault("put", "slow", seconds=6.0))
    racer = client.hfaef("push", release, NAME, "--json")
    while not hub.calls("batch"):
        assert racer.poll() is None
    result = push(client, release)
    assert result["exit"] == 2
    assert "another hfaef is at work" in result["error"]
    assert finish(racer)["exit"] == 0


def killed(
    hub: Hub, client: Client, folder: Path, fault: Fault, delay: float = 0.0, name: str = NAME
) -> int:
    """Starts a push that SIGKILL ends when the fault strikes, or `delay` seconds later."""
    started: list[Fork] = []

    def kill() -> None:
        Timer(delay, started[0].kill).start() if delay else started[0].kill()

    hub.fail(replace(fault, meanwhile=kill))
    started.append(client.hfaef("push", folder, name, "--json"))
    started[0].communicate(timeout=180)
    hub.faults.clear()
    return started[0].returncode


def test_after_a_kill_one_shard_at_most_is_sent_again(
    hub: Hub, client: Client, release: Path
) -> None:
    assert killed(hub, client, release, Fault("put", "slow", call=3, seconds=1.0)) == -9
    journal = json.loads((release / ".staging/push.json").read_text())
    count = len(journal["sent"])
    assert 2 <= count < 7
    result = push(client, release)
    assert result["exit"] == 0
    assert any(f"{count} files were sent by a run that was cut off" in n for n in result["notes"])
    sent = sum(seen.received for seen in hub.calls("put") + hub.calls("part"))
    shards = [len(held) for path, held in contents(release).items() if path.endswith(".parquet")]
    assert sent <= sum(shards) + max(shards)
    is_whole(hub, release, "1.0.0")


@pytest.mark.parametrize("route", ["commit", "commits", "tag"])
def test_a_push_killed_after_its_commit_is_finished_by_the_next(
    hub: Hub, client: Client, release: Path, route: str
) -> None:
    if route == "commits":
        hub.fail(Fault("commit", "lost"))
    assert killed(hub, client, release, Fault(route, "nothing")) == -9
    result = push(client, release)
    assert result["exit"] == 0
    assert ours(hub) == ["v1.0.0: first release: 24 rows, 6 labels"]
    is_whole(hub, release, "1.0.0")
    assert push(client, release)["outcome"] == "already published"


def test_other_content_after_a_killed_push_gets_a_version_of_its_own(
    hub: Hub, client: Client, release: Path, second: Path, tmp_path: Path
) -> None:
    assert killed(hub, client, release, Fault("tag", "status")) == -9
    assert hub.repo(NAME).tags == {}
    other = fresh_copy(second, tmp_path / "other")
    assert push(client, other)["version"] == "2.0.0"
    is_whole(hub, other, "2.0.0")


PUSHES = 30 if LONG_TESTS else 10
"""That are killed, each at one of its requests by chance."""


def test_killed_at_random_moments_it_ends_in_one_commit_and_one_tag(
    hub: Hub, client: Client, patches_release: Path, tmp_path: Path
) -> None:
    chance = random.Random(6)
    push(client, fresh_copy(patches_release, tmp_path / "measure"))
    requests = len(hub.seen)
    killed_for_real = 0
    for number in range(PUSHES):
        name = f"ada/patches{number}"
        folder = fresh_copy(patches_release, tmp_path / f"release{number}")
        moment = Fault(ANY, "slow", call=chance.randint(1, requests), seconds=0.02)
        delay = chance.choice((0.0, chance.uniform(0, 0.1)))
        killed_for_real += killed(hub, client, folder, moment, delay, name) == -9
        for tag in hub.repo(name).tags if ("datasets", name) in hub.state.repos else ():
            is_whole_there(hub, folder, tag, name)
        result = finish(client.hfaef("push", folder, name, "--json"))
        assert result["exit"] == 0, (number, moment, delay, result)
        assert ours(hub, name) == ["v1.0.0: first release: 24 rows, 6 labels"]
        assert list(hub.repo(name).tags) == ["v1.0.0"]
        is_whole(hub, folder, "1.0.0", name)
    assert killed_for_real >= PUSHES * 5 // 6


def is_whole_there(hub: Hub, folder: Path, tag: str, name: str) -> None:
    """Asserts that a tag holds the data of a folder that does not know of it yet."""
    for path, held in contents(folder).items():
        if path.endswith(".parquet"):
            assert hub.file(name, path, tag) == held


@pytest.mark.parametrize(
    "fault",
    [
        Fault("put", "status", status=403),
        Fault("put", "status", status=400),
        Fault("commit", "status", status=400),
        Fault("whoami", "nothing"),
        Fault("tree", "status", status=401),
    ],
    ids=lambda fault: f"{fault.route}-{fault.kind}-{fault.status}",
)
def test_no_secret_is_written_or_shown(
    hub: Hub, client: Client, release: Path, fault: Fault
) -> None:
    hub.fail(fault)
    for token in (WRITER, READER):
        process = client.hfaef("push", release, NAME, "--json", token=token, HFAEF_DEBUG="1")
        output, errors = process.communicate(timeout=180)
        found = [output, errors] + [
            path.read_text(errors="replace") for path in release.rglob("*") if path.is_file()
        ]
        for secret in (WRITER, READER):
            assert not [text for text in found if secret in text]
    held = [
        path
        for path in (client.home).rglob("*")
        if path.is_file() and any(token.encode() in path.read_bytes() for token in (WRITER, READER))
    ]
    assert held == []
    repo = hub.repo(NAME)
    public = [f"{commit.title} {commit.message}" for commit in repo.log()]
    public += [tag.message for tag in repo.tags.values()]
    assert not [text for text in public if WRITER in text]
