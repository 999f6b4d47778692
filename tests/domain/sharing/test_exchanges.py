"""Exchange records: the number of a value, and whether a contribution matches after its events."""

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
def test_matched_after_returns_whether_a_contribution_matches_after_its_events(
    actions: list[Action], expected: bool
) -> None:
    assert matched_after(actions) is expected


def test_equal_values_have_the_same_exchange_number_below_2_to_the_56() -> None:
    first, again, other = (ExchangeRecord(seq, NOON, signal(seed), (), ()) for seq, seed in ((1, 1), (9, 1), (1, 2)))
    assert first.number == again.number != other.number
    assert 0 < first.number < 2**56
    assert first.gone
