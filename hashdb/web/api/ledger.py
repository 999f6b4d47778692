"""The ledger: /v1/events, and what proves the log: /v1/log, /v1/checkpoint, /v1/proofs."""

from __future__ import annotations

from flask import Response

from hashdb.domain.accounts.members import Scope
from hashdb.service.ledger import checkpoints, events
from hashdb.web.context import actor, answer, hashdb, query
from hashdb.web.openapi import ApiBlueprint, operation
from hashdb.wire.ledger import ConsistencyOut, EventsOut, InclusionOut, LogOut
from hashdb.wire.pages import ConsistencyQuery, EventsQuery, InclusionQuery

events_api = ApiBlueprint("events", __name__, url_prefix="/v1/events", tag="Audit")


@events_api.get("")
@operation({200: EventsOut}, scopes=[Scope.AUDIT], takes=EventsQuery)
def browse() -> Response:
    """List the events of the audit log."""
    params = query(EventsQuery)
    chosen = events.EventFilter(params.actor, params.action, params.subject)
    rows = events.page(hashdb(), actor(), chosen, params.after, params.limit + 1)
    return answer(EventsOut.of(rows, params.limit))


proofs_api = ApiBlueprint("proofs", __name__, url_prefix="/v1", tag="Proofs")


@proofs_api.get("/log")
@operation({200: LogOut}, scopes=None)
def log() -> Response:
    """Name the log, and the keys that sign its checkpoints."""
    return answer(LogOut.from_domain(checkpoints.log(hashdb())))


@proofs_api.get("/checkpoint")
@operation({200: str}, scopes=None)
def checkpoint() -> Response:
    """Sign how many events there are, and the root of the tree over them.

    A C2SP tlog-checkpoint: a signed note. It covers every event of what was answered before.
    """
    return Response(checkpoints.latest(hashdb()), mimetype="text/plain")


@proofs_api.get("/proofs/inclusion")
@operation({200: InclusionOut}, scopes=[Scope.AUDIT], takes=InclusionQuery)
def inclusion() -> Response:
    """Prove that an event is in the log: RFC 9162's inclusion proof, from the leaf up."""
    params = query(InclusionQuery)
    return answer(InclusionOut.from_domain(checkpoints.inclusion(hashdb(), actor(), params.seq, params.size)))


@proofs_api.get("/proofs/consistency")
@operation({200: ConsistencyOut}, scopes=[Scope.AUDIT], takes=ConsistencyQuery)
def consistency() -> Response:
    """Prove that the log only grew: RFC 9162's consistency proof between two sizes of it."""
    params = query(ConsistencyQuery)
    return answer(ConsistencyOut.from_domain(checkpoints.consistency(hashdb(), actor(), params.first, params.second)))
