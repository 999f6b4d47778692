"""The lists of contributions and events: access, filters and pages."""

from __future__ import annotations

from typing import Any

import pytest

from hashdb.domain.accounts.members import Scope
from tests.web.callers import Caller, Service, body, faults, item, problem

URL = "/v1/contributions"


def _ids(caller: Caller, query: str = "") -> list[int]:
    """The ids of the listed contributions."""
    return [each["id"] for each in body(caller.get(f"{URL}?{query}"))["contributions"]]


def test_the_last_page_of_a_list_has_no_next_page(platform: Caller) -> None:
    ids = [each["id"] for each in platform.contribute(*(item(seed) for seed in range(5)))]
    listed: list[Any] = []
    after: int | None = 0
    pages = 0
    while after is not None:
        page = body(platform.get(f"{URL}?limit=2&after={after}"))
        assert set(page) == {"contributions", "next"}
        listed += [each["id"] for each in page["contributions"]]
        after, pages = page["next"], pages + 1
    assert (listed, pages) == (ids, 3)


def test_a_full_page_without_more_items_is_the_last(platform: Caller) -> None:
    platform.contribute(*(item(seed) for seed in range(100)))
    assert body(platform.get(URL))["next"] is None
    platform.contribute(item(100))
    page = body(platform.get(URL))
    assert (len(page["contributions"]), page["next"]) == (100, page["contributions"][-1]["id"])
    assert body(platform.get(f"{URL}?limit=1000"))["next"] is None
    assert body(platform.get(f"{URL}?after=9007199254740991")) == {"contributions": [], "next": None}


def test_a_member_lists_its_own_contributions_and_an_auditor_all(
    service: Service, platform: Caller, other: Caller
) -> None:
    (own,) = platform.contribute(item(1, reference="first"))
    (foreign,) = other.contribute(item(2, reference="second"))
    auditor = service.caller(Scope.AUDIT)
    assert _ids(platform) == [own["id"]]
    assert _ids(platform, f"member={platform.member}") == [own["id"]]
    assert problem(platform.get(f"{URL}?member={other.member}"), 403)["scope"] == "audit"
    assert _ids(auditor) == [own["id"], foreign["id"]]
    assert _ids(auditor, f"member={other.member}") == [foreign["id"]]
    assert [each["reference"] for each in body(auditor.get(URL))["contributions"]] == ["first", "second"]


def test_contributions_are_filtered(service: Service, platform: Caller) -> None:
    first, second = platform.contribute(item(1), item(2, labels=["manifesto", "incitement"]))
    platform.post(f"{URL}/{first['id']}/withdrawal", {"reason": "other"})
    service.clock.advance(hours=1)
    (third,) = platform.contribute(item(3, labels=["incitement"], expires_at="2026-11-20T13:00:01Z"))
    service.clock.advance(seconds=1)
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
    assert {query: _ids(platform, query) for query in expected} == expected


@pytest.mark.parametrize(
    ("query", "places"),
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
def test_the_invalid_parameters_of_a_list_are_named(platform: Caller, query: str, places: list[str]) -> None:
    assert list(faults(platform.get(f"{URL}?{query}"))) == places


def test_events_are_numbered_without_gaps_across_pages(service: Service, platform: Caller) -> None:
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


def test_events_are_filtered_and_contain_no_hash_or_reference(service: Service, platform: Caller) -> None:
    (contribution,) = platform.contribute(item(reference="members-own-id"))
    auditor = service.caller(Scope.AUDIT)
    subject = f"contribution:{contribution['id']}"
    (event,) = body(auditor.get(f"/v1/events?subject={subject}"))["events"]
    assert (event["action"], event["actor"], event["subject"]) == ("contribution.added", f"key:{platform.key}", subject)
    assert body(auditor.get(f"/v1/events?actor=key:{platform.key}"))["events"] == [event]
    assert body(auditor.get("/v1/events?action=contribution.added"))["events"] == [event]
    assert body(auditor.get("/v1/events?action=contribution.erased")) == {"events": [], "next": None}
    text = auditor.get("/v1/events").text
    assert contribution["signals"][0][4:] not in text
    assert "members-own-id" not in text


def test_events_need_the_scope_audit_and_valid_parameters(service: Service, platform: Caller) -> None:
    problem(platform.get("/v1/events"), 403, "scope-missing")
    address = "/v1/events?subject=17&action=flew&limit=0&actor=%00&colour=1"
    assert set(faults(service.caller(Scope.ADMIN).get(address))) == {"subject", "action", "limit", "actor", "colour"}
