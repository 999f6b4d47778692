"""/console/reports: the figures of a period, made in the background, shown, taken away as JSON, CSV or a page."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

from flask import Response, request, url_for
from markupsafe import Markup

from hashdb.domain.jobs import JobOutcome, ReportJob
from hashdb.domain.stats.reports import Report
from hashdb.domain.times import Period
from hashdb.errors import Fault, InvalidInput
from hashdb.service.accounts import members
from hashdb.service.ledger import events
from hashdb.service.stats import reports as jobs
from hashdb.web import reports
from hashdb.web.console import pages
from hashdb.web.console.pages import Form
from hashdb.web.context import actor, hashdb
from hashdb.wire.stats import ReportOut, csv_text

blueprint = pages.blueprint_of("reports", __name__)
_MEMBERS = 1_000
_FORMS = {"json": "application/json", "csv": "text/csv", "html": "text/html"}


@blueprint.get("")
def browse() -> Response:
    """Ask for a period, and list the reports that were made lately."""
    return _listed(Form())


@blueprint.post("")
def make() -> Response:
    """Begin to make a report; a short one is there at once."""
    sent = Form.sent()
    try:
        first, last, member = _asked(sent)
        found = jobs.start(hashdb(), actor(), first, last, member, _spelled)
    except pages.REFUSALS as error:
        return _listed(sent.refused(error), status=422)
    address = url_for("console.reports.show", report_id=found.id)
    wanted = found.asks(Period(first or found.period.first, last or found.period.last), member)
    return pages.to(address) if wanted else pages.done(address, "This one is made first: ask for yours again after it.")


@blueprint.get("/<id:report_id>")
def show(report_id: int) -> Response:
    """Show a report, or how far it is."""
    found = jobs.get(hashdb(), actor(), report_id)
    report = _report(found.id) if found.outcome is JobOutcome.MADE else None
    template = "report_state.html" if request.headers.get("HX-Request") else "report.html"
    told = None if report is None else Markup(reports.body(report))
    return pages.page(template, found=found, of=_of(found), report=report, body=told)


@blueprint.get("/<id:report_id>/download")
def download(report_id: int) -> Response:
    """Take a report away: the same figures in another form."""
    form = request.args.get("form", "json")
    if form not in _FORMS:
        raise InvalidInput((Fault("form", f"is one of {', '.join(_FORMS)}"),))
    report = _report(report_id, form)
    text = {"json": lambda: _spelled(report), "csv": lambda: csv_text(report), "html": lambda: reports.page(report)}
    response = Response(text[form](), mimetype=_FORMS[form])
    name = f"hashdb-{report.period.first}-{report.period.last}.{form}"
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def presets(today: date) -> Iterator[tuple[str, Period]]:
    """Periods that are often asked for; those that are over first."""
    this_month = today.replace(day=1)
    last_month = (this_month - timedelta(days=1)).replace(day=1)
    this_quarter = date(today.year, (today.month - 1) // 3 * 3 + 1, 1)
    before = this_quarter - timedelta(days=1)
    yield "last month", Period(last_month, this_month - timedelta(days=1))
    yield "last quarter", Period(date(before.year, (before.month - 1) // 3 * 3 + 1, 1), before)
    yield "last year", Period(date(today.year - 1, 1, 1), date(today.year - 1, 12, 31))
    yield "this month", Period(this_month, today)
    yield "this year", Period(date(today.year, 1, 1), today)


def _asked(sent: Form) -> tuple[date | None, date | None, int | None]:
    """The days and the member that a form asks for. Raises InvalidInput."""
    if sent.text("period"):
        sent.values["from"], _, sent.values["to"] = sent.text("period").partition("/")
    days: dict[str, date | None] = {}
    faults = []
    for name in ("from", "to"):
        try:
            days[name] = date.fromisoformat(sent.text(name)) if sent.text(name) else None
        except ValueError:
            faults.append(Fault(name, "takes a day, like 2026-11-20"))
    member = sent.number("member")
    if isinstance(member, str):
        faults.append(Fault("member", "is not one of the members"))
    if faults:
        raise InvalidInput(tuple(faults))
    return days["from"], days["to"], None if isinstance(member, str) else member


def _spelled(report: Report) -> str:
    return ReportOut.from_domain(report).json_text()


def _report(id: int, form: str | None = None) -> Report:
    return ReportOut.model_validate_json(jobs.text(hashdb(), actor(), id, form)).to_domain()


def _listed(form: Form, status: int = 200) -> Response:
    found = members.page(hashdb(), actor(), 0, _MEMBERS)
    made = jobs.latest(hashdb(), actor())
    return pages.page(
        "reports.html",
        status=status,
        form=form,
        members=[(str(one.id), one.name) for one in sorted(found, key=lambda one: one.name.casefold())],
        presets=presets(hashdb().now().date()),
        made=made,
        of=_of,
        names=events.names(hashdb(), actor(), {one.actor for one in made}),
    )


def _of(found: ReportJob) -> str:
    return "all members" if found.member is None else members.get(hashdb(), actor(), found.member).name
