"""/console/cases: what waits for a reviewer; one side by side with what is near to it, to be decided."""

from __future__ import annotations

from collections.abc import Sequence

from flask import Response, request, url_for

from hashdb.domain.cases import Case, CaseState, Decision, Order, Waiting
from hashdb.domain.members import Scope
from hashdb.domain.proposals import Proposal
from hashdb.errors import Fault, InvalidInput
from hashdb.service import cases, contributions, effects, neighbors, proposals, queues, timelines
from hashdb.web.console import pages
from hashdb.web.console.grids import grid
from hashdb.web.console.pages import Form
from hashdb.web.context import actor, cut, hashdb
from hashdb.wire import read
from hashdb.wire.cases import DecisionIn
from hashdb.wire.queues import CasesPageQuery

blueprint = pages.blueprint_of("cases", __name__)
_NEAR = 6
_DECIDED = 50


@blueprint.get("")
def browse() -> Response:
    """List the open cases in the order in which they are to be decided, or those that are decided."""
    form = Form()
    asked = pages.asked(CasesPageQuery, form=form)
    if asked is None:
        return _listed(form, CasesPageQuery(), status=422)
    if asked.state is CaseState.OPEN:
        return _listed(form, asked, waiting=queues.of(hashdb(), actor(), asked.order))
    found = cases.latest(hashdb(), actor(), asked.before, _DECIDED + 1)
    decided, more = cut(found, _DECIDED)
    return _listed(form, asked, decided=decided, next=decided[-1].id if more else None)


@blueprint.get("/<id:case_id>")
def show(case_id: int) -> Response:
    """Show a case beside what is near to its contribution."""
    return _shown(cases.get(hashdb(), actor(), case_id), Form())


@blueprint.post("/<id:case_id>")
def decide(case_id: int) -> Response:
    """Decide a case with a reason, and go on to the next."""
    actor().require(Scope.REVIEW)
    case, sent = cases.get(hashdb(), actor(), case_id), Form.sent()
    _, after = queues.beside(hashdb(), actor(), _order(), case_id)
    try:
        asked = read(DecisionIn, pages.spelled(_asked(sent)))
        if asked.note is None:
            raise InvalidInput((Fault("note", "is required: who contributed it and who disputed it read it"),))
        decided = cases.decide(hashdb(), actor(), case_id, asked.decision, asked.note, asked.signals)
    except pages.REFUSALS as error:
        return _shown(cases.get(hashdb(), actor(), case_id), sent.refused(error), status=422)
    done = _done(case, decided)
    if after is None:
        return pages.done(url_for("console.cases.browse"), f"{done} Nothing else waits.")
    return pages.done(url_for("console.cases.show", case_id=after, order=_order()), done)


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
    waiting: Sequence[Waiting] = (),
    decided: Sequence[Case] = (),
    next: int | None = None,
    status: int = 200,
) -> Response:
    return pages.page(
        "cases.html",
        status=status,
        form=form,
        asked=asked,
        waiting=waiting,
        decided=decided,
        next=next,
        names=timelines.names(hashdb(), actor(), {one.decided_by for one in decided if one.decided_by}),
    )


def _shown(case: Case, form: Form, status: int = 200) -> Response:
    order = _order()
    before, after = queues.beside(hashdb(), actor(), order, case.id)
    open_ = case.state is CaseState.OPEN
    return pages.page(
        "case.html",
        status=status,
        case=case,
        contribution=contributions.get(hashdb(), actor(), case.contribution),
        effect=effects.of(hashdb(), actor(), case.contribution),
        outcomes=effects.outcomes(hashdb(), actor(), case.id) if open_ else {},
        choices=cases.choices(hashdb(), actor(), case.id) if open_ else (),
        ticked=form.many("signals") if form.text("boxes") else None,
        near=neighbors.of(hashdb(), actor(), case.contribution, _NEAR),
        names=timelines.names(hashdb(), actor(), [case.decided_by] if case.decided_by else []),
        proposals=proposals.on(hashdb(), actor(), "case", case.id),
        timeline=timelines.of(hashdb(), actor(), case.contribution),
        form=form,
        grid=grid,
        before=before,
        after=after,
        order=order,
        meaning=_MEANING,
    )


def _order() -> Order:
    return Order.SEVERITY if request.args.get("order") == Order.SEVERITY else Order.CLOCK


_MEANING = {
    Decision.UPHOLD: "It stands; the dispute is answered.",
    Decision.QUARANTINE: "It is kept out until further notice.",
    Decision.RETIRE: "It was wrong. What comes near the ticked signals waits for a reviewer.",
}
