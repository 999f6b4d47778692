"""Index check: compares the index on this machine with a BK-tree over the values of the store."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from hashdb.domain.signals import Algorithm
from hashdb.index.bktree import BKTreeIndex
from hashdb.index.vectors import split_octets
from hashdb.service import HashDB
from hashdb.store import Transaction

Progress = Callable[[int], None]
"""Called with the number of values compared since the last call."""


class Compared(NamedTuple):
    """The comparison of one algorithm's index with the store."""

    values: int
    """Distinct values in the store that may match."""
    in_files: int
    """Values in the engine's files; the others were read from the log just now."""
    queries: int
    missing: int
    """Values within the radius of a query that the index did not find."""
    wrong: int
    """Queries for which the index returned a value with a wrong distance."""
    stale: int
    """Values that the index found and no contribution holds any more. Answers omit them; a later merge removes them."""
    damaged: bool
    """Whether a search found a damaged file."""

    @property
    def same(self) -> bool:
        """Whether the index found all values, at the right distances."""
        return not (self.missing or self.wrong or self.damaged)


def values_to_read(db: HashDB) -> int:
    """The approximate number of values that `check` reads: all of the store, to choose queries and to compare."""
    return 2 * db.index.backlog()


def check(db: HashDB, sample: int, progress: Progress) -> Mapping[Algorithm, Compared]:
    """Search the index for values near a random `sample` of the store's, and compare the results with a BK-tree's.

    It opens the engine's files as a worker does and changes nothing. Raises IndexNotReady if they cannot be used.
    """
    db.index.catch_up()
    return {algorithm: _compare(db, algorithm, sample, progress) for algorithm in db.rules.searched_algorithms}


def _compare(db: HashDB, algorithm: Algorithm, sample: int, progress: Progress) -> Compared:
    # The usual radius is that for which the index is built, also if `HASHDB_MAX_RADIUS` allows wider queries.
    with db.store.read() as tx:
        queries = _queries(algorithm, _values(tx, algorithm, progress), sample)
        # A tree of the queries, searched for each value of the store, gives the same pairs as a tree of the store
        # searched for each query, and its memory does not grow with the store.
        tree = BKTreeIndex(algorithm.bits)
        tree.add(queries)
        expected: dict[int, set[int]] = {query: set() for query in queries}
        count = 0
        for value in _values(tx, algorithm, progress):
            count += 1
            for near in tree.search([value], algorithm.radius)[0]:
                expected[near.value].add(value)
    # Only now, so that the index has all that was read above.
    db.index.catch_up()
    index = db.index.index(algorithm)
    in_files = db.index.sizes()[algorithm].in_files
    try:
        # Alone and in a batch: these are different code.
        alone = [index.search([query], algorithm.radius)[0] for query in queries]
        together = index.search(queries, algorithm.radius)
    except (IndexError, ValueError):  # NumPy raises either for damaged tables
        return Compared(count, in_files, len(queries), missing=0, wrong=0, stale=0, damaged=True)
    missing, extra, wrong = set[int](), set[int](), 0
    for query, *results in zip(queries, alone, together, strict=True):
        wrong += any(distance != (value ^ query).bit_count() for neighbors in results for distance, value in neighbors)
        for neighbors in results:
            values = {neighbor.value for neighbor in neighbors}
            missing |= expected[query] - values
            extra |= values - expected[query]
    # A value that was withdrawn since the store was read is not missing, and one that was added since is not stale.
    missing, extra = _lasting(db, algorithm, missing), extra - _lasting(db, algorithm, extra)
    return Compared(count, in_files, len(queries), missing=len(missing), wrong=wrong, stale=len(extra), damaged=False)


def _values(tx: Transaction, algorithm: Algorithm, progress: Progress) -> Iterator[int]:
    """All distinct values of the store that match, or may match again."""
    for part in tx.matches.all_values(algorithm, lasting=True):
        values = split_octets(part, algorithm.bits)
        yield from map(int.from_bytes, values)
        progress(len(values))


def _queries(algorithm: Algorithm, values: Iterator[int], sample: int) -> list[int]:
    """A random sample of the values, each with at most `radius` bits flipped, so that a search must find its value."""
    # The least by a random key are a sample of an iterator, in little memory.
    chosen = heapq.nsmallest(sample, values, key=lambda value: random.random())
    return list({value ^ _random_bits(algorithm, random.randint(0, algorithm.radius)) for value in chosen})


def _random_bits(algorithm: Algorithm, count: int) -> int:
    return sum(1 << bit for bit in random.sample(range(algorithm.bits), count))


def _lasting(db: HashDB, algorithm: Algorithm, values: set[int]) -> set[int]:
    """Those of the values that match now, or may match again, by the store."""
    with db.store.read() as tx:
        octets = [value.to_bytes(algorithm.bits // 8) for value in values]
        return {int.from_bytes(lasting) for lasting in tx.matches.lasting_values(algorithm, octets)}
