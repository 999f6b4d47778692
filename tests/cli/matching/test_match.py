"""hashdb match: what a result says, in words."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from hashdb.cli.matching.match import for_version_0_1_0, format_action, format_match
from hashdb.domain.contributions import Standing
from hashdb.domain.matching.matches import Evidence, Match, Query, Result
from hashdb.domain.signals import Algorithm
from tests.builders import signal, signature

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
    scored = FOUND._replace(score=12.3, evidence=Evidence(("whole",), 0.01, None))
    assert format_match(scored) == "contribution 1: pdq 3; score 12.3, glorification, unreviewed"


def test_a_service_of_version_0_1_0_is_sent_what_it_takes() -> None:
    transforms = {f"view-{number}": (signal(number), signal(100 + number)) for number in range(40)}
    asked = Query((signal(1),), transforms=transforms, signatures={"whole": (signature(1),)})
    sent = for_version_0_1_0(asked)
    assert (sent.signals, sent.signatures) == (asked.signals, {})
    assert list(sent.transforms.items()) == list(transforms.items())[:32]
