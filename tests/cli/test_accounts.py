"""hashdb member."""

from __future__ import annotations

import re

from tests.cli.conftest import Commands


def test_a_member_is_added_with_its_first_key_shown_once(run: Commands) -> None:
    output = run.json("member", "add", "Alpha Video", "--kind", "platform", "--scope", "contribute", "--scope", "match")
    assert output["member"] | {"created_at": ""} == {
        "id": 1,
        "name": "Alpha Video",
        "kind": "platform",
        "status": "active",
        "contact": "",
        "limits": {"contributions_per_day": None},
        "created_at": "",
    }
    assert output["key"]["scopes"] == ["contribute", "match"]
    assert re.fullmatch(r"hdb_[A-Za-z0-9_-]{43}", output["key"]["secret"])
    assert output["key"]["secret"] not in run("key", "list", "1").stdout


def test_the_text_output_shows_the_secret_on_its_own_line(run: Commands) -> None:
    lines = run("member", "add", "Alpha", "--kind", "platform", "--scope", "match").stdout.splitlines()
    assert lines[0] == "member 1: Alpha (platform)"
    assert lines[-1].startswith("hdb_")


def test_a_second_member_with_the_same_name_is_rejected(run: Commands) -> None:
    run("member", "add", "Alpha", "--kind", "platform")
    result = run("member", "add", "Alpha", "--kind", "authority")
    assert (result.returncode, result.stdout, result.stderr) == (1, "", "hashdb: a member named Alpha already exists\n")
    with_key = run("member", "add", "Alpha", "--kind", "platform", "--scope", "match")
    assert with_key.stderr == (
        "hashdb: a member named Alpha already exists; `hashdb key add` makes another key for it\n"
    )


def test_a_name_that_the_api_rejects_is_rejected_here(run: Commands) -> None:
    result = run("member", "add", "Al\npha", "--kind", "platform")
    assert (result.returncode, result.stderr) == (1, "hashdb: name: must have printable characters only\n")


def test_an_unknown_kind_is_a_usage_error(run: Commands) -> None:
    assert run("member", "add", "Alpha", "--kind", "club").returncode == 2


def test_members_are_listed_suspended_and_reinstated_by_id_or_name(run: Commands) -> None:
    run("member", "add", "Alpha", "--kind", "platform")
    run("member", "add", "Beta", "--kind", "trusted_flagger")
    assert run.json("member", "suspend", "Beta")["status"] == "suspended"
    assert [member["status"] for member in run.json("member", "list")["members"]] == ["active", "suspended"]
    assert run.json("member", "reinstate", "2")["status"] == "active"
    assert "trusted_flagger" in run("member", "list").stdout
    assert run("member", "suspend", "Gamma").stderr == "hashdb: a member named Gamma does not exist\n"
    assert run("member", "suspend", "member:3").stderr == "hashdb: member 3 does not exist\n"
    for id_words in (("member", "2"), ("member:2",), ("#2",)):
        assert run.json("member", "reinstate", *id_words)["name"] == "Beta"
    result = run("member", "suspend", "beta ")
    assert result.stderr == "hashdb: a member named beta  does not exist; did you mean 'Beta'?\n"


def test_the_contributions_of_a_member_a_day_can_be_limited(run: Commands) -> None:
    added = run.json("member", "add", "Alpha", "--kind", "platform", "--a-day", "1000")
    assert added["member"]["limits"] == {"contributions_per_day": 1000}
    assert run("member", "limit", "Alpha", "--a-day", "20000").stdout == (
        "member 1 (Alpha) may send 20000 contributions a day\n"
    )
    assert run.json("member", "limit", "1", "--none")["limits"] == {"contributions_per_day": None}
    for options in ([], ["--none", "--a-day", "1"], ["--a-day", "-1"]):
        assert run("member", "limit", "1", *options).returncode == 2
