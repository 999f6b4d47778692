"""hashdb key."""

from __future__ import annotations

from tests.cli.conftest import Commands


def test_a_key_is_issued_listed_and_revoked(run: Commands) -> None:
    run("member", "add", "Alpha", "--kind", "platform")
    issued = run.json("key", "add", "Alpha", "--scope", "feed", "--expires-at", "2099-01-01T00:00:00Z")
    assert issued["scopes"] == ["feed"]
    assert issued["expires_at"] == "2099-01-01T00:00:00.000000Z"
    assert run.json("key", "revoke", issued["id"])["revoked_at"]
    assert run("key", "revoke", issued["id"]).stderr == "hashdb: key 1 is already revoked\n"
    listed = run.json("key", "list", "Alpha")["keys"]
    assert [key["id"] for key in listed] == [issued["id"]]


def test_the_list_shows_the_member_of_each_key(run: Commands) -> None:
    for name in ("Alpha", "Beta", "Alpha"):
        run("member", "add", name, "--kind", "platform", "--contact", f"{name}@a.example")
        run("key", "add", name, "--scope", "match")
    listed = run.json("key", "list")["keys"]
    assert [(key["id"], key["member"]["name"]) for key in listed] == [("1", "Alpha"), ("2", "Beta"), ("3", "Alpha")]
    assert listed[1]["member"]["contact"] == "Beta@a.example"
    assert [line.split()[:2] for line in run("key", "list").stdout.splitlines()[1:]] == [
        ["1", "Alpha"],
        ["2", "Beta"],
        ["3", "Alpha"],
    ]
    assert run.json("key", "list", "Beta")["keys"] == [listed[1]]


def test_a_key_without_a_scope_is_a_usage_error(run: Commands) -> None:
    run("member", "add", "Alpha", "--kind", "platform")
    assert run("key", "add", "Alpha").returncode == 2


def test_an_expiry_in_the_past_is_rejected(run: Commands) -> None:
    run("member", "add", "Alpha", "--kind", "platform")
    result = run("key", "add", "Alpha", "--scope", "feed", "--expires-at", "2020-01-01T00:00:00Z")
    assert (result.returncode, result.stderr) == (1, "hashdb: expires_at: must be in the future\n")


def test_a_time_without_a_zone_is_a_usage_error(run: Commands) -> None:
    result = run("key", "add", "Alpha", "--scope", "feed", "--expires-at", "2099-01-01")
    assert result.returncode == 2
    assert "RFC 3339" in result.stderr


def test_an_unknown_member_or_key_is_reported(run: Commands) -> None:
    assert run("key", "add", "7", "--scope", "match").stderr == "hashdb: member 7 does not exist\n"
    assert run("key", "revoke", "7").stderr == "hashdb: key 7 does not exist\n"


def test_an_impossible_key_id_is_a_usage_error(run: Commands) -> None:
    assert run("key", "revoke", str(2**53)).returncode == 2
    assert run("key", "revoke", str(2**53 - 1)).stderr == f"hashdb: key {2**53 - 1} does not exist\n"


def test_a_key_can_hide_the_distances(run: Commands) -> None:
    run("member", "add", "Alpha", "--kind", "platform")
    assert run.json("key", "add", "Alpha", "--scope", "match", "--hide-distances")["hides_distances"] is True
    assert run.json("key", "add", "Alpha", "--scope", "match").keys() & {"hides_distances"} == set()
    assert "hidden" in run("key", "list", "Alpha").stdout
    result = run("key", "add", "Alpha", "--scope", "match", "--scope", "audit", "--hide-distances")
    error = "hashdb: hides_distances: does not work with the scope audit, which shows signals\n"
    assert (result.returncode, result.stderr) == (1, error)
