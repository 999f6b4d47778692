"""Records: what is gone, how a value is numbered, and whether a contribution matched at an event."""

from __future__ import annotations

import pytest

from hashdb.domain.ledger.events import Action
from hashdb.domain.sharing.feed import ExchangeRecord, matched_after
from tests.builders import NOON, signal

A = Action


@pytest.mark.parametrize(
    ("actions", "expected"),
    [
        ([], False),
        ([A.CONTRIBUTION_ADDED], True),
        ([A.CONTRIBUTION_ADDED, A.CONTRIBUTION_AMENDED, A.CONTRIBUTION_DISPUTED], True),
        ([A.CONTRIBUTION_ADDED, A.CONTRIBUTION_WITHDRAWN], False),
        ([A.CONTRIBUTION_ADDED, A.CONTRIBUTION_WITHDRAWN, A.CONTRIBUTION_ERASED], False),
        ([A.CONTRIBUTION_ADDED, A.CONTRIBUTION_EXPIRED, A.CONTRIBUTION_REINSTATED], True),
        ([A.CONTRIBUTION_ADDED, A.CONTRIBUTION_QUARANTINED], False),
        ([A.CONTRIBUTION_ADDED, A.CONTRIBUTION_QUARANTINED, A.CONTRIBUTION_SUSPENDED, A.CONTRIBUTION_CONFIRMED], False),
        ([A.CONTRIBUTION_ADDED, A.CONTRIBUTION_RETIRED, A.CONTRIBUTION_CLEARED], True),
    ],
)
def test_whether_it_matched_follows_from_its_events(actions: list[Action], expected: bool) -> None:
    assert matched_after(actions) is expected


def test_a_value_has_one_number_and_it_fits_into_a_long() -> None:
    one, again, other = (ExchangeRecord(seq, NOON, signal(seed), (), ()) for seq, seed in ((1, 1), (9, 1), (1, 2)))
    assert one.number == again.number != other.number
    assert 0 < one.number < 2**56
    assert one.gone
