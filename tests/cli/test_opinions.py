"""hashdb opinion, against a real service."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import PHOTOS, Commands


@pytest.fixture
def other_member(service_url: str, home: Path, request: pytest.FixtureRequest) -> Commands:
    """Another member, with a key that matches and reads the feed."""
    local = Commands({"HASHDB_HOME": str(home)})
    added = local.json("member", "add", f"Other {request.node.name}"[:90], "--kind", "platform", "--scope", "match",
                      "--scope", "feed")  # fmt: skip
    return Commands({"HASHDB_URL": service_url, "HASHDB_KEY": added["key"]["secret"]})


@pytest.fixture
def contribution_id(member: Commands) -> int:
    """The id of a contribution of the member."""
    metadata = ("--label", "glorification", "--removed-at", "now")
    number: int = member.json("contribute", PHOTOS[6], *metadata)[0]["id"]
    return number


def test_an_opinion_changes_the_standing_shown_in_a_match(
    member: Commands, other_member: Commands, contribution_id: int
) -> None:
    result = other_member("opinion", str(contribution_id), "confirms")
    assert result.returncode == 0
    assert f" confirms contribution {contribution_id}\n" in result.stdout
    (answer,) = other_member.json("match", PHOTOS[6])
    assert {match["contribution"]: match["standing"] for match in answer["matches"]}[contribution_id] == "confirmed"


def test_a_dispute_opens_a_case(member: Commands, other_member: Commands, contribution_id: int) -> None:
    disputed = other_member.json(
        "opinion", str(contribution_id), "disputes", "--reason", "edsa_context", "--note", "a news report"
    )
    assert (disputed["opinion"], disputed["reason"], disputed["note"]) == (
        ("disputes", "edsa_context", "a news report")
    )
    assert (
        f", case {disputed['case']}\n"
        in other_member("opinion", str(contribution_id), "disputes", "--reason", "other").stdout
    )


def test_an_invalid_opinion_is_rejected_in_one_sentence(
    member: Commands, other_member: Commands, contribution_id: int
) -> None:
    assert other_member("opinion", str(contribution_id), "disputes").stderr == (
        "hashdb: reason: is required for a dispute: `hashdb opinion --help` and the API document list the reasons\n"
    )
    assert other_member("opinion", str(contribution_id), "likes").returncode == 2
    result = member("opinion", str(contribution_id), "confirms")
    assert (result.returncode, result.stderr) == (
        (1, f"hashdb: contribution {contribution_id} is your own: only other members may give opinions on it\n")
    )
