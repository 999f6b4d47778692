"""/console/reports: transparency reports, which a background job makes, to show and download as JSON, CSV or HTML."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

from flask import Response, request
from markupsafe import Markup

from hashdb.domain.jobs import JobOutcome, ReportJob
from hashdb.domain.stats.reports import Report
from hashdb.domain.times import Period
from hashdb.errors import Fault, reject, reject_field
from hashdb.service.accounts import members
from hashdb.service.ledger import events
from hashdb.service.stats import reports as jobs
from hashdb.web import reports
from hashdb.web.console import pages
from hashdb.web.console.lists import Column, page_of_all
from hashdb.web.console.pages import Form
from hashdb.web.context import actor, hashdb, query
from hashdb.wire.pages import ListQuery
from hashdb.wire.stats import ReportOut, csv_text

blueprint = pages.blueprint_of("reports")
_MEDIA_TYPES = {"json": "application/json", "csv": "text/csv", "html": "text/html"}


@blueprint.get("")
def browse() -> Response:
    """Show the form for a report, and list recent reports."""
    return _list_page(Form())


@blueprint.post("")
def make() -> Response:
    """Start the job that makes a report."""
    sent = Form.sent()
    try:
        first, last, member = _read_period(sent)
        job = jobs.start(hashdb(), actor(), first, last, member, _json_text)
    except pages.REFUSALS as error:
        return _list_page(sent.refused(error))
    # Without a day in the form, the period is that of the job.
    is_own = job.is_for(Period(first or job.period.first, last or job.period.last), member)
    notice = "" if is_own else "Another report is in progress. Make yours again when it is complete."
    return pages.redirect_with_notice(notice, "reports.show", report_id=job.id)


@blueprint.get("/<id:report_id>")
def show(report_id: int) -> Response:
    """Show a report, or the progress of its job."""
    job = jobs.get(hashdb(), actor(), report_id)
    report = _report(job.id) if job.outcome is JobOutcome.MADE else None
    template = "report_state.html" if request.headers.get("HX-Request") else "report.html"
    body = None
    if report is not None:
        body = Markup(reports.body(report, events.names(hashdb(), actor(), set(report.deciders))))
    return pages.page(template, job=job, members=_members_text(job), report=report, body=body)


@blueprint.get("/<id:report_id>/download")
def download(report_id: int) -> Response:
    """Download a report as JSON, CSV or HTML. Raises InvalidInput, NotFound."""
    format = request.args.get("form", "json")
    if format not in _MEDIA_TYPES:
        reject_field("form", f"must be one of {', '.join(_MEDIA_TYPES)}")
    report = _report(report_id, format)
    text = {"json": lambda: _json_text(report), "csv": lambda: csv_text(report), "html": lambda: reports.page(report)}
    response = Response(text[format](), mimetype=_MEDIA_TYPES[format])
    name = f"hashdb-{report.period.first}-{report.period.last}.{format}"
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def presets(today: date) -> Iterator[tuple[str, Period]]:
    """Common periods with their names, complete ones first."""
    this_month = today.replace(day=1)
    last_month = (this_month - timedelta(days=1)).replace(day=1)
    this_quarter = date(today.year, (today.month - 1) // 3 * 3 + 1, 1)
    before = this_quarter - timedelta(days=1)
    yield "last month", Period(last_month, this_month - timedelta(days=1))
    yield "last quarter", Period(date(before.year, (before.month - 1) // 3 * 3 + 1, 1), before)
    yield "last year", Period(date(today.year - 1, 1, 1), date(today.year - 1, 12, 31))
    yield "this month", Period(this_month, today)
    yield "this year", Period(date(today.year, 1, 1), today)


def _read_period(sent: Form) -> tuple[date | None, date | None, int | None]:
    """The first day, last day and member in a form. Raises InvalidInput."""
    if sent.text("period"):
        sent.values["from"], _, sent.values["to"] = sent.text("period").partition("/")
    days: dict[str, date | None] = {}
    faults = []
    for name in ("from", "to"):
        try:
            days[name] = date.fromisoformat(sent.text(name)) if sent.text(name) else None
        except ValueError:
            faults.append(Fault(name, "must be a day, like 2026-11-20"))
    member = sent.number("member")
    if isinstance(member, str):
        faults.append(Fault("member", "must be one of the members"))
    reject(faults)
    return days["from"], days["to"], None if isinstance(member, str) else member


def _json_text(report: Report) -> str:
    return ReportOut.from_domain(report).json_text()


def _report(id: int, format: str | None = None) -> Report:
    """The report of a job; with `format`, the log records the download. Raises NotFound."""
    return ReportOut.model_validate_json(jobs.text(hashdb(), actor(), id, format)).to_domain()


def _list_page(form: Form) -> Response:
    now = hashdb().now()
    columns: tuple[Column[ReportJob], ...] = (
        Column("Period", "period", lambda job: (job.period.first, job.period.last, job.id)),
        Column("Members"),
        Column("State"),
        Column("Events read", "events", lambda job: (job.done, job.id), number=True),
        Column("Requested by", "actor", lambda job: (job.actor, job.id), ascending_first=True),
        Column("Requested", "requested", lambda job: job.id),
    )
    rows = jobs.latest(hashdb(), actor(), jobs.KEPT)
    shown, list = page_of_all(rows, columns, query(ListQuery), "console.reports.browse", first="requested")
    return pages.page(
        "reports.html",
        form=form,
        members=pages.member_choices(),
        presets=presets(now.date()),
        jobs=shown,
        list=list,
        members_text=_members_text,
        names=events.names(hashdb(), actor(), {job.actor for job in shown}),
    )


def _members_text(job: ReportJob) -> str:
    return "all members" if job.member is None else members.get(hashdb(), actor(), job.member).name
