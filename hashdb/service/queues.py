"""Queues: the cases that wait for a reviewer, in the order in which they are to be decided."""

from __future__ import annotations

from hashdb.domain.cases import Order, Waiting
from hashdb.domain.members import Actor, Scope
from hashdb.service import HashDB
from hashdb.service.contributions import shown

LONGEST = 1_000
"""Cases that a queue has at most: more wait until these are decided."""


def of(db: HashDB, actor: Actor, order: Order) -> tuple[Waiting, ...]:
    """The open cases with what they are about."""
    actor.require(Scope.REVIEW, Scope.AUDIT)
    with db.store.read() as tx:
        found = tx.cases.queue(order, LONGEST)
        about = tx.contributions.get([case.contribution for case in found], db.now())
    return tuple(Waiting(case, shown(actor, about[case.contribution])) for case in found)


def beside(db: HashDB, actor: Actor, order: Order, case: int) -> tuple[int | None, int | None]:
    """The cases before and after one; where it is in the queue no longer, the first is the next."""
    actor.require(Scope.REVIEW, Scope.AUDIT)
    with db.store.read() as tx:
        ids = [one.id for one in tx.cases.queue(order, LONGEST)]
    if case not in ids:
        return None, ids[0] if ids else None
    place = ids.index(case)
    return ids[place - 1] if place else None, ids[place + 1] if place + 1 < len(ids) else None
