"""The benign list: signals near which nothing is accepted and nothing matches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any

import numpy as np

from hashdb.domain.accounts.members import SYSTEM, Actor, Scope
from hashdb.domain.ledger.events import Action, Details, LogEntry
from hashdb.domain.listings import Paged, Place
from hashdb.domain.matching.benign import BenignDraft, BenignEntry, BenignFilter, BenignImpact, BenignSort
from hashdb.domain.review.proposals import Proposal, ProposedChange, TwoPersonAction
from hashdb.domain.signals import Algorithm, Signal
from hashdb.errors import reject
from hashdb.index.vectors import from_octets, pack, to_octets
from hashdb.service import HashDB
from hashdb.service.contributions.intake import append_checked, with_intake
from hashdb.service.review.proposals import require_second_person
from hashdb.service.views import IntakeRules
from hashdb.store import Transaction
from hashdb.store.matching.benign import BenignSignal, PlacedSignal, UnappliedEntry


def page(db: HashDB, actor: Actor, after: int, limit: int) -> tuple[BenignEntry, ...]:
    """At most `limit` entries with ids above `after`, in order."""
    with db.read(actor, Scope.AUDIT) as tx:
        return tx.benign.page(after, limit)


def listed(
    db: HashDB, actor: Actor, chosen: BenignFilter, sort: BenignSort, place: Place, limit: int, *, descending: bool
) -> Paged[BenignEntry]:
    """A page of the entries that pass the filter, in an order, with the total."""
    with db.read(actor, Scope.AUDIT) as tx:
        return tx.benign.listed(chosen, sort, place, limit, descending=descending)


def get(db: HashDB, actor: Actor, id: int) -> BenignEntry:
    """One entry. Raises NotFound."""
    with db.read(actor, Scope.AUDIT) as tx:
        return tx.benign.one(id)


def impact(db: HashDB, actor: Actor, draft: BenignDraft) -> BenignImpact:
    """What an entry would suppress of what matches now. Raises InvalidInput."""
    actor.require(Scope.AUDIT)
    reject(db.rules.benign_faults(draft))
    db.index.catch_up()
    with db.store.read() as tx:
        benign_signals = [BenignSignal(0, signal, draft.radius_of(signal.algorithm)) for signal in draft.signals]
        touched = _within_reach(db, tx, benign_signals)
        ids = tx.suppressions.contributions_with(touched)
        lost = Counter(held.contribution for held in tx.suppressions.unsuppressed(ids, touched))
        # Contributions of which the entry would suppress every signal that matches.
        silenced = sum(1 for id, number in tx.suppressions.count_unsuppressed(ids).items() if number == lost[id])
        contributors = set(tx.contributions.contributors(ids).values())
        return BenignImpact(lost.total(), len(ids), members=len(contributors), silenced=silenced)


def suppressed_by(db: HashDB, actor: Actor, id: int) -> BenignImpact:
    """What an entry suppresses now, and what would match again without it unless another entry is near it, too.

    Raises NotFound.
    """
    with db.read(actor, Scope.AUDIT) as tx:
        tx.benign.one(id)
        return tx.suppressions.impact(id)


def add(db: HashDB, actor: Actor, draft: BenignDraft) -> BenignEntry | Proposal:
    """Add an entry: nothing within the radius of its signals is accepted or matched from now on.

    Each contribution that changes is logged. When this returns an entry, no process matches what is within its radius.
    If two persons are required, the first one's request returns a proposal. Raises InvalidInput, IndexNotReady.
    """
    actor.require(Scope.ADMIN)
    reject(db.rules.benign_faults(draft))
    # `settle` needs the index to find the signals near the entry: without it, store nothing.
    db.index.catch_up()
    with db.store.begin() as tx:
        added = add_within(db, tx, actor, draft)
    if isinstance(added, Proposal):
        return added
    settle(db, actor)
    return get(db, actor, added.id)


def add_within(db: HashDB, tx: Transaction, actor: Actor, draft: BenignDraft) -> BenignEntry | Proposal:
    """Add an entry within a transaction, as `add` does; `settle` applies it afterwards."""
    now = db.now()
    if proposal := require_second_person(db, tx, actor, change_of(draft), now):
        return proposal
    added = tx.benign.add(draft, now)
    tx.audit.append(now, actor, [_added_entry(added)])
    return added


def change_of(draft: BenignDraft) -> ProposedChange:
    """The change that a proposal to add this entry asks for; the entry has no id yet."""
    return ProposedChange(TwoPersonAction.BENIGN, "benign", 0, _content(draft))


def delete(db: HashDB, actor: Actor, id: int) -> None:
    """Delete an entry: what it alone suppressed matches again. Raises NotFound, IndexNotReady."""
    actor.require(Scope.ADMIN)
    db.index.catch_up()
    with db.store.begin() as tx:
        delete_within(db, tx, actor, id)
    settle(db, actor)


def without_benign_variants(db: HashDB, signals: Sequence[Signal], own: int) -> tuple[Signal, ...]:
    """The signals of a picture without the variants that are close to a benign signal.

    The first `own` signals are the picture's own, the others its variants. The picture's own signals stay, so that the
    check at intake reports them to the contributor.
    """
    benign = db.intake_rules().close_to_benign(signals[own:])
    return (*signals[:own], *(signal for signal in signals[own:] if signal not in benign))


def add_built_in(db: HashDB, drafts: Sequence[BenignDraft]) -> None:
    """Add the entries that come with hashdb to the list, and replace those that differ.

    An entry that an administrator deleted stays deleted. `settle` applies the entries to existing contributions.
    """
    with db.store.read() as tx:
        if not _changed_drafts(tx, drafts):
            return
    with db.store.begin() as tx:
        tx.audit.lock()
        now = db.now()
        for draft, old in _changed_drafts(tx, drafts):
            if old is not None:
                delete_within(db, tx, SYSTEM, old)
            tx.audit.append(now, SYSTEM, [_added_entry(tx.benign.add(draft, now))])


def _changed_drafts(tx: Transaction, drafts: Sequence[BenignDraft]) -> list[tuple[BenignDraft, int | None]]:
    """The drafts that differ from the list, each with the id of the entry that it replaces (None: it is new)."""
    known = tx.benign.built_in()
    changed: list[tuple[BenignDraft, int | None]] = []
    for draft in drafts:
        id, deleted = known.get(draft.built_in or "", (None, False))
        if id is None:
            changed.append((draft, None))
        elif not deleted:
            stored = {(listed.signal, listed.radius) for listed in tx.benign.signals(id)}
            if stored != {(signal, draft.radius_of(signal.algorithm)) for signal in draft.signals}:
                changed.append((draft, id))
    return changed


def delete_within(db: HashDB, tx: Transaction, actor: Actor, id: int) -> None:
    """Delete an entry within a transaction, as `delete` does; `settle` applies it afterwards. Raises NotFound."""
    now = db.now()
    tx.benign.delete(id, now)
    tx.audit.append(now, actor, [LogEntry(Action.BENIGN_DELETED, "benign", id, {})])


def _content(draft: BenignDraft) -> dict[str, object]:
    """The draft as a proposal stores it, in JSON; `draft_from` reads it."""
    radius = {str(algorithm): bits for algorithm, bits in draft.radius.items()}
    return {"signals": [str(signal) for signal in draft.signals], "radius": radius, "note": draft.note}


def draft_from(content: Mapping[str, Any]) -> BenignDraft:
    """The draft that a proposal asks to add, from its content."""
    radius = {Algorithm(name): bits for name, bits in content["radius"].items()}
    return BenignDraft(tuple(map(Signal.parse, content["signals"])), radius, content["note"])


def _added_entry(benign: BenignEntry) -> LogEntry:
    details: Details = {
        "algorithms": sorted({str(signal.algorithm) for signal in benign.signals}),
        "signals": len(benign.signals),
        "built_in": benign.built_in,
    }
    return LogEntry(Action.BENIGN_ADDED, "benign", benign.id, details)


BATCH = 500
"""Contributions that one transaction updates."""


def settle(db: HashDB, actor: Actor = SYSTEM) -> int:
    """Apply the changes of the benign list to contributions; return how many entries had changed.

    Logs an event for each contribution whose signals change. After an interruption it resumes. Any number of processes
    may run it at the same time.
    """
    with db.store.read() as tx:
        entries = tx.benign.unsettled()
    for entry in entries:
        (_restore if entry.deleted else _suppress)(db, actor, entry)
        with db.store.begin() as tx:
            tx.benign.settle(entry)
    return len(entries)


def _suppress(db: HashDB, actor: Actor, entry: UnappliedEntry) -> None:
    """Suppress the signals within the radius of a new entry, unless it is deleted meanwhile."""
    # Once caught up, the index has every contribution that was not checked against this entry at its intake.
    db.index.catch_up()
    with db.store.read() as tx:
        touched = _within_reach(db, tx, tx.benign.signals(entry.id))
        ids = tx.suppressions.contributions_with(touched)
    for start in range(0, len(ids), BATCH):
        with db.store.begin() as tx:
            batch = ids[start : start + BATCH]
            tx.contributions.lock(batch)
            # With the log locked, the entry is not deleted before this ends, and so what this suppresses is restored.
            tx.audit.lock()
            if not tx.benign.existing([entry.id]):
                return
            placed = tx.suppressions.unsuppressed(batch, touched)
            tx.suppressions.suppress(placed, entry.id)
            tx.audit.append(db.now(), actor, _amended_entries(placed, entry, "masked"))


def _restore(db: HashDB, actor: Actor, entry: UnappliedEntry) -> None:
    """Restore the signals that a deleted entry suppressed."""
    while with_intake(db, lambda rules, seq: _restore_batch(db, actor, entry, rules, seq)):
        pass


def _restore_batch(db: HashDB, actor: Actor, entry: UnappliedEntry, rules: IntakeRules, seq: int) -> bool:
    """Restore, in some contributions, the signals that a deleted entry suppressed; return whether it found any.

    Signals that another entry is near, too, stay suppressed and are assigned to that entry.
    """
    with db.store.begin() as tx:
        placed = tx.suppressions.lock_suppressed(entry.id, BATCH)
        # With the log locked, no other entry is deleted before it has the signals that are assigned to it.
        tx.audit.lock()
        others = rules.close_to_benign({row.signal for row in placed})
        free = [row for row in placed if row.signal not in others]
        tx.suppressions.restore(free)
        for other in set(others.values()):
            tx.suppressions.assign((row for row in placed if others.get(row.signal) == other), other)
        append_checked(tx, db.now(), actor, _amended_entries(free, entry, "unmasked"), seq)
    return bool(placed)


def _within_reach(db: HashDB, tx: Transaction, benign_signals: Collection[BenignSignal]) -> set[Signal]:
    """The stored signals within the radius of any of these benign signals. Raises IndexNotReady."""
    touched: set[Signal] = set()
    ordered = sorted(benign_signals, key=_algorithm_and_radius)
    for (algorithm, radius), group in groupby(ordered, key=_algorithm_and_radius):
        values = [listed.signal.value for listed in group]
        if algorithm in db.rules.searched_algorithms:
            results = db.index.search(algorithm, values, radius)
            touched.update(Signal(algorithm, neighbor.value) for neighbors in results for neighbor in neighbors)
        else:
            touched.update(_scan(tx, algorithm, values, radius))
    return touched


def _scan(tx: Transaction, algorithm: Algorithm, values: Sequence[int], radius: int) -> Iterator[Signal]:
    """The stored signals within the radius of any value, of an algorithm that is no longer enabled: it has no index."""
    queries = pack(values, algorithm.bits)
    for part in tx.matches.all_values(algorithm):
        words = from_octets(part, algorithm.bits)
        near = np.zeros(len(words), bool)
        for query in queries:
            near |= np.bitwise_count(words ^ query).sum(axis=1, dtype=np.uint16) <= radius
        yield from (Signal.from_bytes(algorithm, octets) for octets in to_octets(words[near]))


def _algorithm_and_radius(listed: BenignSignal) -> tuple[Algorithm, int]:
    return listed.signal.algorithm, listed.radius


def _amended_entries(placed: Sequence[PlacedSignal], entry: UnappliedEntry, change: str) -> list[LogEntry]:
    """An event for each contribution, with the number of its signals that changed: `masked` or `unmasked`."""
    return [
        LogEntry(
            Action.CONTRIBUTION_AMENDED,
            "contribution",
            id,
            {"fields": ["signals"], "benign": entry.id, change: len(list(group))},
        )
        for id, group in groupby(placed, key=attrgetter("contribution"))
    ]
