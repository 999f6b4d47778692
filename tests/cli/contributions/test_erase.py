"""hashdb erase, on the machine of the service."""

from __future__ import annotations

from tests.builders import signal
from tests.cli.conftest import Commands
from tests.cli.test_opinions import one

__all__ = ["one"]


def test_a_contribution_is_erased_and_stays_so(member: Commands, one: int) -> None:
    done = member("erase", str(one))
    assert done.stdout == (
        f"contribution {one} erased; the database keeps its signals, hidden, until 90 days after the withdrawal\n"
    )
    assert member("erase", str(one), "--now").stdout == f"contribution {one} erased\n"
    said = member.json("erase", str(one))
    assert (said["erased"], said["signals"], said["status"]) == (True, [], "withdrawn")
    assert str(signal(1)) not in str(said)


def test_what_is_not_there_is_told(member: Commands) -> None:
    done = member("erase", "999999")
    assert (done.returncode, done.stderr) == (1, "hashdb: contribution 999999 does not exist\n")
