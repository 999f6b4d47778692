"""The overview: the first page of the console."""

from __future__ import annotations

import re

from hashdb.domain.accounts.members import Scope
from tests.builders import near, signal
from tests.web.callers import Service, item, pdq
from tests.web.console.visitors import Visitor, faults, heading


def test_the_overview_is_the_first_page_and_counts_contributions(service: Service, otto: Visitor) -> None:
    service.caller(name="Alpha").contribute(item(1), item(2))
    assert otto.get("/console").headers["Location"] == "/console/overview"
    page = otto.get("/console/overview")
    assert heading(page) == "Overview"
    assert "<b>2</b><span>active</span>" in page.text
    assert "up to date (event " not in page.text
    service.db.index.catch_up()
    assert "up to date (event " in otto.get("/console/overview").text
    assert page.text.count("data-day=") == 3 * 30
    assert otto.get("/console/overview?days=365").text.count("data-day=") == 3 * 365


def test_a_number_links_to_the_contributions_that_it_counts(service: Service, otto: Visitor) -> None:
    soon, late = ({"expires_at": f"2026-{day}T10:00:00Z"} for day in ("11-25", "12-25"))
    service.caller(name="Alpha").contribute(item(1, **soon), item(2, **late), item(3))
    page = otto.get("/console/overview").text
    address = "/console/contributions?status=active&amp;expires_until=2026-11-27"
    assert f'href="{address}"><b>1</b><span>expire in 7 days' in page
    listed = otto.get(address.replace("&amp;", "&")).text
    assert re.findall(r'/console/contributions/(\d+)"', listed) == ["1"]


def test_the_duration_of_matches_is_shown(service: Service, otto: Visitor) -> None:
    assert "none since the service started" in otto.get("/console/overview").text
    service.caller(name="Alpha").matched(pdq(1))
    assert "(p99)" in otto.get("/console/overview").text


def test_an_unknown_period_is_rejected(otto: Visitor) -> None:
    page = otto.get("/console/overview?days=7")
    assert faults(page) == {"days": "must be one of 30, 90, 365"}


def test_an_empty_service_has_an_overview(otto: Visitor) -> None:
    page = otto.get("/console/overview")
    assert page.status_code == 200
    assert "No members yet" in page.text


def test_keys_suspected_of_reading_hashes_are_shown(service: Service, ada: Visitor) -> None:
    reader = service.caller(Scope.MATCH)
    service.caller(Scope.CONTRIBUTE).contribute(item(1))
    assert "keys suspected" not in ada.get("/console/overview").text
    queries = [{"signals": [str(near(signal(1), 10, seed))]} for seed in range(60)]
    assert reader.post("/v1/matches", {"queries": queries}).status_code == 200
    assert service.db.suspicions.log(service.db.store, service.db.now()) == 1
    page = ada.get("/console/overview").text
    assert "keys suspected in 7 days" in page and "action=key.suspected" in page
    assert f"key:{reader.key}" in ada.get("/console/events?action=key.suspected").text
