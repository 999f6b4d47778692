"""The ledger: /v1/events, and what proves the log: /v1/log, /v1/checkpoint, /v1/proofs."""

from __future__ import annotations

from flask import Response

from hashdb.domain.accounts.members import Scope
from hashdb.service.ledger import checkpoints, events
from hashdb.web.context import actor, answer, hashdb, query
from hashdb.web.openapi import ApiBlueprint, operation
from hashdb.wire.ledger import ConsistencyOut, EventsOut, InclusionOut, LogOut
from hashdb.wire.pages import ConsistencyQuery, EventsQuery, InclusionQuery

events_api = ApiBlueprint(
    "events", __name__, url_prefix="/v1/events", tag="Audit log", about="For auditors: every change, in order."
)


@events_api.get("")
@operation({200: EventsOut}, scopes=[Scope.AUDIT], takes=EventsQuery)
def list_events() -> Response:
    """List the events of the audit log.

    Returns them in the order of their seqs; filter them by actor, action or subject.
    """
    params = query(EventsQuery)
    chosen = events.EventFilter(params.actor, params.action, params.subject)
    rows = events.page(hashdb(), actor(), chosen, params.after, params.limit + 1)
    return answer(EventsOut.of(rows, params.limit))


proofs_api = ApiBlueprint(
    "proofs",
    __name__,
    url_prefix="/v1",
    tag="Proofs",
    about="For auditors: verify that nothing in the log was changed or removed.",
)


@proofs_api.get("/log")
@operation({200: LogOut}, scopes=None)
def get_log() -> Response:
    """Get the name and keys of the log.

    The keys verify the signed checkpoints; earlier keys are included.
    """
    return answer(LogOut.from_domain(checkpoints.log(hashdb())))


@proofs_api.get("/checkpoint")
@operation({200: str}, scopes=None)
def get_checkpoint() -> Response:
    """Get the newest signed checkpoint.

    The signed note (C2SP tlog-checkpoint) has the size of the log and the root of its tree. It covers every event of
    the responses before this one.
    """
    return Response(checkpoints.latest(hashdb()), mimetype="text/plain")


@proofs_api.get("/proofs/inclusion")
@operation({200: InclusionOut}, scopes=[Scope.AUDIT], takes=InclusionQuery)
def prove_inclusion() -> Response:
    """Prove that an event is in the log.

    Returns the inclusion proof of RFC 9162, from the leaf up.
    """
    params = query(InclusionQuery)
    return answer(InclusionOut.from_domain(checkpoints.inclusion(hashdb(), actor(), params.seq, params.size)))


@proofs_api.get("/proofs/consistency")
@operation({200: ConsistencyOut}, scopes=[Scope.AUDIT], takes=ConsistencyQuery)
def prove_consistency() -> Response:
    """Prove that the log only grew.

    Returns the consistency proof of RFC 9162 between two sizes of the log.
    """
    params = query(ConsistencyQuery)
    return answer(ConsistencyOut.from_domain(checkpoints.consistency(hashdb(), actor(), params.first, params.second)))
