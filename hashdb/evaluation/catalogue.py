"""Listed pictures in memory: what matches them is decided by the functions that the service calls."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from hashdb.domain.contributions import Standing
from hashdb.domain.frames import Extent
from hashdb.domain.matching.evidence import verify_candidates
from hashdb.domain.matching.matches import Holder, Match, MatchDetails, Neighbor, Query, StoredItem
from hashdb.domain.matching.selections import build_results, decide
from hashdb.domain.matching.suggestions import suggest
from hashdb.domain.signals import Algorithm, Signal, usable_signals
from hashdb.domain.signatures import WHOLE
from hashdb.hashing import Hashed
from hashdb.index.segment import build_segment
from hashdb.index.vectors import Words, pack, unpack

_DETAILS: Final = MatchDetails((), (), None, datetime(2026, 1, 1, tzinfo=UTC))


def stored_item(hashed: Hashed) -> StoredItem:
    """What a service stores of these hashes: it refuses signals with a fault."""
    signatures = hashed.signatures.get(WHOLE, ())
    return StoredItem(usable_signals(hashed.signals), signatures)


def query_of(hashed: Hashed, radius: Mapping[Algorithm, int]) -> Query:
    """The query that a service makes of an uploaded picture; `radius` is what differs from the defaults."""
    return Query(hashed.signals, radius=radius, transforms=hashed.transforms, signatures=hashed.signatures)


def words_by_algorithm(signals: Iterable[Signal]) -> dict[Algorithm, Words]:
    """The distinct values of signals, in order, by algorithm; algorithms without any are absent."""
    values = defaultdict[Algorithm, dict[int, None]](dict)
    for signal in signals:
        values[signal.algorithm][signal.value] = None
    return {algorithm: pack(list(of_algorithm), algorithm.bits) for algorithm, of_algorithm in values.items()}


class ValueIndex:
    """The values of signals in memory, packed as words of 64 bits, with the search of the service."""

    def __init__(self, signals: Iterable[Signal]) -> None:
        self._segments = {
            algorithm: build_segment(words, algorithm.radius)
            for algorithm, words in words_by_algorithm(signals).items()
        }

    def __len__(self) -> int:
        """How many distinct values there are."""
        return sum(map(len, self._segments.values()))

    def search(self, algorithm: Algorithm, values: Sequence[int], radius: int) -> list[list[Neighbor]]:
        """For each value what is within the radius in bits, nearest first."""
        neighbors: list[list[Neighbor]] = [[] for _ in values]
        segment = self._segments.get(algorithm)
        if segment is not None and values:
            hits = segment.search(pack(values, algorithm.bits), radius)
            stored = unpack(segment.words(hits.rows))
            for query, distance, value in zip(hits.queries.tolist(), hits.distances.tolist(), stored, strict=True):
                neighbors[query].append(Neighbor(distance, value))
        return [sorted(of_value) for of_value in neighbors]


def holder_of(signal: Signal, number: int, extent: Extent | None = None) -> Holder:
    """The contribution with this number, as one that has the signal. Each is of a member of its own."""
    return Holder(signal, number, number, None, Standing.UNREVIEWED, _DETAILS, extent)


class Catalogue:
    """Pictures that are listed, each by one contribution, by their places: the positions among all pictures."""

    def __init__(self, pictures: Mapping[int, StoredItem]) -> None:
        self._pictures = pictures
        self._holders: dict[Signal, list[Holder]] = defaultdict(list)
        for place, picture in pictures.items():
            # The id 0 is that of the test item.
            for signal in dict.fromkeys(picture.signals):
                self._holders[signal].append(holder_of(signal, place + 1))
        self._index = ValueIndex(self._holders)

    def matches(self, query: Query) -> dict[int, Match]:
        """What the service answers to a query, by the place of the picture that matches."""
        # The near stored signals with their distances, and the transform through which each was found.
        suggested, through = suggest([query], self._index.search)
        if not suggested[0]:
            return {}
        verified = verify_candidates([query], suggested, through, self._holders, self._algorithms, self._stored)
        decided = decide([query], suggested, through, self._holders, self._algorithms, verified=verified)
        (result,) = build_results([query], decided)
        return {match.contribution - 1: match for match in result.matches if match.contribution}

    def _stored(self, contributions: Collection[int]) -> Mapping[int, StoredItem]:
        return {id: self._pictures[id - 1] for id in contributions}

    def _algorithms(self, contributions: Collection[int]) -> Mapping[int, frozenset[Algorithm]]:
        return {
            id: frozenset(signal.algorithm for signal in self._pictures[id - 1].signals)
            for id in contributions
            if id - 1 in self._pictures
        }
