"""/v1/contributions: stored, returned, amended, withdrawn and erased; and the fields that each scope sees."""

from __future__ import annotations

import pytest

from hashdb.domain.accounts.members import Scope
from hashdb.domain.ledger.commitments import commit_lines
from hashdb.domain.signals import Algorithm
from tests.builders import near, signal
from tests.web.callers import Caller, Service, body, faults, item, pdq, problem, service_at

URL = "/v1/contributions"


def test_a_contribution_is_returned_with_all_fields(platform: Caller) -> None:
    phash = "phash:d1c4b2a09f8e7d6c"
    fields = {
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
    response = platform.post(URL, {"contributions": [item(signals=[pdq(), phash], **fields, **times)]})
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
            **fields,
            "notified_at": "2026-11-20T09:00:00.000000Z",
            "expires_at": "2027-01-01T00:00:00.500000Z",
            "withdrawn_at": None,
            "withdrawal_reason": None,
            "erased": False,
            "masked": 0,
        }
    ]
    assert isinstance(answer["checkpoint"], int)


def test_optional_fields_that_were_left_out_are_null_or_empty(platform: Caller) -> None:
    (contribution,) = platform.contribute(item())
    optional = ("severity", "basis", "tco_ground", "entity", "incident", "notified_at", "reference", "expires_at")
    assert {name: contribution[name] for name in optional} == dict.fromkeys(optional)
    assert (contribution["media"], contribution["context"]) == ("image", [])


def test_a_repeated_draft_is_known_also_within_a_request(platform: Caller, other: Caller) -> None:
    first, repeated = platform.contribute(item(1), item(1, severity=3))
    (later,) = platform.contribute(item(1, labels=["incitement"]))
    assert [each["known"] for each in (first, repeated, later)] == [False, True, True]
    assert repeated["id"] == later["id"] == first["id"]
    assert later["labels"] == ["glorification"]
    assert other.contribute(item(1))[0]["known"] is False


def test_after_a_withdrawal_the_same_signals_are_stored_again(platform: Caller) -> None:
    (first,) = platform.contribute(item())
    platform.post(f"{URL}/{first['id']}/withdrawal", {"reason": "wrong_label"})
    (second,) = platform.contribute(item())
    assert second["known"] is False
    assert second["id"] > first["id"]


def test_one_invalid_contribution_rejects_the_whole_request(service: Service, platform: Caller) -> None:
    before = service.rows()
    rejected = faults(platform.post(URL, {"contributions": [item(1), item(2, labels=["nonsense"])]}))
    assert list(rejected) == ["contributions[1].labels[0]"]
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
def test_a_signal_with_too_few_or_too_many_bits_set_is_rejected(algorithm: str, fewest: int, most: int) -> None:
    digits = Algorithm(algorithm).bits // 4
    values = {count: f"{algorithm}:{2**count - 1:0{digits}x}" for count in (0, fewest - 1, fewest, most, most + 1)}
    with service_at(None, algorithms="pdq,phash256,phash,dhash,whash,ahash") as service:
        caller = service.caller()
        caller.contribute(item(signals=[values[fewest], values[most]]))
        rejected = faults(caller.post(URL, {"contributions": [item(signals=list(values.values()))]}))
    assert rejected == {
        f"contributions[0].signals[{place}]": (
            f"{algorithm} has {count} of {digits * 4} bits set; an ordinary picture has {fewest} to {most}"
        )
        for place, count in enumerate(values)
        if not fewest <= count <= most
    }


def test_pdq_needs_a_quality_of_at_least_50_and_phash_needs_none(platform: Caller) -> None:
    phash = str(signal(1, Algorithm.PHASH))
    items = [item(1, quality=49), item(2, quality=50), item(3, quality=None), item(4, signals=[phash], quality=None)]
    assert faults(platform.post(URL, {"contributions": items})) == {
        "contributions[0].quality": (
            "quality 49 is too low: the hash would match other pictures by accident; the minimum is 50"
        ),
        "contributions[2].quality": "is required with pdq: send the quality that PDQ computed, 0 to 100",
    }
    platform.contribute(items[1], items[3])


def test_a_request_can_have_1000_contributions_and_no_more(service: Service, platform: Caller) -> None:
    before = service.rows()
    assert list(faults(platform.post(URL, {"contributions": [item(1)] * 1001}))) == ["contributions"]
    assert service.rows() == before
    assert len(platform.contribute(*(item(seed) for seed in range(1000)))) == 1000


def test_a_request_over_the_daily_limit_gets_retry_after(service: Service) -> None:
    caller = service.caller(Scope.CONTRIBUTE, daily_limit=2)
    caller.contribute(item(1), item(1), item(2))
    caller.contribute(item(1))
    response = caller.post(URL, {"contributions": [item(3)]})
    assert problem(response, 429, "limit-reached")["limit"] == "2 contributions a day"
    assert response.headers["Retry-After"] == "43201"


def test_signals_and_reference_are_shown_to_the_right_scopes_only(service: Service, platform: Caller) -> None:
    (contribution,) = platform.contribute(item(reference="my-id"))
    url = f"{URL}/{contribution['id']}"
    matcher = service.caller(Scope.MATCH)
    problem(matcher.get(url), 404, "not-found")
    assert matcher.matched(pdq()) == [contribution["id"]]
    shown = {
        "own": body(service.key(platform.member, Scope.CONTRIBUTE).get(url)),
        "audit": body(service.caller(Scope.AUDIT).get(url)),
        "admin": body(service.caller(Scope.ADMIN).get(url)),
        "feed": body(service.caller(Scope.FEED).get(url)),
        "match": body(matcher.get(url)),
    }
    assert {scope: ("signals" in fields, "reference" in fields) for scope, fields in shown.items()} == {
        "own": (True, True),
        "audit": (True, True),
        "admin": (True, True),
        "feed": (True, False),
        "match": (False, False),
    }
    assert shown["audit"] == {name: value for name, value in contribution.items() if name != "known"}
    assert shown["feed"]["member"] == contribution["member"]
    # The field is present because clients of version 0.1.0 require it.
    assert shown["match"]["member"] == {"id": 0, "name": ""}
    problem(service.caller(Scope.CONTRIBUTE).get(url), 404, "not-found")
    problem(service.caller(Scope.REVIEW).get(url), 404, "not-found")


def test_an_expired_contribution_is_shown_to_its_owner_and_auditors_only(
    service: Service, platform: Caller, other: Caller
) -> None:
    (contribution,) = platform.contribute(item(expires_at="2026-11-20T13:00:00Z"))
    url = f"{URL}/{contribution['id']}"
    service.clock.advance(hours=1)
    problem(other.get(url), 404)
    assert body(platform.get(url))["status"] == "expired"
    assert body(service.caller(Scope.AUDIT).get(url))["status"] == "expired"


@pytest.mark.parametrize("id", ["-1", "9999999", "9007199254740992", "9" * 20, "9" * 5000, "%00", "x", "1.0", "01"])
def test_an_invalid_or_unknown_id_is_not_found(platform: Caller, id: str) -> None:
    platform.contribute(item())
    problem(platform.get(f"{URL}/{id}"), 404, "not-found")
    problem(platform.patch(f"{URL}/{id}", {}), 404, "not-found")
    problem(platform.post(f"{URL}/{id}/withdrawal", {"reason": "other"}), 404, "not-found")
    problem(platform.delete(f"{URL}/{id}/content"), 404, "not-found")


def test_the_test_item_can_be_read_by_all_and_changed_by_nobody(platform: Caller) -> None:
    shown = body(platform.get(f"{URL}/0"))
    assert (shown["id"], shown["labels"], len(shown["signals"])) == (0, ["test"], 3)
    assert body(platform.get(URL))["contributions"] == []
    problem(platform.patch(f"{URL}/0", {}), 404, "not-found")
    problem(platform.post(f"{URL}/0/withdrawal", {"reason": "other"}), 404, "not-found")
    problem(platform.delete(f"{URL}/0/content"), 404, "not-found")


def test_imported_contributions_can_lack_removal_time_and_quality(platform: Caller) -> None:
    unknown = {name: value for name, value in item().items() if name not in ("removed_at", "quality")}
    details = problem(platform.post(URL, {"contributions": [unknown]}), 422, "invalid-input")
    assert {fault["at"] for fault in details["errors"]} == {"contributions[0].removed_at", "contributions[0].quality"}
    for draft in (unknown, unknown | {"removed_at": None, "quality": None}):
        (imported,) = body(platform.post(f"{URL}?imported=1", {"contributions": [draft]}))["contributions"]
        assert (imported["removed_at"], imported["quality"]) == (None, None)
    problem(platform.post(f"{URL}?imported=1", {"contributions": [unknown | {"quality": 7}]}), 422, "invalid-input")
    problem(platform.post(f"{URL}?imported=2", {"contributions": [unknown]}), 422, "invalid-input")


def test_an_amendment_changes_the_named_fields_and_is_logged(service: Service, platform: Caller) -> None:
    (contribution,) = platform.contribute(item(severity=1, context=["synthetic"], basis="terms"))
    url = f"{URL}/{contribution['id']}"
    change = {"labels": ["manifesto"], "severity": 4, "context": [], "basis": None, "incident": "CI:x"}
    expected = {**contribution, **change}
    del expected["known"]
    assert body(platform.patch(url, change)) == expected
    assert body(platform.get(url)) == expected
    (event,) = body(service.caller(Scope.AUDIT).get("/v1/events?action=contribution.amended"))["events"]
    fields = ["basis", "context", "incident", "labels", "severity"]
    assert event["details"] == {"fields": fields, "labels": ["manifesto"], "severity": 4, "basis": None}


def test_an_amendment_that_changes_nothing_logs_no_event(service: Service, platform: Caller) -> None:
    (contribution,) = platform.contribute(item(severity=1))
    before = service.rows()
    body(platform.patch(f"{URL}/{contribution['id']}", {"severity": 1}))
    body(platform.patch(f"{URL}/{contribution['id']}", {}))
    assert service.rows() == before


def test_the_invalid_fields_of_an_amendment_are_named(platform: Caller) -> None:
    (contribution,) = platform.contribute(item())
    change = {
        "signals": [],
        "quality": 60,
        "reference": "x",
        "labels": [],
        "severity": 9,
        "expires_at": "2020-01-01T00:00:00Z",
    }
    assert set(faults(platform.patch(f"{URL}/{contribution['id']}", change))) == set(change)


def test_a_member_can_amend_only_its_own_active_contributions(platform: Caller, other: Caller, admin: Caller) -> None:
    (contribution,) = platform.contribute(item())
    url = f"{URL}/{contribution['id']}"
    problem(other.patch(url, {"severity": 1}), 403, "not-yours")
    problem(admin.patch(url, {"severity": 1}), 403, "scope-missing")
    platform.post(f"{url}/withdrawal", {"reason": "other"})
    problem(platform.patch(url, {"severity": 1}), 409, "not-active")


def test_an_expiry_can_be_set_and_removed(service: Service, platform: Caller) -> None:
    (contribution,) = platform.contribute(item())
    url = f"{URL}/{contribution['id']}"
    assert body(platform.patch(url, {"expires_at": "2026-11-20T12:00:01Z"}))["status"] == "active"
    assert body(platform.patch(url, {"expires_at": None}))["expires_at"] is None
    service.clock.advance(days=1)
    assert body(platform.get(url))["status"] == "active"


def test_a_member_withdraws_its_own_contribution_once_with_effect_at_once(platform: Caller, other: Caller) -> None:
    (contribution,) = platform.contribute(item())
    url = f"{URL}/{contribution['id']}/withdrawal"
    assert other.matched(pdq()) == [contribution["id"]]
    problem(other.post(url, {"reason": "removal_reversed"}), 403, "not-yours")
    answer = body(platform.post(url, {"reason": "removal_reversed"}))
    assert (answer["status"], answer["withdrawal_reason"]) == ("withdrawn", "removal_reversed")
    assert answer["withdrawn_at"] == "2026-11-20T12:00:00.000000Z"
    assert other.matched(pdq()) == []
    problem(platform.post(url, {"reason": "other"}), 409, "already-withdrawn")


def test_a_withdrawal_needs_a_valid_reason(platform: Caller) -> None:
    (contribution,) = platform.contribute(item())
    url = f"{URL}/{contribution['id']}/withdrawal"
    assert list(faults(platform.post(url, {}))) == ["reason"]
    assert list(faults(platform.post(url, {"reason": "boredom", "note": "x"}))) == ["reason", "note"]
    assert body(platform.get(f"{URL}/{contribution['id']}"))["status"] == "active"


def test_an_erasure_withdraws_the_contribution_and_deletes_its_signals(
    service: Service, platform: Caller, other: Caller
) -> None:
    contribution, second = platform.contribute(item(1, reference="my-id"), item(2))
    url = f"{URL}/{contribution['id']}"
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


def test_only_the_operator_can_erase_a_retired_contribution_at_once(
    service: Service, platform: Caller, other: Caller
) -> None:
    (contribution,) = platform.contribute(item(1))
    url = f"{URL}/{contribution['id']}"
    disputed = other.post(f"{url}/opinions", {"opinion": "disputes", "reason": "not_terrorist_content"})
    decision = f"/v1/cases/{body(disputed)['case']}/decision"
    assert service.caller(Scope.REVIEW).post(decision, {"decision": "retire"}).status_code == 200
    problem(platform.delete(f"{url}/content?now=1"), 409, "retired-kept")
    assert platform.delete(f"{url}/content").status_code == 204
    assert service.rows()["signals"] == 1
    assert service.caller(Scope.ADMIN).delete(f"{url}/content?now=1").status_code == 204
    assert service.rows()["signals"] == 0


def test_contributions_and_matches_work_alike_on_every_database(database_url: str) -> None:
    with service_at(database_url) as service:
        first, second = service.caller(), service.caller()
        (contribution,) = first.contribute(item(1, reference="caf\u00e9 \u3000", expires_at="9999-12-31T23:59:59Z"))
        close = str(near(signal(1), 6))
        assert second.matched(close) == [contribution["id"]]
        assert body(first.patch(f"{URL}/{contribution['id']}", {"labels": ["manifesto"]}))["labels"] == ["manifesto"]
        assert len(body(second.get("/v1/changes"))["changes"]) == 2
        assert list(faults(first.post(URL, {"contributions": [item(reference="a\u0000b")]}))) == [
            "contributions[0].reference"
        ]
        body(first.post(f"{URL}/{contribution['id']}/withdrawal", {"reason": "other"}))
        assert second.matched(close) == []
        assert first.delete(f"{URL}/{contribution['id']}/content").status_code == 204
        assert body(first.get(f"{URL}?until=2026-11-20T12:00:01Z&status=withdrawn"))["contributions"][0]["erased"]


def test_a_repeated_request_gets_its_answer_even_if_it_is_invalid_now(service: Service, platform: Caller) -> None:
    request = {"contributions": [item(expires_at="2026-11-20T13:00:00Z")]}
    headers = {"Idempotency-Key": "k"}
    first = body(platform.post(URL, request, headers=headers))
    service.clock.advance(hours=2)
    repeated = body(platform.post(URL, request, headers=headers))
    assert repeated["contributions"][0] == {**first["contributions"][0], "status": "expired"}
    assert repeated["checkpoint"] == first["checkpoint"]
    assert set(faults(platform.post(URL, request))) == {"contributions[0].expires_at"}


def test_signals_are_added_to_one_contribution_or_to_many(platform: Caller) -> None:
    first, second = platform.contribute(item(1), item(2))
    added = platform.post(f"{URL}/{first['id']}/signals", {"signals": [pdq(1), pdq(11)]})
    assert added.status_code == 200
    commitment = commit_lines(bytes.fromhex(first["salt"]), [pdq(1), pdq(11)]).hex()
    assert body(added) == {**first, "signals": [pdq(1), pdq(11)], "commitment": commitment}
    assert '"contributions";r=' in added.headers["RateLimit"]
    request = {
        "contributions": [{"id": first["id"], "signals": [pdq(11)]}, {"id": second["id"], "signals": [pdq(2), pdq(21)]}]
    }
    answer = body(platform.post(f"{URL}/signals", request))
    assert [(each["id"], each["known"], each["signals"]) for each in answer["contributions"]] == [
        (first["id"], True, [pdq(1), pdq(11)]),
        (second["id"], False, [pdq(2), pdq(21)]),
    ]
    assert answer["checkpoint"] > 0


def test_an_addition_to_an_unsuitable_contribution_is_rejected(platform: Caller) -> None:
    active, withdrawn = platform.contribute(item(1), item(2))
    platform.post(f"{URL}/{withdrawn['id']}/withdrawal", {"reason": "other"})
    unrelated = platform.post(f"{URL}/{active['id']}/signals", {"signals": [pdq(11)]})
    assert list(faults(unrelated)) == ["signals"]
    problem(platform.post(f"{URL}/{withdrawn['id']}/signals", {"signals": [pdq(2)]}), 409, "not-active")
    assert platform.post(f"{URL}/77/signals", {"signals": [pdq(2)]}).status_code == 404


def test_a_member_looks_up_its_own_contributions_page_by_page(platform: Caller) -> None:
    first, second = platform.contribute(item(1, signals=[pdq(1), pdq(9)]), item(2, signals=[pdq(2), pdq(9)]))
    page = body(platform.post(f"{URL}/lookups?limit=1", {"signals": [pdq(9)]}))
    assert [each["id"] for each in page["contributions"]] == [first["id"]]
    last_page = body(platform.post(f"{URL}/lookups?limit=1&after={page['next']}", {"signals": [pdq(9)]}))
    assert ([each["id"] for each in last_page["contributions"]], last_page["next"]) == ([second["id"]], None)
