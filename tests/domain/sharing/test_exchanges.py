"""Exchanges: the number of a value, whether a contribution matches after its events, and the names of banks."""

from __future__ import annotations

import pytest

from hashdb.domain.accounts.members import Member, MemberKind, MemberLimits, MemberStatus
from hashdb.domain.ledger.events import Action
from hashdb.domain.sharing.exchanges import ExchangeRecord, bank_names, matched_after
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


def member(id: int, name: str) -> Member:
    return Member(id, name, MemberKind.PLATFORM, MemberStatus.ACTIVE, "", MemberLimits(), NOON)


def test_bank_names_are_unique_and_upper_case_with_underscores() -> None:
    members = [member(7, "alpha video"), member(3, "Alpha-Video"), member(4, "Überblick & Co."), member(5, "日本")]
    assert bank_names([member(1, "Alpha 3"), member(2, "Alpha"), member(3, "alpha")]) == {
        1: "ALPHA_3",
        2: "ALPHA",
        3: "ALPHA_3_3",
    }
    assert bank_names([member(4, "hashdb test")], "HASHDB_TEST") == {4: "HASHDB_TEST_4"}
    assert bank_names(members) == {3: "ALPHA_VIDEO", 4: "UBERBLICK_CO", 5: "MEMBER_5", 7: "ALPHA_VIDEO_7"}
