"""/v1/changes: the feed in pages, as a stream, and with `wait`."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

import pytest

from hashdb.domain.accounts.members import Scope
from hashdb.service.accounts.limits import RequestSlots
from hashdb.service.sharing import feed
from tests.web.callers import Caller, Service, body, faults, item, problem

URL = "/v1/changes"
STREAM = {"Accept": "application/x-ndjson"}


def _lines(text: str) -> list[Any]:
    return [json.loads(line) for line in text.splitlines()]


def _replayed(changes: list[Any]) -> dict[int, Any]:
    """The contributions of a copy that applies the changes, by id."""
    copy: dict[int, Any] = {}
    for change in changes:
        if "contribution" in change:
            copy[change["contribution"]["id"]] = change["contribution"]
        else:
            copy.pop(change["gone"], None)
    return copy


def test_a_page_has_contributions_and_withdrawals(platform: Caller, other: Caller) -> None:
    first_item, withdrawn = platform.contribute(item(1, reference="mine"), item(2))
    platform.post(f"/v1/contributions/{withdrawn['id']}/withdrawal", {"reason": "false_match"})
    page = body(other.get(URL))
    assert set(page) == {"changes", "checkpoint", "more", "epoch"}
    assert page["more"] is False
    first, second, third = page["changes"]
    del first_item["known"], first_item["reference"]
    assert first["contribution"] == first_item
    assert set(first) == {"seq", "contribution"}
    assert second["gone"] == withdrawn["id"]
    assert third == {
        "seq": third["seq"],
        "gone": withdrawn["id"],
        "reason": "withdrawn",
        "withdrawal_reason": "false_match",
    }
    assert first["seq"] < second["seq"] < third["seq"] <= page["checkpoint"]


def test_pages_of_one_change_add_up_to_the_whole_feed(platform: Caller, other: Caller) -> None:
    ids = [each["id"] for each in platform.contribute(*(item(seed) for seed in range(7)))]
    platform.patch(f"/v1/contributions/{ids[0]}", {"severity": 4})
    platform.post(f"/v1/contributions/{ids[1]}/withdrawal", {"reason": "other"})
    platform.delete(f"/v1/contributions/{ids[2]}/content")
    changes, after, more = [], 0, True
    while more:
        page = body(other.get(f"{URL}?after={after}&limit=1"))
        assert len(page["changes"]) <= 1
        changes += page["changes"]
        after, more = page["checkpoint"], page["more"]
    whole = body(other.get(URL))
    assert changes == whole["changes"]
    assert after == whole["checkpoint"]
    copy = _replayed(changes)
    assert sorted(copy) == [ids[0], *ids[3:]]
    assert copy[ids[0]]["severity"] == 4


def test_applying_a_page_twice_changes_nothing(platform: Caller, other: Caller) -> None:
    (contribution,) = platform.contribute(item())
    platform.post(f"/v1/contributions/{contribution['id']}/withdrawal", {"reason": "other"})
    changes = body(other.get(URL))["changes"]
    assert _replayed(changes + changes) == _replayed(changes) == {}


def test_a_stream_has_all_changes_and_ends_with_the_checkpoint(platform: Caller, other: Caller) -> None:
    for start in (0, 700):
        platform.contribute(*(item(seed) for seed in range(start, start + 700)))
    response = other.get(URL, headers=STREAM)
    assert response.mimetype == "application/x-ndjson"
    *changes, end = _lines(response.text)
    assert len(_replayed(changes)) == len(changes) == 1400
    assert end == {"checkpoint": body(other.get(f"{URL}?after={changes[-1]['seq']}"))["checkpoint"]} | {
        "more": False,
        "epoch": end["epoch"],
    }


def test_a_stream_with_a_limit_is_one_page(platform: Caller, other: Caller) -> None:
    platform.contribute(*(item(seed) for seed in range(3)))
    *changes, end = _lines(other.get(f"{URL}?limit=2", headers=STREAM).text)
    assert (len(changes), end["more"], end["checkpoint"]) == (2, True, changes[-1]["seq"])
    *changes, end = _lines(other.get(f"{URL}?after={end['checkpoint']}", headers=STREAM).text)
    assert (len(changes), end["more"]) == (1, False)


def test_a_stream_without_changes_has_only_its_last_line(other: Caller) -> None:
    (end,) = _lines(other.get(URL, headers=STREAM).text)
    assert end["more"] is False


def test_another_epoch_or_a_number_past_the_head_is_feed_restarted(other: Caller) -> None:
    epoch = body(other.get(URL))["epoch"]
    assert body(other.get(f"{URL}?epoch={epoch}"))["changes"] == []
    assert problem(other.get(f"{URL}?epoch=9f3c"), 410, "feed-restarted")["epoch"] == epoch
    problem(other.get(f"{URL}?after=9007199254740991"), 410, "feed-restarted")
    problem(other.get(f"{URL}?after=9007199254740991", headers=STREAM), 410, "feed-restarted")
    problem(other.get(f"{URL}?after=9007199254740991&wait=30"), 410, "feed-restarted")


def test_invalid_parameters_of_the_feed_are_rejected_by_name(other: Caller) -> None:
    assert set(faults(other.get(f"{URL}?after=x&limit=0&wait=31&foo=1"))) == {"after", "limit", "wait", "foo"}
    assert list(faults(other.get(f"{URL}?limit=1001"))) == ["limit"]


def test_the_feed_needs_the_scope_feed(service: Service) -> None:
    for scope in (Scope.MATCH, Scope.CONTRIBUTE, Scope.AUDIT, Scope.ADMIN):
        problem(service.caller(scope).get(URL), 403, "scope-missing")


def test_a_waiting_reader_gets_the_next_change(service: Service, platform: Caller, other: Caller) -> None:
    checkpoint = body(other.get(URL))["checkpoint"]
    pages: list[Any] = []
    reader = service.key(other.member, Scope.FEED)
    reader.get(URL)

    def wait() -> None:
        pages.append(body(reader.get(f"{URL}?after={checkpoint}&wait=30")))

    waiting = threading.Thread(target=wait)
    waiting.start()
    time.sleep(0.3)
    service.caller(Scope.MATCH)  # an event, but not a change
    time.sleep(0.3)
    assert waiting.is_alive()
    (contribution,) = platform.contribute(item())
    waiting.join(20)
    assert [change["contribution"]["id"] for change in pages[0]["changes"]] == [contribution["id"]]


def test_a_waiting_reader_gets_an_empty_page_at_the_end(other: Caller) -> None:
    page = body(other.get(f"{URL}?wait=1"))
    assert (page["changes"], page["more"]) == ([], False)


def test_a_reader_without_a_free_slot_to_wait_gets_retry_after(
    service: Service, other: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "Retry-After" not in other.get(f"{URL}?wait=1").headers
    monkeypatch.setattr(feed, "WAITING", RequestSlots(each=0, all_keys=0))
    for accepts in ("application/json", "application/x-ndjson"):
        full = other.get(f"{URL}?wait=20", headers={"Accept": accepts})
        assert (full.status_code, full.headers["Retry-After"]) == (200, "5")
    assert "Retry-After" not in other.get(URL).headers
    service.caller().contribute(item())
    assert "Retry-After" not in other.get(f"{URL}?wait=20").headers


def test_reading_the_feed_logs_one_event_a_key_a_day(service: Service, other: Caller) -> None:
    auditor = service.caller(Scope.AUDIT)
    url = "/v1/events?action=feed.read"
    for _ in range(3):
        other.get(URL)
    assert len(body(auditor.get(url))["events"]) == 1
    service.clock.advance(days=1)
    other.get(URL)
    first, second = body(auditor.get(url))["events"]
    assert first["subject"] == second["subject"] == f"key:{other.key}"
