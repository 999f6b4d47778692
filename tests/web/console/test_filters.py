"""How pages say things."""

from __future__ import annotations

from datetime import timedelta

import pytest

from hashdb.domain.ledger.events import Action
from hashdb.web.console import filters


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0, "0 s"),
        (59, "59 s"),
        (60, "1 min"),
        (61, "1 min 1 s"),
        (3_600, "1 h"),
        (3_659, "1 h"),
        (90_061, "1 d 1 h"),
        (86_400 * 400, "400 d"),
        (-61, "1 min 1 s"),
    ],
)
def test_a_length_of_time_is_told_in_its_two_largest_units(seconds: int, told: str) -> None:
    assert filters.span(timedelta(seconds=seconds)) == filters.seconds(seconds) == told


def test_every_action_is_told_in_words() -> None:
    assert all(filters.past_tense(str(action))[0].isupper() for action in Action)
    assert filters.past_tense("user.signed-in") == "Signed in"
