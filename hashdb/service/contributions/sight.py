"""Sight: which contributions an actor may see, which of their fields, and whether it sees the member."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from hashdb.domain.accounts.members import Actor, Scope
from hashdb.domain.contributions import Contribution, Status
from hashdb.domain.stats.counts import MatchLog
from hashdb.service import HashDB
from hashdb.service.stats import counts
from hashdb.store import Transaction

_POLL_SECONDS = 0.1


def sees_members(actor: Actor) -> bool:
    """Whether the actor may see which member contributed what."""
    return actor.has(Scope.FEED, Scope.AUDIT, Scope.REVIEW)


def may_know(tx: Transaction, actor: Actor, contribution: Contribution) -> bool:
    """Whether the actor may know that this contribution exists, whatever its status and standing.

    An actor may know of its member's own contributions. With `feed` or `audit` it may know of any, with `match` of
    those that its member got as a match, and with `review` of those with a case.
    """
    if actor.is_member(contribution.member) or actor.has(Scope.AUDIT, Scope.FEED):
        return True
    return _was_returned(tx, actor, contribution.id) or _may_review(tx, actor, contribution.id)


def may_see(tx: Transaction, actor: Actor, contribution: Contribution) -> bool:
    """Whether the actor may see this contribution and the opinions on it."""
    if actor.is_member(contribution.member) or actor.has(Scope.AUDIT):
        return True
    if contribution.status is Status.ACTIVE and contribution.standing.matches:
        if actor.has(Scope.FEED) or _was_returned(tx, actor, contribution.id):
            return True
    return _may_review(tx, actor, contribution.id)


def visible_fields(actor: Actor, contribution: Contribution) -> Contribution:
    """The contribution with the fields that the actor may see."""
    full = actor.is_member(contribution.member) or actor.has(Scope.AUDIT)
    return contribution.shown(signals=full or actor.has(Scope.FEED), reference=full, member=full or sees_members(actor))


def with_origins(db: HashDB, tx: Transaction, contributions: Sequence[Contribution]) -> tuple[Contribution, ...]:
    """The contributions; those that came from another service have their origin."""
    upstreams = db.upstream_member_ids()
    origins = tx.matches.origins([item.id for item in contributions if item.member in upstreams]) if upstreams else {}
    return tuple([replace(item, origin=origins[item.id]) if item.id in origins else item for item in contributions])


def await_hits(db: HashDB, actor: Actor, contribution: int) -> None:
    """Wait until a match that any process has just returned is stored, if the actor may see it only by that match.

    This process stores its hits at once; the others store theirs within `db.hits_within` seconds. A request for a
    contribution that was never returned as a match waits as long, whether it exists or not.
    Raises TooManyAtOnce if the key already holds its share of slots in this process, and StoreBusy.
    """
    if not actor.has(Scope.MATCH) or actor.has(Scope.FEED, Scope.AUDIT):
        return
    if db.match_log is not MatchLog.HITS or _needs_no_wait(db, actor, contribution):
        return
    counts.flush(db)
    with db.request_slots.hold(actor):
        until = time.monotonic() + db.hits_within
        while not _needs_no_wait(db, actor, contribution) and time.monotonic() < until:
            time.sleep(_POLL_SECONDS)


def _needs_no_wait(db: HashDB, actor: Actor, contribution: int) -> bool:
    """Whether its match with the actor's member is stored already, or it is that member's own."""
    with db.store.read() as tx:
        if _was_returned(tx, actor, contribution):
            return True
        return actor.is_member(tx.contributions.contributor(contribution))


def _was_returned(tx: Transaction, actor: Actor, contribution: int) -> bool:
    """Whether a stored match returned the contribution to the actor's member."""
    if actor.member is None or not actor.has(Scope.MATCH):
        return False
    return bool(tx.hits.returned_to(actor.member.id, [contribution]))


def _may_review(tx: Transaction, actor: Actor, contribution: int) -> bool:
    return actor.has(Scope.REVIEW) and bool(tx.cases.on_contribution(contribution))
