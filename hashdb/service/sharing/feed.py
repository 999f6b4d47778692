"""The feed: what changed in the set of active contributions, for matching at the member's side."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from hashdb.domain.accounts.members import Actor, Member, Scope
from hashdb.domain.contributions import Contribution, Standing, Status
from hashdb.domain.ledger.events import Action, Entry, Event
from hashdb.domain.matching.matches import Query
from hashdb.domain.matching.suggestions import TEST_ID
from hashdb.domain.review.cases import OpinionDraft
from hashdb.domain.sharing.feed import BankHit, Change, Changes, ExchangePage, ExchangeRecord, Gone, bank_names, matched
from hashdb.domain.signals import Algorithm, Signal
from hashdb.errors import BankOfMember, Fault, FeedRestarted, InvalidInput, NotFound, NotYours, TooManyAtOnce
from hashdb.service import HashDB
from hashdb.service.accounts.limits import Places
from hashdb.service.contributions import contributions
from hashdb.service.contributions.sight import owns, told_members
from hashdb.service.matching import matches
from hashdb.service.review import opinions
from hashdb.store import Transaction

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


_ALGORITHM = Algorithm.PDQ
"""The one that the other systems know."""
_TOLD = (*(action for action in Action if action.changes_feed), Action.OPINION_GIVEN)
_MATCHING = tuple(standing for standing in Standing if standing.matches)


def head(db: HashDB, actor: Actor, before: datetime | None = None) -> int:
    """The number of the last event, or of the last one before an instant."""
    actor.require(Scope.FEED)
    with db.store.read() as tx:
        return tx.audit.head().seq if before is None else tx.audit.before(before)


def exchange(db: HashDB, actor: Actor, since: int, after: int, upto: int, limit: int) -> ExchangePage:
    """What changes between events `after` and `upto` for a reader that was level with event `since`.

    About `limit` records; one contribution is never divided. What the reader never had, it is not told to drop.
    """
    actor.require(Scope.FEED)
    note(db, actor)
    with db.store.read() as tx:
        events = tx.audit.since(after, limit + 1, _TOLD)
        ids = {_contribution(event) for event in events}
        held = {id: [one for one in group if one.algorithm is _ALGORITHM] for id, group in _signals(tx, ids).items()}
        page = _page([event for event in events if event.seq <= upto], held, limit)
        more = bool(page) and len(page) < len(events) and events[len(page)].seq <= upto
        latest = {signal: event for event in page for signal in held.get(_contribution(event), ())}
        had = _had(tx, {id for event in page if (id := _contribution(event)) in held}, since)
        before = {signal for id in had for signal in held[id]}
        records = _records(tx, latest, db.now())
    told = sorted((one for one in records if not one.gone or one.signal in before), key=lambda one: one.seq)
    level = page[-1].seq if more else max(after, upto)
    fed(db, actor, level)
    return ExchangePage(tuple(told), level, more)


def judge(db: HashDB, actor: Actor, said: Sequence[tuple[Signal, OpinionDraft]], at: str) -> int:
    """Give an opinion on every contribution of others that matches by a value and is seen; return how many there were.

    Raises InvalidInput, at `at[i]`, where there is none, and LimitReached, before any is given.
    """
    member = actor.require_member(Scope.MATCH)
    with db.store.read() as tx:
        holders = tx.matches.holders({signal for signal, _ in said}, db.now(), _MATCHING)
        if not (actor.has(Scope.FEED) or actor.has(Scope.AUDIT)):
            answered = tx.hits.answered(member.id, {holder.contribution for holder in holders})
            holders = [holder for holder in holders if holder.contribution in answered]
    others: dict[Signal, set[int]] = defaultdict(set)
    for holder in holders:
        if holder.member != member.id:
            others[holder.signal].add(holder.contribution)
    faults = [
        Fault(f"{at}[{i}]", "no other member contributes it, or it was not answered to you")
        for i, (one, _) in enumerate(said)
        if not others[one]
    ]
    if faults:
        raise InvalidInput(tuple(faults))
    pairs = [(id, draft) for signal, draft in said for id in sorted(others[signal])]
    opinions.spend(db, actor, [draft for _, draft in pairs])
    for id, draft in pairs:
        opinions.give(db, actor, id, draft, counted=True)
    return len(pairs)


def _contribution(event: Event) -> int:
    told = event.details.get("contribution", event.id)
    assert isinstance(told, int)
    return told


def _signals(tx: Transaction, ids: Collection[int]) -> Mapping[int, Sequence[Signal]]:
    """The signals of contributions, with those that are kept of erased ones."""
    return tx.contributions.signals(ids)


def _page(events: Sequence[Event], held: Mapping[int, Sequence[Signal]], limit: int) -> Sequence[Event]:
    """As many of the events, in order, as have about `limit` signals."""
    count = 0
    for position, event in enumerate(events[:limit], 1):
        count += len(held.get(_contribution(event), ()))
        if count >= limit:
            return events[:position]
    return events[:limit]


def _had(tx: Transaction, ids: Collection[int], since: int) -> set[int]:
    """Those of the contributions that matched at event `since`."""
    return {id for id, actions in tx.audit.actions(ids, since).items() if matched(actions)} if since else set()


def _records(tx: Transaction, latest: Mapping[Signal, Event], now: datetime) -> list[ExchangeRecord]:
    """What there is now of each value."""
    by_signal: dict[Signal, list[int]] = defaultdict(list)
    for holder in tx.matches.holders(latest, now, _MATCHING):
        by_signal[holder.signal].append(holder.contribution)
    ids = {id for group in by_signal.values() for id in group}
    found: Mapping[int, Contribution] = tx.contributions.get(ids, now, hidden=_HIDDEN)
    said = tx.opinions.of(ids)
    return [
        ExchangeRecord(
            event.seq,
            event.at,
            signal,
            tuple(found[id] for id in sorted(by_signal[signal])),
            tuple(one for id in sorted(by_signal[signal]) for one in said.get(id, ()) if one.counts),
        )
        for signal, event in latest.items()
    ]


_MANY = 1_000
_TEST_BANK = "HASHDB_TEST"
_SHARED, _SHARED_BANK = -1, "HASHDB_SHARED"
"""To who is not told which member contributed: the bank of all other members together."""


def names(db: HashDB, actor: Actor) -> Mapping[int, str]:
    """The banks, by member, and the test item's, whose member is 0.

    An actor that is not told which member contributed has its own bank, and one for all that others contribute.
    """
    actor.require(Scope.MATCH, Scope.CONTRIBUTE)
    found: list[Member] = []
    with db.store.read() as tx:
        while page := tx.members.page(found[-1].id if found else 0, _MANY):
            found += page
    every = bank_names(found, _TEST_BANK, _SHARED_BANK)
    if told_members(actor):
        return {TEST_ID: _TEST_BANK, **every}
    own = {} if actor.member is None else {actor.member.id: every[actor.member.id]}
    return {**own, TEST_ID: _TEST_BANK, _SHARED: _SHARED_BANK}


def own(db: HashDB, actor: Actor, bank: str) -> None:
    """Raise NotFound where there is no such bank, NotYours or BankOfMember where it is not the actor's."""
    member = find(db, actor, bank)
    if member == _SHARED:
        raise BankOfMember()
    if actor.member is None or actor.member.id != member:
        raise NotYours("the bank of member", member)


def find(db: HashDB, actor: Actor, bank: str) -> int:
    """The member whose bank it is, by the number that `names` has. Raises NotFound."""
    found = next((member for member, name in names(db, actor).items() if name == bank), None)
    if found is None:
        raise NotFound("a bank of this name")
    return found


def look_up(db: HashDB, actor: Actor, query: Query) -> tuple[BankHit, ...]:
    """What matches a query, nearest first, each with its bank."""
    (result,) = matches.match(db, actor, [query]).results
    if not result.matches:
        return ()
    banks, ids = names(db, actor), [match.contribution for match in result.matches]
    with db.store.read() as tx:
        found = tx.contributions.get(ids, db.now(), hidden=frozenset({"reference"}))
    members = {id: contribution.member for id, contribution in found.items()}
    return tuple(
        BankHit(banks.get(members.get(match.contribution, TEST_ID), _SHARED_BANK), match) for match in result.matches
    )


def content(db: HashDB, actor: Actor, bank: str, id: int) -> Contribution:
    """A contribution that is in this bank, as much of it as the actor may see. Raises NotFound."""
    member = find(db, actor, bank)
    found = contributions.get(db, actor, id)
    if (found.member if found.member or id == TEST_ID else _SHARED) != member:
        raise NotFound(f"contribution {id} in this bank")
    return found


def remove(db: HashDB, actor: Actor, bank: str, id: int) -> Contribution:
    """Withdraw what a member has in its bank. Raises NotFound, NotYours, AlreadyWithdrawn."""
    found = content(db, actor, bank, id)
    if not owns(actor, found):
        raise NotYours("contribution", id)
    return contributions.withdraw(db, actor, id, "other")
