"""/console/contributions: a list to filter, sort and export, and a page for each contribution."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import fields, replace
from datetime import datetime
from typing import Any

from flask import Response, request, stream_with_context

from hashdb.domain.accounts.members import Scope
from hashdb.domain.contributions import Contribution, Filter, Media, Standing, Status
from hashdb.domain.listings import Paged, Sort, Total
from hashdb.domain.review.cases import Case, open_case_of
from hashdb.domain.signals import Algorithm
from hashdb.domain.tiers import Tier
from hashdb.domain.times import format_instant
from hashdb.errors import Fault, InvalidInput, reject
from hashdb.service.contributions import contributions, listings
from hashdb.service.ledger import events
from hashdb.service.matching import neighbors
from hashdb.service.review import bulk, cases, impacts
from hashdb.web.console import frames, lists, pages
from hashdb.web.console.lists import Column, ListPage
from hashdb.web.console.pages import Form
from hashdb.web.context import actor, hashdb
from hashdb.wire.cells import csv_line
from hashdb.wire.contributions import ContributionOut
from hashdb.wire.pages import ListingQuery, PageQuery

blueprint = pages.blueprint_of("contributions")
_MAX_NEAR = 12
"""How many near contributions the page of a contribution shows."""
_COLUMNS: tuple[Column[Contribution], ...] = (
    Column("Id", Sort.ID, number=True),
    Column("Received", Sort.RECEIVED),
    Column("Removed", Sort.REMOVED),
    Column("Member"),
    Column("Labels"),
    Column("Severity", Sort.SEVERITY),
    Column("Status"),
    Column("Media, hashes"),
    Column("Reference"),
)


@blueprint.get("")
def browse() -> Response:
    """List the contributions that match a filter."""
    params, form = _read_query()
    if params is None:
        return _refused_page(form)
    listing = listings.page(hashdb(), actor(), params.to_domain(), params.place, params.limit)
    list = _list_page(listing, params)
    return pages.page(
        "contributions.html", form=form, listing=listing, params=params, list=list, **_filter_values(form)
    )


@blueprint.get("/export")
def export() -> Response:
    """Download all contributions that match a filter, as CSV or JSON lines: the parameter `form` says which."""
    format = request.args.get("form", "csv")
    params, form = _read_query()
    if params is not None and format not in _MEDIA_TYPES:
        form.faults["form"] = "must be csv or jsonl"
    if params is None or form.has_faults:
        return _refused_page(form)
    exported = listings.export(hashdb(), actor(), params.to_domain(), format)
    response = Response(stream_with_context(lines(exported, format)), mimetype=_MEDIA_TYPES[format])
    response.headers["Content-Disposition"] = f'attachment; filename="contributions.{format}"'
    return response


@blueprint.get("/<id:contribution_id>")
def show(contribution_id: int) -> Response:
    """Show a contribution with its history and near contributions."""
    return _contribution_page(contributions.get(hashdb(), actor(), contribution_id))


@blueprint.get("/<id:contribution_id>/neighbors")
def near(contribution_id: int) -> Response:
    """The contributions near one, as a fragment of its page."""
    contribution = contributions.get(hashdb(), actor(), contribution_id)
    neighborhood = pages.if_index_ready(lambda: neighbors.list_near(hashdb(), actor(), contribution_id, _MAX_NEAR))
    return pages.page(
        "neighbors_part.html",
        contribution=contribution,
        near=neighborhood,
        joined=frames.join_near(contribution, neighborhood or ()),
    )


@blueprint.get("/<id:contribution_id>/shots")
def list_shots(contribution_id: int) -> Response:
    """List the shots of a video with their hashes, page by page."""
    contribution = contributions.get(hashdb(), actor(), contribution_id)
    params, form = pages.read_query(PageQuery)
    if params is None:
        return pages.page("shots.html", form=form, contribution=contribution)
    item = frames.framed_item(contribution, params.after, params.limit)
    return pages.page("shots.html", form=form, contribution=contribution, framed_item=item, limit=params.limit)


@blueprint.get("/<id:contribution_id>/case")
def ask_case(contribution_id: int) -> Response:
    """Show the effect of a case before it is opened."""
    return _confirmation_page("contribution_case.html", contribution_id, Form())


@blueprint.post("/<id:contribution_id>/case")
def open_case(contribution_id: int) -> Response:
    """Open a case on a contribution. With the field `holds`, the contribution is quarantined until a decision."""
    actor().require(Scope.REVIEW)
    sent = Form.sent()
    try:
        _require_confirmation(sent)
        holds = sent.text("holds") == "yes"
        case = cases.open_case(hashdb(), actor(), contribution_id, sent.text("reason"), holds=holds)
    except pages.REFUSALS as error:
        return _confirmation_page("contribution_case.html", contribution_id, sent.refused(error))
    notice = f"Case {case.id} was opened on contribution {contribution_id}."
    return pages.redirect_with_notice(notice, "cases.show", case_id=case.id)


@blueprint.get("/<id:contribution_id>/erasure")
def ask_erasure(contribution_id: int) -> Response:
    """Show the effect of an erasure before it is done."""
    return _confirmation_page("contribution_erasure.html", contribution_id, Form())


@blueprint.post("/<id:contribution_id>/erasure")
def erase(contribution_id: int) -> Response:
    """Erase a contribution's signals and texts for good."""
    actor().require(Scope.ADMIN)
    sent = Form.sent()
    try:
        _require_confirmation(sent, contribution_id)
        contributions.erase(hashdb(), actor(), contribution_id, sent.text("reason"))
    except pages.REFUSALS as error:
        return _confirmation_page("contribution_erasure.html", contribution_id, sent.refused(error))
    notice = f"Contribution {contribution_id} was erased. Its events stay."
    return pages.redirect_with_notice(notice, "contributions.show", contribution_id=contribution_id)


def _require_confirmation(sent: Form, number: int | None = None) -> None:
    """Raise InvalidInput unless the form has a reason and, if `number` is given, this number in its field `number`."""
    faults = [] if sent.text("reason") else [Fault("reason", "is required: choose one")]
    if number is not None and sent.text("number") != str(number):
        faults.append(Fault("number", f"must be {number}, to confirm the erasure"))
    reject(faults)


def _read_query() -> tuple[ListingQuery | None, Form]:
    """The filter in the query string, and its form. If it is invalid: None, with the faults in the form."""
    params, form = pages.read_query(ListingQuery, without=("form",))
    try:
        if params is not None:
            listings.check(params.to_domain().filter)
    except InvalidInput as error:
        return None, form.refused(error)
    return params, form


def _refused_page(form: Form) -> Response:
    """The page of a filter that is not valid."""
    return pages.page("contributions.html", form=form, listing=None, params=ListingQuery(), **_filter_values(form))


def _filter_values(form: Form) -> dict[str, Any]:
    """The values for the filter on the page: how many of its fields are set, and what may be chosen in each."""
    return {
        "filters_set": sum(field.name in form.values for field in fields(Filter)),
        "members": pages.member_choices(),
        "labels": hashdb().rules.vocabulary.behaviour,
        "algorithms": Algorithm,
        "statuses": Status,
        "standings": Standing,
        "media": Media,
        "tiers": Tier,
    }


def _list_page(listing: Paged[Contribution], params: ListingQuery) -> ListPage:
    # By default, the count of a long list ends early.
    if params.exact and listing.total and listing.total.more:
        listing = replace(listing, total=Total(listings.count(hashdb(), actor(), params.to_domain().filter)))
    return lists.page_at_place(
        listing,
        _COLUMNS,
        params,
        "console.contributions.browse",
        sort=params.sort,
        row_kind="contribution" if actor().has(Scope.REVIEW) else "",
        upto=bulk.newest_contribution(hashdb(), actor()),
    )


def _contribution_page(contribution: Contribution) -> Response:
    return pages.page(
        "contribution.html",
        contribution=contribution,
        open_case=_find_open_case(contribution.id),
        timeline=events.timeline(hashdb(), actor(), contribution.id),
        framed_item=frames.framed_item(contribution),
    )


def _confirmation_page(template: str, id: int, form: Form) -> Response:
    contribution = contributions.get(hashdb(), actor(), id)
    return pages.page(
        template,
        contribution=contribution,
        open_case=_find_open_case(id),
        effect=impacts.impact(hashdb(), actor(), id),
        form=form,
        reasons=hashdb().rules.vocabulary.reason,
    )


def _find_open_case(contribution: int) -> Case | None:
    return open_case_of(cases.list_on_contribution(hashdb(), actor(), contribution))


_MEDIA_TYPES = {"csv": "text/csv", "jsonl": "application/x-ndjson"}
_NOT_EXPORTED = ("masked", "hidden", "changed_at", "frames")
"""Fields of a contribution that the CSV lacks."""
_EXPORTED_FIELDS = tuple(field.name for field in fields(Contribution) if field.name not in _NOT_EXPORTED)
_LINE_END = "\r\n"


def lines(contributions: Iterable[Contribution], format: str) -> Iterator[str]:
    """The lines of an export as `csv`, where spaces separate the items of a list, or as `jsonl`."""
    if format == "jsonl":
        yield from (f"{ContributionOut.from_domain(contribution).json_text()}\n" for contribution in contributions)
        return
    yield csv_line(_EXPORTED_FIELDS, _LINE_END)
    for contribution in contributions:
        yield csv_line((_cell(getattr(contribution, name)) for name in _EXPORTED_FIELDS), _LINE_END)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return format_instant(value)
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, tuple):
        return " ".join(map(_cell, value))
    return str(value)
