"""hashdb erase, on the machine of the service."""

from __future__ import annotations

from tests.builders import signal
from tests.cli.conftest import Commands
from tests.cli.test_opinions import contribution_id

__all__ = ["contribution_id"]


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
