"""The impact of a decision: what changes for members if a contribution no longer matches."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import groupby
from operator import attrgetter

from hashdb.domain.accounts.members import Actor, Scope
from hashdb.domain.contributions import Status
from hashdb.domain.frames import Frame, searched_frames
from hashdb.domain.matching.aligners import LEAST_FRAMES
from hashdb.domain.review.cases import Impact
from hashdb.domain.signals import Signal
from hashdb.service import HashDB
from hashdb.service.matching.matches import MATCHING
from hashdb.store import Transaction

HITS_PERIOD = timedelta(days=90)
"""The period of the hits that an impact preview counts."""
_FEED_READS_PERIOD = timedelta(days=30)
"""The period in which a member must have read the feed to be counted as a reader of it."""
_MOST_HOLDERS = 1_000
"""The most pairs of a contribution and a signal that are read to count the contributions with the same signals."""
_MOST_HOLDERS_OF_FRAMES = 10_000
"""The same for the signals of frames."""


def impact(db: HashDB, actor: Actor, contribution: int) -> Impact:
    """What changes for members if a contribution no longer matches. Raises NotFound."""
    with db.read(actor, Scope.AUDIT, Scope.REVIEW) as tx:
        now = db.now()
        item = tx.contributions.one(contribution, now)
        holders = tx.matches.holders(item.signals, now, MATCHING, _MOST_HOLDERS)
        frames = tx.frames.get([contribution]).get(contribution, ()) if item.frame_count else ()
        of_frames = _holding_frames(tx, frames, now)
        members, times = tx.hits.count_returned_since([contribution], (now - HITS_PERIOD).date())
        return Impact(
            matches=item.status is Status.ACTIVE and item.standing.matches,
            members=members,
            times=times,
            equal=len({*(holder.contribution for holder in holders), *of_frames} - {contribution}),
            readers=tx.uses.count_feed_readers((now - _FEED_READS_PERIOD).date()),
        )


def _holding_frames(tx: Transaction, frames: Sequence[Frame], now: datetime) -> set[int]:
    """The contributions that match and have exactly the signals of enough of these frames.

    `LEAST_FRAMES` says how many are enough for each unit; of fewer frames, all of them.
    """
    ids = set[int]()
    for unit, group in groupby((frame for frame in searched_frames(frames) if frame.signals), key=attrgetter("unit")):
        wanted = [frame.signals[0] for frame in group]
        held: dict[int, set[Signal]] = defaultdict(set)
        for holder in tx.matches.holders(wanted, now, MATCHING, _MOST_HOLDERS_OF_FRAMES):
            held[holder.contribution].add(holder.signal)
        ids |= {id for id, signals in held.items() if len(signals) >= min(LEAST_FRAMES[unit], len(wanted))}
    return ids
