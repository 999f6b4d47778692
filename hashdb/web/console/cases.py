"""/console/cases: what waits for a reviewer; one side by side with what is near to it, to be decided."""

from __future__ import annotations

from collections.abc import Sequence

from flask import Response, request, url_for

from hashdb.domain.accounts.members import Scope
from hashdb.domain.review.cases import Case, CaseState, Decision, Order, Queue
from hashdb.domain.review.incidents import Proposal
from hashdb.errors import Fault, InvalidInput
from hashdb.service.accounts import members
from hashdb.service.contributions import contributions
from hashdb.service.ledger import events
from hashdb.service.matching import neighbors
from hashdb.service.review import cases, proposals
from hashdb.web.console import filters, pages
from hashdb.web.console.pages import Form
from hashdb.web.console.signals import grid
from hashdb.web.context import actor, hashdb, page_of
from hashdb.wire import read
from hashdb.wire.pages import CasesPageQuery
from hashdb.wire.review import DecisionIn, UpholdIn

blueprint = pages.blueprint_of("cases", __name__)
_NEAR = 6
_DECIDED = 50
_NOTHING = Queue()


@blueprint.get("")
def browse() -> Response:
    """List the open cases in the order in which they are to be decided, or those that are decided."""
    form = Form()
    asked = pages.asked(CasesPageQuery, form=form)
    if asked is None:
        return _listed(form, CasesPageQuery(), status=422)
    if asked.state is CaseState.OPEN:
        return _listed(form, asked, queue=cases.queue(hashdb(), actor(), asked.order, asked.pile))
    found = cases.latest(hashdb(), actor(), asked.before, _DECIDED + 1)
    decided, more = page_of(found, _DECIDED)
    return _listed(form, asked, decided=decided, next=decided[-1].id if more else None)


@blueprint.post("/piles/<id:member_id>")
def uphold(member_id: int) -> Response:
    """Uphold the cases of a pile that the page listed, with one reason."""
    actor().require(Scope.REVIEW)
    sent, asked = Form.sent(), CasesPageQuery(order=_order(), pile=member_id)
    try:
        said = read(UpholdIn, pages.query_text({"note": sent.text("note"), "upto": sent.number("upto")}))
    except pages.REFUSALS as error:
        queue = cases.queue(hashdb(), actor(), asked.order, member_id)
        return _listed(sent.refused(error), asked, queue=queue, status=422)
    count = cases.uphold_pile(hashdb(), actor(), member_id, said.upto, said.note)
    return pages.done(url_for("console.cases.browse", order=asked.order), f"{filters.counted(count, 'case')} upheld.")


@blueprint.get("/<id:case_id>")
def show(case_id: int) -> Response:
    """Show a case beside what is near to its contribution."""
    return _shown(cases.get(hashdb(), actor(), case_id), Form())


@blueprint.post("/<id:case_id>")
def decide(case_id: int) -> Response:
    """Decide a case with a reason, and go on to the next."""
    actor().require(Scope.REVIEW)
    case, sent = cases.get(hashdb(), actor(), case_id), Form.sent()
    _, after = cases.beside(hashdb(), actor(), _order(), case_id, _pile())
    try:
        asked = read(DecisionIn, pages.query_text(_asked(sent)))
        if asked.note is None:
            raise InvalidInput((Fault("note", "is required: who contributed it and who disputed it read it"),))
        decided = cases.decide(hashdb(), actor(), case_id, asked.decision, asked.note, asked.signals)
    except pages.REFUSALS as error:
        return _shown(cases.get(hashdb(), actor(), case_id), sent.refused(error), status=422)
    done = _done(case, decided)
    if after is not None:
        return pages.done(url_for("console.cases.show", case_id=after, order=_order(), pile=_pile()), done)
    left = cases.queue(hashdb(), actor(), _order())
    return pages.done(
        url_for("console.cases.browse"), done if left.waiting or left.piles else f"{done} Nothing else waits."
    )


def _asked(sent: Form) -> dict[str, object]:
    """What the form says; its boxes name signals where the decision is to retire."""
    asked: dict[str, object] = {"decision": sent.text("decision"), "note": sent.text("note") or None}
    if sent.text("boxes") and asked["decision"] == Decision.RETIRE:
        asked["signals"] = [int(one) if one.isascii() and one.isdecimal() else one for one in sent.many("signals")]
    return asked


def _done(case: Case, decided: Case | Proposal) -> str:
    if isinstance(decided, Proposal):
        return f"Case {case.id} waits: to retire takes a second person, who is to decide the same within 72 hours."
    return f"Case {case.id}, on contribution {case.contribution}: {decided.decision}."


def _listed(
    form: Form,
    asked: CasesPageQuery,
    queue: Queue = _NOTHING,
    decided: Sequence[Case] = (),
    next: int | None = None,
    status: int = 200,
) -> Response:
    return pages.page(
        "cases.html",
        status=status,
        form=form,
        asked=asked,
        queue=queue,
        piled=_piled(asked, queue),
        decided=decided,
        next=next,
        names=events.names(hashdb(), actor(), {one.decided_by for one in decided if one.decided_by}),
    )


def _shown(case: Case, form: Form, status: int = 200) -> Response:
    order = _order()
    before, after = cases.beside(hashdb(), actor(), order, case.id, _pile())
    open_ = case.state is CaseState.OPEN
    return pages.page(
        "case.html",
        status=status,
        case=case,
        contribution=contributions.get(hashdb(), actor(), case.contribution),
        effect=cases.impact(hashdb(), actor(), case.contribution),
        outcomes=cases.outcomes(hashdb(), actor(), case.id) if open_ else {},
        choices=cases.choices(hashdb(), actor(), case.id) if open_ else (),
        ticked=form.many("signals") if form.text("boxes") else None,
        near=pages.once_built(lambda: neighbors.list_near(hashdb(), actor(), case.contribution, _NEAR)),
        names=events.names(hashdb(), actor(), [case.decided_by] if case.decided_by else []),
        proposals=proposals.on(hashdb(), actor(), "case", case.id),
        timeline=events.timeline(hashdb(), actor(), case.contribution),
        form=form,
        grid=grid,
        before=before,
        after=after,
        order=order,
        pile=_pile(),
        meaning=_MEANING,
    )


def _order() -> Order:
    return Order.SEVERITY if request.args.get("order") == Order.SEVERITY else Order.CLOCK


def _pile() -> int | None:
    """The member in whose pile one goes from case to case."""
    text = request.args.get("pile", "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 15 else None


def _piled(asked: CasesPageQuery, queue: Queue) -> str | None:
    """The name of the member of whose pile the cases are listed."""
    if asked.pile is None or not queue.waiting:
        return None
    return members.get(hashdb(), actor(), asked.pile).name


_MEANING = {
    Decision.UPHOLD: "It stands; the dispute is answered.",
    Decision.QUARANTINE: "It is kept out until further notice.",
    Decision.RETIRE: "It was wrong. What comes near the ticked signals waits for a reviewer.",
}
