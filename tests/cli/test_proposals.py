"""hashdb proposal."""

from __future__ import annotations

from tests.cli.conftest import PHOTOS, Commands


def test_what_takes_two_persons_waits_is_listed_and_dropped(run: Commands) -> None:
    run.environment["HASHDB_TWO_PERSONS"] = "true"
    run("member", "add", "Alpha", "--kind", "platform")
    done = run("member", "suspend", "Alpha")
    assert done.returncode == 0
    assert done.stdout.startswith("proposal 1: a second person must make the same request by ")
    waits = run.json("member", "suspend", "Alpha")
    assert (waits["proposal"], waits["act"], waits["subject"]) == (1, "member.suspend", "member:1")
    assert run.json("benign", "add", PHOTOS[0])["act"] == "benign.add"
    assert [one["proposal"] for one in run.json("proposal", "list")["proposals"]] == [1, 2]
    assert "member:1" in run("proposal", "list").stdout
    assert run("proposal", "drop", "1").stdout == "proposal 1 dropped\n"
    assert run("proposal", "drop", "1").stderr == "hashdb: proposal 1 does not exist\n"
    assert [one["status"] for one in run.json("member", "list")["members"]] == ["active"]
