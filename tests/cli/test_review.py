"""hashdb case, against a real service."""

from __future__ import annotations

from tests.cli.conftest import Commands
from tests.cli.test_opinions import contribution_id, other_member

__all__ = ["contribution_id", "other_member"]


def test_a_case_is_listed_and_decided(member: Commands, other_member: Commands, contribution_id: int) -> None:
    case = other_member.json("opinion", str(contribution_id), "disputes", "--reason", "edsa_context")["case"]
    assert [listed["id"] for listed in other_member.json("case", "list")["cases"]] == [case]
    assert case in [listed["id"] for listed in member.json("case", "list", "--state", "open")["cases"]]
    decided = member("case", "decide", str(case), "quarantine", "--note", "a news\nreport")
    assert decided.stdout == f"case {case} on contribution {contribution_id} decided: quarantine\n"
    (headings, row) = other_member("case", "list").stdout.splitlines()
    assert headings.split() == ["id", "contribution", "reason", "opened", "due", "decision", "note"]
    assert row.split()[:3] == [str(case), str(contribution_id), "edsa_context"]
    assert row.rstrip().endswith("quarantine  a news report")
    assert other_member.json("case", "list", "--state", "open")["cases"] == []
    again = member("case", "decide", str(case), "uphold")
    assert (again.returncode, again.stderr) == (1, f"hashdb: case {case} is already decided\n")


def test_decide_rejects_the_number_of_a_missing_signal(
    member: Commands, other_member: Commands, contribution_id: int
) -> None:
    case = str(other_member.json("opinion", str(contribution_id), "disputes", "--reason", "other")["case"])
    result = member("case", "decide", case, "retire", "--signal", "0", "--signal", "63")
    assert (result.returncode, "signals[1]" in result.stderr, "no signal at place 63" in result.stderr) == (
        1,
        True,
        True,
    )
    assert member("case", "decide", case, "retire", "--signal", "65").returncode == 2
    assert member("case", "decide", case, "uphold").returncode == 0


def test_a_key_without_the_scope_review_cannot_decide_a_case(
    member: Commands, other_member: Commands, contribution_id: int
) -> None:
    case = other_member.json("opinion", str(contribution_id), "disputes", "--reason", "other")["case"]
    assert (
        other_member("case", "decide", str(case), "uphold").stderr
        == "hashdb: this key lacks the scope review; it is the key from HASHDB_KEY\n"
    )
    assert member("case", "decide", str(case), "burn").returncode == 2
    assert member.json("case", "decide", str(case), "uphold", "--note", "it stands")["note"] == "it stands"
