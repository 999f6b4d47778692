"""Neighbors: contributions and benign entries near a contribution or near given signals; and the flood guard."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby, product
from operator import attrgetter
from typing import Final, NamedTuple

from hashdb.domain.accounts.members import SYSTEM, Actor, Scope
from hashdb.domain.contributions import Contribution
from hashdb.domain.frames import searched_frames
from hashdb.domain.ledger.events import Details
from hashdb.domain.listings import read_all
from hashdb.domain.matching.benign import default_radius
from hashdb.domain.matching.floods import FLOOD_WINDOW
from hashdb.domain.matching.frames import places_of
from hashdb.domain.matching.matches import Query, transform_radius
from hashdb.domain.matching.neighbors import NearBenign, NearContribution, neighbor_radius
from hashdb.domain.matching.verification import PreparedQuery, verify
from hashdb.domain.review.cases import Cause
from hashdb.domain.signals import PERCEPTUAL, Algorithm, Signal
from hashdb.domain.signatures import WHOLE, Signature
from hashdb.errors import Fault, reject
from hashdb.service import HashDB
from hashdb.service.contributions.sight import visible_fields
from hashdb.service.matching.alignments import MOST_HOLDERS, holder_of
from hashdb.service.review.cases import hold
from hashdb.store import Transaction

_MOST_VALUES = 200
"""The nearest values of one signal that are examined."""
_MOST_FRAMES = 500
"""Frames of an item whose neighbors are listed."""
_Signatures = Mapping[str, Sequence[Signature]]
"""The signatures of a picture by view: `whole`, or the name of a transform."""
SignalsByTransform = Mapping[str, Sequence[Signal]]
"""The signals of an item by the name of a transform, and those of the item itself by the name `UNALTERED`."""
UNALTERED: Final = ""


def list_near(db: HashDB, actor: Actor, contribution: int, limit: int) -> tuple[NearContribution, ...]:
    """The other contributions within the default radius of a contribution, nearest first. Raises NotFound.

    Of an item with frames, only frames that a match would search for are used: at most 500, evenly spread.
    """
    actor.require(Scope.AUDIT, Scope.REVIEW)
    db.index.catch_up()
    with db.store.read() as tx:
        item = tx.contributions.one(contribution, db.now())
        frames = searched_frames(tx.frames.get([contribution]).get(contribution, ()) if item.frame_count else ())
        of_frames = (signal for frame in frames[:: len(frames) // _MOST_FRAMES + 1] for signal in frame.signals)
        enabled = [signal for signal in (*item.signals, *of_frames) if db.rules.accepts(signal)]
        # One more than the limit: the contribution itself is among them.
        radii = {algorithm: algorithm.radius for algorithm in PERCEPTUAL}
        near = _find_near(db, tx, {UNALTERED: enabled}, radii, limit + 1)
    query = PreparedQuery({WHOLE: item.signals}, {WHOLE: item.signatures}) if item.signatures else None
    others = [neighbor for neighbor in near if neighbor.contribution.id != contribution]
    return _visible(actor, query, others[:limit])


def list_near_signals(
    db: HashDB, actor: Actor, by_transform: SignalsByTransform, limit: int, signatures: _Signatures
) -> tuple[NearContribution, ...]:
    """The contributions within `neighbor_radius` of signals or of any of their transforms, nearest first.

    With transforms or signatures, those within the default radius are verified. Nothing is kept. Raises InvalidInput.
    """
    actor.require(Scope.AUDIT, Scope.REVIEW)
    reject(
        Fault(f"signals[{place}]", reason)
        for place, signal in enumerate(by_transform.get(UNALTERED, ()))
        if (reason := db.rules.algorithm_fault(signal.algorithm))
    )
    db.index.catch_up()
    with db.store.read() as tx:
        radii = {algorithm: neighbor_radius(algorithm) for algorithm in PERCEPTUAL}
        near = _find_near(db, tx, by_transform, radii, limit)
        near = _with_places(tx, near)
    views = {name or WHOLE: signals for name, signals in by_transform.items()}
    query = PreparedQuery(views, signatures) if signatures or views.keys() != {WHOLE} else None
    return _visible(actor, query, near)


def _with_places(tx: Transaction, near: Sequence[NearContribution]) -> list[NearContribution]:
    """The contributions; those with frames have the places at which they show their nearest signals."""
    stored = {
        neighbor.contribution.id: [signal for _, signal in neighbor.pairs.values()]
        for neighbor in near
        if neighbor.contribution.frame_count
    }
    shots_by_signal = tx.matches.times(stored)

    def with_places(neighbor: NearContribution) -> NearContribution:
        item = neighbor.contribution
        if not item.frame_count:
            return neighbor
        holders = [holder_of(signal, item) for signal in stored[item.id]]
        return replace(neighbor, places=places_of(holders, shots_by_signal))

    return list(map(with_places, near))


def nearest_benign(db: HashDB, actor: Actor, signals: Sequence[Signal]) -> tuple[NearBenign, ...]:
    """For each algorithm of the signals, the benign signal that is furthest within its radius, or least beyond it."""
    actor.require(Scope.AUDIT, Scope.REVIEW)
    nearest: dict[Algorithm, NearBenign] = {}
    with db.store.read() as tx:
        entries = list(read_all(tx.benign.page))
    for entry in entries:
        for stored, signal in product(entry.signals, signals):
            if stored.algorithm is signal.algorithm:
                radius = entry.radius.get(stored.algorithm, default_radius(stored.algorithm))
                name = entry.note or entry.built_in or f"entry {entry.id}"
                near = NearBenign(entry.id, name, stored.algorithm, stored.distance(signal), radius)
                best = nearest.get(stored.algorithm)
                if best is None or near.distance - near.radius < best.distance - best.radius:
                    nearest[stored.algorithm] = near
    return tuple(nearest[algorithm] for algorithm in Algorithm if algorithm in nearest)


def _visible(
    actor: Actor, query: PreparedQuery | None, near: Sequence[NearContribution]
) -> tuple[NearContribution, ...]:
    """The contributions with the fields that the actor may see.

    Those within the default radius have the verdict on them, if the query has something to verify them by.
    """

    def visible(neighbor: NearContribution) -> NearContribution:
        item, verdict = neighbor.contribution, neighbor.verdict
        # `{}`: no radii but the default ones.
        pairs = {neighbor.pairs[algorithm][1]: neighbor.distance[algorithm] for algorithm in neighbor.within({})}
        if query is not None and pairs:
            # The nearest signals are among the item's own, or are of its frames; a dict keeps each once, in order.
            verdict = verify(query, dict.fromkeys((*item.signals, *pairs)), item.signatures, pairs)
        return replace(neighbor, contribution=visible_fields(actor, item), verdict=verdict)

    return tuple(map(visible, near))


def _find_near(
    db: HashDB, tx: Transaction, by_transform: SignalsByTransform, radii: Mapping[Algorithm, int], limit: int
) -> list[NearContribution]:
    """At most `limit` contributions within the radii (bits) of any of the signals, nearest first."""
    queries = [(name, signal) for name, signals in by_transform.items() for signal in signals]
    nearest = _nearest(db, queries, radii)
    # By contribution, the stored signals that it has.
    held = tx.matches.contributions_with(nearest, most_per_value=MOST_HOLDERS)
    # In radii, so that algorithms can be compared; a digest has the radius 0.
    relative = {stored: near.distance / (stored.algorithm.radius or 1) for stored, near in nearest.items()}
    # Only the nearest are read. `rank`, by which they are sorted then, also compares how many algorithms are near.
    ids = sorted(held, key=lambda id: (min(relative[stored] for stored in held[id]), id))
    contributions = tx.contributions.get(ids[:limit], db.now())
    overruling = Query(tuple(by_transform.get(UNALTERED, ()))).overruling
    near = (_near_contribution(contributions[id], held[id], nearest, overruling) for id in ids if id in contributions)
    return sorted(near, key=attrgetter("rank"))


class _Nearest(NamedTuple):
    """The signal that is nearest to a stored value. These tuples are compared: the least one is the best."""

    is_beyond: bool
    """Whether it is beyond the default radius of the transform.

    Transforms have different radii: a signal within that of its transform is better than a nearer one beyond that of
    its own.
    """
    distance: int
    transform: str
    """The transform that made the signal; `UNALTERED` for the item itself."""
    signal: Signal


def _nearest(
    db: HashDB, queries: Iterable[tuple[str, Signal]], radii: Mapping[Algorithm, int]
) -> dict[Signal, _Nearest]:
    """The stored values within the radius of any of the signals, each with the signal that is nearest to it."""
    nearest: dict[Signal, _Nearest] = {}
    in_order = sorted(queries, key=lambda query: query[1].algorithm)
    for algorithm, group in groupby(in_order, key=lambda query: query[1].algorithm):
        of_algorithm = list(group)
        if algorithm.is_digest:
            nearest |= {
                signal: _Nearest(is_beyond=False, distance=0, transform=name, signal=signal)
                for name, signal in of_algorithm
            }
            continue
        results = db.index.search(algorithm, [signal.value for _, signal in of_algorithm], radii[algorithm])
        for (name, signal), neighbors in zip(of_algorithm, results, strict=True):
            for distance, value in neighbors[:_MOST_VALUES]:
                # At equal distance the item itself comes before its transforms, because `UNALTERED` is empty.
                stored = Signal(algorithm, value)
                candidate = _Nearest(distance > transform_radius(name, algorithm), distance, name, signal)
                nearest[stored] = min(nearest.get(stored, candidate), candidate)
    return nearest


def _near_contribution(
    contribution: Contribution,
    held: Iterable[Signal],
    nearest: Mapping[Signal, _Nearest],
    overruling: Collection[Algorithm],
) -> NearContribution:
    """The contribution with the nearest pair of each algorithm; `held` are its stored signals that are near.

    `overruling` are the algorithms of the query that overrule `phash`.
    """
    closest: dict[Algorithm, tuple[_Nearest, Signal]] = {}
    for stored in held:
        candidate = nearest[stored], stored
        closest[stored.algorithm] = min(closest.get(stored.algorithm, candidate), candidate)
    best = {algorithm: closest[algorithm] for algorithm in Algorithm if algorithm in closest}
    return NearContribution(
        contribution,
        distance={algorithm: near.distance for algorithm, (near, _) in best.items()},
        pairs={algorithm: (near.signal, stored) for algorithm, (near, stored) in best.items()},
        nearest_transform={algorithm: near.transform for algorithm, (near, _) in best.items() if near.transform},
        # What overrules phash needs signals of the contribution, too.
        phash_is_overruled=any(signal.algorithm in overruling for signal in contribution.signals),
    )


def guard(db: HashDB) -> int:
    """Quarantine contributions with more hits within an hour than `HASHDB_FLOOD_CAP`, with a case each.

    It counts the hits that all processes have flushed. Contributions upheld within the last week are left alone.
    Returns how many were quarantined.
    """
    cap = db.rules.flood_cap
    if cap is None:
        return 0
    with db.store.read() as tx:
        suspected = [flood.contribution for flood in tx.floods.above_cap(cap, db.now())]
    if not suspected:
        return 0
    with db.store.begin() as tx:
        now = db.now()
        tx.contributions.lock(suspected)
        locked = tx.contributions.get(suspected, now)
        # Counted again: now that they are locked, nobody else decides on them.
        flood_details: dict[int, Details] = {
            flood.contribution: {
                "hits": flood.hits,
                "cap": cap,
                "seconds": int(FLOOD_WINDOW.total_seconds()),
                "members": flood.members,
            }
            for flood in tx.floods.above_cap(cap, now)
            if flood.contribution in locked
        }
        tx.audit.append(
            now, SYSTEM, hold(tx, db.rules, [locked[id] for id in flood_details], Cause.FLOOD, now, flood_details)
        )
    return len(flood_details)
