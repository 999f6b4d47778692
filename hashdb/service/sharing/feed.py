"""The feed of changes for members that match in a copy; ThreatExchange's updates and opinions; HMA's banks."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import accumulate

from hashdb.domain.accounts.members import Actor, Scope
from hashdb.domain.contributions import Contribution, Status
from hashdb.domain.frames import FRAMES_A_REQUEST, Frame, with_pdq
from hashdb.domain.ledger.events import Action, Event, LogEntry
from hashdb.domain.listings import read_all
from hashdb.domain.matching.matches import Query
from hashdb.domain.matching.testing import TEST_ID
from hashdb.domain.review.cases import OpinionDraft
from hashdb.domain.sharing.exchanges import (
    BankHit,
    Exchanged,
    ExchangePage,
    ExchangeRecord,
    bank_names,
    matched_after,
)
from hashdb.domain.sharing.feed import Change, Changes, Gone
from hashdb.domain.signals import Algorithm, Signal
from hashdb.errors import BankOfMember, Fault, FeedRestarted, NotFound, NotYours, TooManyAtOnce, reject
from hashdb.service import HashDB
from hashdb.service.accounts.limits import RequestSlots
from hashdb.service.contributions import contributions
from hashdb.service.contributions.sight import sees_members, with_origins
from hashdb.service.matching import matches
from hashdb.service.review import opinions
from hashdb.store import Transaction
from hashdb.store.repositories import chunks

_FEED = tuple(action for action in Action if action.changes_feed)
"""The actions of events that change the feed."""
_HIDDEN = frozenset({"reference"})
"""The fields of contributions that are not read: no reader of the feed gets them."""
WAITING = RequestSlots(each=2, all_keys=4)
"""The slots of readers that wait in this process; the other threads stay free for matches."""
_POLL_SECONDS = 0.1
_FRAMES_A_STEP = 20
"""Frames whose holders are read at a time to find the contributions that are a video."""


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
        events = tx.audit.subjects(after, limit + 1, _FEED)
        by_id = tx.contributions.get([id for _, id in events[:limit]], db.now(), hidden=_HIDDEN)
        contributions = {item.id: item for item in with_origins(db, tx, [*by_id.values()])}
        limit = min(limit, _few_enough([contributions[id].frame_count for _, id in events[:limit]]))
        page = events[:limit]
        ids = [id for _, id in page]
        logged = tx.statuses.logged(ids)
        with_frames = [id for id in ids if contributions[id].frame_count]
        masked = {id for id in with_frames if contributions[id].masked}
        frames = tx.frames.get(with_frames, masked=masked)
        contributions |= {id: replace(contributions[id], frames=of_item) for id, of_item in frames.items()}
        changes = tuple(Change(seq, _state(contributions[id], logged[id])) for seq, id in page)
    more = len(events) > limit
    checkpoint = page[-1][0] if more else head.seq
    note_position(db, actor, checkpoint)
    return Changes(changes, checkpoint, more, head.epoch)


def _few_enough(frame_counts: Sequence[int]) -> int:
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
        if tx.members.first_feed_read(actor.key.id, now.date().isoformat()):
            tx.audit.append(now, actor, [LogEntry(Action.FEED_READ, "key", actor.key.id, {})])
    db.feed_read_on[actor.key.id] = now.date()


def note_position(db: HashDB, actor: Actor, seq: int) -> None:
    """Note that the reader has read up to an event."""
    if actor.key is not None:
        db.stats.note_feed_read(db.now(), actor.key.id, seq)


def _changed(db: HashDB, after: int) -> bool:
    with db.store.read() as tx:
        # A position past the head is a change too: the reader must start over.
        return tx.audit.head().seq < after or bool(tx.audit.since(after, 1, _FEED))


def _state(contribution: Contribution, logged: Status) -> Contribution | Gone:
    """The state of a contribution in the feed, by the status that was last logged, not the present one.

    An expiry or a suspension that is not logged yet reaches the reader with its own event.
    """
    if logged is Status.ACTIVE and contribution.standing.matches:
        if contribution.masked and not any(contribution.every_signal()):
            return Gone(contribution.id, "masked", None, contribution.standing, contribution.commitment)
        return contribution if contribution.status is logged else replace(contribution, status=logged)
    reason = contribution.withdrawal_reason if logged is Status.WITHDRAWN else None
    return Gone(contribution.id, str(contribution.standing if logged is Status.ACTIVE else logged), reason)


_EXCHANGED = (*_FEED, Action.OPINION_GIVEN)
"""The actions of events after which `exchange` returns the values of a contribution again."""


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
    """
    member = actor.require_member(Scope.MATCH)
    with db.store.read() as tx:
        holders = tx.matches.holders(
            {signal for signal, _ in drafts}, db.now(), matches.MATCHING, detailed=False, of_frames=False
        )
        if not (actor.has(Scope.FEED) or actor.has(Scope.AUDIT)):
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
    for id, draft in pairs:
        opinions.give(db, actor, id, draft, budget_spent=True)
    return len(pairs)


def _contribution(event: Event) -> int:
    """The contribution of an event on it, or on an opinion on it."""
    id = event.details.get("contribution", event.id)
    assert isinstance(id, int)
    return id


def _with_few_frames(tx: Transaction, events: Sequence[Event], now: datetime) -> Sequence[Event]:
    """The first of these events, as many as have videos with at most `FRAMES_A_REQUEST` frames together; at least 1."""
    ids = list(map(_contribution, events))
    contributions = tx.contributions.get(set(ids), now)
    return events[: _few_enough([contributions[id].frame_count if id in contributions else 0 for id in ids])]


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
    contributions, opinions = tx.contributions.get(ids, now, hidden=_HIDDEN), tx.opinions.current(ids)
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
            few = list(frame_counts)[: _few_enough(list(frame_counts.values()))]
            frames = tx.frames.get(few, suppressed=True)
            number_of |= {id: numbers.get(with_pdq(frames.get(id, ()))) for id in few}
            frame_counts = {id: count for id, count in frame_counts.items() if id not in number_of}
        # A benign entry suppresses a value in all contributions: those that are this video are found together.
        if same := {id for id in ids if number_of.get(id) == numbers[video]}:
            return same
    return set()


_TEST_BANK = "HASHDB_TEST"
_SHARED_BANK = "HASHDB_SHARED"
"""The bank of all other members together, for an actor that may not see who contributed."""
_OTHER_MEMBERS = -1
"""What stands for the member of this bank."""


def list_banks(db: HashDB, actor: Actor) -> Mapping[int, str]:
    """The names of HMA's banks, by member: each member has one, and so has the test item (member 0).

    For an actor that may not see who contributed, there are its own bank, and one for all other members together.
    """
    with db.read(actor, Scope.MATCH, Scope.CONTRIBUTE) as tx:
        every = bank_names(list(read_all(tx.members.page)), _TEST_BANK, _SHARED_BANK)
    if sees_members(actor):
        return {TEST_ID: _TEST_BANK, **every}
    own = {} if actor.member is None else {actor.member.id: every[actor.member.id]}
    return {**own, TEST_ID: _TEST_BANK, _OTHER_MEMBERS: _SHARED_BANK}


def require_own_bank(db: HashDB, actor: Actor, bank: str) -> None:
    """Raise NotFound if there is no such bank, NotYours or BankOfMember if it is not the actor's."""
    member = find_bank(db, actor, bank)
    if member == _OTHER_MEMBERS:
        raise BankOfMember()
    if not actor.is_member(member):
        raise NotYours("the bank of member", member)


def find_bank(db: HashDB, actor: Actor, bank: str) -> int:
    """The member whose bank has this name, as `list_banks` has it. Raises NotFound."""
    for member, name in list_banks(db, actor).items():
        if name == bank:
            return member
    raise NotFound("a bank of this name")


def look_up(db: HashDB, actor: Actor, query: Query) -> tuple[BankHit, ...]:
    """What matches a query, nearest first, each with its bank."""
    (result,) = matches.match(db, actor, [query]).results
    if not result.matches:
        return ()
    banks, ids = list_banks(db, actor), [match.contribution for match in result.matches]
    with db.store.read() as tx:
        contributions = tx.contributions.get(ids, db.now(), hidden=_HIDDEN)
    members = {id: contribution.member for id, contribution in contributions.items()}
    return tuple(
        BankHit(banks.get(members.get(match.contribution, TEST_ID), _SHARED_BANK), match) for match in result.matches
    )


def content(db: HashDB, actor: Actor, bank: str | None, id: int) -> Contribution:
    """A contribution of this bank (None: of any), with the fields that the actor may see. Raises NotFound."""
    bank_member = None if bank is None else find_bank(db, actor, bank)
    contribution = contributions.get(db, actor, id)
    # The contribution has no member if the actor may not see who contributed it; the test item never has one.
    contributor = contribution.member if contribution.member or id == TEST_ID else _OTHER_MEMBERS
    if bank_member not in (None, contributor):
        raise NotFound(f"contribution {id} in this bank")
    return contribution


def remove(db: HashDB, actor: Actor, bank: str | None, id: int) -> Contribution:
    """Withdraw a contribution of the member's own; `bank` is as in `content`.

    Raises NotFound, NotYours, AlreadyWithdrawn.
    """
    if not actor.is_member(content(db, actor, bank, id).member):
        raise NotYours("contribution", id)
    return contributions.withdraw(db, actor, id, "other")
