"""/console/cases: the queues of open cases, what waits for a second person, and a page to decide a case."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from flask import Response, request, url_for

from hashdb.domain.accounts.members import Scope
from hashdb.domain.listings import Total
from hashdb.domain.review.cases import Case, CaseSort, CaseState, Decision
from hashdb.domain.review.proposals import Proposal
from hashdb.domain.review.queues import UNKNOWN_SEVERITY, Age, Queue, QueueCounts, QueueOrder
from hashdb.domain.review.shadows import FRAMES_PLACE
from hashdb.errors import InvalidInput
from hashdb.service.accounts import members
from hashdb.service.contributions import contributions
from hashdb.service.ledger import events
from hashdb.service.matching import neighbors
from hashdb.service.review import cases, claims, impacts, notes, proposals, queues
from hashdb.web.console import filters, frames, lists, pages
from hashdb.web.console.lists import Column, ListPage
from hashdb.web.console.pages import Form
from hashdb.web.context import actor, hashdb
from hashdb.wire.pages import CasesPageQuery, DecidedCasesQuery
from hashdb.wire.review import DecisionIn, UpholdIn

blueprint = pages.blueprint_of("cases")
_MAX_NEAR = 6
"""How many near contributions the page of a case shows."""
_FILTER_FIELDS = ("label", "severity", "member", "reason", "age")
_QUEUE_FIELDS = ("state", "sort", "order", *_FILTER_FIELDS, "pile")
"""The fields of the address that go from the page of a queue to the page of a case."""
_MAX_MEMBERS = 24
"""How many members the facet of contributors lists."""
_OPEN_COLUMNS: tuple[Column[Any], ...] = (
    Column("Case", QueueOrder.OPENED, number=True, ascending_first=True),
    Column("Due", QueueOrder.CLOCK, ascending_first=True),
    Column("Severity", QueueOrder.SEVERITY),
    Column("Reason, disputed by"),
    Column("Labels"),
    Column("Contribution"),
    Column("Contributed by"),
    Column("Taken by"),
)
_DECIDED_COLUMNS: tuple[Column[Any], ...] = (
    Column("Case", CaseSort.CASE, number=True),
    Column("Decided", CaseSort.DECIDED),
    Column("Decision"),
    Column("By"),
    Column("Reason"),
    Column("Contribution"),
    Column("Contributed by"),
    Column("Note"),
)


@blueprint.get("")
def browse() -> Response:
    """List the open cases of a queue, those that wait for a second person, or the decided ones."""
    if request.args.get("state") == CaseState.DECIDED:
        query, form = pages.read_query(DecidedCasesQuery)
        return _list_page(form, CasesPageQuery(state="decided"), query or DecidedCasesQuery())
    params, form = pages.read_query(CasesPageQuery)
    return _list_page(form, params or CasesPageQuery())


@blueprint.post("/piles/<id:member_id>")
def uphold(member_id: int) -> Response:
    """Uphold the cases of a pile with one reason: those with ids up to `upto` that pass the filter in the URL."""
    actor().require(Scope.REVIEW)
    sent = Form.sent()
    params, form = pages.read_query(CasesPageQuery)
    if params is None:
        return _list_page(form, CasesPageQuery(pile=member_id))
    params = params.model_copy(update={"pile": member_id})
    try:
        requested = pages.read_fields(UpholdIn, {"note": sent.text("note"), "upto": sent.number("upto")})
    except pages.REFUSALS as error:
        return _list_page(sent.refused(error), params)
    count = queues.uphold_pile(hashdb(), actor(), member_id, requested.upto, requested.note, params.to_domain())
    return pages.redirect_with_notice(f"{filters.counted(count, 'case')} upheld.", "cases.browse")


@blueprint.get("/<id:case_id>")
def show(case_id: int) -> Response:
    """Show a case beside the contributions near its own."""
    return case_page(case_id, Form())


@blueprint.post("/<id:case_id>")
def decide(case_id: int) -> Response:
    """Decide a case with a reason, and take the next one of the queue."""
    actor().require(Scope.REVIEW)
    case, sent = cases.get(hashdb(), actor(), case_id), Form.sent()
    try:
        requested = pages.read_fields(DecisionIn, _decision_fields(sent))
        if requested.note is None:
            raise InvalidInput.at_field("note", "is required: the contributor and the disputers read it")
        decided = cases.decide(
            hashdb(), actor(), case_id, requested.decision, requested.note, requested.signals, unless_taken=True
        )
    except pages.REFUSALS as error:
        return case_page(case_id, sent.refused(error))
    return open_next_case(case_id, _outcome_text(case, decided))


def open_next_case(after: int | None, notice: str) -> Response:
    """Take the next free case of this request's queue, and redirect to it; if none is free, to the list of the queue.

    With `after`, it is the next one after this case.
    """
    fields = queue_fields()
    queue = _read_queue(fields)
    if queue.state == "open":
        id = claims.take_next(hashdb(), actor(), queue.to_domain(), after)
        if id is not None:
            return pages.redirect_with_notice(notice, "cases.show", case_id=id, **fields)
        others = queues.count(hashdb(), actor(), queue.to_domain()).total
        notice = f"{notice} {'No other case of this queue is free.' if others else 'No other case is open.'}".strip()
        fields.pop("pile", None)
    return pages.redirect_with_notice(notice, "cases.browse", **fields)


def queue_fields() -> dict[str, Any]:
    """The fields of the query string of this request that say which queue the user works on."""
    return {name: request.args[name] for name in _QUEUE_FIELDS if request.args.get(name, "").strip()}


def _read_queue(fields: Mapping[str, Any]) -> CasesPageQuery:
    """The queue that these fields of a query string name; all open cases if a field is invalid."""
    try:
        return CasesPageQuery.model_validate(fields)
    except ValueError:
        return CasesPageQuery()


def _decision_fields(sent: Form) -> dict[str, object]:
    """The fields of the form as JSON fields.

    To retire, with the signals that were ticked, if the form had boxes for them: it then has the field `boxes`.
    """
    fields: dict[str, object] = {"decision": sent.text("decision"), "note": sent.text("note") or None}
    if sent.text("boxes") and fields["decision"] == Decision.RETIRE:
        fields["signals"] = [pages.parse_whole(box) for box in sent.many("signals")]
    return fields


def _outcome_text(case: Case, decided: Case | Proposal) -> str:
    if isinstance(decided, Proposal):
        return (
            f"Case {case.id}: you proposed to retire contribution {case.contribution}. "
            "Nothing changes until a second person chooses retire, with the same signals, within 72 hours."
        )
    return f"Case {case.id}, on contribution {case.contribution}: {decided.decision}."


def _list_page(form: Form, params: CasesPageQuery, decided: DecidedCasesQuery | None = None) -> Response:
    """The page of open cases, of those that wait for a second person (`proposed`), or of `decided` ones."""
    values: dict[str, Any]
    if decided is not None:
        values, actors = _decided_page(decided)
    elif params.state == "proposed":
        rows = queues.list_proposed(hashdb(), actor())
        values = {"proposed": rows}
        takers = {row.waiting.claim.actor for row in rows if row.waiting.claim}
        actors = takers | {row.proposal.actor for row in rows}
    else:
        values, actors = _queue_page(params)
    return pages.page(
        "cases.html",
        form=form,
        params=params,
        own_claims=claims.list_own(hashdb(), actor()),
        queue_fields=queue_fields(),
        proposals=queues.count_proposed(hashdb(), actor()),
        names=events.names(hashdb(), actor(), actors),
        **values,
    )


def _queue_page(params: CasesPageQuery) -> tuple[dict[str, Any], set[str]]:
    """The values for the template of a page of open cases, and the actors whose names it shows."""
    query = params.to_domain()
    queue = queues.queue(hashdb(), actor(), query, after=params.after, before=params.before, limit=params.limit)
    counts = queues.count(hashdb(), actor(), query)
    # A queue by severity begins with the highest one, unless it is reversed; others ascend.
    descending = query.reverse is not (params.sort is QueueOrder.SEVERITY)
    count, row = len(queue.waiting), params.row
    list_page = ListPage(
        endpoint="console.cases.browse",
        columns=_OPEN_COLUMNS,
        sort=params.sort,
        descending=descending,
        limit=params.limit,
        count=count,
        row=row,
        total=Total(counts.total, counts.more),
        before=None if queue.before is None else {"before": queue.before, "row": max(1, row - params.limit)},
        after=None if queue.after is None else {"after": queue.after, "row": row + count},
        fields={name: getattr(params, name) for name in (*_FILTER_FIELDS, "pile")},
        row_kind="case" if actor().has(Scope.REVIEW) else "",
        upto=counts.newest,
    )
    values = {
        "queue": queue,
        "list": list_page,
        "counts": counts,
        "facets": _facets(params, counts),
        "pile_name": _pile_name(params, queue),
    }
    return values, {entry.claim.actor for entry in queue.waiting if entry.claim}


def _decided_page(query: DecidedCasesQuery) -> tuple[dict[str, Any], set[str]]:
    """The values for the template of a page of decided cases, and the actors whose names it shows."""
    descending = query.order == "down"
    paged = cases.page_of_decided(hashdb(), actor(), query.sort, query.place, query.limit, descending=descending)
    list_page = lists.page_at_place(paged, _DECIDED_COLUMNS, query, "console.cases.browse", sort=query.sort)
    return {"decided": paged.rows, "list": list_page}, {case.decided_by for case in paged.rows if case.decided_by}


class FacetLink(NamedTuple):
    """A value of a field: its text, how many cases have it, and the URL of the queue of these cases."""

    text: str
    cases: int
    address: str


@dataclass(frozen=True, slots=True)
class Facet:
    """The queues into which one field divides the listed cases."""

    name: str
    links: Sequence[FacetLink]
    """A link for each value of the field; empty if the page is filtered by the field."""
    chosen: str = ""
    """The text of the value that the page is filtered by."""
    address_without: str = ""
    """The URL of the list without this filter."""


def _facets(params: CasesPageQuery, counts: QueueCounts) -> Sequence[Facet]:
    """The queues into which the listed cases divide."""
    fields = queue_fields()
    of_members = dict(sorted(counts.member.items(), key=lambda item: -item[1])[:_MAX_MEMBERS])
    named = of_members.keys() if params.member is None else {params.member}
    names = events.names(hashdb(), actor(), [f"member:{id}" for id in named])
    by_severity = sorted(counts.severity.items(), reverse=True)

    def address(field: str, value: str | None) -> str:
        changed = {name: text for name, text in {**fields, field: value}.items() if text is not None}
        return url_for("console.cases.browse", **changed)

    # `values`: of each value, the value itself, its text and its number of cases.
    def facet(field: str, name: str, values: Iterable[tuple[object, str, int]]) -> Facet:
        chosen = getattr(params, field)
        rows = [(str(value), text, number) for value, text, number in values]
        if chosen is not None:
            text = next((text for value, text, _ in rows if value == str(chosen)), str(chosen))
            return Facet(name, (), chosen=text, address_without=address(field, None))
        return Facet(name, [FacetLink(text, number, address(field, value)) for value, text, number in rows])

    return (
        facet("label", "Label", ((code, code, number) for code, number in _most_frequent(counts.label))),
        facet("severity", "Severity", ((_severity(level), _severity(level), number) for level, number in by_severity)),
        facet(
            "member",
            "Contributed by",
            ((id, names.get(f"member:{id}", f"member {id}"), number) for id, number in of_members.items())
            if params.member is None
            else [(params.member, names.get(f"member:{params.member}", f"member {params.member}"), counts.total)],
        ),
        facet("reason", "Reason", ((code, code, number) for code, number in _most_frequent(counts.reason))),
        facet("age", "Age", ((age, AGES[age], counts.age[age]) for age in Age if age in counts.age)),
    )


def _most_frequent(counted: Mapping[str, int]) -> Sequence[tuple[str, int]]:
    return sorted(counted.items(), key=lambda item: (-item[1], item[0]))


def _severity(level: int) -> str:
    return "unknown" if level == UNKNOWN_SEVERITY else str(level)


AGES = {Age.DAY: "up to 1 day", Age.DAYS: "1 to 3 days", Age.WEEK: "3 to 7 days", Age.OLDER: "over 7 days"}


def case_page(case_id: int, form: Form) -> Response:
    """The page of a case. Renews the claim if this reviewer has taken the case."""
    case = cases.get(hashdb(), actor(), case_id)
    claim = claims.find(hashdb(), actor(), case_id)
    if claim is not None and claim.actor == str(actor()):
        claims.renew(hashdb(), actor(), case_id)
    fields = queue_fields()
    contribution = contributions.get(hashdb(), actor(), case.contribution)
    near = pages.if_index_ready(lambda: neighbors.list_near(hashdb(), actor(), case.contribution, _MAX_NEAR))
    before, after = queues.neighbors_in_queue(hashdb(), actor(), case.id, _read_queue(fields).to_domain())
    is_open = case.state is CaseState.OPEN
    case_notes = notes.list_on(hashdb(), actor(), case.id)
    actors = {case.decided_by or "", claim.actor if claim else "", *(note.actor for note in case_notes)}
    pending = proposals.list_on_subject(hashdb(), actor(), "case", case.id)
    actors |= {proposal.actor for proposal in pending}
    return pages.page(
        "case.html",
        case=case,
        contribution=contribution,
        framed_item=frames.framed_item(contribution),
        effect=impacts.impact(hashdb(), actor(), case.contribution),
        outcomes=cases.preview_decisions(hashdb(), actor(), case.id) if is_open else {},
        choices=cases.list_shadow_choices(hashdb(), actor(), case.id) if is_open else (),
        ticked=form.many("signals") if form.text("boxes") else None,
        near=near,
        joined=frames.join_near(contribution, near or ()),
        names=events.names(hashdb(), actor(), actors),
        proposals=pending,
        claim=claim,
        idle=hashdb().rules.case_idle,
        notes=case_notes,
        timeline=events.timeline(hashdb(), actor(), case.contribution),
        form=form,
        before=before,
        after=after,
        queue_fields=fields,
        meaning=_MEANING,
        frames_place=FRAMES_PLACE,
    )


def _pile_name(params: CasesPageQuery, queue: Queue) -> str | None:
    """The member's name if the page lists a pile."""
    if params.pile is None or not queue.waiting:
        return None
    return members.get(hashdb(), actor(), params.pile).name


_MEANING = {
    Decision.UPHOLD: "The contribution is right, and the case is closed.",
    Decision.QUARANTINE: "The contribution does not match until a later decision.",
    Decision.RETIRE: "The contribution was wrong. A later one near the ticked signals starts quarantined.",
}
