"""/console/contributions: every contribution, chosen and ordered; one with all that is known of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from flask import Response, request, stream_with_context, url_for

from hashdb.domain.accounts.members import Scope
from hashdb.domain.contributions import Contribution, Sort, Standing, Status
from hashdb.domain.review.cases import Case, CaseState
from hashdb.domain.signals import Algorithm
from hashdb.domain.times import format_instant
from hashdb.errors import Fault, InvalidInput
from hashdb.service.accounts import members
from hashdb.service.contributions import contributions, listings
from hashdb.service.ledger import events
from hashdb.service.matching import neighbors
from hashdb.service.review import cases
from hashdb.web.console import pages
from hashdb.web.console.pages import Form
from hashdb.web.console.signals import grid
from hashdb.web.context import actor, hashdb
from hashdb.wire.cells import line
from hashdb.wire.contributions import ContributionOut
from hashdb.wire.pages import ListingQuery

blueprint = pages.blueprint_of("contributions", __name__)
_NEAR = 12
_MEMBERS = 1_000
_OPINIONS = 1_000


@blueprint.get("")
def browse() -> Response:
    """List the contributions that a filter lets through."""
    form = Form()
    asked = _asked(form)
    if asked is None:
        return pages.page("contributions.html", status=422, form=form, found=None, asked=ListingQuery(), **_choices())
    found = listings.page(hashdb(), actor(), asked.to_domain(), asked.after, asked.limit)
    return pages.page("contributions.html", form=form, found=found, asked=asked, address=_with, **_choices())


@blueprint.get("/export")
def export() -> Response:
    """Download all that a filter lets through, as CSV or lines of JSON."""
    form, kind = Form(), request.args.get("form", "csv")
    asked = _asked(form)
    if asked is None or kind not in FORMS:
        form.faults.setdefault("form", "is csv or jsonl") if asked else None
        return pages.page("contributions.html", status=422, form=form, found=None, asked=ListingQuery(), **_choices())
    found = listings.export(hashdb(), actor(), asked.to_domain(), kind)
    response = Response(stream_with_context(lines(found, kind)), mimetype=FORMS[kind])
    response.headers["Content-Disposition"] = f'attachment; filename="contributions.{kind}"'
    return response


@blueprint.get("/<id:contribution_id>")
def show(contribution_id: int) -> Response:
    """Show a contribution: what it is, what happened to it, what is near to it."""
    return _shown(contributions.get(hashdb(), actor(), contribution_id))


@blueprint.get("/<id:contribution_id>/neighbors")
def near(contribution_id: int) -> Response:
    """What is near to a contribution, as a part of its page."""
    found = contributions.get(hashdb(), actor(), contribution_id)
    around = pages.once_built(lambda: neighbors.list_near(hashdb(), actor(), contribution_id, _NEAR))
    return pages.page("neighbors_part.html", contribution=found, near=around, grid=grid)


@blueprint.get("/<id:contribution_id>/case")
def ask_case(contribution_id: int) -> Response:
    """Say what a case would do, before it is opened."""
    return _ask("contribution_case.html", contribution_id, Form())


@blueprint.post("/<id:contribution_id>/case")
def open_case(contribution_id: int) -> Response:
    """Open a case on a contribution, and hold it or not."""
    actor().require(Scope.REVIEW)
    sent = Form.sent()
    try:
        _confirmed(sent, reason=True)
        holds = sent.text("holds") == "yes"
        case = cases.bring(hashdb(), actor(), contribution_id, sent.text("reason"), holds=holds)
    except pages.REFUSALS as error:
        return _ask("contribution_case.html", contribution_id, sent.refused(error), status=422)
    address = url_for("console.cases.show", case_id=case.id)
    return pages.done(address, f"Case {case.id} is open on contribution {contribution_id}.")


@blueprint.get("/<id:contribution_id>/erasure")
def ask_erasure(contribution_id: int) -> Response:
    """Say what erasure would do, before it is done."""
    return _ask("contribution_erasure.html", contribution_id, Form())


@blueprint.post("/<id:contribution_id>/erasure")
def erase(contribution_id: int) -> Response:
    """Erase a contribution's signals and texts for good."""
    actor().require(Scope.ADMIN)
    sent = Form.sent()
    try:
        _confirmed(sent, reason=True, number=contribution_id)
        contributions.erase(hashdb(), actor(), contribution_id, sent.text("reason"))
    except pages.REFUSALS as error:
        return _ask("contribution_erasure.html", contribution_id, sent.refused(error), status=422)
    return pages.done(_address(contribution_id), f"Contribution {contribution_id} is erased. Its events stay.")


def _confirmed(sent: Form, *, reason: bool, number: int | None = None) -> None:
    """Raise InvalidInput unless a reason was chosen, and the number typed where that is asked for."""
    faults = [Fault("reason", "is required")] if reason and not sent.text("reason") else []
    if number is not None and sent.text("number") != str(number):
        faults.append(Fault("number", f"is to be {number}, typed by hand"))
    if faults:
        raise InvalidInput(tuple(faults))


def _asked(form: Form) -> ListingQuery | None:
    """What the query string asks for, or None with its faults in the form."""
    asked = pages.asked(ListingQuery, form=form, apart=("form",))
    if asked is not None:
        try:
            listings.check(asked.to_domain().chosen)
        except InvalidInput as error:
            form.refused(error)
            return None
    return asked


def _choices() -> dict[str, Any]:
    found = members.page(hashdb(), actor(), 0, _MEMBERS)
    return {
        "members": [(str(one.id), one.name) for one in sorted(found, key=lambda one: one.name.casefold())],
        "labels": hashdb().rules.vocabulary.behaviour,
        "algorithms": Algorithm,
        "statuses": Status,
        "standings": Standing,
        "sorts": Sort,
    }


def _with(**changed: Any) -> str:
    """The address of the list with the filter of this page."""
    kept: Mapping[str, Any] = {name: value for name, value in request.args.items() if value and name != "after"}
    return url_for("console.contributions.browse", **{**kept, **changed})


def _shown(found: Contribution) -> Response:
    on = cases_on(found.id)
    line = events.timeline(hashdb(), actor(), found.id)
    return pages.page(
        "contribution.html",
        contribution=found,
        cases=on,
        open_case=next((case for case in on if case.state is CaseState.OPEN), None),
        timeline=line,
        grid=grid,
        radii={one: one.radius for one in Algorithm},
    )


def cases_on(contribution: int) -> tuple[Case, ...]:
    """The cases on a contribution."""
    return cases.on(hashdb(), actor(), contribution)


def _ask(template: str, id: int, form: Form, status: int = 200) -> Response:
    found = contributions.get(hashdb(), actor(), id)
    return pages.page(
        template,
        status=status,
        contribution=found,
        effect=cases.impact(hashdb(), actor(), id),
        form=form,
        reasons=hashdb().rules.vocabulary.reason,
    )


def _address(id: int) -> str:
    return url_for("console.contributions.show", contribution_id=id)


FORMS = {"csv": "text/csv", "jsonl": "application/x-ndjson"}
_COLUMNS = (
    "id",
    "member",
    "member_name",
    "status",
    "standing",
    "received_at",
    "signals",
    "labels",
    "removed_at",
    "quality",
    "media",
    "severity",
    "basis",
    "tco_ground",
    "entity",
    "incident",
    "context",
    "notified_at",
    "reference",
    "expires_at",
    "withdrawn_at",
    "withdrawal_reason",
    "erased",
)
_END = "\r\n"


def lines(found: Iterable[Contribution], form: str) -> Iterator[str]:
    """The text of an export, in pieces; lists are separated by spaces in CSV."""
    if form == "jsonl":
        yield from (f"{ContributionOut.from_domain(one).json_text()}\n" for one in found)
        return
    yield line(_COLUMNS, _END)
    for one in found:
        yield line((_cell(getattr(one, name)) for name in _COLUMNS), _END)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return format_instant(value)
    if isinstance(value, tuple):
        return " ".join(map(str, value))
    return str(value)
