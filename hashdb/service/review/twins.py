"""Twins: a member's contributions near its own retired one, which are quarantined with it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from datetime import datetime
from typing import NamedTuple

from hashdb.domain.review.cases import is_twin, shadow_radius
from hashdb.domain.signals import Algorithm, Signal
from hashdb.service import HashDB
from hashdb.store import Transaction


class NearSignals(NamedTuple):
    """The stored signals near some signals, as of a seq of the log."""

    signals: tuple[Signal, ...]
    stored: frozenset[Signal]
    seq: int


def search_near(db: HashDB, signals: Iterable[Signal]) -> NearSignals:
    """Search the index for stored signals near these. Raises IndexNotReady.

    The search may take a second: call it before the transaction that decides.
    """
    signals = tuple(signal for signal in signals if signal.algorithm in db.rules.algorithms)
    seq = db.index.catch_up().seq
    return NearSignals(signals, frozenset(_search(db, signals)), seq)


def list_twins(tx: Transaction, near: NearSignals, member: int, now: datetime) -> tuple[int, ...]:
    """The ids of the contributions of a locked member that match and are near the signals, in order.

    What the member contributed since the search is compared one by one.
    """
    ids = set(tx.retired.holding(member, near.stored, now))
    for id, placed in tx.retired.placed(tx.retired.added(member, near.seq)).items():
        if any(is_twin(signal, added) for signal in near.signals for added in placed.values()):
            ids.add(id)
    return tuple(sorted(ids))


def _search(db: HashDB, signals: Collection[Signal]) -> Iterator[Signal]:
    by_algorithm: dict[Algorithm, list[int]] = defaultdict(list)
    for signal in signals:
        by_algorithm[signal.algorithm].append(signal.value)
    for algorithm, values in by_algorithm.items():
        for value, neighbors in zip(values, db.index.search(algorithm, values, shadow_radius(algorithm)), strict=True):
            for neighbor in neighbors:
                stored = Signal(algorithm, neighbor.value)
                if is_twin(Signal(algorithm, value), stored):
                    yield stored
