"""Suggested contributions are verified against all that is stored of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import pytest

from hashdb.domain.matching import evidence
from hashdb.domain.matching.evidence import verify_candidates
from hashdb.domain.matching.matches import Holder, Order, Query, Result, StoredItem
from hashdb.domain.matching.selections import build_results, decide
from hashdb.domain.matching.suggestions import Distances
from hashdb.domain.matching.testing import TEST_ID, TEST_SIGNALS
from hashdb.domain.signals import Algorithm, Signal
from tests.builders import near, signal, signature
from tests.domain.matching.test_selections import holder

ONE, TWO = signal(1), signal(2, Algorithm.PHASH256)


class CountedItems:
    """The stored items of contributions, with the ids of each read."""

    def __init__(self, stored: Mapping[int, StoredItem]) -> None:
        self.stored = stored
        self.reads: list[set[int]] = []

    def __call__(self, ids: Collection[int]) -> Mapping[int, StoredItem]:
        self.reads.append(set(ids))
        return {id: self.stored[id] for id in ids}


def results_of(
    queries: Sequence[Query], distances: Sequence[Distances], held: Sequence[Holder], items: CountedItems
) -> tuple[Result, ...]:
    by_signal: dict[Signal, list[Holder]] = {}
    for stored in held:
        by_signal.setdefault(stored.signal, []).append(stored)
    verified = verify_candidates(queries, distances, [{}] * len(distances), by_signal, lambda ids: {}, items)
    through: list[Mapping[Signal, str]] = [{} for _ in queries]
    return build_results(queries, decide(queries, distances, through, by_signal, lambda ids: {}, {}, verified))


def test_stored_items_are_read_once_for_all_queries_that_need_them() -> None:
    items = CountedItems({1: StoredItem((ONE, TWO), (signature(1),)), 2: StoredItem((ONE,))})
    signed = Query((near(ONE, 4),), signatures={"whole": (signature(1),)})
    turned = Query((signal(9),), transforms={"mirror": (near(TWO, 2),)})
    held = [holder(ONE, 1), holder(TWO, 1), holder(ONE, 2)]
    plain, signed_result, turned_result = results_of(
        [Query((ONE,)), signed, turned], [{ONE: 0}, {ONE: 4}, {TWO: 2}], held, items
    )
    assert items.reads == [{1, 2}]
    assert [match.evidence for match in plain.matches] == [None, None]
    (first, second), (third,) = signed_result.matches, turned_result.matches
    assert first.evidence is not None and second.evidence is not None and third.evidence is not None
    assert (first.contribution, first.evidence.views, first.evidence.detail) == (1, ("whole",), 0.0)
    assert (second.contribution, second.evidence.views, second.evidence.detail) == (2, ("whole",), None)
    assert (third.contribution, third.evidence.views) == (1, ("mirror",))


def test_a_query_of_signals_only_reads_nothing_and_is_scored_by_distance() -> None:
    items = CountedItems({})
    held = [holder(ONE, 1), holder(TWO, 2)]
    (result,) = results_of([Query((ONE, TWO))], [{ONE: 3, TWO: 40}], held, items)
    assert items.reads == []
    near_one, far_one = result.matches
    assert near_one.score is not None and far_one.score is not None
    assert near_one.score > far_one.score


def test_a_candidate_below_the_minimum_score_is_not_matched_or_counted() -> None:
    held = [holder(ONE, 1, member=1, severity=2), holder(TWO, 2, member=2, severity=4)]
    distances: Distances = {ONE: 0, TWO: 46}
    every, certain = results_of(
        [Query((ONE, TWO)), Query((ONE, TWO), min_score=2)], [distances, distances], held, CountedItems({})
    )
    assert (len(every.matches), every.members, every.severity) == (2, 2, 4)
    assert ([match.contribution for match in certain.matches], certain.members, certain.severity) == ([1], 1, 2)


def test_matches_can_be_ordered_by_score() -> None:
    items = CountedItems({1: StoredItem((ONE,)), 2: StoredItem((TWO,))})
    query = Query((ONE,), transforms={"mirror": (TWO,)}, order=Order.SCORE)
    (result,) = results_of([query], [{ONE: 1, TWO: 1}], [holder(ONE, 1), holder(TWO, 2)], items)
    scores = [match.score for match in result.matches if match.score is not None]
    assert len(scores) == 2
    assert scores == sorted(scores, reverse=True)


def test_the_test_item_is_verified_by_its_published_signals() -> None:
    items = CountedItems({})
    query = Query(TEST_SIGNALS[:3], transforms={"mirror": (signal(3),)})
    (result,) = results_of([query], [dict.fromkeys(TEST_SIGNALS[:3], 0)], [], items)
    assert [match.contribution for match in result.matches] == [TEST_ID]
    assert not any(items.reads)


def test_only_the_nearest_are_verified_beyond_the_limit_of_comparisons(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence, "MOST_OVERLAYS", 4)
    stored = {id: near(ONE, id, id) for id in range(1, 9)}
    items = CountedItems({id: StoredItem((hash,)) for id, hash in stored.items()})
    query = Query((ONE,), transforms={"mirror": (TWO,)})
    distances = {hash: id for id, hash in stored.items()}
    held = [holder(hash, id) for id, hash in stored.items()]
    results = results_of([query, query], [distances, distances], held, items)
    assert items.reads == [{1, 2}]
    for result in results:
        assert [match.contribution for match in result.matches] == list(range(1, 9))
        assert [match.evidence is not None for match in result.matches] == [True] * 2 + [False] * 6


def test_a_request_compares_a_limited_number_of_details_nearest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence, "MOST_OVERLAYS", 4)
    stored = {id: near(ONE, id, id) for id in range(1, 9)}
    items = CountedItems({id: StoredItem((hash,), (signature(id),)) for id, hash in stored.items()})
    query = Query((ONE,), signatures={"whole": (signature(90),), "mirror": (signature(91),)})
    # The nearest comes last.
    held = [holder(hash, id) for id, hash in reversed(stored.items())]
    (result,) = results_of([query], [{hash: id for id, hash in stored.items()}], held, items)
    # Each comparison takes one or two of the four overlays. Three items are compared, and contradicted.
    assert items.reads == [{1, 2, 3, 4}]
    assert [match.contribution for match in result.matches] == list(range(4, 9))
