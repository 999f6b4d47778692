"""hashdb case, against a served service."""

from __future__ import annotations

from tests.cli.conftest import Commands
from tests.cli.test_opinions import one, other

__all__ = ["one", "other"]


def test_a_case_is_listed_and_decided(member: Commands, other: Commands, one: int) -> None:
    case = other.json("opinion", str(one), "disputes", "--reason", "edsa_context")["case"]
    assert [found["id"] for found in other.json("case", "list")["cases"]] == [case]
    assert case in [found["id"] for found in member.json("case", "list", "--state", "open")["cases"]]
    decided = member("case", "decide", str(case), "quarantine", "--note", "a news\nreport")
    assert decided.stdout == f"case {case} on contribution {one} decided: quarantine\n"
    (heads, row) = other("case", "list").stdout.splitlines()
    assert heads.split() == ["id", "contribution", "reason", "opened", "due", "decision", "note"]
    assert row.split()[:3] == [str(case), str(one), "edsa_context"]
    assert row.rstrip().endswith("quarantine  a news report")
    assert other.json("case", "list", "--state", "open")["cases"] == []
    again = member("case", "decide", str(case), "uphold")
    assert (again.returncode, again.stderr) == (1, f"hashdb: case {case} is already decided\n")


def test_the_signals_that_are_to_hold_others_are_sent(member: Commands, other: Commands, one: int) -> None:
    case = str(other.json("opinion", str(one), "disputes", "--reason", "other")["case"])
    refused = member("case", "decide", case, "retire", "--signal", "0", "--signal", "63")
    assert (refused.returncode, "signals[1]" in refused.stderr, "no signal at place 63" in refused.stderr) == (
        1,
        True,
        True,
    )
    assert member("case", "decide", case, "retire", "--signal", "65").returncode == 2
    assert member("case", "decide", case, "uphold").returncode == 0


def test_who_may_not_decide_is_told_why(member: Commands, other: Commands, one: int) -> None:
    case = other.json("opinion", str(one), "disputes", "--reason", "other")["case"]
    assert (
        other("case", "decide", str(case), "uphold").stderr
        == "hashdb: this key lacks the scope review; it is the key from HASHDB_KEY\n"
    )
    assert member("case", "decide", str(case), "burn").returncode == 2
    assert member.json("case", "decide", str(case), "uphold", "--note", "it stands")["note"] == "it stands"
