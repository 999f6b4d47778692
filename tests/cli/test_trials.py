"""The output of the demonstration."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from hashdb.cli.demo import Trial, print_trials, trials_as_json
from hashdb.domain.contributions import Standing
from hashdb.domain.matching.matches import Match, Result
from hashdb.domain.signals import Algorithm

MATCH = Match(7, {Algorithm.PDQ: 3}, ("glorification",), None, Standing.UNREVIEWED, (), None, datetime.now(UTC))
HIT, MISS = Result(None, (MATCH,), 1), Result(None, (), 0)


def test_a_trial_holds_if_its_result_is_the_expected_one() -> None:
    assert Trial("a", "half size", 7, HIT, 1.0).held
    assert Trial("a", "another photo", None, MISS, 1.0).held
    assert not Trial("a", "half size", 8, HIT, 1.0).held
    assert not Trial("a", "half size", 7, MISS, 1.0).held
    assert not Trial("a", "another photo", None, HIT, 1.0).held


def test_the_json_output_marks_a_trial_that_does_not_hold() -> None:
    output = trials_as_json([Trial("a", "half size", 7, HIT, 1.25), Trial("b", "half size", 7, MISS, 1.0)], [], [])
    assert output["held"] is False
    assert output["trials"] == [
        {
            "photo": "a",
            "alteration": "half size",
            "expected": 7,
            "contribution": 7,
            "distance": {"pdq": 3},
            "action": "review",
            "ms": 1.2,
            "held": True,
        },
        {
            "photo": "b",
            "alteration": "half size",
            "expected": 7,
            "contribution": None,
            "distance": {},
            "action": "none",
            "ms": 1.0,
            "held": False,
        },
    ]


def test_the_text_output_counts_the_recognised_copies(capsys: pytest.CaptureFixture[str]) -> None:
    copies = [Trial("a", "half size", 7, HIT, 1.0), Trial("b", "JPEG 30", 8, MISS, 2.0)]
    print_trials([*copies, Trial("c", "another photo", None, MISS, 3.0)])
    output = capsys.readouterr()
    assert "1 of 2 altered copies were recognised; 0 of 1 other photographs were." in output.out
    assert "A match took 2.0 ms (median, one query a request)." in output.out
    assert [line.split()[0] for line in output.out.splitlines() if "not as expected" in line] == ["b"]
    assert output.err == ""
