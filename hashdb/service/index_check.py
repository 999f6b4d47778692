"""Compares the index on this machine with a BK-tree: what the store holds, found another way."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from hashdb.domain.matching.matches import Neighbor
from hashdb.domain.signals import Algorithm
from hashdb.index import Index
from hashdb.index.bktree import BKTreeIndex
from hashdb.service import HashDB
from hashdb.store import Transaction

Progress = Callable[[int], None]
"""Told how many values more have been compared."""


class Compared(NamedTuple):
    """One algorithm's index beside the store."""

    values: int
    """Distinct values in the store that may match."""
    in_files: int
    """Values that the engine stores outside of this process; the others were read from the log just now."""
    queries: int
    missing: int
    """Values within the radius of a query that the index did not find."""
    wrong: int
    """Values that the index found at a wrong distance."""
    stale: int
    """Values that the index found and no contribution holds any more. They leave later and are in no answer."""
    damaged: bool
    """Whether a file turned out to be damaged at a search."""

    @property
    def same(self) -> bool:
        """Whether the index found all that it must."""
        return not (self.missing or self.wrong or self.damaged)


def backlog(db: HashDB) -> int:
    """About how many values `check` reads."""
    return 2 * db.index.backlog()


def check(db: HashDB, sample: int, progress: Progress) -> Mapping[Algorithm, Compared]:
    """Search the index for values near a random `sample` of the store's, and compare with a BK-tree's answers.

    Opens the engine's files as a worker does and changes nothing. Raises IndexNotReady where they cannot be used.
    """
    db.index.catch_up()
    return {algorithm: _compare(db, algorithm, sample, progress) for algorithm in db.rules.algorithms}


def _compare(db: HashDB, algorithm: Algorithm, sample: int, progress: Progress) -> Compared:
    with db.store.read() as tx:
        queries = _queries(algorithm, _values(tx, algorithm, progress), sample)
        # A tree of the queries, asked for each value of the store, answers the same as a tree of the store asked for
        # each query, and its memory does not grow with the store.
        tree = BKTreeIndex(algorithm.bits)
        tree.add(queries)
        expected: dict[int, set[int]] = {query: set() for query in queries}
        count = 0
        for value in _values(tx, algorithm, progress):
            count += 1
            for near in tree.search([value], algorithm.radius)[0]:
                expected[near.value].add(value)
    # Only now: what was read above is in the log that the index catches up with.
    db.index.catch_up()
    index = db.index.index(algorithm)
    in_files = db.index.sizes()[algorithm].in_files
    try:
        found = _found(index, queries, algorithm.radius)
    except IndexError:
        return Compared(count, in_files, len(queries), 0, 0, 0, damaged=True)
    missing, extra, wrong = set[int](), set[int](), 0
    for query, answers in found:
        wrong += any(one.distance != (one.value ^ query).bit_count() for answer in answers for one in answer)
        for answer in answers:
            values = {one.value for one in answer}
            missing |= expected[query] - values
            extra |= values - expected[query]
    # What has changed since the store was read is no difference.
    missing, extra = _lasting(db, algorithm, missing), extra - _lasting(db, algorithm, extra)
    return Compared(count, in_files, len(queries), len(missing), wrong, len(extra), damaged=False)


def _values(tx: Transaction, algorithm: Algorithm, progress: Progress) -> Iterator[int]:
    size = algorithm.bits // 8
    for part in tx.matches.every(algorithm, lasting=True):
        for at in range(0, len(part), size):
            yield int.from_bytes(part[at : at + size])
        progress(len(part) // size)


def _queries(algorithm: Algorithm, values: Iterator[int], sample: int) -> list[int]:
    """A random sample of the values, each moved by some bits, so that it has its value within the radius."""
    chosen = heapq.nsmallest(sample, values, key=lambda value: random.random())
    return list({value ^ _bits(algorithm, random.randint(0, algorithm.radius)) for value in chosen})


def _bits(algorithm: Algorithm, count: int) -> int:
    return sum(1 << bit for bit in random.sample(range(algorithm.bits), count))


def _found(index: Index, queries: Sequence[int], radius: int) -> Iterator[tuple[int, tuple[Sequence[Neighbor], ...]]]:
    """Each query with the index's answers to it: alone, and in a batch, which are different code."""
    alone = [index.search([query], radius)[0] for query in queries]
    return zip(queries, zip(alone, index.search(queries, radius), strict=True), strict=True)


def _lasting(db: HashDB, algorithm: Algorithm, values: set[int]) -> set[int]:
    with db.store.read() as tx:
        octets = [value.to_bytes(algorithm.bits // 8) for value in values]
        return {int.from_bytes(one) for one in tx.matches.lasting(algorithm, octets)}
