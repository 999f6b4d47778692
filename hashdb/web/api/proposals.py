"""/v1/proposals"""

from __future__ import annotations

from flask import Response

from hashdb.domain.members import Scope
from hashdb.service import proposals
from hashdb.web.context import actor, answer, cut, hashdb, nothing, query
from hashdb.web.openapi import ApiBlueprint, operation
from hashdb.wire.pages import PageQuery
from hashdb.wire.proposals import ProposalOut, ProposalsOut

blueprint = ApiBlueprint("proposals", __name__, url_prefix="/v1/proposals", tag="Two persons")

_WHO = [Scope.ADMIN, Scope.REVIEW]


@blueprint.get("")
@operation({200: ProposalsOut}, scopes=_WHO, takes=PageQuery)
def browse() -> Response:
    """List what waits for a second person: who sends the same request as the first one, approves it.

    With scope review only what is asked of cases.
    """
    asked = query(PageQuery)
    page, more = cut(proposals.page(hashdb(), actor(), asked.after, asked.limit + 1), asked.limit)
    listed = [ProposalOut.of(one) for one in page]
    return answer(ProposalsOut.model_construct(proposals=listed, next=page[-1].id if more else None))


@blueprint.delete("/<id:proposal_id>")
@operation({204: None}, scopes=_WHO, refuses=[404])
def drop(proposal_id: int) -> Response:
    """Let a proposal be forgotten."""
    proposals.drop(hashdb(), actor(), proposal_id)
    return nothing()
