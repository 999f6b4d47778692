"""Queries and matches as values: radius, order, advice."""

from __future__ import annotations

from itertools import permutations

from hashdb.domain.contributions import Standing
from hashdb.domain.matching.matches import Match, Result
from hashdb.domain.signals import Algorithm
from tests.builders import NOON, query

PDQ, PHASH256, PHASH = Algorithm.PDQ, Algorithm.PHASH256, Algorithm.PHASH


def a_match(contribution: int, **distance: int) -> Match:
    distances = {Algorithm(name): bits for name, bits in distance.items()}
    return Match(contribution, distances, ("glorification",), None, Standing.UNREVIEWED, (), NOON, NOON)


def test_a_query_asks_for_the_default_radius_unless_it_says_otherwise() -> None:
    asked = query(1, phash=3, pdq=0)
    assert [asked.radius_of(algorithm) for algorithm in (PDQ, PHASH256, PHASH)] == [0, 46, 3]


def test_matches_are_ordered_by_relative_distance_then_agreement_then_id() -> None:
    expected = [
        a_match(9, pdq=0),
        a_match(8, pdq=31, phash=1),  # 1/6
        a_match(7, phash=3, pdq=31),  # 1/2, two agree
        a_match(2, phash256=23),  # 1/2
        a_match(3, phash=3),  # 1/2
        a_match(1, pdq=31),
    ]
    for shuffled in permutations(expected):
        assert sorted(shuffled, key=lambda one: one.rank) == expected


def test_a_match_says_which_algorithms_agree() -> None:
    assert a_match(1, pdq=6, phash=2).agree == (PDQ, PHASH)


def test_the_advice_is_to_review_or_nothing() -> None:
    assert Result("a", (), 0).action == "none"
    assert Result("a", (a_match(1, pdq=0),), 1).action == "review"


def test_who_is_told_no_distances_learns_none_from_the_order() -> None:
    near, far, agreed = a_match(9, pdq=0), a_match(2, pdq=31), a_match(5, pdq=30, phash=6)
    hidden = Result("q", (near, agreed, far), 2).without_distances()
    assert [one.contribution for one in hidden.matches] == [5, 2, 9]
    assert [dict(one.distance) for one in hidden.matches] == [{PDQ: None, PHASH: None}, {PDQ: None}, {PDQ: None}]
    assert [one.agree for one in hidden.matches] == [(PDQ, PHASH), (PDQ,), (PDQ,)]
    assert (hidden.id, hidden.members, hidden.action) == ("q", 2, "review")
