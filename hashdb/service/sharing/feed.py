"""The feed of changes for members that match in a copy; ThreatExchange's updates and opinions; HMA's banks."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from hashdb.domain.accounts.members import Actor, Scope
from hashdb.domain.contributions import Contribution, Status
from hashdb.domain.ledger.events import Action, Event, LogEntry
from hashdb.domain.matching.matches import Query
from hashdb.domain.matching.suggestions import TEST_ID
from hashdb.domain.review.cases import OpinionDraft
from hashdb.domain.sharing.feed import (
    BankHit,
    Change,
    Changes,
    ExchangePage,
    ExchangeRecord,
    Gone,
    bank_names,
    matched_after,
)
from hashdb.domain.signals import Algorithm, Signal
from hashdb.errors import BankOfMember, Fault, FeedRestarted, NotFound, NotYours, TooManyAtOnce, reject
from hashdb.service import HashDB
from hashdb.service.accounts.limits import Places
from hashdb.service.accounts.members import all_members
from hashdb.service.contributions import contributions
from hashdb.service.contributions.sight import owns, sees_members
from hashdb.service.matching import matches
from hashdb.service.review import opinions
from hashdb.store import Transaction

_FEED = tuple(action for action in Action if action.changes_feed)
_HIDDEN = frozenset({"reference"})
WAITING = Places(each=2, all_keys=4)
"""Readers that wait in a process at the same time; the other threads stay free for matches."""
_POLL_SECONDS = 0.1


def read(db: HashDB, actor: Actor, after: int, limit: int, epoch: str | None = None) -> Changes:
    """At most `limit` changes after seq `after`; read from 0, they give the present state.

    Raises FeedRestarted if `epoch` or `after` are not of this log.
    """
    actor.require(Scope.FEED)
    log_feed_read(db, actor)
    with db.store.read() as tx:
        head = tx.audit.head()
        if after > head.seq or epoch not in (None, head.epoch):
            raise FeedRestarted(head.epoch)
        events = tx.audit.subjects(after, limit + 1, _FEED)
        page = events[:limit]
        ids = [id for _, id in page]
        contributions, logged = tx.contributions.get(ids, db.now(), hidden=_HIDDEN), tx.statuses.logged(ids)
        changes = tuple(Change(seq, _state(contributions[id], logged[id])) for seq, id in page)
    more = len(events) > limit
    checkpoint = page[-1][0] if more else head.seq
    note_position(db, actor, checkpoint)
    return Changes(changes, checkpoint, more, head.epoch)


def wait(db: HashDB, actor: Actor, after: int, seconds: float) -> bool:
    """Wait for a change after seq `after`, for at most `seconds`; return whether the reader had a place to wait.

    Two readers of a key and four in all may wait in a process; for others it returns False at once. It also returns
    when the process stops.
    """
    actor.require(Scope.FEED)
    try:
        with db.places.place(actor), WAITING.place(actor):
            until = time.monotonic() + seconds
            while not (_changed(db, after) or db.stopping()) and time.monotonic() < until:
                time.sleep(_POLL_SECONDS)
            return True
    except TooManyAtOnce:
        return False


def log_feed_read(db: HashDB, actor: Actor) -> None:
    """Log that a key reads the feed: one event for each key and day."""
    now = db.now()
    if actor.key is None or db.feed_read_on.get(actor.key.id) == now.date():
        return
    with db.store.begin() as tx:
        if tx.members.first_feed_read(actor.key.id, now.date().isoformat()):
            tx.audit.append(now, actor, [LogEntry(Action.FEED_READ, "key", actor.key.id, {})])
    db.feed_read_on[actor.key.id] = now.date()


def note_position(db: HashDB, actor: Actor, seq: int) -> None:
    """Note that the reader has read up to an event."""
    if actor.key is not None:
        db.stats.feed(db.now(), actor.key.id, seq)


def _changed(db: HashDB, after: int) -> bool:
    with db.store.read() as tx:
        # A cursor past the head is a change too: the reader must start over.
        return tx.audit.head().seq < after or bool(tx.audit.since(after, 1, _FEED))


def _state(contribution: Contribution, logged: Status) -> Contribution | Gone:
    """The state of a contribution in the feed, by the status that was last logged, not the present one.

    An expiry or a suspension reaches the reader by its own event.
    """
    if logged is Status.ACTIVE and contribution.standing.matches:
        if contribution.masked and not contribution.signals:
            return Gone(contribution.id, "masked")
        return contribution if contribution.status is logged else replace(contribution, status=logged)
    return Gone(contribution.id, str(contribution.standing if logged is Status.ACTIVE else logged))


_ALGORITHM = Algorithm.PDQ
"""The algorithm that the other systems know."""
_EXCHANGED = (*_FEED, Action.OPINION_GIVEN)


def head(db: HashDB, actor: Actor, before: datetime | None = None) -> int:
    """The seq of the last event, or of the last one before a time."""
    actor.require(Scope.FEED)
    with db.store.read() as tx:
        return tx.audit.head().seq if before is None else tx.audit.before(before)


def exchange(db: HashDB, actor: Actor, since: int, after: int, upto: int, limit: int) -> ExchangePage:
    """What changes between events `after` and `upto` for a reader that has read up to event `since`.

    About `limit` records; all signals of a contribution are on one page. Values that the reader never had are not
    reported as gone.
    """
    actor.require(Scope.FEED)
    log_feed_read(db, actor)
    with db.store.read() as tx:
        events = tx.audit.since(after, limit + 1, _EXCHANGED)
        # Erased contributions still have their signals here until they are purged.
        signals = tx.contributions.signals({_contribution(event) for event in events})
        held = {id: [signal for signal in group if signal.algorithm is _ALGORITHM] for id, group in signals.items()}
        page = _page([event for event in events if event.seq <= upto], held, limit)
        more = bool(page) and len(page) < len(events) and events[len(page)].seq <= upto
        latest = {signal: event for event in page for signal in held.get(_contribution(event), ())}
        ids = {id for event in page if (id := _contribution(event)) in held}
        matched_before = (
            {id for id, actions in tx.audit.actions(ids, since).items() if matched_after(actions)} if since else ()
        )
        before = {signal for id in matched_before for signal in held[id]}
        records = _records(tx, latest, db.now())
    shown = (record for record in records if not record.gone or record.signal in before)
    seq = page[-1].seq if more else max(after, upto)
    note_position(db, actor, seq)
    return ExchangePage(tuple(sorted(shown, key=lambda record: record.seq)), seq, more)


def judge(db: HashDB, actor: Actor, drafts: Sequence[tuple[Signal, OpinionDraft]], at: str) -> int:
    """Give opinions by value: on each contribution of others that holds it, matches, and is visible to the actor.

    Returns how many opinions were given. Raises InvalidInput, at `at[i]`, if a value has no such contribution, and
    LimitReached, before any is given.
    """
    member = actor.require_member(Scope.MATCH)
    with db.store.read() as tx:
        holders = tx.matches.holders({signal for signal, _ in drafts}, db.now(), matches.MATCHING)
        if not (actor.has(Scope.FEED) or actor.has(Scope.AUDIT)):
            answered = tx.hits.answered(member.id, {holder.contribution for holder in holders})
            holders = [holder for holder in holders if holder.contribution in answered]
    others: dict[Signal, set[int]] = defaultdict(set)
    for holder in holders:
        if holder.member != member.id:
            others[holder.signal].add(holder.contribution)
    reject(
        Fault(f"{at}[{i}]", "no other member contributes it, or it was not answered to you")
        for i, (signal, _) in enumerate(drafts)
        if not others[signal]
    )
    pairs = [(id, draft) for signal, draft in drafts for id in sorted(others[signal])]
    opinions.spend(db, actor, [draft for _, draft in pairs])
    for id, draft in pairs:
        opinions.give(db, actor, id, draft, counted=True)
    return len(pairs)


def _contribution(event: Event) -> int:
    id = event.details.get("contribution", event.id)
    assert isinstance(id, int)
    return id


def _page(events: Sequence[Event], held: Mapping[int, Sequence[Signal]], limit: int) -> Sequence[Event]:
    """The first events that have about `limit` signals."""
    count = 0
    for position, event in enumerate(events[:limit], 1):
        count += len(held.get(_contribution(event), ()))
        if count >= limit:
            return events[:position]
    return events[:limit]


def _records(tx: Transaction, latest: Mapping[Signal, Event], now: datetime) -> list[ExchangeRecord]:
    """A record of each value: its active contributions and the opinions on them that count."""
    by_signal: dict[Signal, list[int]] = defaultdict(list)
    for holder in tx.matches.holders(latest, now, matches.MATCHING):
        by_signal[holder.signal].append(holder.contribution)
    ids = {id for group in by_signal.values() for id in group}
    contributions, opinions = tx.contributions.get(ids, now, hidden=_HIDDEN), tx.opinions.of(ids)
    return [
        ExchangeRecord(
            event.seq,
            event.at,
            signal,
            tuple(contributions[id] for id in sorted(by_signal[signal])),
            tuple(each for id in sorted(by_signal[signal]) for each in opinions.get(id, ()) if each.counts),
        )
        for signal, event in latest.items()
    ]


_TEST_BANK = "HASHDB_TEST"
_SHARED, _SHARED_BANK = -1, "HASHDB_SHARED"
"""The bank of all other members together, for an actor that may not see who contributed."""


def list_banks(db: HashDB, actor: Actor) -> Mapping[int, str]:
    """The names of the banks, by member; the member of the test item's bank is 0.

    An actor that may not see who contributed has its own bank, and one for all other members together.
    """
    actor.require(Scope.MATCH, Scope.CONTRIBUTE)
    with db.store.read() as tx:
        every = bank_names(list(all_members(tx)), _TEST_BANK, _SHARED_BANK)
    if sees_members(actor):
        return {TEST_ID: _TEST_BANK, **every}
    own = {} if actor.member is None else {actor.member.id: every[actor.member.id]}
    return {**own, TEST_ID: _TEST_BANK, _SHARED: _SHARED_BANK}


def own(db: HashDB, actor: Actor, bank: str) -> None:
    """Raise NotFound if there is no such bank, NotYours or BankOfMember if it is not the actor's."""
    member = find_bank(db, actor, bank)
    if member == _SHARED:
        raise BankOfMember()
    if actor.member is None or actor.member.id != member:
        raise NotYours("the bank of member", member)


def find_bank(db: HashDB, actor: Actor, bank: str) -> int:
    """The key of `names` that has this bank. Raises NotFound."""
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


def content(db: HashDB, actor: Actor, bank: str, id: int) -> Contribution:
    """A contribution of this bank, with the fields that the actor may see. Raises NotFound."""
    member = find_bank(db, actor, bank)
    contribution = contributions.get(db, actor, id)
    if (contribution.member if contribution.member or id == TEST_ID else _SHARED) != member:
        raise NotFound(f"contribution {id} in this bank")
    return contribution


def remove(db: HashDB, actor: Actor, bank: str, id: int) -> Contribution:
    """Withdraw a contribution of the member's own bank. Raises NotFound, NotYours, AlreadyWithdrawn."""
    if not owns(actor, content(db, actor, bank, id)):
        raise NotYours("contribution", id)
    return contributions.withdraw(db, actor, id, "other")
