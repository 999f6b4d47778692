"""The feed: what changed in the set of active contributions, for matching at the member's side."""

from __future__ import annotations

import time
from dataclasses import replace

from hashdb.domain.audit import Action, Entry
from hashdb.domain.changes import Change, Changes, Gone
from hashdb.domain.contributions import Contribution, Status
from hashdb.domain.members import Actor, Scope
from hashdb.errors import FeedRestarted, TooManyAtOnce
from hashdb.service import HashDB
from hashdb.service.places import Places

_FEED = tuple(action for action in Action if action.changes_feed)
_HIDDEN = frozenset({"reference"})
_WAITING = Places(each=2, all_keys=4)
"""Readers that wait, in each process: the other threads stay free for matches."""
_POLL = 0.1


def read(db: HashDB, actor: Actor, after: int, limit: int, epoch: str | None = None) -> Changes:
    """At most `limit` changes after number `after`; read from 0, they give the present state.

    Raises FeedRestarted when `epoch` or `after` are not of this log.
    """
    actor.require(Scope.FEED)
    note(db, actor)
    with db.store.read() as tx:
        head = tx.audit.head()
        if after > head.seq or epoch not in (None, head.epoch):
            raise FeedRestarted(head.epoch)
        events = tx.audit.subjects(after, limit + 1, _FEED)
        page = events[:limit]
        ids = [id for _, id in page]
        found, told = tx.contributions.get(ids, db.now(), hidden=_HIDDEN), tx.statuses.logged(ids)
        changes = tuple(Change(seq, _state(found[id], told[id])) for seq, id in page)
    more = len(events) > limit
    checkpoint = page[-1][0] if more else head.seq
    fed(db, actor, checkpoint)
    return Changes(changes, checkpoint, more, head.epoch)


def wait(db: HashDB, actor: Actor, after: int, seconds: float) -> bool:
    """Whether the reader had a place to wait; then there is a change after number `after`, or `seconds` are over.

    Two readers of a key and four in all may wait in a process; more are told so at once. It returns when the process
    is told to stop, too.
    """
    actor.require(Scope.FEED)
    try:
        with db.places.place(actor), _WAITING.place(actor):
            until = time.monotonic() + seconds
            while not (_changed(db, after) or db.stopping()) and time.monotonic() < until:
                time.sleep(_POLL)
            return True
    except TooManyAtOnce:
        return False


def note(db: HashDB, actor: Actor) -> None:
    """Tell the log that a key reads the feed: one event a key a day."""
    now = db.now()
    if actor.key is None or db.feed_read_on.get(actor.key.id) == now.date():
        return
    with db.store.begin() as tx:
        if tx.members.first_feed_read(actor.key.id, now.date().isoformat()):
            tx.audit.append(now, actor, [Entry(Action.FEED_READ, "key", actor.key.id, {})])
    db.feed_read_on[actor.key.id] = now.date()


def fed(db: HashDB, actor: Actor, seq: int) -> None:
    """Note that who reads is level with an event now."""
    if actor.key is not None:
        db.stats.feed(db.now(), actor.key.id, seq)


def _changed(db: HashDB, after: int) -> bool:
    with db.store.read() as tx:
        # A cursor past the head is a change too: the reader must start over.
        return tx.audit.head().seq < after or bool(tx.audit.since(after, 1, _FEED))


def _state(contribution: Contribution, told: Status) -> Contribution | Gone:
    """What a reader of the feed is to hold of a contribution, whose status is what the log last told.

    Not what it is this instant: of what an expiry or a suspension changes, the reader hears by an event of its own.
    """
    if told is Status.ACTIVE and contribution.standing.matches:
        if contribution.masked and not contribution.signals:
            return Gone(contribution.id, "masked")
        return contribution if contribution.status is told else replace(contribution, status=told)
    return Gone(contribution.id, str(contribution.standing if told is Status.ACTIVE else told))
