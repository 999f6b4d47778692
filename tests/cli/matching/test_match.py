"""hashdb match: what a result says, in words."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from hashdb.cli.matching.match import format_action, format_match
from hashdb.domain.contributions import Standing
from hashdb.domain.matching.matches import Match, Result
from hashdb.domain.signals import Algorithm

FOUND = Match(1, {Algorithm.PDQ: 3}, ("glorification",), None, Standing.UNREVIEWED, (), None, datetime.now(UTC))


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (Result(None, (), 0), "no match"),
        (Result(None, (FOUND,), 1), "review (1 member)"),
        (Result(None, (FOUND,), 2), "review (2 members)"),
        (Result(None, (FOUND,), 2, truncated=True), "review (2 members, not all shown)"),
        (Result(None, (), 0, truncated=True), "review (not all shown)"),
    ],
)
def test_matches_that_are_not_shown_are_told_of(result: Result, words: str) -> None:
    assert format_action(result) == words


def test_a_match_whose_distance_is_not_told_names_the_algorithms() -> None:
    assert format_match(FOUND) == "contribution 1: pdq 3; glorification, unreviewed"
    assert format_match(FOUND.without_distances()) == "contribution 1: pdq; glorification, unreviewed"
