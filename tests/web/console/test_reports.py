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
def service_with_data(service: Service) -> Service:
    """A service with a few contributions and counts."""
    alpha = service.caller(name="Alpha <b>")
    alpha.contribute(item(1), item(2))
    service.caller(name="Beta").matched(pdq(1))
    counts.flush(service.db)
    return service


def test_an_auditor_makes_a_report_and_downloads_it(service_with_data: Service, otto: Visitor) -> None:
    page = otto.follow(otto.post("/console/reports", DAYS))
    assert heading(page) == "Report on all members"
    assert ("<b>2</b> contributions" in page.text, "Alpha &lt;b&gt;" in page.text) == (True, True)
    download = otto.get("/console/reports/1/download?form=json")
    assert download.headers["Content-Disposition"] == 'attachment; filename="hashdb-2026-11-01-2026-11-20.json"'
    days = date(2026, 11, 1), date(2026, 11, 20)
    report = reports.transparency(service_with_data.db, COMMAND_LINE, *days, form="json")
    content = json.loads(download.text)
    assert {**content, "size": 0} == {**json.loads(ReportOut.from_domain(report).json_text()), "size": 0}
    rows = dict(csv.reader(otto.get("/console/reports/1/download?form=csv").text.splitlines()))
    assert rows["contributions.added"] == "2"
    assert otto.get("/console/reports/1/download?form=html").text.startswith("<!doctype html>")
    assert otto.get("/console/reports/1/download?form=pdf").status_code == 422
    with service_with_data.db.store.read() as tx:
        events = [event for event in tx.audit.since(0, 1000) if event.action == "report.exported"]
    assert [event.details["form"] for event in events] == ["console", "json", "json", "csv", "html"]
    listed = otto.get("/console/reports").text
    assert ("2026-11-01 to 2026-11-20</a>" in listed, ">otto</a>" in listed) == (True, True)


def test_a_report_shows_deciders_by_name_and_exports_their_ids(
    service_with_data: Service, rosa: Visitor, otto: Visitor
) -> None:
    reviewers = service_with_data.caller(Scope.REVIEW, name="Gamma")
    for contribution in (1, 2):
        cases.open_case(service_with_data.db, COMMAND_LINE, contribution, "other", holds=False)
    assert rosa.post("/console/cases/1", {"decision": "uphold", "note": "looked at"}).status_code == 303
    assert reviewers.post("/v1/cases/2/decision", {"decision": "quarantine", "note": "seen"}).status_code == 200
    shown = otto.follow(otto.post("/console/reports", DAYS)).text
    assert ("<td>rosa</td>" in shown, f"<td>Gamma (key {reviewers.key})</td>" in shown) == (True, True)
    for form in ("json", "csv", "html"):
        download = otto.get(f"/console/reports/1/download?form={form}").text
        assert ("rosa" in download, "user 1" in download or "user:1" in download) == (False, True)
    shown = otto.follow(otto.post("/console/reports", {**DAYS, "member": "1"})).text
    assert ("rosa" in shown, "by who made them" in shown) == (False, False)
    assert json.loads(otto.get("/console/reports/2/download?form=json").text)["deciders"] == {}


def test_a_report_can_be_about_one_member_and_a_preset_period(service_with_data: Service, otto: Visitor) -> None:
    page = otto.follow(otto.post("/console/reports", {"period": "2026-10-01/2026-10-31", "member": "1"}))
    assert ("Report on Alpha" in heading(page), "2026-10-01 to 2026-10-31" in page.text) == (True, True)
    assert "<b>0</b> contributions" in page.text


def test_invalid_input_is_reported_and_no_report_is_made(service_with_data: Service, otto: Visitor) -> None:
    before = service_with_data.rows()
    for fields, invalid in (
        ({"from": "yesterday", "to": "2026-02-30"}, {"from", "to"}),
        ({"from": "2026-11-20", "to": "2026-11-01"}, {"to"}),
        ({"member": "Alpha"}, {"member"}),
        ({"period": "x/y"}, {"from", "to"}),
    ):
        assert set(faults(otto.post("/console/reports", fields))) == invalid
    assert otto.post("/console/reports", {"member": "99"}).status_code == 404
    assert otto.get("/console/reports/1").status_code == 404
    after = service_with_data.rows()
    assert (after["commissions"], after["events"]) == (before["commissions"], before["events"])


def test_the_progress_of_a_running_report_is_shown(service_with_data: Service, otto: Visitor) -> None:
    with service_with_data.db.store.begin() as tx:
        running = tx.report_jobs.add(
            "system:cli", Period(date(2026, 1, 1), date(2026, 1, 31)), None, 200, service_with_data.clock()
        )
        tx.report_jobs.advance(running.id, 50, service_with_data.clock())
    response = otto.post("/console/reports", DAYS)
    assert response.headers["Location"] == "/console/reports/1"
    page = otto.follow(response)
    assert "Another report is in progress" in page.text
    assert ('value="25"' in page.text, "Read 50 of at most 200 events" in page.text) == (True, True)
    part = otto.get("/console/reports/1", headers={"HX-Request": "true"}).text
    assert ("<html" in part, 'hx-trigger="every 1s"' in part) == (False, True)
    assert otto.get("/console/reports/1/download").status_code == 404
    service_with_data.clock.advance(seconds=61)
    stopped = otto.get("/console/reports/1").text
    assert ("The report stopped" in stopped, "every 1s" in stopped) == (True, False)
    assert "interrupted" in otto.get("/console/reports").text


def test_the_preset_periods_are_whole_months_quarters_and_years() -> None:
    def presets_on(today: date) -> dict[str, str]:
        return {name: f"{period.first} {period.last}" for name, period in presets(today)}

    assert presets_on(date(2026, 1, 15)) == {
        "last month": "2025-12-01 2025-12-31",
        "last quarter": "2025-10-01 2025-12-31",
        "last year": "2025-01-01 2025-12-31",
        "this month": "2026-01-01 2026-01-15",
        "this year": "2026-01-01 2026-01-15",
    }
    assert presets_on(date(2026, 11, 20))["last quarter"] == "2026-07-01 2026-09-30"


def test_only_the_newest_reports_are_kept(
    service_with_data: Service, otto: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reports, "KEPT", 2)
    for _ in range(3):
        otto.follow(otto.post("/console/reports", DAYS))
    assert re.findall(r'/console/reports/(\d+)"', otto.get("/console/reports").text) == ["3", "2"]
    assert otto.get("/console/reports/1").status_code == 404
