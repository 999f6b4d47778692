"""Listed pictures in memory: what matches them is decided by the functions that the service calls."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from hashdb.domain.contributions import Standing
from hashdb.domain.matching.evidence import verify_candidates
from hashdb.domain.matching.matches import Holder, Match, MatchDetails, Neighbor, Query, Stored
from hashdb.domain.matching.suggestions import build_results, decide, suggest
from hashdb.domain.signals import Algorithm, Signal
from hashdb.domain.signatures import WHOLE
from hashdb.hashing import Hashed
from hashdb.index.segment import Segment, build_segment
from hashdb.index.vectors import pack, unpack

_ABOUT: Final = MatchDetails((), (), None, datetime(2026, 1, 1, tzinfo=UTC))


def listed(hashed: Hashed) -> Stored:
    """What a service stores of these hashes: it refuses signals with a fault."""
    signatures = dict(hashed.signatures).get(WHOLE, ())
    return Stored(tuple(signal for signal in hashed.signals if signal.fault() is None), signatures)


def query_of(hashed: Hashed, radius: Mapping[Algorithm, int]) -> Query:
    """The query that a service makes of an uploaded picture; `radius` is what differs from the defaults."""
    return Query(hashed.signals, radius=radius, transforms=dict(hashed.transforms), signatures=dict(hashed.signatures))


class Catalogue:
    """Pictures that are listed, each by one contribution, under their places."""

    def __init__(self, pictures: Mapping[int, Stored]) -> None:
        self._pictures = pictures
        self._held: dict[Signal, list[Holder]] = defaultdict(list)
        for place, picture in pictures.items():
            # The id 0 is that of the test item.
            for signal in dict.fromkeys(picture.signals):
                holder = Holder(signal, place + 1, place + 1, None, Standing.UNREVIEWED, _ABOUT)
                self._held[signal].append(holder)
        values = defaultdict[Algorithm, list[int]](list)
        for signal in self._held:
            values[signal.algorithm].append(signal.value)
        self._segments: dict[Algorithm, Segment] = {
            algorithm: build_segment(pack(of_algorithm, algorithm.bits), algorithm.radius)
            for algorithm, of_algorithm in values.items()
        }

    def matches(self, query: Query) -> dict[int, Match]:
        """What the service answers to a query, by the place of the picture that matches."""
        suggested, through = suggest([query], self._search)
        if not suggested[0]:
            return {}
        verified = verify_candidates([query], suggested, through, self._held, self._having, self._stored)
        decided = decide([query], suggested, through, self._held, self._having, verified=verified)
        (result,) = build_results([query], decided)
        return {match.contribution - 1: match for match in result.matches if match.contribution}

    def _search(self, algorithm: Algorithm, values: Sequence[int], radius: int) -> list[list[Neighbor]]:
        found: list[list[Neighbor]] = [[] for _ in values]
        segment = self._segments.get(algorithm)
        if segment is not None:
            hits = segment.search(pack(values, algorithm.bits), radius)
            stored = unpack(segment.words(hits.rows))
            for query, distance, value in zip(hits.queries.tolist(), hits.distances.tolist(), stored, strict=True):
                found[query].append(Neighbor(distance, value))
        return [sorted(neighbors) for neighbors in found]

    def _stored(self, contributions: Collection[int]) -> Mapping[int, Stored]:
        return {id: self._pictures[id - 1] for id in contributions}

    def _having(self, contributions: Collection[int]) -> Mapping[int, frozenset[Algorithm]]:
        return {
            id: frozenset(signal.algorithm for signal in self._pictures[id - 1].signals)
            for id in contributions
            if id - 1 in self._pictures
        }
