"""hashdb opinion, against a served service."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import PHOTOS, Commands


@pytest.fixture
def other(served: str, home: Path, request: pytest.FixtureRequest) -> Commands:
    """Another member, with a key that matches and reads the feed."""
    here = Commands({"HASHDB_HOME": str(home)})
    added = here.json("member", "add", f"Other {request.node.name}"[:90], "--kind", "platform", "--scope", "match",
                      "--scope", "feed")  # fmt: skip
    return Commands({"HASHDB_URL": served, "HASHDB_KEY": added["key"]["secret"]})


@pytest.fixture
def one(member: Commands) -> int:
    """A contribution of the member."""
    said = ("--label", "glorification", "--removed-at", "now")
    id: int = member.json("contribute", PHOTOS[6], *said)[0]["id"]
    return id


def test_an_opinion_is_given_and_shown_in_the_match(member: Commands, other: Commands, one: int) -> None:
    given = other("opinion", str(one), "confirms")
    assert given.returncode == 0
    assert f" confirms contribution {one}\n" in given.stdout
    (found,) = other.json("match", PHOTOS[6])
    assert {match["contribution"]: match["standing"] for match in found["matches"]}[one] == "confirmed"


def test_a_dispute_goes_before_a_reviewer(member: Commands, other: Commands, one: int) -> None:
    disputed = other.json("opinion", str(one), "disputes", "--reason", "edsa_context", "--note", "a news report")
    assert (disputed["opinion"], disputed["reason"], disputed["note"]) == (
        ("disputes", "edsa_context", "a news report")
    )
    assert f", case {disputed['case']}\n" in other("opinion", str(one), "disputes", "--reason", "other").stdout


def test_what_is_no_opinion_is_refused_in_a_sentence(member: Commands, other: Commands, one: int) -> None:
    assert other("opinion", str(one), "disputes").stderr == (
        "hashdb: reason: is required for a dispute: `hashdb opinion --help` and the API document list the reasons\n"
    )
    assert other("opinion", str(one), "likes").returncode == 2
    own = member("opinion", str(one), "confirms")
    assert (own.returncode, own.stderr) == (
        (1, f"hashdb: contribution {one} is your own: only other members may give opinions on it\n")
    )
