"""Queues: the cases that wait for a reviewer, in the order in which they are to be decided."""

from __future__ import annotations

from itertools import groupby

from hashdb.domain.cases import PILE, Decision, Order, Queue, Waiting
from hashdb.domain.members import Actor, Scope
from hashdb.service import HashDB
from hashdb.service.cases import decided, settle
from hashdb.service.sight import shown
from hashdb.store import Transaction

LONGEST = 1_000
"""Cases that a queue has at most: more wait until these are decided."""


def of(db: HashDB, actor: Actor, order: Order, pile: int | None = None) -> Queue:
    """The open cases with what they are about, those of members with many in piles; or those of a member's pile."""
    actor.require(Scope.REVIEW, Scope.AUDIT)
    with db.store.read() as tx:
        piles = tx.cases.piles(PILE) if pile is None else ()
        found = tx.cases.queue(order, LONGEST, of=pile, without=[one.member for one in piles])
        about = tx.contributions.get([case.contribution for case in found], db.now())
    return Queue(tuple(Waiting(case, shown(actor, about[case.contribution])) for case in found), piles)


def beside(db: HashDB, actor: Actor, order: Order, case: int, pile: int | None = None) -> tuple[int | None, int | None]:
    """The cases before and after one; where it is in the queue no longer, the first is the next.

    Of a pile, the last leads to the queue.
    """
    actor.require(Scope.REVIEW, Scope.AUDIT)
    with db.store.read() as tx:
        ids = _ids(tx, order, pile)
    if case not in ids:
        return None, ids[0] if ids else None
    place = ids.index(case)
    return ids[place - 1] if place else None, ids[place + 1] if place + 1 < len(ids) else None


def uphold(db: HashDB, actor: Actor, pile: int, upto: int, note: str) -> int:
    """Uphold what is in a member's pile, with one reason: how many cases, at most `LONGEST`.

    Those with ids above `upto` are left out: the reviewer has not seen them.
    """
    actor.require(Scope.REVIEW)
    with db.store.begin() as tx:
        now = db.now()
        held = {one.contribution for one in tx.cases.queue(Order.CLOCK, LONGEST, of=pile) if one.id <= upto}
        tx.contributions.hold(held)
        # Read again, now that nobody else decides on them.
        asked = tx.cases.queue(Order.CLOCK, LONGEST, of=pile)
        found = [one for one in asked if one.id <= upto and one.contribution in held]
        about = tx.contributions.get([one.contribution for one in found], now)
        told = []
        for one in found:
            kept = None if about[one.contribution].erased else note
            tx.cases.decide(one.id, Decision.UPHOLD, kept, str(actor), now)
            told.append(decided(one, Decision.UPHOLD, now))
        for reason, group in groupby(sorted(found, key=lambda one: one.reason), key=lambda one: one.reason):
            told += settle(tx, [about[one.contribution] for one in group], reason)
        tx.audit.append(now, actor, told)
    return len(found)


def _ids(tx: Transaction, order: Order, pile: int | None) -> list[int]:
    without = [one.member for one in tx.cases.piles(PILE)] if pile is None else []
    return [one.id for one in tx.cases.queue(order, LONGEST, of=pile, without=without)]
