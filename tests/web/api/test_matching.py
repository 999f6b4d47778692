"""/v1/matches: the fields, the order and the number of matches."""

from __future__ import annotations

import random

from hashdb.domain.accounts.members import Scope
from hashdb.domain.signals import Algorithm
from tests.builders import near, signal, signature
from tests.web.callers import Caller, Service, body, faults, item, pdq, problem, service_at

URL = "/v1/matches"
PHASH = str(signal(1, Algorithm.PHASH))


def test_a_match_is_returned_with_all_fields(platform: Caller, other: Caller) -> None:
    draft = item(signals=[pdq(), PHASH], severity=2, context=["synthetic"], reference="not shown")
    (contribution,) = platform.contribute(draft)
    close = [str(near(signal(1), 6)), str(near(signal(1, Algorithm.PHASH), 2))]
    queries = [{"id": "upload-991", "signals": close, "radius": {"pdq": 20}}, {"signals": [pdq(2)]}]
    answer = body(other.post(URL, {"queries": queries}))
    assert 0 < answer["results"][0]["matches"][0].pop("score") < 20
    assert answer["results"] == [
        {
            "id": "upload-991",
            "members": 1,
            "severity": 2,
            "action": "review",
            "truncated": False,
            "matches": [
                {
                    "contribution": contribution["id"],
                    "distance": {"pdq": 6, "phash": 2},
                    "agree": ["pdq", "phash"],
                    "labels": ["glorification"],
                    "severity": 2,
                    "standing": "unreviewed",
                    "context": ["synthetic"],
                    "removed_at": "2026-11-20T10:00:00.000000Z",
                    "received_at": "2026-11-20T12:00:00.000000Z",
                }
            ],
        },
        {"id": None, "members": 0, "severity": None, "action": "none", "truncated": False, "matches": []},
    ]
    assert isinstance(answer["checkpoint"], int)


def test_the_next_match_finds_a_contribution_that_was_answered(platform: Caller, other: Caller) -> None:
    for seed in range(50):
        (contribution,) = platform.contribute(item(seed))
        assert other.matched(pdq(seed)) == [contribution["id"]]


def test_matches_are_ordered_by_distance_then_agreement_then_id(platform: Caller, other: Caller) -> None:
    origin, phash = signal(1), signal(1, Algorithm.PHASH)
    far, low, high, both = platform.contribute(
        item(signals=[str(near(origin, 20))]),
        item(signals=[str(near(origin, 4, 1))]),
        item(signals=[str(near(origin, 4, 2))]),
        item(signals=[str(near(origin, 4, 3)), str(near(phash, 6))]),
    )
    matches = other.matched(str(origin), str(phash))
    assert matches == [both["id"], low["id"], high["id"], far["id"]]


def test_a_query_can_narrow_the_radius_but_not_widen_it(platform: Caller, other: Caller) -> None:
    (contribution,) = platform.contribute(item(signals=[str(near(signal(1), 10))]))
    assert other.matched(pdq(), radius={"pdq": 10}) == [contribution["id"]]
    assert other.matched(pdq(), radius={"pdq": 9}) == []
    rejected = other.post(URL, {"queries": [{"signals": [pdq()], "radius": {"pdq": 32, "phash": 7}}]})
    assert set(faults(rejected)) == {"queries[0].radius.pdq", "queries[0].radius.phash"}


def test_an_operator_can_allow_a_wider_radius() -> None:
    with service_at(None, max_radius="pdq=60,phash=10") as service:
        first, second = service.caller(), service.caller()
        (contribution,) = first.contribute(item(signals=[str(near(signal(1), 60))]))
        assert second.matched(pdq()) == []
        assert second.matched(pdq(), radius={"pdq": 60}) == [contribution["id"]]


def test_a_result_has_the_number_of_members_that_contributed(platform: Caller, other: Caller) -> None:
    platform.contribute(item(), item(signals=[str(near(signal(1), 2))]))
    other.contribute(item())
    (result,) = body(other.post(URL, {"queries": [{"signals": [pdq()]}]}))["results"]
    assert (result["members"], len(result["matches"])) == (2, 3)


def test_an_answer_has_at_most_1000_matches_a_query_and_20000_in_all(service: Service, platform: Caller) -> None:
    phash = signal(7, Algorithm.PHASH)
    drafts = [item(signals=[str(phash), pdq(seed)]) for seed in range(1005)]
    platform.contribute(*drafts[:500])
    platform.contribute(*drafts[500:])
    query = {"queries": [{"signals": [str(phash)]}] * 22}
    results = body(service.caller(Scope.MATCH).post(URL, query))["results"]
    assert [len(result["matches"]) for result in results] == [1000] * 20 + [0, 0]
    assert all(result["truncated"] for result in results)
    assert [match["contribution"] for match in results[0]["matches"]] == list(range(1, 1001))


def test_1000_queries_are_answered_in_order(platform: Caller, other: Caller) -> None:
    platform.contribute(*(item(seed) for seed in range(0, 1000, 10)))
    rng = random.Random(1)
    queries = [
        {"id": str(n), "signals": [pdq(n), *(pdq(rng.randrange(2000, 2100)) for _ in "abc")]} for n in range(1000)
    ]
    results = body(other.post(URL, {"queries": queries}))["results"]
    assert [result["id"] for result in results] == [str(n) for n in range(1000)]
    assert [n for n in range(1000) if results[n]["matches"]] == list(range(0, 1000, 10))


def test_a_query_can_have_64_signals(platform: Caller, other: Caller) -> None:
    (contribution,) = platform.contribute(item(63))
    assert other.matched(*(pdq(seed) for seed in range(64))) == [contribution["id"]]


def test_queries_over_a_limit_are_rejected(platform: Caller) -> None:
    assert list(faults(platform.post(URL, {"queries": [{"signals": [pdq()]}] * 1001}))) == ["queries"]
    assert list(faults(platform.post(URL, {"queries": [{"signals": [pdq()] * 5}] * 801}))) == ["queries"]
    assert list(faults(platform.post(URL, {"queries": [{"signals": [pdq()] * 65}]}))) == ["queries[0].signals"]
    assert list(faults(platform.post(URL, {"queries": [{"signals": []}]}))) == ["queries[0].signals"]


def test_quarantined_matches_need_the_scope_audit(service: Service, platform: Caller) -> None:
    query = {"queries": [{"signals": [pdq()]}]}
    assert problem(platform.post(f"{URL}?include=quarantined", query), 403, "scope-missing")["scope"] == "audit"
    auditor = service.caller(Scope.MATCH, Scope.AUDIT)
    assert body(auditor.post(f"{URL}?include=quarantined", query))["results"][0]["action"] == "none"
    assert list(faults(auditor.post(f"{URL}?include=all", query))) == ["include"]


def test_a_contribution_stops_matching_at_its_expiry(service: Service, platform: Caller, other: Caller) -> None:
    (contribution,) = platform.contribute(item(expires_at="2026-11-20T13:00:00Z"))
    service.clock.advance(minutes=59, seconds=59)
    assert other.matched(pdq()) == [contribution["id"]]
    service.clock.advance(seconds=1)
    assert other.matched(pdq()) == []


def test_the_contributions_of_a_suspended_member_do_not_match(platform: Caller, other: Caller, admin: Caller) -> None:
    (contribution,) = platform.contribute(item())
    body(admin.patch(f"/v1/members/{platform.member}", {"status": "suspended"}))
    assert other.matched(pdq()) == []
    body(admin.patch(f"/v1/members/{platform.member}", {"status": "active"}))
    assert other.matched(pdq()) == [contribution["id"]]


def test_a_key_that_hides_distances_gets_matches_without_distance(
    service: Service, platform: Caller, other: Caller
) -> None:
    far, close = other.contribute(
        item(1, signals=[str(near(signal(1), 20))]), item(2, signals=[str(near(signal(1), 2))])
    )
    hidden = service.key(platform.member, Scope.MATCH, hides_distances=True)
    queries = {"queries": [{"id": "u", "signals": [pdq(1)]}] * 9}
    for path in ("/v1/matches", "/v1/matches?&"):
        for request in (queries, {"queries": queries["queries"][:1]}):
            results = body(hidden.post(path, request))["results"]
            for result in results:
                assert [match["contribution"] for match in result["matches"]] == [far["id"], close["id"]]
                assert [match["distance"] for match in result["matches"]] == [{"pdq": None}] * 2
                assert [match["agree"] for match in result["matches"]] == [["pdq"]] * 2
                assert (result["action"], result["members"]) == ("review", 1)
    assert body(hidden.get("/v1/me"))["key"]["hides_distances"] is True
    matches = body(platform.post("/v1/matches", queries))["results"][0]["matches"]
    assert [match["distance"] for match in matches] == [{"pdq": 2}, {"pdq": 20}]


def test_a_key_that_hides_distances_gets_no_score_and_cannot_use_one(
    service: Service, platform: Caller, other: Caller
) -> None:
    other.contribute(item(1, signatures=[str(signature(1))]))
    hidden = service.key(platform.member, Scope.MATCH, hides_distances=True)
    query = {"signals": [pdq(1)], "transforms": {"mirror": [pdq(2)]}, "signatures": {"whole": [str(signature(1))]}}
    (full,) = body(platform.post(URL, {"queries": [query | {"order": "score"}]}))["results"][0]["matches"]
    assert full["evidence"]["detail"] == 0.0
    (match,) = body(hidden.post(URL, {"queries": [query]}))["results"][0]["matches"]
    assert match.keys() == full.keys() - {"score", "evidence"}
    assert faults(hidden.post(URL, {"queries": [query | {"min_score": 0}, query | {"order": "score"}]})) == {
        "queries[0].min_score": "is not allowed for a key that hides distances",
        "queries[1].order": "is not allowed for a key that hides distances",
    }


def test_a_key_that_hides_distances_cannot_choose_the_radius(service: Service, platform: Caller) -> None:
    hidden = service.key(platform.member, Scope.MATCH, hides_distances=True)
    for radius in ({"pdq": 31}, {"pdq": 3}):
        queries = {"queries": [{"signals": [pdq(1)]}, {"signals": [pdq(1)], "radius": radius}]}
        assert faults(hidden.post("/v1/matches", queries)) == {
            "queries[1].radius": "is not allowed for a key that hides distances"
        }
    assert body(hidden.post("/v1/matches", {"queries": [{"signals": [pdq(1)], "radius": {}}]}))
