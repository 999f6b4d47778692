"""Twins: what a member contributed near to its own contribution that is retired, which is quarantined with it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from datetime import datetime
from typing import NamedTuple

from hashdb.domain.review.cases import is_twin, reach
from hashdb.domain.signals import Algorithm, Signal
from hashdb.service import HashDB
from hashdb.store import Transaction


class Around(NamedTuple):
    """What is stored near to some signals, as of a number of the log."""

    asked: tuple[Signal, ...]
    stored: frozenset[Signal]
    seq: int


def around(db: HashDB, asked: Iterable[Signal]) -> Around:
    """Ask the index, which may take a second: before the transaction that decides.

    Raises IndexNotReady.
    """
    asked = tuple(one for one in asked if one.algorithm in db.rules.algorithms)
    seq = db.index.catch_up().seq
    return Around(asked, frozenset(_near(db, asked)), seq)


def twins(tx: Transaction, near: Around, member: int, now: datetime) -> tuple[int, ...]:
    """The contributions of a member, which is held, that match and are near to what was asked, in order.

    What the member contributed since the index was asked is compared one by one.
    """
    found = set(tx.retired.holding(member, near.stored, now))
    for id, placed in tx.retired.placed(tx.retired.added(member, near.seq)).items():
        if any(is_twin(one, other) for one in near.asked for other in placed.values()):
            found.add(id)
    return tuple(sorted(found))


def _near(db: HashDB, asked: Collection[Signal]) -> Iterator[Signal]:
    values: dict[Algorithm, list[int]] = defaultdict(list)
    for one in asked:
        values[one.algorithm].append(one.value)
    for algorithm, those in values.items():
        for value, neighbors in zip(those, db.index.search(algorithm, those, reach(algorithm)), strict=True):
            for neighbor in neighbors:
                stored = Signal(algorithm, neighbor.value)
                if is_twin(Signal(algorithm, value), stored):
                    yield stored
