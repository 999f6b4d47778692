"""hashdb member."""

from __future__ import annotations

import re

from tests.cli.conftest import Commands


def test_a_member_is_added_with_its_first_key_shown_once(run: Commands) -> None:
    said = run.json("member", "add", "Alpha Video", "--kind", "platform", "--scope", "contribute", "--scope", "match")
    assert said["member"] | {"created_at": ""} == {
        "id": 1,
        "name": "Alpha Video",
        "kind": "platform",
        "status": "active",
        "contact": "",
        "limits": {"contributions_per_day": None},
        "created_at": "",
    }
    assert said["key"]["scopes"] == ["contribute", "match"]
    assert re.fullmatch(r"hdb_[A-Za-z0-9_-]{43}", said["key"]["secret"])
    assert said["key"]["secret"] not in run("key", "list", "1").stdout


def test_for_people_the_secret_stands_on_a_line_of_its_own(run: Commands) -> None:
    lines = run("member", "add", "Alpha", "--kind", "platform", "--scope", "match").stdout.splitlines()
    assert lines[0] == "member 1: Alpha (platform)"
    assert lines[-1].startswith("hdb_")


def test_a_second_member_of_that_name_is_refused_in_one_sentence(run: Commands) -> None:
    run("member", "add", "Alpha", "--kind", "platform")
    done = run("member", "add", "Alpha", "--kind", "authority")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "hashdb: a member named Alpha already exists\n")


def test_a_name_that_the_api_would_refuse_is_refused_here(run: Commands) -> None:
    done = run("member", "add", "Al\npha", "--kind", "platform")
    assert (done.returncode, done.stderr) == (1, "hashdb: name: must have printable characters only\n")


def test_a_kind_that_does_not_exist_is_wrong_usage(run: Commands) -> None:
    assert run("member", "add", "Alpha", "--kind", "club").returncode == 2


def test_members_are_listed_suspended_and_reinstated_by_id_or_name(run: Commands) -> None:
    run("member", "add", "Alpha", "--kind", "platform")
    run("member", "add", "Beta", "--kind", "trusted_flagger")
    assert run.json("member", "suspend", "Beta")["status"] == "suspended"
    assert [one["status"] for one in run.json("member", "list")["members"]] == ["active", "suspended"]
    assert run.json("member", "reinstate", "2")["status"] == "active"
    assert "trusted_flagger" in run("member", "list").stdout
    assert run("member", "suspend", "Gamma").stderr == "hashdb: a member named Gamma does not exist\n"
    assert run("member", "suspend", "member:3").stderr == "hashdb: member 3 does not exist\n"
    for shown in (("member", "2"), ("member:2",), ("#2",)):
        assert run.json("member", "reinstate", *shown)["name"] == "Beta"
    done = run("member", "suspend", "beta ")
    assert done.stderr == "hashdb: a member named beta  does not exist; did you mean 'Beta'?\n"


def test_how_much_a_member_may_send_a_day_is_limited(run: Commands) -> None:
    added = run.json("member", "add", "Alpha", "--kind", "platform", "--a-day", "1000")
    assert added["member"]["limits"] == {"contributions_per_day": 1000}
    assert run("member", "limit", "Alpha", "--a-day", "20000").stdout == (
        "member 1 (Alpha) may send 20000 contributions a day\n"
    )
    assert run.json("member", "limit", "1", "--none")["limits"] == {"contributions_per_day": None}
    for wrong in ([], ["--none", "--a-day", "1"], ["--a-day", "-1"]):
        assert run("member", "limit", "1", *wrong).returncode == 2
