"""The benign list: what is never accepted and never matched."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import groupby

import numpy as np

from hashdb.domain.accounts.members import SYSTEM, Actor, Scope
from hashdb.domain.ledger.events import Action, Details, Entry
from hashdb.domain.matching.benign import Benign, BenignDraft, BenignEffect, BenignFilter
from hashdb.domain.review.incidents import Proposal, ProposedChange, TwoPersonAction
from hashdb.domain.signals import Algorithm, Signal
from hashdb.errors import InvalidInput
from hashdb.index.vectors import from_octets, pack, to_octets
from hashdb.service import HashDB
from hashdb.service.contributions.intake import append, with_intake
from hashdb.service.review.proposals import second
from hashdb.service.views import IntakeRules
from hashdb.store import Transaction
from hashdb.store.matching.benign import BenignBall, HeldSignal, Unsettled


def page(db: HashDB, actor: Actor, after: int, limit: int, chosen: BenignFilter | None = None) -> tuple[Benign, ...]:
    """At most `limit` entries with ids above `after` that the filter lets through, in order."""
    actor.require(Scope.AUDIT)
    with db.store.read() as tx:
        return tx.benign.page(after, limit, chosen)


def get(db: HashDB, actor: Actor, id: int) -> Benign:
    """One entry. Raises NotFound."""
    actor.require(Scope.AUDIT)
    with db.store.read() as tx:
        return tx.benign.one(id)


def effect(db: HashDB, actor: Actor, draft: BenignDraft) -> BenignEffect:
    """What an entry would keep from matching that matches now. Raises InvalidInput."""
    actor.require(Scope.AUDIT)
    if faults := tuple(db.rules.benign_faults(draft)):
        raise InvalidInput(faults)
    db.index.catch_up()
    with db.store.read() as tx:
        near = [BenignBall(0, signal, draft.radius_of(signal.algorithm)) for signal in draft.signals]
        touched = within_reach(db, tx, near)
        ids = tx.suppressions.holders(touched)
        lost, left = 0, set()
        for one in tx.suppressions.held(ids):
            if one.signal in touched:
                lost += 1
            else:
                left.add(one.contribution)
        return BenignEffect(lost, len(ids), tx.suppressions.members(ids), len(ids) - len(left))


def held_back(db: HashDB, actor: Actor, id: int) -> BenignEffect:
    """What an entry keeps from matching now: without it that matches again, unless another one is near it, too."""
    actor.require(Scope.AUDIT)
    with db.store.read() as tx:
        tx.benign.one(id)
        return BenignEffect(*tx.suppressions.of_entry(id), tx.suppressions.silenced(id))


def add(db: HashDB, actor: Actor, draft: BenignDraft) -> Benign | Proposal:
    """Accept and match nothing within the radius of these signals any more; an event for each contribution touched.

    When this returns an entry, no process matches what it touches. It may take two persons: of the first one's request
    a proposal is made, and answered. Raises InvalidInput, IndexNotReady.
    """
    actor.require(Scope.ADMIN)
    if faults := tuple(db.rules.benign_faults(draft)):
        raise InvalidInput(faults)
    # What the entry touches is searched for in the index: without it nothing is to be stored.
    db.index.catch_up()
    with db.store.begin() as tx:
        now = db.now()
        if waits := second(db, tx, actor, ProposedChange(TwoPersonAction.BENIGN, "benign", 0, _content(draft)), now):
            return waits
        added = tx.benign.add(draft, now)
        tx.audit.append(now, actor, [_added(added)])
    settle(db, actor)
    return get(db, actor, added.id)


def delete(db: HashDB, actor: Actor, id: int) -> None:
    """Take an entry away: what it alone kept from matching matches again. Raises NotFound, IndexNotReady."""
    actor.require(Scope.ADMIN)
    db.index.catch_up()
    with db.store.begin() as tx:
        _delete(db, tx, actor, id)
    settle(db, actor)


def spared(db: HashDB, signals: Sequence[Signal], own: int) -> tuple[Signal, ...]:
    """The signals of a picture without those variants that are close to a benign one; the first `own` are no variants.

    Of the picture's own the contributor is to be told.
    """
    touched = db.intake.rules().touched(signals[own:])
    return (*signals[:own], *(one for one in signals[own:] if one not in touched))


def start(db: HashDB, drafts: Sequence[BenignDraft]) -> None:
    """Have the entries that come with hashdb in the list: new ones added, those that differ replaced.

    What somebody deleted stays so. Contributions that are there already go by them once they are settled.
    """
    with db.store.read() as tx:
        if not _differing(tx, drafts):
            return
    with db.store.begin() as tx:
        tx.audit.hold()
        now = db.now()
        for draft, old in _differing(tx, drafts):
            if old is not None:
                _delete(db, tx, SYSTEM, old)
            tx.audit.append(now, SYSTEM, [_added(tx.benign.add(draft, now))])


def _differing(tx: Transaction, drafts: Sequence[BenignDraft]) -> list[tuple[BenignDraft, int | None]]:
    """The drafts that are not in the list as they are, and what of their names is."""
    known = tx.benign.built_in()
    found: list[tuple[BenignDraft, int | None]] = []
    for draft in drafts:
        id, deleted = known.get(draft.built_in or "", (None, False))
        if id is None:
            found.append((draft, None))
        elif not deleted:
            held = {(one.signal, one.radius) for one in tx.benign.signals(id)}
            if held != {(signal, draft.radius_of(signal.algorithm)) for signal in draft.signals}:
                found.append((draft, id))
    return found


def _delete(db: HashDB, tx: Transaction, actor: Actor, id: int) -> None:
    now = db.now()
    tx.benign.delete(id, now)
    tx.audit.append(now, actor, [Entry(Action.BENIGN_DELETED, "benign", id, {})])


def _content(draft: BenignDraft) -> dict[str, object]:
    """What is asked, as it is asked over HTTP."""
    radius = {str(algorithm): bits for algorithm, bits in draft.radius.items()}
    return {"signals": [str(signal) for signal in draft.signals], "radius": radius, "note": draft.note}


def _added(benign: Benign) -> Entry:
    details: Details = {
        "algorithms": sorted({str(signal.algorithm) for signal in benign.signals}),
        "signals": len(benign.signals),
        "built_in": benign.built_in,
    }
    return Entry(Action.BENIGN_ADDED, "benign", benign.id, details)


_BATCH = 500
"""Contributions that one transaction sees to."""


def settle(db: HashDB, actor: Actor = SYSTEM) -> int:
    """Apply the changes of the benign list to the contributions; how many entries changed.

    An event for each contribution whose signals change. Interrupted, it goes on where it was; any number of processes
    may do it at a time.
    """
    with db.store.read() as tx:
        entries = tx.benign.unsettled()
    for entry in entries:
        (_restore if entry.deleted else _suppress)(db, actor, entry)
        with db.store.begin() as tx:
            tx.benign.settle(entry)
    return len(entries)


def _suppress(db: HashDB, actor: Actor, entry: Unsettled) -> None:
    # Level, the index has every contribution that was not held against this entry when it came.
    db.index.catch_up()
    with db.store.read() as tx:
        touched = within_reach(db, tx, tx.benign.signals(entry.id))
        ids = tx.suppressions.holders(touched)
    for start in range(0, len(ids), _BATCH):
        with db.store.begin() as tx:
            held = [one for one in tx.suppressions.matching(ids[start : start + _BATCH]) if one.signal in touched]
            tx.suppressions.suppress(held, entry.id)
            tx.audit.append(db.now(), actor, [_amended(id, entry, "masked", of) for id, of in _each(held)])


def _restore(db: HashDB, actor: Actor, entry: Unsettled) -> None:
    while with_intake(db, lambda rules, seq: _restore_some(db, actor, entry, rules, seq)):
        pass


def _restore_some(db: HashDB, actor: Actor, entry: Unsettled, rules: IntakeRules, seq: int) -> bool:
    """Put back what an entry masked and no other touches, of some contributions; whether there were any."""
    with db.store.begin() as tx:
        held = tx.suppressions.suppressed(entry.id, _BATCH)
        others = rules.touched({one.signal for one in held})
        free = [one for one in held if one.signal not in others]
        tx.suppressions.restore(free)
        for other in set(others.values()):
            tx.suppressions.assign((one for one in held if others.get(one.signal) == other), other)
        entries = [_amended(id, entry, "unmasked", of) for id, of in _each(free)]
        append(tx, db.now(), actor, entries, seq)
    return bool(held)


def within_reach(db: HashDB, tx: Transaction, near: Collection[BenignBall]) -> set[Signal]:
    """The stored signals that lie within the radius of any of these."""
    found: set[Signal] = set()
    by_kind = sorted(near, key=_kind)
    for (algorithm, radius), group in groupby(by_kind, key=_kind):
        values = [one.signal.value for one in group]
        if algorithm in db.rules.algorithms:
            answers = db.index.search(algorithm, values, radius)
            found.update(Signal(algorithm, neighbor.value) for answer in answers for neighbor in answer)
        else:
            found.update(_scanned(tx, algorithm, values, radius))
    return found


def _scanned(tx: Transaction, algorithm: Algorithm, values: Sequence[int], radius: int) -> Iterator[Signal]:
    """The same of an algorithm that is not enabled, and has no index: what there is was stored before."""
    asked = pack(values, algorithm.bits)
    for part in tx.matches.every(algorithm):
        words = from_octets(part, algorithm.bits)
        near = np.zeros(len(words), bool)
        for one in asked:
            near |= np.bitwise_count(words ^ one).sum(axis=1, dtype=np.uint16) <= radius
        yield from (Signal.from_bytes(algorithm, octets) for octets in to_octets(words[near]))


def _kind(near: BenignBall) -> tuple[Algorithm, int]:
    return near.signal.algorithm, near.radius


def _each(held: Sequence[HeldSignal]) -> Iterator[tuple[int, int]]:
    """Each contribution, and how many of these signals are its."""
    for id, group in groupby(held, key=lambda one: one.contribution):
        yield id, len(list(group))


def _amended(id: int, entry: Unsettled, what: str, count: int) -> Entry:
    details: Details = {"fields": ["signals"], "benign": entry.id, what: count}
    return Entry(Action.CONTRIBUTION_AMENDED, "contribution", id, details)
