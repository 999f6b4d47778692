"""/v1/reversals"""

from __future__ import annotations

from flask import Response

from hashdb.domain.accounts.members import Scope
from hashdb.service.stats import counts
from hashdb.web.context import actor, answer, cut, hashdb, query
from hashdb.web.openapi import ApiBlueprint, operation
from hashdb.wire.pages import PageQuery
from hashdb.wire.review import ReversalOut, ReversalsOut

blueprint = ApiBlueprint("reversals", __name__, url_prefix="/v1/reversals", tag="Reversals")


@blueprint.get("")
@operation({200: ReversalsOut}, scopes=[Scope.MATCH], takes=PageQuery)
def browse() -> Response:
    """List what was answered to you as a match and has been withdrawn, retired or quarantined since.

    So that you can restore what you took down. `next` is null at the end; go on later after the last `seq`.
    An event is listed three seconds after it happened.
    """
    asked = query(PageQuery)
    page, more = cut(counts.reversals(hashdb(), actor(), asked.after, asked.limit + 1), asked.limit)
    listed = [ReversalOut.from_domain(one) for one in page]
    return answer(ReversalsOut.model_construct(reversals=listed, next=page[-1].seq if more else None))
