"""Twins: a member's contributions near its own retired one, which are quarantined with it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime
from itertools import groupby
from typing import NamedTuple

from hashdb.domain.review.cases import OF_FRAMES, is_twin, shadow_radius
from hashdb.domain.signals import Algorithm, Signal
from hashdb.service import HashDB
from hashdb.store import Transaction
from hashdb.store.contributions.frames import position_of


class NearShadow(NamedTuple):
    """The signals of a shadow, its own and those of frames, and the stored signals near them as of a seq of the log."""

    signals: tuple[Signal, ...]
    frames: tuple[Signal, ...]
    stored: frozenset[Signal]
    seq: int


def search_near(db: HashDB, signals: Iterable[Signal], frames: Iterable[Signal] = ()) -> NearShadow:
    """Search the index for stored signals near these, and near those of frames. Raises IndexNotReady.

    The search may take a second: call it before the transaction that decides. Frames are searched within the default
    radius, which is much faster: a video has thousands.
    """
    signals, frames = tuple(filter(db.rules.accepts, signals)), tuple(filter(db.rules.accepts, frames))
    seq = db.index.catch_up().seq
    return NearShadow(signals, frames, frozenset({*_search(db, signals), *_search_frames(db, frames)}), seq)


def list_twins(tx: Transaction, near: NearShadow, member: int, now: datetime) -> tuple[int, ...]:
    """The ids of the contributions of a locked member that match and are near the signals, in order.

    Of an item with frames, several shots must be near, or a page. What the member contributed since the search is
    compared one by one.
    """
    ids = {*tx.retired.matching_with(member, near.stored, now)}
    # What was added since the search: of each contribution, the places of its signals that are near.
    added = tx.retired.added_since(member, near.seq)
    places: dict[int, set[int]] = {id: set() for id in added}
    for id, placed in tx.retired.signals_by_place(added).items():
        places[id] |= {place for place, signal in placed.items() if place != OF_FRAMES and _is_near(near, signal)}
    for id, of_shots in tx.retired.first_signals_of_shots(added).items():
        places[id] |= {position_of(number) for number, signal in of_shots.items() if _is_near(near, signal)}
    return tuple(sorted(ids | {*tx.retired.with_enough_signals(places)}))


def _is_near(near: NearShadow, signal: Signal) -> bool:
    return any(is_twin(own, signal) for own in near.signals) or any(
        own.algorithm is signal.algorithm and own.distance(signal) <= own.algorithm.radius for own in near.frames
    )


def _search_frames(db: HashDB, frames: Sequence[Signal]) -> Iterator[Signal]:
    for algorithm, group in groupby(sorted(frames), key=lambda signal: signal.algorithm):
        for neighbors in db.index.search(algorithm, [signal.value for signal in group], algorithm.radius):
            yield from (Signal(algorithm, neighbor.value) for neighbor in neighbors)


def _search(db: HashDB, signals: Collection[Signal]) -> Iterator[Signal]:
    by_algorithm: dict[Algorithm, list[int]] = defaultdict(list)
    for signal in signals:
        by_algorithm[signal.algorithm].append(signal.value)
    for algorithm, values in by_algorithm.items():
        if algorithm.is_digest:
            yield from (Signal(algorithm, value) for value in values)
            continue
        for value, neighbors in zip(values, db.index.search(algorithm, values, shadow_radius(algorithm)), strict=True):
            for neighbor in neighbors:
                stored = Signal(algorithm, neighbor.value)
                if is_twin(Signal(algorithm, value), stored):
                    yield stored
