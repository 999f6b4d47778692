"""/v1/cases"""

from __future__ import annotations

from flask import Response

from hashdb.domain.members import Scope
from hashdb.domain.proposals import Proposal
from hashdb.service import cases
from hashdb.web.context import actor, answer, body, cut, hashdb, query
from hashdb.web.openapi import ApiBlueprint, operation
from hashdb.wire import read
from hashdb.wire.cases import CaseOut, CasesOut, DecisionIn
from hashdb.wire.pages import CasesQuery
from hashdb.wire.proposals import ProposalOut

blueprint = ApiBlueprint("cases", __name__, url_prefix="/v1/cases", tag="Cases")


@blueprint.get("")
@operation({200: CasesOut}, takes=CasesQuery)
def browse() -> Response:
    """List the cases on your contributions and those under which you disputed; with scope review or audit all."""
    asked = query(CasesQuery)
    page, more = cut(cases.page(hashdb(), actor(), asked.state, asked.after, asked.limit + 1), asked.limit)
    listed = [CaseOut.of(case) for case in page]
    return answer(CasesOut.model_construct(cases=listed, next=page[-1].id if more else None))


@blueprint.get("/<id:case_id>")
@operation({200: CaseOut}, refuses=[404])
def show(case_id: int) -> Response:
    """Show one case: to its parties, and with scope review or audit."""
    return answer(CaseOut.of(cases.get(hashdb(), actor(), case_id)))


@blueprint.post("/<id:case_id>/decision")
@operation({200: CaseOut, 202: ProposalOut}, scopes=[Scope.REVIEW], reads=DecisionIn, refuses=[404, 409])
def decide(case_id: int) -> Response:
    """Decide a case, once: the next match, of any worker, follows it.

    `uphold`: the contribution stands. `quarantine`: it is kept out until further notice. `retire`: it was wrong; where
    that takes two persons, the first one's request is answered with 202 and waits for the second one's. `signals` says
    near which of its signals later contributions wait for a reviewer.
    """
    asked = read(DecisionIn, body())
    decided = cases.decide(hashdb(), actor(), case_id, asked.decision, asked.note, asked.signals)
    if isinstance(decided, Proposal):
        return answer(ProposalOut.of(decided), 202)
    return answer(CaseOut.of(decided))
