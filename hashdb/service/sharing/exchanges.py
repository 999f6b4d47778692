"""Exchanges: the feed and opinions by value, for the protocols of other systems, which do not know contributions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from datetime import datetime

from hashdb.domain.accounts.members import Actor, Scope
from hashdb.domain.frames import Frame, with_pdq
from hashdb.domain.ledger.events import FEED_ACTIONS, Action, Event
from hashdb.domain.review.cases import OpinionDraft
from hashdb.domain.sharing.exchanges import Exchanged, ExchangePage, ExchangeRecord, matched_after
from hashdb.domain.signals import Algorithm, Signal
from hashdb.errors import Fault, NotActive, NotFound, reject
from hashdb.service import HashDB
from hashdb.service.matching import matches
from hashdb.service.review import opinions
from hashdb.service.sharing.feed import HIDDEN_FIELDS, few_enough, log_feed_read, note_position
from hashdb.store import Transaction
from hashdb.store.repositories import chunks

_EXCHANGED = (*FEED_ACTIONS, Action.OPINION_GIVEN)
"""The actions of events after which `exchange` returns the values of a contribution again."""
_FRAMES_A_STEP = 20
"""Frames whose holders are read at a time to find the contributions that are a video."""


def head(db: HashDB, actor: Actor, before: datetime | None = None) -> int:
    """The seq of the last event, or of the last one before a time."""
    with db.read(actor, Scope.FEED) as tx:
        return tx.audit.head().seq if before is None else tx.audit.seq_before(before)


def exchange(
    db: HashDB,
    actor: Actor,
    since: int,
    after: int,
    upto: int,
    limit: int,
    algorithms: Collection[Algorithm],
    *,
    videos: bool = False,
) -> ExchangePage:
    """A page of what changes between events `after` and `upto` for a reader that has read up to event `since`.

    It has a record for each value: a signal by one of these algorithms, or with `videos` also a whole video. Signals of
    frames have no records of their own. A page has about `limit` records, and all values of a contribution are on the
    same page. Values that the reader never had are not reported as gone.
    """
    actor.require(Scope.FEED)
    log_feed_read(db, actor)
    with db.store.read() as tx:
        events = tx.audit.since(after, limit + 1, _EXCHANGED)
        few_events = _with_few_frames(tx, events, db.now()) if videos else events
        values_by_id = _values_by_id(tx, {_contribution(event) for event in few_events}, algorithms, videos=videos)
        page = _page([event for event in few_events if event.seq <= upto], values_by_id, limit)
        more = bool(page) and len(page) < len(events) and events[len(page)].seq <= upto
        # By value, its last event on this page.
        latest = {value: event for event in page for value in values_by_id.get(_contribution(event), ())}
        ids = {id for event in page if (id := _contribution(event)) in values_by_id}
        # The contributions that matched when the reader last read, and so the values that it has.
        matched_before = (
            {id for id, actions in tx.audit.actions(ids, since).items() if matched_after(actions)} if since else ()
        )
        values_before = {value for id in matched_before for value in values_by_id[id]}
        records = _records(tx, latest, values_by_id, db.now())
    shown = (record for record in records if not record.gone or record.value in values_before)
    seq = page[-1].seq if more else max(after, upto)
    note_position(db, actor, seq)
    return ExchangePage(tuple(sorted(shown, key=lambda record: record.seq)), seq, more)


def give_opinions(db: HashDB, actor: Actor, drafts: Sequence[tuple[Signal, OpinionDraft]], at: str) -> int:
    """Give opinions by value: on each contribution of others that holds it, matches, and is visible to the actor.

    Returns how many opinions were given. Before any is given, raises LimitReached, and InvalidInput if a value has no
    such contribution. `at` is the name of the field with the drafts: the fault of the first one is at `at[0]`.
    A contribution that ends meanwhile is left out.
    """
    member = actor.require_member(Scope.MATCH)
    with db.store.read() as tx:
        holders = tx.matches.holders(
            {signal for signal, _ in drafts}, db.now(), matches.MATCHING, detailed=False, of_frames=False
        )
        if not actor.has(Scope.FEED, Scope.AUDIT):
            answered = tx.hits.returned_to(member.id, {holder.contribution for holder in holders})
            holders = [holder for holder in holders if holder.contribution in answered]
    others: dict[Signal, set[int]] = defaultdict(set)
    for holder in holders:
        if holder.member != member.id:
            others[holder.signal].add(holder.contribution)
    reject(
        Fault(f"{at}[{i}]", "no other member contributes it, or it was not returned to you as a match")
        for i, (signal, _) in enumerate(drafts)
        if not others[signal]
    )
    pairs = [(id, draft) for signal, draft in drafts for id in sorted(others[signal])]
    opinions.spend(db, actor, [draft for _, draft in pairs])
    given = 0
    for id, draft in pairs:
        with suppress(NotActive, NotFound):
            opinions.give(db, actor, id, draft, budget_spent=True)
            given += 1
    return given


def _contribution(event: Event) -> int:
    """The contribution of an event on it, or on an opinion on it."""
    id = event.details.get("contribution", event.id)
    assert isinstance(id, int)
    return id


def _with_few_frames(tx: Transaction, events: Sequence[Event], now: datetime) -> Sequence[Event]:
    """The first of these events, as many as have videos with at most `FRAMES_A_REQUEST` frames together; at least 1."""
    ids = list(map(_contribution, events))
    contributions = tx.contributions.get(set(ids), now)
    return events[: few_enough([contributions[id].frame_count if id in contributions else 0 for id in ids])]


def _values_by_id(
    tx: Transaction, ids: Collection[int], algorithms: Collection[Algorithm], *, videos: bool
) -> dict[int, list[Exchanged]]:
    """The values of contributions, by id. Erased contributions have them until they are purged.

    Videos have their suppressed frames too: a reader recognizes the value by its text, which must stay the same.
    """
    values_by_id: dict[int, list[Exchanged]] = {
        id: [signal for signal in group if signal.algorithm in algorithms]
        for id, group in tx.contributions.signals(ids).items()
    }
    if videos:
        for id, frames in tx.frames.get(ids, suppressed=True).items():
            if value := with_pdq(frames):
                values_by_id.setdefault(id, []).append(value)
    return values_by_id


def _page(events: Sequence[Event], values_by_id: Mapping[int, Sequence[Exchanged]], limit: int) -> Sequence[Event]:
    """The first events: at most `limit`, and no further one once they have `limit` values together."""
    count = 0
    for position, event in enumerate(events[:limit], 1):
        count += len(values_by_id.get(_contribution(event), ()))
        if count >= limit:
            return events[:position]
    return events[:limit]


def _records(
    tx: Transaction, latest: Mapping[Exchanged, Event], values_by_id: Mapping[int, Sequence[Exchanged]], now: datetime
) -> list[ExchangeRecord]:
    """A record of each value: its active contributions and the opinions on them that count."""
    by_value: dict[Exchanged, set[int]] = defaultdict(set)
    signals = [value for value in latest if isinstance(value, Signal)]
    for holder in tx.matches.holders(signals, now, matches.MATCHING, detailed=False, of_frames=False):
        by_value[holder.signal].add(holder.contribution)
    by_value |= _holders_of_videos(tx, [value for value in latest if not isinstance(value, Signal)], values_by_id, now)
    ids = {id for group in by_value.values() for id in group}
    contributions, opinions = tx.contributions.get(ids, now, hidden=HIDDEN_FIELDS), tx.opinions.current(ids)
    return [
        ExchangeRecord(
            event.seq,
            event.at,
            value,
            tuple(contributions[id] for id in sorted(by_value[value])),
            tuple(opinion for id in sorted(by_value[value]) for opinion in opinions.get(id, ()) if opinion.counts),
        )
        for value, event in latest.items()
    ]


def _holders_of_videos(
    tx: Transaction, videos: Sequence[tuple[Frame, ...]], values_by_id: Mapping[int, Sequence[Exchanged]], now: datetime
) -> dict[Exchanged, set[int]]:
    """By video, the active contributions whose frames are exactly its frames.

    `values_by_id` are the values that were read already, by contribution.
    """
    numbers = {video: number for number, video in enumerate(videos)}
    # By contribution, the number of the video that it is (None: of no video here). So the frames of each contribution
    # are read only once, and need not be kept.
    number_of = {
        id: next((numbers[value] for value in values if not isinstance(value, Signal) and value in numbers), None)
        for id, values in values_by_id.items()
    }
    return {video: _holders_of_video(tx, video, numbers, number_of, now) for video in videos}


def _holders_of_video(
    tx: Transaction,
    video: tuple[Frame, ...],
    numbers: Mapping[tuple[Frame, ...], int],
    number_of: dict[int, int | None],
    now: datetime,
) -> set[int]:
    """The active contributions whose frames are exactly those of a video.

    Contributions with the same values are candidates; their frames are read and compared. `number_of` is extended by
    what is read.
    """
    for part in chunks(list(dict.fromkeys(frame.signals[0] for frame in video if frame.matches)), _FRAMES_A_STEP):
        holders = tx.matches.holders(part, now, matches.MATCHING, detailed=False)
        ids = {
            holder.contribution
            for holder in holders
            if holder.extent is not None and (holder.extent.duration or 0) >= video[-1].at
        }
        unread = tx.contributions.get(ids - number_of.keys(), now)
        frame_counts = {id: item.frame_count for id, item in unread.items() if item.frame_count >= len(video)}
        while frame_counts:
            few = list(frame_counts)[: few_enough(list(frame_counts.values()))]
            frames = tx.frames.get(few, suppressed=True)
            number_of |= {id: numbers.get(with_pdq(frames.get(id, ()))) for id in few}
            frame_counts = {id: count for id, count in frame_counts.items() if id not in number_of}
        # A benign entry suppresses a value in all contributions: those that are this video are found together.
        if same := {id for id in ids if number_of.get(id) == numbers[video]}:
            return same
    return set()
