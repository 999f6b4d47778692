"""The lists of contributions and events: whose, which, and page by page."""

from __future__ import annotations

from typing import Any

import pytest

from hashdb.domain.accounts.members import Scope
from tests.web.callers import Caller, Service, body, faults, item, problem

URL = "/v1/contributions"


def _ids(caller: Caller, asked: str = "") -> list[int]:
    return [one["id"] for one in body(caller.get(f"{URL}?{asked}"))["contributions"]]


def test_a_list_goes_page_by_page_to_null(platform: Caller) -> None:
    ids = [one["id"] for one in platform.contribute(*(item(seed) for seed in range(5)))]
    seen: list[Any] = []
    after: int | None = 0
    pages = 0
    while after is not None:
        page = body(platform.get(f"{URL}?limit=2&after={after}"))
        assert set(page) == {"contributions", "next"}
        seen += [one["id"] for one in page["contributions"]]
        after, pages = page["next"], pages + 1
    assert (seen, pages) == (ids, 3)


def test_a_page_that_is_just_full_is_the_last(platform: Caller) -> None:
    platform.contribute(*(item(seed) for seed in range(100)))
    assert body(platform.get(URL))["next"] is None
    platform.contribute(item(100))
    page = body(platform.get(URL))
    assert (len(page["contributions"]), page["next"]) == (100, page["contributions"][-1]["id"])
    assert body(platform.get(f"{URL}?limit=1000"))["next"] is None
    assert body(platform.get(f"{URL}?after=9007199254740991")) == {"contributions": [], "next": None}


def test_a_list_is_ones_own_and_with_audit_of_all(service: Service, platform: Caller, other: Caller) -> None:
    (mine,) = platform.contribute(item(1, reference="mine"))
    (theirs,) = other.contribute(item(2, reference="theirs"))
    auditor = service.caller(Scope.AUDIT)
    assert _ids(platform) == [mine["id"]]
    assert _ids(platform, f"member={platform.member}") == [mine["id"]]
    assert problem(platform.get(f"{URL}?member={other.member}"), 403)["scope"] == "audit"
    assert _ids(auditor) == [mine["id"], theirs["id"]]
    assert _ids(auditor, f"member={other.member}") == [theirs["id"]]
    assert [one["reference"] for one in body(auditor.get(URL))["contributions"]] == ["mine", "theirs"]


def test_a_list_is_filtered(service: Service, platform: Caller) -> None:
    first, second = platform.contribute(item(1), item(2, labels=["manifesto", "incitement"]))
    platform.post(f"{URL}/{first['id']}/withdrawal", {"reason": "other"})
    service.clock.go(hours=1)
    (third,) = platform.contribute(item(3, labels=["incitement"], expires_at="2026-11-20T13:00:01Z"))
    service.clock.go(seconds=1)
    ids = [first["id"], second["id"], third["id"]]
    expected = {
        "status=withdrawn": ids[:1],
        "status=active": ids[1:2],
        "status=expired": ids[2:],
        "status=suspended": [],
        "label=incitement": ids[1:],
        "label=manifesto&status=active": ids[1:2],
        "since=2026-11-20T13:00:00Z": ids[2:],
        "until=2026-11-20T13:00:00Z": ids[:2],
        "since=2026-11-20T13:00:00%2B01:00&until=2026-11-20T14:00:00%2B01:00": ids[:2],
        "standing=unreviewed": ids,
        "standing=retired": [],
    }
    assert {asked: _ids(platform, asked) for asked in expected} == expected


@pytest.mark.parametrize(
    ("asked", "at"),
    [
        ("limit=0", ["limit"]),
        ("limit=1001", ["limit"]),
        ("limit=ten&after=-1", ["after", "limit"]),
        ("limit=1&limit=2", ["limit"]),
        ("status=gone&label=nonsense&since=now", ["status", "label", "since"]),
        ("page=2", ["page"]),
        ("label=%00", ["label"]),
        ("label=%25", ["label"]),
        ("status=%ff", ["status"]),
        ("=1", [""]),
        ("after=" + "9" * 5000, ["after"]),
    ],
)
def test_a_query_string_is_refused_by_name(platform: Caller, asked: str, at: list[str]) -> None:
    assert list(faults(platform.get(f"{URL}?{asked}"))) == at


def test_events_are_numbered_without_gaps_and_end_with_null(service: Service, platform: Caller) -> None:
    platform.contribute(item(1), item(2))
    auditor = service.caller(Scope.AUDIT)
    page = body(auditor.get("/v1/events?limit=1000"))
    assert page["next"] is None
    assert [event["seq"] for event in page["events"]] == list(range(1, len(page["events"]) + 1))
    first = body(auditor.get("/v1/events?limit=2"))
    rest = body(auditor.get(f"/v1/events?after={first['next']}"))
    assert first["events"] + rest["events"] == page["events"]
    assert set(page["events"][0]) == {"seq", "at", "actor", "action", "subject", "details", "leaf"}
    assert all(len(bytes.fromhex(event["leaf"])) == 32 for event in page["events"])


def test_events_are_filtered_and_carry_no_hash(service: Service, platform: Caller) -> None:
    (mine,) = platform.contribute(item(reference="known-to-us-only"))
    auditor = service.caller(Scope.AUDIT)
    subject = f"contribution:{mine['id']}"
    (event,) = body(auditor.get(f"/v1/events?subject={subject}"))["events"]
    assert (event["action"], event["actor"], event["subject"]) == ("contribution.added", f"key:{platform.key}", subject)
    assert body(auditor.get(f"/v1/events?actor=key:{platform.key}"))["events"] == [event]
    assert body(auditor.get("/v1/events?action=contribution.added"))["events"] == [event]
    assert body(auditor.get("/v1/events?action=contribution.erased")) == {"events": [], "next": None}
    text = auditor.get("/v1/events").text
    assert mine["signals"][0][4:] not in text
    assert "known-to-us-only" not in text


def test_events_are_for_auditors_and_refuse_what_means_nothing(service: Service, platform: Caller) -> None:
    problem(platform.get("/v1/events"), 403, "scope-missing")
    asked = "/v1/events?subject=17&action=flew&limit=0&actor=%00&colour=1"
    assert set(faults(service.caller(Scope.ADMIN).get(asked))) == {"subject", "action", "limit", "actor", "colour"}
