"""hashdb match: results as text."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from hashdb.cli.matching.match import for_version_0_1_0, format_action, format_match
from hashdb.domain.contributions import Standing
from hashdb.domain.matching.matches import Evidence, Match, Query, Result
from hashdb.domain.signals import Algorithm
from tests.builders import signal, signature

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


def test_a_query_for_version_0_1_0_has_no_signatures_and_32_transforms() -> None:
    transforms = {f"view-{number}": (signal(number), signal(100 + number)) for number in range(40)}
    query = Query((signal(1),), transforms=transforms, signatures={"whole": (signature(1),)})
    sent = for_version_0_1_0(query)
    assert (sent.signals, sent.signatures) == (query.signals, {})
    assert list(sent.transforms.items()) == list(transforms.items())[:32]
