"""The pages of contributions."""

from __future__ import annotations

import json
import re

import pytest
from werkzeug.test import TestResponse

from hashdb.store.contributions import listings as stored
from tests.builders import near, signal
from tests.web.callers import Caller, Service, body, item
from tests.web.console.visitors import Visitor, faults, heading

LIST = "/console/contributions"


@pytest.fixture
def alpha(service: Service) -> Caller:
    return service.caller(name="Alpha")


def listed_ids(page: TestResponse) -> list[int]:
    assert page.status_code == 200, page.status
    return [int(id) for id in re.findall(r'<td class="number"><a href="/console/contributions/(\d+)"', page.text)]


def test_contributions_can_be_filtered_and_sorted(service: Service, alpha: Caller, otto: Visitor) -> None:
    alpha.contribute(item(1, severity=1, reference="t-1"), item(2, severity=4), item(3, labels=["manifesto"]))
    service.caller(name="Beta").contribute(item(4, reference="t-2"))
    assert listed_ids(otto.get(LIST)) == [4, 3, 2, 1]
    assert listed_ids(otto.get(f"{LIST}?order=up")) == [1, 2, 3, 4]
    assert listed_ids(otto.get(f"{LIST}?sort=severity"))[0] == 2
    assert listed_ids(otto.get(f"{LIST}?member=1&status=&label=")) == [3, 2, 1]
    assert listed_ids(otto.get(f"{LIST}?reference=t-")) == [4, 1]
    assert listed_ids(otto.get(f"{LIST}?label=manifesto&severity=2")) == []
    first = otto.get(f"{LIST}?limit=3&status=active")
    (next_page,) = re.findall(r'rel="next" href="([^"]+)"', first.text)
    assert "status=active" in next_page
    assert listed_ids(otto.get(next_page.replace("&amp;", "&"))) == [1]


@pytest.mark.parametrize(
    ("query", "invalid"),
    [
        ("severity=9", {"severity"}),
        ("since=2026-02-30", {"since"}),
        ("removed_since=0&expires_until=1700006400", {"removed_since", "expires_until"}),
        ("since=2026-02-02&until=2026-02-01", {"until"}),
        ("removed_since=2026-02-02&removed_until=2026-02-01", {"removed_until"}),
        ("after=x&status=y", {"after", "status"}),
        ("colour=red", {"colour"}),
    ],
)
def test_an_invalid_filter_is_reported_at_its_field(otto: Visitor, query: str, invalid: set[str]) -> None:
    assert set(faults(otto.get(f"{LIST}?{query}"))) == invalid
    assert set(faults(otto.get(f"{LIST}/export?form=csv&{query}"))) == invalid


def test_an_export_has_the_filtered_rows_and_is_logged(service: Service, alpha: Caller, otto: Visitor) -> None:
    alpha.contribute(item(1, reference="t-1"), item(2))
    csv = otto.get(f"{LIST}/export?form=csv&reference=t-")
    assert csv.headers["Content-Disposition"] == 'attachment; filename="contributions.csv"'
    assert len(csv.text.splitlines()) == 2
    lines = otto.get(f"{LIST}/export?form=jsonl").text.splitlines()
    assert [json.loads(line)["id"] for line in lines] == [2, 1]
    assert set(faults(otto.get(f"{LIST}/export?form=xml"))) == {"form"}
    events = body(service.caller().get("/v1/events?action=listing.exported"))["events"]
    assert [event["details"] for event in events] == [
        {"chosen": ["reference"], "form": "csv"},
        {"chosen": [], "form": "jsonl"},
    ]


def test_the_page_of_a_contribution_shows_its_hash_history_and_neighbors(
    service: Service, alpha: Caller, otto: Visitor
) -> None:
    alpha.contribute(item(1, reference="ours"))
    service.caller(name="Beta").contribute(item(signals=[str(near(signal(1), 6))]))
    alpha.patch("/v1/contributions/1", {"severity": 4})
    page = otto.get(f"{LIST}/1")
    assert heading(page) == "Contribution 1"
    assert f"{signal(1).value:064x}" in page.text
    assert "severity was" in page.text
    assert 'href="/console/events/' in page.text
    assert "Open a case" not in page.text
    neighbors = otto.get(f"{LIST}/1/neighbors")
    assert ("pdq 6" in neighbors.text, 'href="/console/contributions/2"' in neighbors.text) == (True, True)
    assert otto.get(f"{LIST}/9").status_code == otto.get(f"{LIST}/9/neighbors").status_code == 404


def test_a_reviewer_opens_a_case_after_seeing_its_effect(service: Service, alpha: Caller, rosa: Visitor) -> None:
    alpha.contribute(item(1))
    assert "Open a case" in rosa.get(f"{LIST}/1").text
    assert "No other contribution that can match" in rosa.get(f"{LIST}/1/case").text
    before = service.rows()
    assert set(faults(rosa.post(f"{LIST}/1/case", {"holds": "yes"}))) == {"reason"}
    assert set(faults(rosa.post(f"{LIST}/1/case", {"reason": "whim"}))) == {"reason"}
    assert service.rows() == before
    page = rosa.follow(rosa.post(f"{LIST}/1/case", {"reason": "other", "holds": "yes"}))
    assert (heading(page), "quarantined" in page.text) == ("Case 1", True)
    assert alpha.matched(str(signal(1))) == []
    repeated = rosa.post(f"{LIST}/1/case", {"reason": "other"})
    assert (repeated.status_code, "A case on contribution 1 is already open." in repeated.text) == (422, True)


def test_an_admin_types_the_number_to_erase_a_contribution(service: Service, alpha: Caller, ada: Visitor) -> None:
    alpha.contribute(item(1, reference="ours"))
    before = service.rows()
    assert set(faults(ada.post(f"{LIST}/1/erasure", {"reason": "", "number": "2"}))) == {"reason", "number"}
    assert set(faults(ada.post(f"{LIST}/1/erasure", {"reason": "whim", "number": "1"}))) == {"reason"}
    assert service.rows() == before
    page = ada.follow(ada.post(f"{LIST}/1/erasure", {"reason": "removal_reversed", "number": "1"}))
    assert "Permanently erased." in page.text
    assert "ours" not in page.text
    assert "This contribution is already erased." in ada.get(f"{LIST}/1/erasure").text


@pytest.mark.parametrize("path", ["case", "erasure"])
def test_an_auditor_cannot_open_a_case_or_erase(service: Service, alpha: Caller, otto: Visitor, path: str) -> None:
    alpha.contribute(item(1))
    before = service.rows()
    assert otto.post(f"{LIST}/1/{path}", {"reason": "other", "number": "1"}).status_code == 403
    assert service.rows() == before


def test_no_link_contains_a_hash(service: Service, alpha: Caller, otto: Visitor) -> None:
    alpha.contribute(item(1))
    for path in (LIST, f"{LIST}/1", f"{LIST}/1/neighbors"):
        addresses = " ".join(re.findall(r'(?:href|action|hx-get)="([^"]*)"', otto.get(path).text))
        assert f"{signal(1).value:064x}" not in addresses


def test_the_list_links_both_ways_counts_rows_and_marks_its_order(service: Service, otto: Visitor) -> None:
    service.caller(name="Alpha").contribute(*(item(seed) for seed in range(1, 6)))
    first = otto.get(f"{LIST}?sort=id&limit=2")
    assert ("1–2 of 5" in first.text, 'rel="prev"' in first.text) == (True, False)
    assert re.findall(r'aria-sort="descending"><a class="sort" href="[^"]*order=up[^"]*">Id', first.text)
    second = otto.get(link_address(first.text, "next"))
    assert (listed_ids(second), "3–4 of 5" in second.text) == ([3, 2], True)
    assert "Filter</summary>" in second.text, "the place of a page is no filter"
    assert "Filter (1 set)</summary>" in otto.get(f"{LIST}?sort=id&limit=2&severity=2").text
    last = otto.get(link_address(second.text, "next"))
    assert (listed_ids(last), 'rel="next"' in last.text) == ([1], False)
    assert listed_ids(otto.get(link_address(last.text, "prev"))) == [3, 2]
    assert listed_ids(otto.get(link_address(second.text, "prev"))) == [5, 4]


def test_a_large_total_is_counted_on_request(service: Service, otto: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    service.caller(name="Alpha").contribute(*(item(seed) for seed in range(1, 6)))
    monkeypatch.setattr(stored, "FEW", 3)
    page = otto.get(f"{LIST}?limit=2").text
    assert "of at least 3 " in page
    (address,) = re.findall(r'href="([^"]+)"[^>]*>Count all rows', page)
    assert "1–2 of 5<" in otto.get(address.replace("&amp;", "&")).text


def link_address(page: str, rel: str) -> str:
    (address,) = re.findall(rf'rel="{rel}" href="([^"]+)"', page)
    return str(address.replace("&amp;", "&"))
