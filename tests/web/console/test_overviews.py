"""The first page."""

from __future__ import annotations

from tests.web.callers import Service, item
from tests.web.console.visitors import Visitor, faults, heading


def test_it_is_the_first_page_and_counts(service: Service, otto: Visitor) -> None:
    service.caller(name="Alpha").contribute(item(1), item(2))
    assert otto.get("/console").headers["Location"] == "/console/overview"
    page = otto.get("/console/overview")
    assert heading(page) == "Overview"
    assert "<b>2</b><span>active</span>" in page.text
    assert "level with the log" not in page.text
    service.db.live.level()
    assert "level with the log" in otto.get("/console/overview").text
    assert page.text.count("data-day=") == 3 * 30
    assert otto.get("/console/overview?days=365").text.count("data-day=") == 3 * 365


def test_another_period_is_refused_and_the_page_stands(otto: Visitor) -> None:
    page = otto.get("/console/overview?days=7")
    assert faults(page) == {"days": "is one of 30, 90, 365"}


def test_an_empty_service_has_a_page_too(otto: Visitor) -> None:
    page = otto.get("/console/overview")
    assert page.status_code == 200
    assert "There is no member yet." in page.text
