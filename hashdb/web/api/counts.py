"""/v1/counts"""

from __future__ import annotations

from flask import Response

from hashdb.domain.members import Scope
from hashdb.service import counts
from hashdb.web.context import actor, answer, hashdb, query
from hashdb.web.openapi import ApiBlueprint, operation
from hashdb.wire.counts import CountsOut
from hashdb.wire.pages import DayQuery

blueprint = ApiBlueprint("counts", __name__, url_prefix="/v1/counts", tag="Counts")


@blueprint.get("")
@operation({200: CountsOut}, scopes=[Scope.AUDIT], takes=DayQuery)
def show() -> Response:
    """Show what was counted on a day, line by line as it is sealed, so that the digest can be computed again."""
    found = counts.of(hashdb(), actor(), query(DayQuery).day)
    sealed = None if found.seal is None else (found.seal.seq, found.seal.digest)
    return answer(CountsOut.of(found.day, found.counts, sealed))
