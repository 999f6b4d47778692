"""Suggested contributions, verified by all that is stored of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import pytest

from hashdb.domain.matching import evidence
from hashdb.domain.matching.evidence import verify_candidates
from hashdb.domain.matching.matches import Holder, Order, Query, Result, StoredItem
from hashdb.domain.matching.suggestions import Distances, build_results, decide
from hashdb.domain.matching.testing import TEST_ID, TEST_SIGNALS
from hashdb.domain.signals import Algorithm, Signal
from tests.builders import near, signal, signature
from tests.domain.matching.test_suggestions import holder

ONE, TWO = signal(1), signal(2, Algorithm.PHASH256)


class Kept:
    """What is stored of contributions, and how often it was read."""

    def __init__(self, stored: Mapping[int, StoredItem]) -> None:
        self.stored = stored
        self.reads: list[set[int]] = []

    def __call__(self, ids: Collection[int]) -> Mapping[int, StoredItem]:
        self.reads.append(set(ids))
        return {id: self.stored[id] for id in ids}


def answered(
    queries: Sequence[Query], found: Sequence[Distances], held: Sequence[Holder], kept: Kept
) -> tuple[Result, ...]:
    by_signal: dict[Signal, list[Holder]] = {}
    for one in held:
        by_signal.setdefault(one.signal, []).append(one)
    verified = verify_candidates(queries, found, [{}] * len(found), by_signal, lambda ids: {}, kept)
    through: list[Mapping[Signal, str]] = [{} for _ in queries]
    return build_results(queries, decide(queries, found, through, by_signal, lambda ids: {}, {}, verified))


def test_what_is_stored_is_read_once_for_all_queries_that_ask_for_more_than_signals() -> None:
    kept = Kept({1: StoredItem((ONE, TWO), (signature(1),)), 2: StoredItem((ONE,))})
    signed = Query((near(ONE, 4),), signatures={"whole": (signature(1),)})
    turned = Query((signal(9),), transforms={"mirror": (near(TWO, 2),)})
    held = [holder(ONE, 1), holder(TWO, 1), holder(ONE, 2)]
    plain, one, other = answered([Query((ONE,)), signed, turned], [{ONE: 0}, {ONE: 4}, {TWO: 2}], held, kept)
    assert kept.reads == [{1, 2}]
    assert [match.evidence for match in plain.matches] == [None, None]
    (first, second), (third,) = one.matches, other.matches
    assert first.evidence is not None and second.evidence is not None and third.evidence is not None
    assert (first.contribution, first.evidence.views, first.evidence.detail) == (1, ("whole",), 0.0)
    assert (second.contribution, second.evidence.views, second.evidence.detail) == (2, ("whole",), None)
    assert (third.contribution, third.evidence.views) == (1, ("mirror",))


def test_a_plain_query_reads_nothing_and_is_scored_by_its_distances() -> None:
    kept = Kept({})
    held = [holder(ONE, 1), holder(TWO, 2)]
    (result,) = answered([Query((ONE, TWO))], [{ONE: 3, TWO: 40}], held, kept)
    assert kept.reads == []
    near_one, far_one = result.matches
    assert near_one.score is not None and far_one.score is not None
    assert near_one.score > far_one.score


def test_what_scores_less_is_no_match_and_counts_nowhere() -> None:
    held = [holder(ONE, 1, member=1, severity=2), holder(TWO, 2, member=2, severity=4)]
    found: Distances = {ONE: 0, TWO: 46}
    every, least = answered([Query((ONE, TWO)), Query((ONE, TWO), min_score=2)], [found, found], held, Kept({}))
    assert (len(every.matches), every.members, every.severity) == (2, 2, 4)
    assert ([match.contribution for match in least.matches], least.members, least.severity) == ([1], 1, 2)


def test_the_most_certain_may_come_first() -> None:
    kept = Kept({1: StoredItem((ONE,)), 2: StoredItem((TWO,))})
    asked = Query((ONE,), transforms={"mirror": (TWO,)}, order=Order.SCORE)
    (result,) = answered([asked], [{ONE: 1, TWO: 1}], [holder(ONE, 1), holder(TWO, 2)], kept)
    scores = [match.score for match in result.matches if match.score is not None]
    assert len(scores) == 2
    assert scores == sorted(scores, reverse=True)


def test_the_test_item_is_verified_by_its_published_signals() -> None:
    kept = Kept({})
    asked = Query(TEST_SIGNALS[:3], transforms={"mirror": (signal(3),)})
    (result,) = answered([asked], [dict.fromkeys(TEST_SIGNALS[:3], 0)], [], kept)
    assert [match.contribution for match in result.matches] == [TEST_ID]
    assert not any(kept.reads)


def test_beyond_a_number_of_comparisons_the_nearest_are_verified(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence, "MOST_OVERLAYS", 4)
    stored = {id: near(ONE, id, id) for id in range(1, 9)}
    kept = Kept({id: StoredItem((one,)) for id, one in stored.items()})
    asked = Query((ONE,), transforms={"mirror": (TWO,)})
    found = {one: id for id, one in stored.items()}
    held = [holder(one, id) for id, one in stored.items()]
    results = answered([asked, asked], [found, found], held, kept)
    assert kept.reads == [{1, 2}]
    for result in results:
        assert [match.contribution for match in result.matches] == list(range(1, 9))
        assert [match.evidence is not None for match in result.matches] == [True] * 2 + [False] * 6


def test_a_request_lays_a_number_of_details_over_others_and_the_nearest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence, "MOST_OVERLAYS", 4)
    stored = {id: near(ONE, id, id) for id in range(1, 9)}
    kept = Kept({id: StoredItem((one,), (signature(id),)) for id, one in stored.items()})
    asked = Query((ONE,), signatures={"whole": (signature(90),), "mirror": (signature(91),)})
    # The nearest one comes last.
    held = [holder(one, id) for id, one in reversed(stored.items())]
    (result,) = answered([asked], [{one: id for id, one in stored.items()}], held, kept)
    # One or two details are laid over that of each, so that three are compared, and contradicted.
    assert kept.reads == [{1, 2, 3, 4}]
    assert [match.contribution for match in result.matches] == list(range(4, 9))
