"""Neighbors: what is near to a contribution, or to something that was only asked about."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby, product

from hashdb.domain.accounts.members import SYSTEM, Actor, Scope
from hashdb.domain.contributions import Contribution
from hashdb.domain.ledger.events import Details
from hashdb.domain.matching.benign import Benign, usual_radius
from hashdb.domain.matching.matches import WINDOW, NearBenign, NearContribution, Query, reach
from hashdb.domain.review.cases import Cause
from hashdb.domain.signals import Algorithm, Signal
from hashdb.errors import Fault, InvalidInput
from hashdb.service import HashDB
from hashdb.service.contributions.sight import shown
from hashdb.service.review.cases import hold
from hashdb.store import Transaction

VALUES = 200
"""Values near to one signal that are looked into, the nearest."""
_EACH = 50
"""Contributions of one value that are read: popular ones have thousands."""

Sides = Mapping[str, Sequence[Signal]]
"""Signals by the name of a transform; of the thing itself it is empty."""


def list_near(db: HashDB, actor: Actor, contribution: int, limit: int) -> tuple[NearContribution, ...]:
    """What is within the default radius of a contribution, itself apart, the nearest first. Raises NotFound."""
    actor.require(Scope.AUDIT, Scope.REVIEW)
    db.index.catch_up()
    with db.store.read() as tx:
        found = tx.contributions.one(contribution, db.now())
        enabled = [one for one in found.signals if one.algorithm in db.rules.algorithms]
        near = _near(db, tx, {"": enabled}, {one: one.radius for one in Algorithm}, limit + 1)
    return tuple(_seen(actor, one) for one in near if one.contribution.id != contribution)[:limit]


def around(db: HashDB, actor: Actor, sides: Sides, limit: int) -> tuple[NearContribution, ...]:
    """What is within twice the default radius of signals or of any of their transforms, the nearest first.

    Nothing of what is asked is kept. Raises InvalidInput.
    """
    actor.require(Scope.AUDIT, Scope.REVIEW)
    faults = [
        Fault(f"signals[{place}]", reason)
        for place, one in enumerate(sides.get("", ()))
        if (reason := db.rules.algorithm_fault(one.algorithm))
    ]
    if faults:
        raise InvalidInput(tuple(faults))
    db.index.catch_up()
    with db.store.read() as tx:
        near = _near(db, tx, sides, {one: reach(one) for one in Algorithm}, limit)
    return tuple(_seen(actor, one) for one in near)


def benign(db: HashDB, actor: Actor, asked: Sequence[Signal]) -> tuple[NearBenign, ...]:
    """For each algorithm that was asked, the benign signal that is nearest against its radius."""
    actor.require(Scope.AUDIT, Scope.REVIEW)
    nearest: dict[Algorithm, NearBenign] = {}
    for entry in _entries(db):
        for signal, one in product(entry.signals, asked):
            if signal.algorithm is one.algorithm:
                radius = entry.radius.get(signal.algorithm, usual_radius(signal.algorithm))
                name = entry.note or entry.built_in or f"entry {entry.id}"
                this = NearBenign(entry.id, name, signal.algorithm, signal.distance(one), radius)
                best = nearest.get(signal.algorithm)
                if best is None or this.distance - this.radius < best.distance - best.radius:
                    nearest[signal.algorithm] = this
    return tuple(nearest[one] for one in Algorithm if one in nearest)


def _entries(db: HashDB) -> Iterator[Benign]:
    after = 0
    with db.store.read() as tx:
        while page := tx.benign.page(after, 1_000):
            yield from page
            after = page[-1].id


def _seen(actor: Actor, near: NearContribution) -> NearContribution:
    return replace(near, contribution=shown(actor, near.contribution))


def _near(
    db: HashDB, tx: Transaction, sides: Sides, radii: Mapping[Algorithm, int], limit: int
) -> list[NearContribution]:
    asked = [(name, signal) for name, signals in sides.items() for signal in signals]
    nearest = _nearest(db, asked, radii)
    held = tx.neighbors.holding(nearest, _EACH)
    ids = sorted(held, key=lambda id: (min(nearest[one][0] / one.algorithm.radius for one in held[id]), id))
    read = tx.contributions.get(ids[:limit], db.now())
    decisive = Query(tuple(sides.get("", ()))).decisive
    near = (_spelled(read[id], held[id], nearest, decisive) for id in ids[:limit] if id in read)
    return sorted(near, key=lambda one: one.rank)


def _nearest(
    db: HashDB, asked: Iterable[tuple[str, Signal]], radii: Mapping[Algorithm, int]
) -> dict[Signal, tuple[int, str, Signal]]:
    """Stored values near to what is asked: of each the distance, the transform and the signal that is nearest."""
    found: dict[Signal, tuple[int, str, Signal]] = {}
    in_order = sorted(asked, key=lambda one: one[1].algorithm)
    for algorithm, group in groupby(in_order, key=lambda one: one[1].algorithm):
        together = list(group)
        answers = db.index.search(algorithm, [signal.value for _, signal in together], radii[algorithm])
        for (name, signal), nearest in zip(together, answers, strict=True):
            for distance, value in nearest[:VALUES]:
                # The thing itself goes before its transforms, whose names are not empty.
                stored, this = Signal(algorithm, value), (distance, name, signal)
                found[stored] = min(found.get(stored, this), this)
    return found


def _spelled(
    contribution: Contribution,
    held: Iterable[Signal],
    nearest: Mapping[Signal, tuple[int, str, Signal]],
    decisive: Collection[Algorithm],
) -> NearContribution:
    best: dict[Algorithm, tuple[tuple[int, str, Signal], Signal]] = {}
    for stored in held:
        this = nearest[stored], stored
        best[stored.algorithm] = min(best.get(stored.algorithm, this), this)
    order = sorted(best, key=list(Algorithm).index)
    return NearContribution(
        contribution,
        {one: best[one][0][0] for one in order},
        {one: (best[one][0][2], best[one][1]) for one in order},
        {one: best[one][0][1] for one in order if best[one][0][1]},
        any(signal.algorithm in decisive for signal in contribution.signals),
    )


def guard(db: HashDB) -> int:
    """Quarantine contributions with more hits within an hour than `HASHDB_FLOOD_CAP`, with a case each; how many.

    By the hits that all processes have flushed. What a reviewer upheld within the last week is left alone.
    """
    cap = db.rules.flood_cap
    if cap is None:
        return 0
    with db.store.read() as tx:
        suspected = [flood.contribution for flood in tx.floods.over(cap, db.now())]
    if not suspected:
        return 0
    with db.store.begin() as tx:
        now = db.now()
        held = {id: tx.contributions.one(id, now, lock=True) for id in suspected}
        # Asked again, now that nobody else decides on them.
        figures: dict[int, Details] = {
            flood.contribution: {
                "hits": flood.hits,
                "cap": cap,
                "seconds": int(WINDOW.total_seconds()),
                "members": flood.members,
            }
            for flood in tx.floods.over(cap, now)
            if flood.contribution in held
        }
        found = [held[id] for id in figures]
        tx.audit.append(now, SYSTEM, hold(tx, db.rules, found, Cause.FLOOD, now, figures))
    return len(found)
