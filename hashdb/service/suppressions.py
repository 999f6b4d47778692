"""Suppressions: signals of contributions that are near a benign one stop matching, entry by entry, resumably."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import groupby

import numpy as np

from hashdb.domain.audit import Action, Details, Entry
from hashdb.domain.members import SYSTEM, Actor
from hashdb.domain.signals import Algorithm, Signal
from hashdb.index.words import from_octets, pack, to_octets
from hashdb.service import HashDB
from hashdb.service.intake import append, with_intake
from hashdb.service.views import IntakeRules
from hashdb.store import Transaction
from hashdb.store.benign import Near, Unsettled
from hashdb.store.suppressions import Held

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


def within_reach(db: HashDB, tx: Transaction, near: Collection[Near]) -> set[Signal]:
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


def _kind(near: Near) -> tuple[Algorithm, int]:
    return near.signal.algorithm, near.radius


def _each(held: Sequence[Held]) -> Iterator[tuple[int, int]]:
    """Each contribution, and how many of these signals are its."""
    for id, group in groupby(held, key=lambda one: one.contribution):
        yield id, len(list(group))


def _amended(id: int, entry: Unsettled, what: str, count: int) -> Entry:
    details: Details = {"fields": ["signals"], "benign": entry.id, what: count}
    return Entry(Action.CONTRIBUTION_AMENDED, "contribution", id, details)
