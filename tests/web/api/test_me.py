"""/v1/me: the member and scopes of a key, and the limits of the service."""

from __future__ import annotations

from hashdb import __version__
from hashdb.domain.accounts.budgets import Budget
from hashdb.domain.accounts.members import COMMAND_LINE, MemberChange, Scope
from hashdb.service.accounts import members
from hashdb.service.matching import seeds
from tests.web.callers import Service, body, item, pdq, problem, service_at


def test_a_key_with_any_scope_can_read_its_member_and_scopes(service: Service) -> None:
    for scope in Scope:
        caller = service.caller(scope)
        me = body(caller.get("/v1/me"))
        assert me["member"]["id"] == caller.member
        assert me["key"] == {"id": str(caller.key), "scopes": [scope]}
        assert str(caller.secret) not in str(me)


def test_the_limits_algorithms_and_labels_of_the_service_are_returned(service: Service) -> None:
    me = body(service.caller(Scope.MATCH, daily_limit=7).get("/v1/me"))
    assert set(me) == {"member", "key", "limits", "algorithms", "labels", "version", "signatures", "texts", "digests"}
    assert me["signatures"] == ["detail", "colour"]
    assert me["texts"].keys() == {"simhash256"} and me["texts"]["simhash256"].keys() == {"bits", "radius", "max_radius"}
    assert me["digests"] == ["sha256", "md5", "url"]
    assert me["algorithms"].keys().isdisjoint({*me["texts"], *me["digests"]}), (
        "clients of version 0.1.0 know none of these"
    )
    assert me["limits"].pop("budgets").keys() == set(Budget)
    assert me["limits"] == {"contributions_per_day": 7}
    assert list(me["algorithms"]) == ["pdq", "phash256", "phash"]
    assert me["algorithms"]["pdq"] == {"bits": 256, "radius": 31, "max_radius": 31}
    assert "glorification" in me["labels"]["behaviour"]
    assert "removal_reversed" in me["labels"]["reason"]
    assert me["version"] == __version__


def test_only_keys_that_contribute_or_match_get_the_seeds(service: Service) -> None:
    assert "secret_views" not in body(service.caller().get("/v1/me"))
    seeds.make_first(service.db)
    seeds.rotate(service.db, COMMAND_LINE)
    with service.db.store.read() as tx:
        in_use = [{"id": seed.id, "seed": seed.octets.hex()} for seed in tx.seeds.in_use()]
    assert [seed["id"] for seed in in_use] == [2, 1]
    for scope in Scope:
        me = body(service.caller(scope).get("/v1/me"))
        assert me.get("secret_views") == (in_use if scope in (Scope.CONTRIBUTE, Scope.MATCH) else None)


def test_the_configured_algorithms_and_radius_are_returned() -> None:
    with service_at(None, algorithms="dhash,pdq", max_radius="pdq=60") as service:
        algorithms = body(service.caller().get("/v1/me"))["algorithms"]
    assert algorithms == {
        "dhash": {"bits": 64, "radius": 4, "max_radius": 4},
        "pdq": {"bits": 256, "radius": 31, "max_radius": 60},
    }


def test_the_remaining_budgets_are_returned(service: Service) -> None:
    caller = service.caller()
    caller.matched(pdq(1), pdq(2))
    caller.contribute(item(1), item(2))
    budgets = body(caller.get("/v1/me"))["limits"]["budgets"]
    midnight = "2026-11-21T00:00:00.000000Z"
    assert budgets["queries"] == {"limit": 10_000_000, "seconds": 86400, "left": 9_999_999, "renews_at": midnight}
    assert budgets["signals"]["left"] == budgets["signals"]["limit"] - 2
    assert budgets["contributions"]["left"] == budgets["contributions"]["limit"] - 2
    assert budgets["short_signals"]["left"] == budgets["short_signals"]["limit"] == 100_000
    members.change(service.db, COMMAND_LINE, caller.member, MemberChange(budget_factor=4))
    wider = body(caller.get("/v1/me"))["limits"]
    assert wider["budget_factor"] == 4
    assert wider["budgets"]["queries"]["left"] == 39_999_999


def test_a_match_returns_the_remaining_budget_and_is_rejected_without_one() -> None:
    with service_at(None, budgets="queries=5,short_signals=2") as service:
        caller = service.caller()
        queries = {"queries": [{"signals": [pdq(1)]}] * 2}
        for path in ("/v1/matches", "/v1/matches?include=quarantined"):
            headers = caller.post(path, queries).headers
            assert headers["RateLimit-Policy"] == (
                '"queries";q=5;w=86400, "signals";q=1000000000;w=86400, "short_signals";q=2;w=86400'
            )
        assert (
            headers["RateLimit"] == '"queries";r=1;t=43200, "signals";r=999999996;t=43200, "short_signals";r=2;t=43200'
        )
        rejected = caller.post("/v1/matches", queries)
        details = problem(rejected, 429, "limit-reached")
        assert details["detail"] == (
            "the limit of 5 queries a day by one key (budget `queries`, renews at 2026-11-21T00:00:00.000000Z)"
            " is reached"
        )
        assert (rejected.headers["Retry-After"], details["retry_after"]) == ("43200", 43200)
        assert rejected.headers["RateLimit"].startswith('"queries";r=1;t=43200, ')
        changed = caller.post("/v1/webhooks", {})
        assert changed.headers["RateLimit"] == '"changes";r=59;t=6'
        assert "RateLimit" not in caller.get("/v1/me").headers


def test_hma_lookups_use_the_budgets() -> None:
    with service_at(None, budgets="queries=3,short_signals=1") as service:
        caller = service.caller()
        short, long = "phash:d1c4b2a09f8e7d6c", pdq(1)

        def look_up(signal: str) -> int:
            kind, _, value = signal.partition(":")
            query = {"signal": value, "signal_type": kind}
            return caller.get("/hma/m/raw_lookup", query_string=query).status_code

        assert [look_up(signal) for signal in (short, short, long, long, long)] == [200, 429, 200, 200, 429]
