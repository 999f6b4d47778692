"""The ledger: /v1/events, and what proves the log: /v1/log, /v1/checkpoint, /v1/proofs, /v1/set.

Routes with `any_scope=None` need no key; those without `any_scope` need any key.
"""

from __future__ import annotations

from functools import partial

from flask import request

from hashdb.domain.accounts.members import Scope
from hashdb.errors import WrongContentType
from hashdb.http_server.bodies import read_text
from hashdb.service.ledger import active_set, checkpoints, events, receipts, witnesses
from hashdb.web.context import actor, hashdb, list_page, query
from hashdb.web.routes import TEXT, ApiBlueprint, operation
from hashdb.wire.ledger import ConsistencyOut, EventsOut, InclusionOut, LogOut, SetBlockOut, SetOut
from hashdb.wire.pages import ConsistencyQuery, EventsQuery, InclusionQuery, ReceiptsQuery, SetQuery

events_api = ApiBlueprint("events", tag="Audit log", about="For auditors: every change, in order.")


@events_api.get("")
@operation({200: EventsOut}, any_scope=[Scope.AUDIT], query=EventsQuery)
def list_events() -> EventsOut:
    """List the events of the audit log.

    Returns them in the order of their seqs; filter them by actor, action or subject.
    """
    params = query(EventsQuery)
    event_filter = events.EventFilter(params.actor, params.action, params.subject)
    return list_page(EventsOut, params, partial(events.page, hashdb(), actor(), event_filter))


proofs_api = ApiBlueprint(
    "proofs",
    url_prefix="/v1",
    tag="Proofs",
    about="For auditors: verify that nothing in the log was changed or removed.",
)


@proofs_api.get("/log")
@operation({200: LogOut}, any_scope=None)
def get_log() -> LogOut:
    """Get the log's name, keys and witnesses.

    The keys verify the signed checkpoints; earlier keys are included. `witnesses` are those that the service asks to
    cosign its checkpoints, with the last one that each cosigned. It is left out if there are none.
    """
    return LogOut.from_domain(checkpoints.log(hashdb()))


@proofs_api.get("/checkpoint")
@operation({200: str}, any_scope=None)
def get_checkpoint() -> str:
    """Get the newest signed checkpoint.

    The signed note (C2SP tlog-checkpoint) has the size of the log and the root of its tree. It covers every event of
    the responses before this one.
    """
    return checkpoints.latest(hashdb())


@proofs_api.get("/checkpoint/cosigned")
@operation({200: str}, any_scope=None, errors=[404])
def get_cosigned_checkpoint() -> str:
    """Get the newest checkpoint that the witnesses cosigned.

    The signed note has a line of each witness that cosigned it (C2SP tlog-cosignature). It is the newest one that the
    quorum of the operator's policy cosigned: usually a minute old at most. Without witnesses, and as long as no
    checkpoint has the quorum, the answer is 404.
    """
    return witnesses.cosigned(hashdb()).note


@proofs_api.get("/proofs/inclusion")
@operation({200: InclusionOut}, any_scope=[Scope.AUDIT], query=InclusionQuery)
def prove_inclusion() -> InclusionOut:
    """Prove that an event is in the log.

    Returns the inclusion proof of RFC 9162, from the leaf up.
    """
    params = query(InclusionQuery)
    return InclusionOut.from_domain(checkpoints.inclusion(hashdb(), actor(), params.seq, params.size))


@proofs_api.get("/proofs/consistency")
@operation({200: ConsistencyOut}, any_scope=[Scope.AUDIT], query=ConsistencyQuery)
def prove_consistency() -> ConsistencyOut:
    """Prove that the log only grew.

    Returns the consistency proof of RFC 9162 between two sizes of the log.
    """
    params = query(ConsistencyQuery)
    return ConsistencyOut.from_domain(checkpoints.consistency(hashdb(), actor(), params.first, params.second))


@proofs_api.get("/receipts")
@operation({200: str}, query=ReceiptsQuery, errors=[404])
def get_receipt() -> str:
    """Get the receipt of an event.

    The file (C2SP tlog-proof) has the event, the proof that it is in the log, and a signed checkpoint: it verifies
    offline. The checkpoint is the newest one that the quorum of witnesses cosigned, if that has the event; else one
    that is signed now. With `witnessed=1`, the answer is 404 until the quorum has cosigned a checkpoint that has the
    event.

    With the scope `audit`, you get the receipt of any event; else of the events on your contributions, of your
    opinions, and of the cases on your contributions.
    """
    params = query(ReceiptsQuery)
    event = receipts.ChosenEvent(params.seq, params.subject, params.action)
    return str(receipts.receipt(hashdb(), actor(), event, witnessed=bool(params.witnessed)))


@proofs_api.get("/set")
@operation({200: SetOut}, any_scope=[Scope.FEED, Scope.AUDIT], query=SetQuery, errors=[404])
def get_set() -> SetOut:
    """Get the root of the active set.

    The active set is all contributions that match. The log records the root of the tree over it at most a minute after
    a change. Each root covers the log up to an event, `covers`; a copy of the feed up to the same event has the same
    root. With `signed=1`, you get the newest root that the quorum of organisations signed.
    """
    return SetOut.from_domain(active_set.get(hashdb(), actor(), signed=bool(query(SetQuery).signed)))


@proofs_api.get("/set/blocks/<id:level>/<id:number>")
@operation({200: SetBlockOut}, any_scope=[Scope.FEED, Scope.AUDIT], errors=[404])
def get_set_block(level: int, number: int) -> SetBlockOut:
    """Get a block of the active set's tree.

    Block `number` of a level has 256 nodes of the tree, from node 256 times `number`. The nodes of level 0 are the
    leaves of contributions: node 17 is that of contribution 17. A node of a higher level is the hash over a block of
    the level below: node 17 is that over block 17. Level 4 has only block 0, which is below the root.

    Compare blocks with your own from level 4 downwards: those that differ lead to the contributions that differ.
    """
    return SetBlockOut.from_domain(active_set.get_block(hashdb(), actor(), level, number))


@proofs_api.post("/set/signatures")
@operation({200: str}, body=str, errors=[404])
def sign_set() -> str:
    """Sign the root of the active set.

    The body has the lines of cosignatures (C2SP tlog-cosignature) of organisations on the `note` of one of the newest
    roots. Returns that note with all of its signatures.
    """
    if request.mimetype != TEXT:
        raise WrongContentType(TEXT)
    return active_set.sign(hashdb(), actor(), read_text(request)).note
