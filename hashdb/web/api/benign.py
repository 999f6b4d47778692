"""/v1/benign"""

from __future__ import annotations

from flask import Response

from hashdb.domain.accounts.members import Scope
from hashdb.domain.review.incidents import Proposal
from hashdb.service.matching import benign
from hashdb.web.context import actor, answer, body, cut, hashdb, nothing, query, terms
from hashdb.web.openapi import ApiBlueprint, operation
from hashdb.wire import read
from hashdb.wire.matching import BenignIn, BenignOut, BenignsOut
from hashdb.wire.pages import PageQuery
from hashdb.wire.review import ProposalOut

blueprint = ApiBlueprint("benign", __name__, url_prefix="/v1/benign", tag="Benign signals")

_ADMIN = [Scope.ADMIN]


@blueprint.get("")
@operation({200: BenignsOut}, scopes=_ADMIN, takes=PageQuery)
def browse() -> Response:
    """List what is never accepted and never matched."""
    asked = query(PageQuery)
    page, more = cut(benign.page(hashdb(), actor(), asked.after, asked.limit + 1), asked.limit)
    listed = [BenignOut.from_domain(entry) for entry in page]
    return answer(BenignsOut.model_construct(benign=listed, next=page[-1].id if more else None))


@blueprint.post("")
@operation({201: BenignOut, 202: ProposalOut}, scopes=_ADMIN, reads=BenignIn)
def add() -> Response:
    """Accept and match nothing close to these signals any more.

    Contributions that hold such signals are amended: those match no longer. Where two persons are needed, the first
    one's request is answered with 202 and waits for the second one's.
    """
    added = benign.add(hashdb(), actor(), read(BenignIn, body(), terms()).to_domain())
    if isinstance(added, Proposal):
        return answer(ProposalOut.from_domain(added), 202)
    return answer(BenignOut.from_domain(added), 201)


@blueprint.delete("/<id:benign_id>")
@operation({204: None}, scopes=_ADMIN, refuses=[404])
def delete(benign_id: int) -> Response:
    """Take an entry away: what it alone kept from matching matches again."""
    benign.delete(hashdb(), actor(), benign_id)
    return nothing()
