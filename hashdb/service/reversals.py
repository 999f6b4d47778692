"""Reversals: what a member was given as a match and should know to be none."""

from __future__ import annotations

from hashdb.domain.members import Actor, Scope
from hashdb.domain.reversals import Reversal
from hashdb.service import HashDB, counts


def page(db: HashDB, actor: Actor, after: int, limit: int) -> tuple[Reversal, ...]:
    """At most `limit` reversals above a number, in order. There are none where hits are not kept."""
    member = actor.require_member(Scope.MATCH)
    # What this process has answered and not yet written down counts as well.
    counts.flush(db)
    with db.store.read() as tx:
        return tx.reversals.of(member.id, after, limit)
