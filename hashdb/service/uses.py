"""Uses of keys: noted in the way of requests, written down in the background, once a minute a key at most."""

from __future__ import annotations

from hashdb.domain.audit import Action, Entry
from hashdb.domain.hits import KeyUse, Lag
from hashdb.domain.members import Actor, Scope
from hashdb.service import HashDB


def flush(db: HashDB) -> bool:
    """Make durable which keys were used, those that were written within the last minute apart; whether there were any.

    What cannot be written now is written with the next. Raises StoreBusy.
    """
    due = db.stats.used(db.now())
    if due:
        with db.store.begin() as tx:
            tx.uses.write(due)
        db.stats.used_written(due)
    return bool(due)


def listed(db: HashDB, actor: Actor) -> None:
    """Tell the log that a key lists what others contributed: one event a key a day."""
    key, now = actor.key, db.now()
    if key is None or db.listing_read_on.get(key.id) == now.date():
        return
    with db.store.begin() as tx:
        tx.members.lock(key.member)
        last = tx.audit.between(0, tx.audit.head().seq + 1, 1, None, Action.LISTING_READ, ("key", key.id))
        if not last or last[0].at.date() < now.date():
            tx.audit.append(now, actor, [Entry(Action.LISTING_READ, "key", key.id, {})])
    db.listing_read_on[key.id] = now.date()


def of(db: HashDB, actor: Actor, member: int | None = None) -> dict[int, KeyUse]:
    """By the key, when it was last used, and what the feed has not given it yet; of one member's keys, or all."""
    actor.require(Scope.AUDIT)
    with db.store.read() as tx:
        lags: dict[int, Lag] = {}
        found = tx.uses.of(None if member is None else [member])
        for use, _ in found:
            if use.fed_seq is not None and use.fed_seq not in lags:
                lags[use.fed_seq] = tx.uses.lag(use.fed_seq)
        return {use.key: KeyUse(use, of, None if use.fed_seq is None else lags[use.fed_seq]) for use, of in found}
