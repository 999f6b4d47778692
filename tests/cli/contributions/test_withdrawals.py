"""hashdb withdraw, and hashdb erase on the machine of the service."""

from __future__ import annotations

from tests.builders import signal
from tests.cli.conftest import PHOTOS, Commands
from tests.cli.test_opinions import contribution_id

__all__ = ["contribution_id"]

METADATA = ("--label", "glorification", "--removed-at", "2026-11-20T10:00:00Z")


def test_a_withdrawn_contribution_no_longer_matches(member: Commands) -> None:
    id = member.json("contribute", PHOTOS[4], *METADATA)[0]["id"]
    assert member.json("withdraw", str(id), "--reason", "removal_reversed")["status"] == "withdrawn"
    matches = member.json("match", PHOTOS[4])[0]["matches"]
    assert id not in [match["contribution"] for match in matches]
    assert member("withdraw", str(id), "--reason", "other").stderr == (
        f"hashdb: contribution {id} is already withdrawn\n"
    )


def test_an_impossible_contribution_id_is_a_usage_error(member: Commands) -> None:
    assert member("withdraw", str(2**53), "--reason", "other").returncode == 2
    result = member("withdraw", str(2**53 - 1), "--reason", "other")
    assert result.stderr == f"hashdb: contribution {2**53 - 1} does not exist\n"


def test_erase_removes_the_signals_and_can_be_repeated(member: Commands, contribution_id: int) -> None:
    result = member("erase", str(contribution_id))
    assert result.stdout == (
        f"contribution {contribution_id} erased; "
        "the database keeps its signals, hidden, until 90 days after the withdrawal\n"
    )
    assert member("erase", str(contribution_id), "--now").stdout == f"contribution {contribution_id} erased\n"
    output = member.json("erase", str(contribution_id))
    assert (output["erased"], output["signals"], output["status"]) == (True, [], "withdrawn")
    assert str(signal(1)) not in str(output)


def test_erasing_a_missing_contribution_is_an_error(member: Commands) -> None:
    result = member("erase", "999999")
    assert (result.returncode, result.stderr) == (1, "hashdb: contribution 999999 does not exist\n")
