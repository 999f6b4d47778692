"""Reversals: what a member was given as a match and should know to be none."""

from __future__ import annotations

from hashdb.domain.members import Actor, Scope
from hashdb.domain.reversals import SETTLED, Reversal
from hashdb.service import HashDB, counts
from hashdb.store import Transaction


def page(db: HashDB, actor: Actor, after: int, limit: int) -> tuple[Reversal, ...]:
    """At most `limit` reversals above a number, in order, of events that are settled.

    There are none where hits are not kept.
    """
    member = actor.require_member(Scope.MATCH)
    # What this process has answered and not yet written down counts as well.
    counts.flush(db)
    with db.store.read() as tx:
        return tx.reversals.of(member.id, after, settled(db, tx), limit)


def settled(db: HashDB, tx: Transaction) -> int:
    """The number of the last event whose matches before it are written down by now, of whichever process.

    Who is told of an event above it goes on after that one, and is never told of what is written down later.
    """
    head, until = tx.audit.head(), db.now() - SETTLED
    return head.seq if head.at <= until else tx.audit.before(until)
