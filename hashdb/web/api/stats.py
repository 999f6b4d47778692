"""Stats: /v1/counts and /v1/reports."""

from __future__ import annotations

from flask import Response, request

from hashdb.domain.accounts.members import Scope
from hashdb.service.stats import counts, reports
from hashdb.web.context import actor, answer, hashdb, query
from hashdb.web.reports import page
from hashdb.web.routes import ApiBlueprint, operation
from hashdb.wire.pages import DayQuery, ReportQuery
from hashdb.wire.stats import CountsOut, ReportOut, csv_text

counts_api = ApiBlueprint("counts", tag="Counts", about="For auditors: what the service counted on a day.")


@counts_api.get("")
@operation({200: CountsOut}, any_scope=[Scope.AUDIT], query=DayQuery)
def get_counts() -> CountsOut:
    """Get the counts of a day.

    Returns every line as it is sealed, so that you can compute the digest again.
    """
    day = counts.get(hashdb(), actor(), query(DayQuery).day)
    sealed = None if day.seal is None else (day.seal.seq, day.seal.digest)
    return CountsOut.from_domain(day.day, day.counts, sealed)


reports_api = ApiBlueprint("reports", tag="Reports", about="For auditors: the figures of a period.")

_JSON, _CSV, _HTML = "application/json", "text/csv", "text/html"
_NAMES = {_JSON: "json", _CSV: "csv", _HTML: "html"}


@reports_api.get("/transparency")
@operation({200: ReportOut}, any_scope=[Scope.AUDIT], query=ReportQuery, streams=(_CSV, _HTML))
def get_transparency_report() -> Response:
    """Get the transparency report of a period.

    Covers contributions, times to remove and to share, reappearances, opinions, cases, precision and refusals. The
    format is JSON, CSV or an HTML page, by `Accept`. Once the report is final, its figures do not change.
    """
    params = query(ReportQuery)
    form = request.accept_mimetypes.best_match([_JSON, _CSV, _HTML], _JSON)
    # The log records the form, too.
    report = reports.transparency(hashdb(), actor(), params.first, params.last, form=_NAMES[form])
    if form == _JSON:
        return answer(ReportOut.from_domain(report))
    return Response(csv_text(report) if form == _CSV else page(report), mimetype=form)
