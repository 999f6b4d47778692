"""The pages of reports."""

from __future__ import annotations

import csv
import json
import re
from datetime import date

import pytest

from hashdb.domain.accounts.members import COMMAND_LINE, Scope
from hashdb.domain.times import Period
from hashdb.service.review import cases
from hashdb.service.stats import counts, reports
from hashdb.web.console.reports import presets
from hashdb.wire.stats import ReportOut
from tests.web.callers import Service, item, pdq
from tests.web.console.visitors import Visitor, faults, heading

DAYS = {"from": "2026-11-01", "to": "2026-11-20"}


@pytest.fixture
def told(service: Service) -> Service:
    """A service in which a little happened."""
    alpha = service.caller(name="Alpha <b>")
    alpha.contribute(item(1), item(2))
    service.caller(name="Beta").matched(pdq(1))
    counts.flush(service.db)
    return service


def test_a_report_is_made_shown_and_taken_away(told: Service, otto: Visitor) -> None:
    page = otto.follow(otto.post("/console/reports", DAYS))
    assert heading(page) == "Report on all members"
    assert ("<b>2</b> contributions" in page.text, "Alpha &lt;b&gt;" in page.text) == (True, True)
    said = otto.get("/console/reports/1/download?form=json")
    assert said.headers["Content-Disposition"] == 'attachment; filename="hashdb-2026-11-01-2026-11-20.json"'
    days = date(2026, 11, 1), date(2026, 11, 20)
    report = reports.transparency(told.db, COMMAND_LINE, *days, form="json")
    found = json.loads(said.text)
    assert {**found, "size": 0} == {**json.loads(ReportOut.from_domain(report).json_text()), "size": 0}
    rows = dict(csv.reader(otto.get("/console/reports/1/download?form=csv").text.splitlines()))
    assert rows["contributions.added"] == "2"
    assert otto.get("/console/reports/1/download?form=html").text.startswith("<!doctype html>")
    assert otto.get("/console/reports/1/download?form=pdf").status_code == 422
    with told.db.store.read() as tx:
        events = [one for one in tx.audit.since(0, 1000) if one.action == "report.exported"]
    assert [one.details["form"] for one in events] == ["console", "json", "json", "csv", "html"]
    listed = otto.get("/console/reports").text
    assert ("2026-11-01 to 2026-11-20</a>" in listed, ">otto</a>" in listed) == (True, True)


def test_who_decided_is_shown_by_name_and_taken_away_by_number(told: Service, rosa: Visitor, otto: Visitor) -> None:
    reviewers = told.caller(Scope.REVIEW, name="Gamma")
    for contribution in (1, 2):
        cases.open_case(told.db, COMMAND_LINE, contribution, "other", holds=False)
    assert rosa.post("/console/cases/1", {"decision": "uphold", "note": "looked at"}).status_code == 303
    assert reviewers.post("/v1/cases/2/decision", {"decision": "quarantine", "note": "seen"}).status_code == 200
    shown = otto.follow(otto.post("/console/reports", DAYS)).text
    assert ("<td>rosa</td>" in shown, f"<td>Gamma (key {reviewers.key})</td>" in shown) == (True, True)
    for form in ("json", "csv", "html"):
        taken = otto.get(f"/console/reports/1/download?form={form}").text
        assert ("rosa" in taken, "user 1" in taken or "user:1" in taken) == (False, True)
    shown = otto.follow(otto.post("/console/reports", {**DAYS, "member": "1"})).text
    assert ("rosa" in shown, "by who made them" in shown) == (False, False)
    assert json.loads(otto.get("/console/reports/2/download?form=json").text)["deciders"] == {}


def test_of_one_member_and_of_a_period_that_is_named(told: Service, otto: Visitor) -> None:
    page = otto.follow(otto.post("/console/reports", {"period": "2026-10-01/2026-10-31", "member": "1"}))
    assert ("Report on Alpha" in heading(page), "2026-10-01 to 2026-10-31" in page.text) == (True, True)
    assert "<b>0</b> contributions" in page.text


def test_bad_input_is_told_and_nothing_is_made(told: Service, otto: Visitor) -> None:
    before = told.rows()
    for sent, wrong in (
        ({"from": "yesterday", "to": "2026-02-30"}, {"from", "to"}),
        ({"from": "2026-11-20", "to": "2026-11-01"}, {"to"}),
        ({"member": "Alpha"}, {"member"}),
        ({"period": "x/y"}, {"from", "to"}),
    ):
        assert set(faults(otto.post("/console/reports", sent))) == wrong
    assert otto.post("/console/reports", {"member": "99"}).status_code == 404
    assert otto.get("/console/reports/1").status_code == 404
    after = told.rows()
    assert (after["commissions"], after["events"]) == (before["commissions"], before["events"])


def test_while_one_is_made_its_progress_is_shown(told: Service, otto: Visitor) -> None:
    with told.db.store.begin() as tx:
        running = tx.report_jobs.add("system:cli", Period(date(2026, 1, 1), date(2026, 1, 31)), None, 200, told.clock())
        tx.report_jobs.advance(running.id, 50, told.clock())
    asked = otto.post("/console/reports", DAYS)
    assert asked.headers["Location"] == "/console/reports/1"
    page = otto.follow(asked)
    assert "Another report is in progress" in page.text
    assert ('value="25"' in page.text, "Read 50 of at most 200 events" in page.text) == (True, True)
    part = otto.get("/console/reports/1", headers={"HX-Request": "true"}).text
    assert ("<html" in part, 'hx-trigger="every 1s"' in part) == (False, True)
    assert otto.get("/console/reports/1/download").status_code == 404
    told.clock.go(seconds=61)
    late = otto.get("/console/reports/1").text
    assert ("The report stopped" in late, "every 1s" in late) == (True, False)
    assert "interrupted" in otto.get("/console/reports").text


def test_the_periods_that_are_often_asked_for() -> None:
    def spelled(today: date) -> dict[str, str]:
        return {name: f"{one.first} {one.last}" for name, one in presets(today)}

    assert spelled(date(2026, 1, 15)) == {
        "last month": "2025-12-01 2025-12-31",
        "last quarter": "2025-10-01 2025-12-31",
        "last year": "2025-01-01 2025-12-31",
        "this month": "2026-01-01 2026-01-15",
        "this year": "2026-01-01 2026-01-15",
    }
    assert spelled(date(2026, 11, 20))["last quarter"] == "2026-07-01 2026-09-30"


def test_only_the_newest_are_kept(told: Service, otto: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reports, "KEPT", 2)
    for _ in range(3):
        otto.follow(otto.post("/console/reports", DAYS))
    assert re.findall(r'/console/reports/(\d+)"', otto.get("/console/reports").text) == ["3", "2"]
    assert otto.get("/console/reports/1").status_code == 404
