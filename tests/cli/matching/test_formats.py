"""Matches, and ages, in words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from hashdb.cli.matching.formats import format_action, format_age, format_match
from hashdb.domain.contributions import Standing
from hashdb.domain.matching.matches import Evidence, Match, Result
from hashdb.domain.signals import Algorithm

MATCH = Match(1, {Algorithm.PDQ: 3}, ("glorification",), None, Standing.UNREVIEWED, (), None, datetime.now(UTC))


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (Result(None, (), 0), "no match"),
        (Result(None, (MATCH,), 1), "review (1 member)"),
        (Result(None, (MATCH,), 2), "review (2 members)"),
        (Result(None, (MATCH,), 2, truncated=True), "review (2 members, not all shown)"),
        (Result(None, (), 0, truncated=True), "review (not all shown)"),
    ],
)
def test_the_action_says_when_not_all_matches_are_shown(result: Result, words: str) -> None:
    assert format_action(result) == words


def test_a_match_without_distances_shows_its_algorithms() -> None:
    assert format_match(MATCH) == "contribution 1: pdq 3; glorification, unreviewed"
    assert format_match(MATCH.without_distances()) == "contribution 1: pdq; glorification, unreviewed"
    scored = MATCH._replace(score=12.3, evidence=Evidence(("whole",), 0.01, None))
    assert format_match(scored) == "contribution 1: pdq 3; score 12.3, glorification, unreviewed"


@pytest.mark.parametrize(
    ("seconds", "text"), [(-1, "0 seconds"), (1, "1 second"), (119, "1 minute"), (7_200, "2 hours"), (10**6, "11 days")]
)
def test_an_age_is_shown_in_the_largest_unit(seconds: int, text: str) -> None:
    assert format_age(timedelta(seconds=seconds)) == text
