"""Twins: a member's contributions near its own retired one, which are quarantined with it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from datetime import datetime
from typing import NamedTuple

from hashdb.domain.review.shadows import FRAMES_PLACE, is_twin, shadow_radius
from hashdb.domain.signals import Algorithm, Signal
from hashdb.service import HashDB
from hashdb.store import Transaction
from hashdb.store.contributions.frames import position_of


class NearShadow(NamedTuple):
    """The result of a search: the shadow that was searched for, and the stored signals near it."""

    signals: tuple[Signal, ...]
    """Of the shadow, the signals of the retired item itself."""
    frames: tuple[Signal, ...]
    """Of the shadow, the signals of the item's frames."""
    stored: frozenset[Signal]
    """The stored signals near either."""
    seq: int
    """The last event that the search includes."""


def search_near(db: HashDB, signals: Iterable[Signal], frames: Iterable[Signal]) -> NearShadow:
    """Search the index for stored signals near these, and near those of frames. Raises IndexNotReady.

    The search may take a second: call it before the transaction that decides. Frames are searched within the default
    radius, which is much faster: a video has thousands.
    """
    # Signals of algorithms that are not enabled are in no index.
    signals, frames = tuple(filter(db.rules.accepts, signals)), tuple(filter(db.rules.accepts, frames))
    seq = db.index.catch_up().seq
    return NearShadow(signals, frames, frozenset({*_search(db, signals), *_search_frames(db, frames)}), seq)


def list_twins(tx: Transaction, near: NearShadow, member: int, now: datetime) -> tuple[int, ...]:
    """The ids of the contributions of a locked member that match and are near the shadow, in order.

    Of an item with frames, several shots must be near, or a page. What the member contributed since the search is
    compared one by one, by the same rule.
    """
    ids = {*tx.shadows.twins_with(member, near.stored, now)}
    newer = tx.shadows.contributed_or_amended_since(member, near.seq)
    # The positions of the signals that are near, by contribution. A signal of the item itself has its place as its
    # position; of each shot the first signal is compared, and `position_of` says its position.
    positions: dict[int, set[int]] = {id: set() for id in newer}
    for id, placed in tx.shadows.signals_by_place(newer).items():
        positions[id] |= {place for place, signal in placed.items() if place != FRAMES_PLACE and _is_near(near, signal)}
    for id, of_shots in tx.shadows.first_signals_of_shots(newer).items():
        positions[id] |= {position_of(number) for number, signal in of_shots.items() if _is_near(near, signal)}
    return tuple(sorted(ids | {*tx.shadows.with_enough_signals(positions)}))


def _is_near(near: NearShadow, signal: Signal) -> bool:
    """Whether a signal is near the shadow: by the rule of twins, or within the default radius of a frame of it."""
    return any(is_twin(own, signal) for own in near.signals) or any(
        own.algorithm is signal.algorithm and own.distance(signal) <= own.algorithm.radius for own in near.frames
    )


def _search_frames(db: HashDB, frames: Collection[Signal]) -> Iterator[Signal]:
    for algorithm, values in _values_by_algorithm(frames).items():
        for neighbors in db.index.search(algorithm, values, algorithm.radius):
            yield from (Signal(algorithm, neighbor.value) for neighbor in neighbors)


def _search(db: HashDB, signals: Collection[Signal]) -> Iterator[Signal]:
    for algorithm, values in _values_by_algorithm(signals).items():
        if algorithm.is_digest:
            yield from (Signal(algorithm, value) for value in values)
            continue
        for value, neighbors in zip(values, db.index.search(algorithm, values, shadow_radius(algorithm)), strict=True):
            for neighbor in neighbors:
                stored = Signal(algorithm, neighbor.value)
                # If one of the values is sparse (`signals.is_sparse`), twins must be nearer than the search reaches.
                if is_twin(Signal(algorithm, value), stored):
                    yield stored


def _values_by_algorithm(signals: Iterable[Signal]) -> dict[Algorithm, list[int]]:
    values: dict[Algorithm, list[int]] = defaultdict(list)
    for signal in signals:
        values[signal.algorithm].append(signal.value)
    return values
