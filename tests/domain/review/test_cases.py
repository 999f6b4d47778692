"""The table of standings, row by row, for decisions; and when a case is opened."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hashdb.domain.contributions import Standing
from hashdb.domain.review.cases import Case, CaseState, Decision, Stance, StandingChange, opens_case, ruling
from tests.builders import NOON

OPEN = Case(1, 17, 3, "Member", "edsa_context", False, NOON, NOON)
HOLDS = replace(OPEN, holds=True)
FOLLOWS = replace(OPEN, follows=7)
UPHELD, QUARANTINED, RETIRED = (replace(OPEN, decision=decision, decided_by="key:9") for decision in Decision)
HELD_AND_UPHELD = replace(HOLDS, decision=Decision.UPHOLD)


@pytest.mark.parametrize(
    ("cases", "expected"),
    [
        ((), None),
        ((OPEN,), None),
        ((HOLDS,), Standing.QUARANTINED),
        ((HELD_AND_UPHELD,), None),
        ((UPHELD,), None),
        ((UPHELD, OPEN), None),
        ((UPHELD, HOLDS), Standing.QUARANTINED),
        ((QUARANTINED,), Standing.QUARANTINED),
        ((QUARANTINED, OPEN), Standing.QUARANTINED),
        ((QUARANTINED, UPHELD), None),
        ((RETIRED,), Standing.RETIRED),
        ((RETIRED, HOLDS), Standing.RETIRED),
        ((RETIRED, UPHELD), None),
        ((UPHELD, RETIRED), Standing.RETIRED),
        ((RETIRED, QUARANTINED), Standing.QUARANTINED),
        ((FOLLOWS,), Standing.DISPUTED),
        ((replace(FOLLOWS, holds=True),), Standing.QUARANTINED),
        ((replace(FOLLOWS, decision=Decision.UPHOLD),), None),
        ((UPHELD, FOLLOWS), Standing.DISPUTED),
        ((QUARANTINED, FOLLOWS), Standing.QUARANTINED),
    ],
)
def test_the_ruling_follows_from_the_last_decision_and_the_open_cases(
    cases: tuple[Case, ...], expected: Standing | None
) -> None:
    assert ruling(cases) is expected


@pytest.mark.parametrize(
    ("cases", "disputed", "confirmed"),
    [
        ((), True, False),
        ((OPEN,), False, False),
        ((HOLDS,), False, False),
        ((UPHELD,), True, False),
        ((QUARANTINED,), True, True),
        ((RETIRED,), True, True),
        ((RETIRED, OPEN), False, False),
    ],
)
def test_an_opinion_against_the_last_decision_opens_a_case(
    cases: tuple[Case, ...], disputed: bool, confirmed: bool
) -> None:
    assert (opens_case(Stance.DISPUTES, cases), opens_case(Stance.CONFIRMS, cases)) == (disputed, confirmed)


def test_a_case_is_open_until_it_is_decided() -> None:
    assert (OPEN.state, UPHELD.state) == (CaseState.OPEN, CaseState.DECIDED)


def test_parties_do_not_see_who_decided_or_the_member() -> None:
    assert UPHELD.shown(decided_by=True, member=True) == UPHELD
    assert UPHELD.shown(decided_by=False, member=True) == replace(
        UPHELD, decided_by=None, hidden=frozenset({"decided_by"})
    )
    assert UPHELD.shown(decided_by=True, member=False) == replace(UPHELD, member=0, member_name="")


@pytest.mark.parametrize("before", Standing)
@pytest.mark.parametrize("after", Standing)
def test_a_change_of_standing_ends_or_begins_a_match(before: Standing, after: Standing) -> None:
    change = StandingChange(before, after)
    assert change.ends is (before.matches and not after.matches)
    assert change.begins is (after.matches and not before.matches)
