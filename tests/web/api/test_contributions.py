"""/v1/contributions: what is recorded, what is answered, who sees what."""

from __future__ import annotations

import pytest

from hashdb.domain.accounts.members import Scope
from hashdb.domain.ledger.commitments import commit_lines
from hashdb.domain.signals import Algorithm
from tests.builders import near, signal
from tests.web.callers import Caller, Service, body, faults, item, pdq, problem, service_at

URL = "/v1/contributions"


def test_a_contribution_is_answered_whole(platform: Caller) -> None:
    phash = "phash:d1c4b2a09f8e7d6c"
    said = {
        "labels": ["glorification", "incitement"],
        "media": "video_frame",
        "severity": 2,
        "basis": "terms",
        "tco_ground": "2.7.a",
        "entity": "UN:example",
        "incident": "CIP:example-2026",
        "context": ["contains_victim"],
        "reference": "your-own-id-123",
    }
    times = {"notified_at": "2026-11-20T10:00:00+01:00", "expires_at": "2027-01-01T00:00:00.5Z"}
    response = platform.post(URL, {"contributions": [item(signals=[pdq(), phash], **said, **times)]})
    assert response.status_code == 201
    answer = body(response)
    salt = bytes.fromhex(answer["contributions"][0]["salt"])
    assert answer["contributions"] == [
        {
            "salt": salt.hex(),
            "commitment": commit_lines(salt, [pdq(), phash]).hex(),
            "id": 1,
            "known": False,
            "status": "active",
            "standing": "unreviewed",
            "member": {"id": platform.member, "name": "Platform"},
            "received_at": "2026-11-20T12:00:00.000000Z",
            "signals": [pdq(), phash],
            "removed_at": "2026-11-20T10:00:00.000000Z",
            "quality": 97,
            **said,
            "notified_at": "2026-11-20T09:00:00.000000Z",
            "expires_at": "2027-01-01T00:00:00.500000Z",
            "withdrawn_at": None,
            "withdrawal_reason": None,
            "erased": False,
            "masked": 0,
        }
    ]
    assert isinstance(answer["checkpoint"], int)


def test_what_may_be_left_out_is_answered_as_null_or_empty(platform: Caller) -> None:
    (answered,) = platform.contribute(item())
    optional = ("severity", "basis", "tco_ground", "entity", "incident", "notified_at", "reference", "expires_at")
    assert {name: answered[name] for name in optional} == dict.fromkeys(optional)
    assert (answered["media"], answered["context"]) == ("image", [])


def test_what_is_active_already_is_known_also_within_a_request(platform: Caller, other: Caller) -> None:
    first, again = platform.contribute(item(1), item(1, severity=3))
    (later,) = platform.contribute(item(1, labels=["incitement"]))
    assert [one["known"] for one in (first, again, later)] == [False, True, True]
    assert again["id"] == later["id"] == first["id"]
    assert later["labels"] == ["glorification"]
    assert other.contribute(item(1))[0]["known"] is False


def test_after_a_withdrawal_the_same_set_is_stored_anew(platform: Caller) -> None:
    (first,) = platform.contribute(item())
    platform.post(f"{URL}/{first['id']}/withdrawal", {"reason": "wrong_label"})
    (second,) = platform.contribute(item())
    assert second["known"] is False
    assert second["id"] > first["id"]


def test_a_request_is_stored_whole_or_not_at_all(service: Service, platform: Caller) -> None:
    before = service.rows()
    told = faults(platform.post(URL, {"contributions": [item(1), item(2, labels=["nonsense"])]}))
    assert list(told) == ["contributions[1].labels[0]"]
    assert service.rows() == before


@pytest.mark.parametrize(
    ("algorithm", "fewest", "most"),
    [
        ("pdq", 120, 136),
        ("phash256", 120, 136),
        ("phash", 24, 40),
        ("dhash", 8, 56),
        ("whash", 8, 56),
        ("ahash", 8, 56),
    ],
)
def test_each_algorithm_has_its_hygiene_with_a_sentence_at_the_signal(algorithm: str, fewest: int, most: int) -> None:
    digits = Algorithm(algorithm).bits // 4
    values = {count: f"{algorithm}:{2**count - 1:0{digits}x}" for count in (0, fewest - 1, fewest, most, most + 1)}
    with service_at(None, algorithms="pdq,phash256,phash,dhash,whash,ahash") as service:
        caller = service.caller()
        caller.contribute(item(signals=[values[fewest], values[most]]))
        told = faults(caller.post(URL, {"contributions": [item(signals=list(values.values()))]}))
    assert told == {
        f"contributions[0].signals[{place}]": (
            f"{algorithm} with {count} of {digits * 4} bits set is not of an ordinary picture "
            f"({fewest} to {most} are accepted)"
        )
        for place, count in enumerate(values)
        if not fewest <= count <= most
    }


def test_pdq_needs_a_quality_of_50_and_the_others_none(platform: Caller) -> None:
    phash = str(signal(1, Algorithm.PHASH))
    items = [item(1, quality=49), item(2, quality=50), item(3, quality=None), item(4, signals=[phash], quality=None)]
    assert faults(platform.post(URL, {"contributions": items})) == {
        "contributions[0].quality": (
            "quality 49 is too low: the hash would match other pictures by accident; the least is 50"
        ),
        "contributions[2].quality": "is required with pdq: send the quality that PDQ computed, 0 to 100",
    }
    platform.contribute(items[1], items[3])


def test_a_thousand_items_are_taken_and_no_more(service: Service, platform: Caller) -> None:
    before = service.rows()
    assert list(faults(platform.post(URL, {"contributions": [item(1)] * 1001}))) == ["contributions"]
    assert service.rows() == before
    assert len(platform.contribute(*(item(seed) for seed in range(1000)))) == 1000


def test_the_limit_of_a_day_says_when_to_come_again(service: Service) -> None:
    caller = service.caller(Scope.CONTRIBUTE, daily_limit=2)
    caller.contribute(item(1), item(1), item(2))
    caller.contribute(item(1))
    response = caller.post(URL, {"contributions": [item(3)]})
    assert problem(response, 429, "limit-reached")["limit"] == "2 contributions a day"
    assert response.headers["Retry-After"] == "43201"


def test_a_contribution_shows_signals_and_reference_to_whom_they_are_meant(service: Service, platform: Caller) -> None:
    (mine,) = platform.contribute(item(reference="mine"))
    url = f"{URL}/{mine['id']}"
    matcher = service.caller(Scope.MATCH)
    problem(matcher.get(url), 404, "not-found")
    assert matcher.matched(pdq()) == [mine["id"]]
    seen = {
        "own": body(service.key(platform.member, Scope.CONTRIBUTE).get(url)),
        "audit": body(service.caller(Scope.AUDIT).get(url)),
        "admin": body(service.caller(Scope.ADMIN).get(url)),
        "feed": body(service.caller(Scope.FEED).get(url)),
        "match": body(matcher.get(url)),
    }
    assert {who: ("signals" in one, "reference" in one) for who, one in seen.items()} == {
        "own": (True, True),
        "audit": (True, True),
        "admin": (True, True),
        "feed": (True, False),
        "match": (False, False),
    }
    assert seen["audit"] == {name: value for name, value in mine.items() if name != "known"}
    assert seen["feed"]["member"] == mine["member"]
    # Present, as clients of 0.1.0 require it.
    assert seen["match"]["member"] == {"id": 0, "name": ""}
    problem(service.caller(Scope.CONTRIBUTE).get(url), 404, "not-found")
    problem(service.caller(Scope.REVIEW).get(url), 404, "not-found")


def test_what_no_longer_matches_is_shown_to_its_owner_and_to_auditors_only(
    service: Service, platform: Caller, other: Caller
) -> None:
    (mine,) = platform.contribute(item(expires_at="2026-11-20T13:00:00Z"))
    url = f"{URL}/{mine['id']}"
    service.clock.go(hours=1)
    problem(other.get(url), 404)
    assert body(platform.get(url))["status"] == "expired"
    assert body(service.caller(Scope.AUDIT).get(url))["status"] == "expired"


@pytest.mark.parametrize("id", ["-1", "9999999", "9007199254740992", "9" * 20, "9" * 5000, "%00", "x", "1.0", "01"])
def test_an_id_that_is_none_is_not_found(platform: Caller, id: str) -> None:
    platform.contribute(item())
    problem(platform.get(f"{URL}/{id}"), 404, "not-found")
    problem(platform.patch(f"{URL}/{id}", {}), 404, "not-found")
    problem(platform.post(f"{URL}/{id}/withdrawal", {"reason": "other"}), 404, "not-found")
    problem(platform.delete(f"{URL}/{id}/content"), 404, "not-found")


def test_the_test_item_is_shown_to_all_and_is_nobodys(platform: Caller) -> None:
    shown = body(platform.get(f"{URL}/0"))
    assert (shown["id"], shown["labels"], len(shown["signals"])) == (0, ["test"], 3)
    assert body(platform.get(URL))["contributions"] == []
    problem(platform.patch(f"{URL}/0", {}), 404, "not-found")
    problem(platform.post(f"{URL}/0/withdrawal", {"reason": "other"}), 404, "not-found")
    problem(platform.delete(f"{URL}/0/content"), 404, "not-found")


def test_of_imported_ones_time_and_quality_may_be_unknown(platform: Caller) -> None:
    unknown = {name: said for name, said in item().items() if name not in ("removed_at", "quality")}
    told = problem(platform.post(URL, {"contributions": [unknown]}), 422, "invalid-input")
    assert {one["at"] for one in told["errors"]} == {"contributions[0].removed_at", "contributions[0].quality"}
    for said in (unknown, unknown | {"removed_at": None, "quality": None}):
        (one,) = body(platform.post(f"{URL}?imported=1", {"contributions": [said]}))["contributions"]
        assert (one["removed_at"], one["quality"]) == (None, None)
    problem(platform.post(f"{URL}?imported=1", {"contributions": [unknown | {"quality": 7}]}), 422, "invalid-input")
    problem(platform.post(f"{URL}?imported=2", {"contributions": [unknown]}), 422, "invalid-input")


def test_an_amendment_changes_what_it_names(service: Service, platform: Caller) -> None:
    (mine,) = platform.contribute(item(severity=1, context=["synthetic"], basis="terms"))
    url = f"{URL}/{mine['id']}"
    change = {"labels": ["manifesto"], "severity": 4, "context": [], "basis": None, "incident": "CI:x"}
    expected = {**mine, **change}
    del expected["known"]
    assert body(platform.patch(url, change)) == expected
    assert body(platform.get(url)) == expected
    (event,) = body(service.caller(Scope.AUDIT).get("/v1/events?action=contribution.amended"))["events"]
    fields = ["basis", "context", "incident", "labels", "severity"]
    assert event["details"] == {"fields": fields, "labels": ["manifesto"], "severity": 4, "basis": None}


def test_an_amendment_that_changes_nothing_is_no_event(service: Service, platform: Caller) -> None:
    (mine,) = platform.contribute(item(severity=1))
    before = service.rows()
    body(platform.patch(f"{URL}/{mine['id']}", {"severity": 1}))
    body(platform.patch(f"{URL}/{mine['id']}", {}))
    assert service.rows() == before


def test_an_amendment_is_refused_by_field(platform: Caller) -> None:
    (mine,) = platform.contribute(item())
    change = {
        "signals": [],
        "quality": 60,
        "reference": "x",
        "labels": [],
        "severity": 9,
        "expires_at": "2020-01-01T00:00:00Z",
    }
    assert set(faults(platform.patch(f"{URL}/{mine['id']}", change))) == set(change)


def test_only_ones_own_active_contributions_are_amended(platform: Caller, other: Caller, admin: Caller) -> None:
    (mine,) = platform.contribute(item())
    url = f"{URL}/{mine['id']}"
    problem(other.patch(url, {"severity": 1}), 403, "not-yours")
    problem(admin.patch(url, {"severity": 1}), 403, "scope-missing")
    platform.post(f"{url}/withdrawal", {"reason": "other"})
    problem(platform.patch(url, {"severity": 1}), 409, "not-active")


def test_an_expiry_may_be_set_and_lifted(service: Service, platform: Caller) -> None:
    (mine,) = platform.contribute(item())
    url = f"{URL}/{mine['id']}"
    assert body(platform.patch(url, {"expires_at": "2026-11-20T12:00:01Z"}))["status"] == "active"
    assert body(platform.patch(url, {"expires_at": None}))["expires_at"] is None
    service.clock.go(days=1)
    assert body(platform.get(url))["status"] == "active"


def test_a_withdrawal_is_ones_own_once_and_at_once(platform: Caller, other: Caller) -> None:
    (mine,) = platform.contribute(item())
    url = f"{URL}/{mine['id']}/withdrawal"
    assert other.matched(pdq()) == [mine["id"]]
    problem(other.post(url, {"reason": "removal_reversed"}), 403, "not-yours")
    answer = body(platform.post(url, {"reason": "removal_reversed"}))
    assert (answer["status"], answer["withdrawal_reason"]) == ("withdrawn", "removal_reversed")
    assert answer["withdrawn_at"] == "2026-11-20T12:00:00.000000Z"
    assert other.matched(pdq()) == []
    problem(platform.post(url, {"reason": "other"}), 409, "already-withdrawn")


def test_a_withdrawal_needs_a_reason_that_there_is(platform: Caller) -> None:
    (mine,) = platform.contribute(item())
    url = f"{URL}/{mine['id']}/withdrawal"
    assert list(faults(platform.post(url, {}))) == ["reason"]
    assert list(faults(platform.post(url, {"reason": "boredom", "note": "x"}))) == ["reason", "note"]
    assert body(platform.get(f"{URL}/{mine['id']}"))["status"] == "active"


def test_an_erasure_withdraws_and_leaves_no_signal(service: Service, platform: Caller, other: Caller) -> None:
    mine, second = platform.contribute(item(1, reference="mine"), item(2))
    url = f"{URL}/{mine['id']}"
    problem(other.delete(f"{url}/content"), 403, "not-yours")
    response = platform.delete(f"{url}/content")
    assert (response.status_code, response.data) == (204, b"")
    assert platform.delete(f"{url}/content?now=1").status_code == 204
    assert set(faults(platform.delete(f"{url}/content?now=2"))) == {"now"}
    erased = body(platform.get(url))
    assert (erased["signals"], erased["reference"], erased["erased"]) == ([], None, True)
    assert erased["status"] == "withdrawn"
    assert other.matched(pdq(1)) == []
    assert platform.delete(f"{url}/content").status_code == 204
    assert service.caller(Scope.ADMIN).delete(f"{URL}/{second['id']}/content?now=1").status_code == 204
    assert service.rows()["signals"] == 0


def test_what_is_retired_is_erased_at_once_by_the_operator_only(
    service: Service, platform: Caller, other: Caller
) -> None:
    (mine,) = platform.contribute(item(1))
    url = f"{URL}/{mine['id']}"
    disputed = other.post(f"{url}/opinions", {"opinion": "disputes", "reason": "not_terrorist_content"})
    decision = f"/v1/cases/{body(disputed)['case']}/decision"
    assert service.caller(Scope.REVIEW).post(decision, {"decision": "retire"}).status_code == 200
    problem(platform.delete(f"{url}/content?now=1"), 409, "retired-kept")
    assert platform.delete(f"{url}/content").status_code == 204
    assert service.rows()["signals"] == 1
    assert service.caller(Scope.ADMIN).delete(f"{url}/content?now=1").status_code == 204
    assert service.rows()["signals"] == 0


def test_contributions_and_matches_are_the_same_on_every_database(database_url: str) -> None:
    with service_at(database_url) as service:
        one, two = service.caller(), service.caller()
        (mine,) = one.contribute(item(1, reference="caf\u00e9 \u3000", expires_at="9999-12-31T23:59:59Z"))
        close = str(near(signal(1), 6))
        assert two.matched(close) == [mine["id"]]
        assert body(one.patch(f"{URL}/{mine['id']}", {"labels": ["manifesto"]}))["labels"] == ["manifesto"]
        assert len(body(two.get("/v1/changes"))["changes"]) == 2
        assert list(faults(one.post(URL, {"contributions": [item(reference="a\u0000b")]}))) == [
            "contributions[0].reference"
        ]
        body(one.post(f"{URL}/{mine['id']}/withdrawal", {"reason": "other"}))
        assert two.matched(close) == []
        assert one.delete(f"{URL}/{mine['id']}/content").status_code == 204
        assert body(one.get(f"{URL}?until=2026-11-20T12:00:01Z&status=withdrawn"))["contributions"][0]["erased"]


def test_a_repeated_request_gets_its_answer_even_where_it_would_now_be_refused(
    service: Service, platform: Caller
) -> None:
    sent = {"contributions": [item(expires_at="2026-11-20T13:00:00Z")]}
    headers = {"Idempotency-Key": "k"}
    first = body(platform.post(URL, sent, headers=headers))
    service.clock.go(hours=2)
    again = body(platform.post(URL, sent, headers=headers))
    assert again["contributions"][0] == {**first["contributions"][0], "status": "expired"}
    assert again["checkpoint"] == first["checkpoint"]
    assert set(faults(platform.post(URL, sent))) == {"contributions[0].expires_at"}


def test_signals_are_added_to_one_contribution_or_to_many(platform: Caller) -> None:
    one, two = platform.contribute(item(1), item(2))
    added = platform.post(f"{URL}/{one['id']}/signals", {"signals": [pdq(1), pdq(11)]})
    assert added.status_code == 200
    commitment = commit_lines(bytes.fromhex(one["salt"]), [pdq(1), pdq(11)]).hex()
    assert body(added) == {**one, "signals": [pdq(1), pdq(11)], "commitment": commitment}
    assert '"contributions";r=' in added.headers["RateLimit"]
    request = {
        "contributions": [{"id": one["id"], "signals": [pdq(11)]}, {"id": two["id"], "signals": [pdq(2), pdq(21)]}]
    }
    answer = body(platform.post(f"{URL}/signals", request))
    assert [(each["id"], each["known"], each["signals"]) for each in answer["contributions"]] == [
        (one["id"], True, [pdq(1), pdq(11)]),
        (two["id"], False, [pdq(2), pdq(21)]),
    ]
    assert answer["checkpoint"] > 0


def test_what_cannot_be_added_to_is_refused_with_its_reason(platform: Caller) -> None:
    one, gone = platform.contribute(item(1), item(2))
    platform.post(f"{URL}/{gone['id']}/withdrawal", {"reason": "other"})
    unlike = platform.post(f"{URL}/{one['id']}/signals", {"signals": [pdq(11)]})
    assert list(faults(unlike)) == ["signals"]
    problem(platform.post(f"{URL}/{gone['id']}/signals", {"signals": [pdq(2)]}), 409, "not-active")
    assert platform.post(f"{URL}/77/signals", {"signals": [pdq(2)]}).status_code == 404


def test_own_contributions_are_looked_up_page_by_page(platform: Caller) -> None:
    one, two = platform.contribute(item(1, signals=[pdq(1), pdq(9)]), item(2, signals=[pdq(2), pdq(9)]))
    first = body(platform.post(f"{URL}/lookups?limit=1", {"signals": [pdq(9)]}))
    assert [each["id"] for each in first["contributions"]] == [one["id"]]
    second = body(platform.post(f"{URL}/lookups?limit=1&after={first['next']}", {"signals": [pdq(9)]}))
    assert ([each["id"] for each in second["contributions"]], second["next"]) == ([two["id"]], None)
