"""/v1/log, /v1/checkpoint and /v1/proofs"""

from __future__ import annotations

from flask import Response

from hashdb.domain.members import Scope
from hashdb.service import checkpoints, proofs
from hashdb.web.context import actor, answer, hashdb, query
from hashdb.web.openapi import ApiBlueprint, operation
from hashdb.wire.pages import ConsistencyQuery, InclusionQuery
from hashdb.wire.proofs import ConsistencyOut, InclusionOut, LogOut

blueprint = ApiBlueprint("proofs", __name__, url_prefix="/v1", tag="Proofs")


@blueprint.get("/log")
@operation({200: LogOut}, scopes=None)
def log() -> Response:
    """Name the log, and the keys that sign its checkpoints."""
    return answer(LogOut.of(checkpoints.log(hashdb())))


@blueprint.get("/checkpoint")
@operation({200: str}, scopes=None)
def checkpoint() -> Response:
    """Sign how many events there are, and the root of the tree over them.

    A C2SP tlog-checkpoint: a signed note. It covers every event of what was answered before.
    """
    return Response(checkpoints.latest(hashdb()), mimetype="text/plain")


@blueprint.get("/proofs/inclusion")
@operation({200: InclusionOut}, scopes=[Scope.AUDIT], takes=InclusionQuery)
def inclusion() -> Response:
    """Prove that an event is in the log: RFC 9162's inclusion proof, from the leaf up."""
    asked = query(InclusionQuery)
    return answer(InclusionOut.of(proofs.inclusion(hashdb(), actor(), asked.seq, asked.size)))


@blueprint.get("/proofs/consistency")
@operation({200: ConsistencyOut}, scopes=[Scope.AUDIT], takes=ConsistencyQuery)
def consistency() -> Response:
    """Prove that the log only grew: RFC 9162's consistency proof between two sizes of it."""
    asked = query(ConsistencyQuery)
    return answer(ConsistencyOut.of(proofs.consistency(hashdb(), actor(), asked.first, asked.second)))
