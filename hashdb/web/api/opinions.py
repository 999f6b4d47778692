"""/v1/contributions/{id}/opinions"""

from __future__ import annotations

from flask import Response

from hashdb.domain.members import Scope
from hashdb.service import opinions
from hashdb.web.context import actor, answer, body, cut, hashdb, once, query, terms
from hashdb.web.openapi import ApiBlueprint, operation
from hashdb.wire import read
from hashdb.wire.opinions import OpinionIn, OpinionOut, OpinionsOut
from hashdb.wire.pages import PageQuery

blueprint = ApiBlueprint("opinions", __name__, url_prefix="/v1/contributions", tag="Opinions")


@blueprint.post("/<id:contribution_id>/opinions")
@operation({201: OpinionOut}, scopes=[Scope.MATCH], reads=OpinionIn, idempotent=True, refuses=[404, 409])
def give(contribution_id: int) -> Response:
    """Confirm or dispute another member's contribution.

    Your last opinion counts. A dispute needs a reason, and opens a case or joins the one that is open.
    """
    text = body()
    draft = read(OpinionIn, text, terms()).value()
    return answer(OpinionOut.of(opinions.give(hashdb(), actor(), contribution_id, draft, once(text))), 201)


@blueprint.get("/<id:contribution_id>/opinions")
@operation({200: OpinionsOut}, takes=PageQuery, refuses=[404])
def browse(contribution_id: int) -> Response:
    """List the opinions on a contribution that you may see, those that count no more with them."""
    asked = query(PageQuery)
    found = opinions.page(hashdb(), actor(), contribution_id, asked.after, asked.limit + 1)
    page, more = cut(found, asked.limit)
    listed = [OpinionOut.of(opinion) for opinion in page]
    return answer(OpinionsOut.model_construct(opinions=listed, next=page[-1].id if more else None))
