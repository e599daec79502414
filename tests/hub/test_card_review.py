"""The Hub is asked about a card before anything is sent to it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hfaef.core.net.card_review import CardReview
from hfaef.recipe.licenses import LICENSES
from servers.hub import Fault, Hub
from servers.hub.fixtures import Client
from support.pushes import is_whole, push
from support.releases import fresh_copy

pytestmark = pytest.mark.slow

REVIEW = """
from hfaef.errors import HubError
from hfaef.hub.repo import Repo
from hfaef.hub.retry import RetryPolicy
answer = []
for text in arguments[0]:
    try:
        found = Repo("ada/patches", RetryPolicy(sleep=lambda _: None)).review_card(text)
        answer.append([found.errors, found.warnings])
    except HubError as error:
        answer.append(str(error))
"""


def a_card(**keys: object) -> str:
    return f"---\n{json.dumps(keys)}\n---\n# Patches\n"


def test_what_the_hub_says_of_a_card_is_read(hub: Hub, client: Client) -> None:
    cards = [
        a_card(license="cc-by-4.0", tags=["a"], pretty_name="P"),
        a_card(license="gpl-2.0-or-later"),
        a_card(tags=["a", ""], pretty_name=5),
        a_card(task_categories=["cartography"]),
        "# no YAML\n",
    ]
    sound, licence, several, task, none = client.run(REVIEW, cards)
    assert sound == [[], []]
    assert licence[0][0].startswith('"license" must be one of [')
    assert len(licence[0][0]) <= 300
    assert several[0] == ['"tags[1]" is not allowed to be empty', '"pretty_name" must be a string']
    assert task == [[], ['The task_categories "cartography" is not in the official list']]
    assert none == [[], ["empty or missing yaml metadata in repo card"]]
    assert [seen.status for seen in hub.calls("yaml")] == [200, 400, 400, 200, 200]


def test_the_loopback_hub_says_what_its_own_client_understands(client: Client) -> None:
    code = """
from huggingface_hub import DatasetCard
answer = []
for text in arguments[0]:
    try:
        answer.append(DatasetCard(text).validate())
    except ValueError as error:
        answer.append(str(error))
"""
    cards = [a_card(license="mit"), a_card(license="mine")]
    sound, refused = client.run(code, cards)
    assert sound is None
    assert refused.startswith('"license" must be one of [')
    assert "array]" in refused


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Fault("yaml", "status", status=404), [[], []]),
        (Fault("yaml", "status", status=503), [[], []]),  # asked again
        (Fault("yaml", "status", status=400), [['{"error": "400 on purpose"}'], []]),
        (Fault("yaml", "status", status=503, times=9), "the Hub answers 503"),
        (Fault("yaml", "status", status=401), "the Hub does not know your token"),
    ],
    ids=lambda value: f"{value.status}x{value.times}" if isinstance(value, Fault) else "",
)
def test_a_hub_that_does_not_say_is_told_apart(
    hub: Hub, client: Client, fault: Fault, expected: object
) -> None:
    hub.fail(fault)
    (found,) = client.run(REVIEW, [a_card(license="mit")])
    if isinstance(expected, str):
        assert found.startswith(expected)
    else:
        assert found == expected


@pytest.mark.parametrize("answer", [None, [], "x", {"errors": "x"}, {"warnings": [None, 5]}])
def test_an_answer_of_another_form_is_no_fault_of_ours(answer: object) -> None:
    found = CardReview.of(answer)
    assert all(isinstance(text, str) for text in (*found.errors, *found.warnings))


def test_a_card_that_the_hub_refuses_stops_a_push_before_anything_is_sent(
    hub: Hub,
    client: Client,
    fewer_patches_release: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The Hub's list changes, and ours does not know yet.
    monkeypatch.setattr("servers.hub.card.LICENSES", LICENSES - {"cc-by-4.0"})
    folder = fresh_copy(fewer_patches_release, tmp_path / "release")
    for options in (("--dry-run",), ()):
        result = push(client, folder, *options)
        assert result["exit"] == 1
        assert f'does not take the README.md of {folder}: "license" must be' in result["error"]
        assert f"hfaef build RECIPE --out {folder}" in result["hint"]
    assert {seen.route for seen in hub.seen if seen.method not in ("GET", "HEAD")} == {"yaml"}
    assert hub.state.repos == {}


def test_what_the_hub_warns_of_is_a_note_and_stops_nothing(
    hub: Hub,
    client: Client,
    fewer_patches_release: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("servers.hub.card.TASKS", frozenset())
    folder = fresh_copy(fewer_patches_release, tmp_path / "release")
    for options in (("--dry-run",), ()):
        result = push(client, folder, *options)
        assert result["exit"] == 0
        (note,) = (note for note in result["notes"] if note.startswith("the Hub warns"))
        assert "image-classification" in note
        assert f"hfaef build RECIPE --out {folder}" in note
        assert "UserWarning" not in result["errors"]
    assert hub.calls("yaml")[0].status == 200
    is_whole(hub, folder, "1.0.0")
