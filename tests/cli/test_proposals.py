"""hashdb proposal."""

from __future__ import annotations

from tests.cli.conftest import PHOTOS, Commands


def test_an_action_for_two_persons_becomes_a_proposal_that_can_be_dropped(run: Commands) -> None:
    run.environment["HASHDB_TWO_PERSONS"] = "true"
    run("member", "add", "Alpha", "--kind", "platform")
    result = run("member", "suspend", "Alpha")
    assert result.returncode == 0
    assert result.stdout.startswith("proposal 1: a second person must make the same request by ")
    proposal = run.json("member", "suspend", "Alpha")
    assert (proposal["proposal"], proposal["act"], proposal["subject"]) == (1, "member.suspend", "member:1")
    assert run.json("benign", "add", PHOTOS[0])["act"] == "benign.add"
    assert [proposal["proposal"] for proposal in run.json("proposal", "list")["proposals"]] == [1, 2]
    assert "member:1" in run("proposal", "list").stdout
    assert run("proposal", "drop", "1").stdout == "proposal 1 dropped\n"
    assert run("proposal", "drop", "1").stderr == "hashdb: proposal 1 does not exist\n"
    assert [member["status"] for member in run.json("member", "list")["members"]] == ["active"]
