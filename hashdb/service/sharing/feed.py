"""The feed of changes for members that match in a copy."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate

from hashdb.domain.accounts.members import Actor, Scope
from hashdb.domain.contributions import Contribution, Status
from hashdb.domain.frames import FRAMES_A_REQUEST
from hashdb.domain.ledger.events import FEED_ACTIONS, Action, LogEntry
from hashdb.domain.sharing.feed import Change, Changes, Gone
from hashdb.errors import FeedRestarted, TooManyAtOnce
from hashdb.service import HashDB
from hashdb.service.accounts.limits import RequestSlots
from hashdb.service.contributions.sight import with_origins

HIDDEN_FIELDS = frozenset({"reference"})
"""The fields of contributions that are not read: no reader of the feed gets them."""
WAITING = RequestSlots(each=2, all_keys=4)
"""The slots of readers that wait in this process; the other threads stay free for matches."""
_POLL_SECONDS = 0.1


def read(db: HashDB, actor: Actor, after: int, limit: int, epoch: str | None = None) -> Changes:
    """At most `limit` changes after seq `after`. A reader that starts at 0 and reads on gets the present state.

    `epoch` is that of the reader, if it has one. Raises FeedRestarted if `epoch` is not that of this log, or if `after`
    is above its head.
    """
    actor.require(Scope.FEED)
    log_feed_read(db, actor)
    with db.store.read() as tx:
        head = tx.audit.head()
        if after > head.seq or epoch not in (None, head.epoch):
            raise FeedRestarted(head.epoch)
        # Pairs of the seq of an event and the id of its contribution.
        events = tx.audit.subjects(after, limit + 1, FEED_ACTIONS)
        by_id = tx.contributions.get([id for _, id in events[:limit]], db.now(), hidden=HIDDEN_FIELDS)
        contributions = {item.id: item for item in with_origins(db, tx, [*by_id.values()])}
        limit = min(limit, few_enough([contributions[id].frame_count for _, id in events[:limit]]))
        page = events[:limit]
        ids = [id for _, id in page]
        logged = tx.statuses.logged(ids)
        with_frames = [id for id in ids if contributions[id].frame_count]
        masked_ids = {id for id in with_frames if contributions[id].masked}
        frames = tx.frames.get(with_frames, masked=masked_ids)
        contributions |= {id: replace(contributions[id], frames=of_item) for id, of_item in frames.items()}
        changes = tuple(Change(seq, _state(contributions[id], logged[id])) for seq, id in page)
    more = len(events) > limit
    checkpoint = page[-1][0] if more else head.seq
    note_position(db, actor, checkpoint)
    return Changes(changes, checkpoint, more, head.epoch)


def few_enough(frame_counts: Sequence[int]) -> int:
    """How many of the first contributions of a page have at most `FRAMES_A_REQUEST` frames together; at least 1.

    `frame_counts` has the number of frames of each contribution, in the order of the page.
    """
    totals = accumulate(frame_counts)
    return max(1, sum(1 for total in totals if total <= FRAMES_A_REQUEST))


def wait(db: HashDB, actor: Actor, after: int, seconds: float) -> bool:
    """Wait for a change after seq `after`, for at most `seconds`; return whether the reader had a slot to wait.

    Two readers of a key and four in all may wait in a process; for any further one it returns False at once. It also
    returns when the process stops.
    """
    actor.require(Scope.FEED)
    try:
        with db.request_slots.hold(actor), WAITING.hold(actor):
            until = time.monotonic() + seconds
            while not (_changed(db, after) or db.stopping()) and time.monotonic() < until:
                time.sleep(_POLL_SECONDS)
            return True
    except TooManyAtOnce:
        return False


def log_feed_read(db: HashDB, actor: Actor) -> None:
    """Log that a key reads the feed: one event for each key and day."""
    now = db.now()
    # This process remembers the last day that is logged, so that most reads write nothing.
    if actor.key is None or db.feed_read_on.get(actor.key.id) == now.date():
        return
    with db.store.begin() as tx:
        if tx.members.record_feed_read(actor.key.id, now.date().isoformat()):
            tx.audit.append(now, actor, [LogEntry(Action.FEED_READ, kind="key", id=actor.key.id, details={})])
    db.feed_read_on[actor.key.id] = now.date()


def note_position(db: HashDB, actor: Actor, seq: int) -> None:
    """Note that the reader has read up to an event."""
    if actor.key is not None:
        db.stats.note_feed_read(db.now(), actor.key.id, seq)


def _changed(db: HashDB, after: int) -> bool:
    with db.store.read() as tx:
        # A position past the head is a change too: the reader must start over.
        return tx.audit.head().seq < after or bool(tx.audit.since(after, 1, FEED_ACTIONS))


def _state(contribution: Contribution, logged: Status) -> Contribution | Gone:
    """The state of a contribution in the feed, by the status that was last logged, not the present one.

    An expiry or a suspension that is not logged yet reaches the reader with its own event.
    """
    if logged is Status.ACTIVE and contribution.standing.matches:
        if contribution.masked and not any(contribution.every_signal()):
            # All of its signals are suppressed. It is still in the active set: a copy needs its standing and its
            # commitment to compute the root.
            standing, commitment = contribution.standing, contribution.commitment
            return Gone(contribution.id, reason="masked", standing=standing, commitment=commitment)
        return contribution if contribution.status is logged else replace(contribution, status=logged)
    reason = str(contribution.standing if logged is Status.ACTIVE else logged)
    withdrawal_reason = contribution.withdrawal_reason if logged is Status.WITHDRAWN else None
    return Gone(contribution.id, reason=reason, withdrawal_reason=withdrawal_reason)
