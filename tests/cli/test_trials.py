"""What the demonstration tells."""

from __future__ import annotations

from datetime import UTC, datetime

from hashdb.cli.trials import Trial, spelled
from hashdb.domain.contributions import Standing
from hashdb.domain.matches import Match, Result
from hashdb.domain.signals import Algorithm

FOUND = Match(7, {Algorithm.PDQ: 3}, ("glorification",), None, Standing.UNREVIEWED, (), None, datetime.now(UTC))
HIT, MISS = Result(None, (FOUND,), 1), Result(None, (), 0)


def test_a_trial_holds_when_what_was_expected_came() -> None:
    assert Trial("a", "half size", 7, HIT, 1.0).held
    assert Trial("a", "another photo", None, MISS, 1.0).held
    assert not Trial("a", "half size", 8, HIT, 1.0).held
    assert not Trial("a", "half size", 7, MISS, 1.0).held
    assert not Trial("a", "another photo", None, HIT, 1.0).held


def test_one_that_does_not_hold_is_told_to_programs() -> None:
    said = spelled([Trial("a", "half size", 7, HIT, 1.25), Trial("b", "half size", 7, MISS, 1.0)])
    assert said["held"] is False
    assert said["trials"] == [
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
