"""/console/cases: the reviewer's queue, and a page to decide a case beside near contributions."""

from __future__ import annotations

from collections.abc import Sequence

from flask import Response, request, url_for

from hashdb.domain.accounts.members import Scope
from hashdb.domain.review.cases import OF_FRAMES, Case, CaseState, Decision, Queue, QueueOrder
from hashdb.domain.review.incidents import Proposal
from hashdb.errors import Fault, InvalidInput
from hashdb.service.accounts import members
from hashdb.service.contributions import contributions
from hashdb.service.ledger import events
from hashdb.service.matching import neighbors
from hashdb.service.review import cases, proposals
from hashdb.web.console import filters, pages, videos
from hashdb.web.console.pages import Form
from hashdb.web.console.signals import grid
from hashdb.web.context import actor, hashdb
from hashdb.wire import read
from hashdb.wire.pages import CasesPageQuery
from hashdb.wire.review import DecisionIn, UpholdIn

blueprint = pages.blueprint_of("cases", __name__)
_NEAR = 6
_DECIDED = 50
_NOTHING = Queue()


@blueprint.get("")
def browse() -> Response:
    """List the open cases in the order of the queue, or the decided ones."""
    form = Form()
    params = pages.read_query(CasesPageQuery, form=form)
    if params is None:
        return _list_page(form, CasesPageQuery(), status=422)
    if params.state is CaseState.OPEN:
        return _list_page(form, params, queue=cases.queue(hashdb(), actor(), params.order, params.pile))
    rows = cases.latest(hashdb(), actor(), params.before, _DECIDED + 1)
    decided, after = pages.split_page(rows, _DECIDED)
    return _list_page(form, params, decided=decided, next=after)


@blueprint.post("/piles/<id:member_id>")
def uphold(member_id: int) -> Response:
    """Uphold the listed cases of a pile, with one reason."""
    actor().require(Scope.REVIEW)
    sent, params = Form.sent(), CasesPageQuery(order=_order(), pile=member_id)
    try:
        upheld = read(UpholdIn, pages.query_text({"note": sent.text("note"), "upto": sent.number("upto")}))
    except pages.REFUSALS as error:
        queue = cases.queue(hashdb(), actor(), params.order, member_id)
        return _list_page(sent.refused(error), params, queue=queue, status=422)
    count = cases.uphold_pile(hashdb(), actor(), member_id, upheld.upto, upheld.note)
    return pages.redirect_with_notice(
        url_for("console.cases.browse", order=params.order), f"{filters.counted(count, 'case')} upheld."
    )


@blueprint.get("/<id:case_id>")
def show(case_id: int) -> Response:
    """Show a case beside the contributions near its own."""
    return _case_page(cases.get(hashdb(), actor(), case_id), Form())


@blueprint.post("/<id:case_id>")
def decide(case_id: int) -> Response:
    """Decide a case with a reason, and go on to the next."""
    actor().require(Scope.REVIEW)
    case, sent = cases.get(hashdb(), actor(), case_id), Form.sent()
    _, after = cases.neighbors_in_queue(hashdb(), actor(), _order(), case_id, _pile())
    try:
        requested = read(DecisionIn, pages.query_text(_decision_fields(sent)))
        if requested.note is None:
            raise InvalidInput((Fault("note", "is required: the contributor and the disputers read it"),))
        decided = cases.decide(hashdb(), actor(), case_id, requested.decision, requested.note, requested.signals)
    except pages.REFUSALS as error:
        return _case_page(cases.get(hashdb(), actor(), case_id), sent.refused(error), status=422)
    done = _outcome_text(case, decided)
    if after is not None:
        return pages.redirect_with_notice(
            url_for("console.cases.show", case_id=after, order=_order(), pile=_pile()), done
        )
    left = cases.queue(hashdb(), actor(), _order())
    return pages.redirect_with_notice(
        url_for("console.cases.browse"), done if left.waiting or left.piles else f"{done} No other case is open."
    )


def _decision_fields(sent: Form) -> dict[str, object]:
    """The fields of the form as JSON fields; with the ticked signals if the decision is to retire."""
    fields: dict[str, object] = {"decision": sent.text("decision"), "note": sent.text("note") or None}
    if sent.text("boxes") and fields["decision"] == Decision.RETIRE:
        fields["signals"] = [int(box) if box.isascii() and box.isdecimal() else box for box in sent.many("signals")]
    return fields


def _outcome_text(case: Case, decided: Case | Proposal) -> str:
    if isinstance(decided, Proposal):
        return f"Case {case.id} needs a second person to choose retire, with the same signals, within 72 hours."
    return f"Case {case.id}, on contribution {case.contribution}: {decided.decision}."


def _list_page(
    form: Form,
    params: CasesPageQuery,
    queue: Queue = _NOTHING,
    decided: Sequence[Case] = (),
    next: int | None = None,
    status: int = 200,
) -> Response:
    return pages.page(
        "cases.html",
        status=status,
        form=form,
        params=params,
        queue=queue,
        piled=_pile_name(params, queue),
        decided=decided,
        next=next,
        names=events.names(hashdb(), actor(), {case.decided_by for case in decided if case.decided_by}),
    )


def _case_page(case: Case, form: Form, status: int = 200) -> Response:
    order = _order()
    contribution = contributions.get(hashdb(), actor(), case.contribution)
    near = pages.if_index_ready(lambda: neighbors.list_near(hashdb(), actor(), case.contribution, _NEAR))
    before, after = cases.neighbors_in_queue(hashdb(), actor(), order, case.id, _pile())
    open_ = case.state is CaseState.OPEN
    return pages.page(
        "case.html",
        status=status,
        case=case,
        contribution=contribution,
        film=videos.film_of(contribution),
        effect=cases.impact(hashdb(), actor(), case.contribution),
        outcomes=cases.preview_decisions(hashdb(), actor(), case.id) if open_ else {},
        choices=cases.list_shadow_choices(hashdb(), actor(), case.id) if open_ else (),
        ticked=form.many("signals") if form.text("boxes") else None,
        near=near,
        joined=videos.join(contribution, near or ()),
        names=events.names(hashdb(), actor(), [case.decided_by] if case.decided_by else []),
        proposals=proposals.list_on_subject(hashdb(), actor(), "case", case.id),
        timeline=events.timeline(hashdb(), actor(), case.contribution),
        form=form,
        grid=grid,
        before=before,
        after=after,
        order=order,
        pile=_pile(),
        meaning=_MEANING,
        of_frames=OF_FRAMES,
    )


def _order() -> QueueOrder:
    return QueueOrder.SEVERITY if request.args.get("order") == QueueOrder.SEVERITY else QueueOrder.CLOCK


def _pile() -> int | None:
    """The member of the pile through which the reviewer pages, if any."""
    text = request.args.get("pile", "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 15 else None


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
