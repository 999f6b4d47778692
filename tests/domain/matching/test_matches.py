"""Queries and matches as values: radius, order and action."""

from __future__ import annotations

from itertools import permutations

from hashdb.domain.contributions import Standing
from hashdb.domain.matching.matches import Match, Result
from hashdb.domain.signals import Algorithm
from tests.builders import NOON, query

PDQ, PHASH256, PHASH = Algorithm.PDQ, Algorithm.PHASH256, Algorithm.PHASH


def match(contribution: int, **distance: int) -> Match:
    distances = {Algorithm(name): bits for name, bits in distance.items()}
    return Match(contribution, distances, ("glorification",), None, Standing.UNREVIEWED, (), NOON, NOON)


def test_a_query_uses_the_default_radius_unless_it_sets_another() -> None:
    parsed = query(1, phash=3, pdq=0)
    assert [parsed.radius_of(algorithm) for algorithm in (PDQ, PHASH256, PHASH)] == [0, 46, 3]


def test_matches_are_ordered_by_relative_distance_then_agreement_then_id() -> None:
    expected = [
        match(9, pdq=0),
        match(8, pdq=31, phash=1),  # 1/6
        match(7, phash=3, pdq=31),  # 1/2, two agree
        match(2, phash256=23),  # 1/2
        match(3, phash=3),  # 1/2
        match(1, pdq=31),
    ]
    for shuffled in permutations(expected):
        assert sorted(shuffled, key=lambda match_: match_.rank) == expected


def test_a_match_lists_the_algorithms_that_agree() -> None:
    assert match(1, pdq=6, phash=2).agree == (PDQ, PHASH)


def test_the_action_of_a_result_is_review_or_none() -> None:
    assert Result("a", (), 0).action == "none"
    assert Result("a", (match(1, pdq=0),), 1).action == "review"


def test_the_order_of_matches_reveals_no_hidden_distance() -> None:
    near, far, agreed = match(9, pdq=0), match(2, pdq=31), match(5, pdq=30, phash=6)
    hidden = Result("q", (near, agreed, far), 2).without_distances()
    assert [match_.contribution for match_ in hidden.matches] == [5, 2, 9]
    assert [dict(match_.distance) for match_ in hidden.matches] == [{PDQ: None, PHASH: None}, {PDQ: None}, {PDQ: None}]
    assert [match_.agree for match_ in hidden.matches] == [(PDQ, PHASH), (PDQ,), (PDQ,)]
    assert (hidden.id, hidden.members, hidden.action) == ("q", 2, "review")
