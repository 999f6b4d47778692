"""The flood guard quarantines a contribution that other members hit too often within an hour."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from hashdb.domain.accounts.members import COMMAND_LINE, SYSTEM, Actor
from hashdb.domain.contributions import Contribution, Standing
from hashdb.domain.matching.testing import TEST_SIGNALS
from hashdb.domain.review.cases import CaseState, Decision, OpinionDraft, Stance
from hashdb.domain.stats.counts import MatchLog
from hashdb.service import HashDB
from hashdb.service.contributions import contributions
from hashdb.service.matching import matches, neighbors
from hashdb.service.review import cases, opinions
from hashdb.service.stats import counts
from tests.builders import RULES, Clock, contributed, draft, hashdb, member_with, query, with_new_key

CAPPED = replace(RULES, flood_cap=5)


@pytest.fixture
def db(database_url: str, clock: Clock) -> Iterator[HashDB]:
    """A service whose flood guard allows five hits an hour."""
    db = hashdb(database_url, clock, CAPPED)
    yield db
    db.close()


@pytest.fixture
def contribution(db: HashDB, actor: Actor) -> Contribution:
    return contributed(db, actor, draft(1))[0]


@pytest.fixture
def three_members(db: HashDB) -> tuple[Actor, ...]:
    """Three members without contributions."""
    return member_with(db), member_with(db), member_with(db)


def hit(db: HashDB, *members: Actor, times: int = 1) -> None:
    for member in members:
        for _ in range(times):
            matches.match(db, member, [query(1), query(TEST_SIGNALS[0])])
    counts.flush(db)


def standing(db: HashDB, contribution: Contribution) -> Standing:
    return contributions.get(db, SYSTEM, contribution.id).standing


def decide(db: HashDB, decision: Decision) -> None:
    (case,) = cases.page(db, COMMAND_LINE, CaseState.OPEN, 0, 10)
    cases.decide(db, COMMAND_LINE, case.id, decision)


def test_more_hits_in_an_hour_than_the_cap_quarantine_a_contribution(
    db: HashDB, actor: Actor, three_members: tuple[Actor, ...], contribution: Contribution
) -> None:
    hit(db, *three_members)
    hit(db, *three_members[:2])
    assert (neighbors.guard(db), standing(db, contribution)) == (0, Standing.UNREVIEWED)
    hit(db, three_members[2])
    assert (neighbors.guard(db), standing(db, contribution)) == (1, Standing.QUARANTINED)
    assert neighbors.guard(db) == 0
    (case,) = cases.page(db, actor, CaseState.OPEN, 0, 10)
    assert (case.contribution, case.reason, case.holds) == (contribution.id, "flood", True)
    with db.store.read() as tx:
        (event,) = tx.audit.events(0, 10, None, "contribution.quarantined", None)
    figures = {"hits": 6, "cap": 5, "seconds": 3600, "members": 3}
    assert (event.actor, event.details) == (str(SYSTEM), {"before": "unreviewed", "reason": "flood", **figures})


def test_hits_of_one_member_never_quarantine(
    db: HashDB, three_members: tuple[Actor, ...], contribution: Contribution
) -> None:
    hit(db, three_members[0], times=50)
    assert (neighbors.guard(db), standing(db, contribution)) == (0, Standing.UNREVIEWED)


def test_hits_of_two_members_never_quarantine(
    db: HashDB, three_members: tuple[Actor, ...], contribution: Contribution
) -> None:
    hit(db, *three_members[:2], times=50)
    assert neighbors.guard(db) == 0


def test_the_hits_of_one_member_count_up_to_half_of_the_cap(
    db: HashDB, three_members: tuple[Actor, ...], contribution: Contribution
) -> None:
    hit(db, three_members[0], times=50)
    hit(db, *three_members[1:])
    assert neighbors.guard(db) == 0
    hit(db, *three_members[1:])
    with db.store.read() as tx:
        assert [(flood.hits, flood.members) for flood in tx.floods.above_cap(5, db.now())] == [(54, 3)]
    assert neighbors.guard(db) == 1


@pytest.mark.parametrize("cap", [1, 2, 4])
def test_a_small_cap_also_needs_hits_of_three_members(
    db: HashDB, three_members: tuple[Actor, ...], contribution: Contribution, cap: int
) -> None:
    db.rules = replace(RULES, flood_cap=cap)
    hit(db, *three_members[:2], times=9)
    assert neighbors.guard(db) == 0
    hit(db, three_members[2], times=2)
    assert neighbors.guard(db) == 1


def test_hits_of_the_contributor_do_not_count(
    db: HashDB, actor: Actor, three_members: tuple[Actor, ...], contribution: Contribution
) -> None:
    hit(db, actor, with_new_key(db, actor), times=50)
    hit(db, *three_members[:2], times=50)
    assert neighbors.guard(db) == 0


def test_the_hits_of_all_processes_are_added_up(
    db: HashDB, database_url: str, clock: Clock, three_members: tuple[Actor, ...], contribution: Contribution
) -> None:
    other_process = hashdb(database_url, clock, CAPPED)
    hit(db, *three_members)
    hit(other_process, *three_members)
    assert (neighbors.guard(other_process), neighbors.guard(db)) == (1, 0)
    other_process.close()


def test_hits_count_for_an_hour(
    db: HashDB, clock: Clock, three_members: tuple[Actor, ...], contribution: Contribution
) -> None:
    hit(db, *three_members)
    clock.advance(minutes=30)
    hit(db, *three_members[:1])
    clock.advance(minutes=30)
    hit(db, *three_members)
    assert neighbors.guard(db) == 0
    clock.advance(minutes=20)
    hit(db, *three_members[1:])
    assert neighbors.guard(db) == 1


def test_the_guard_ignores_an_upheld_contribution_for_a_week(
    db: HashDB, clock: Clock, three_members: tuple[Actor, ...], contribution: Contribution
) -> None:
    hit(db, *three_members, times=2)
    neighbors.guard(db)
    decide(db, Decision.UPHOLD)
    assert (neighbors.guard(db), standing(db, contribution)) == (0, Standing.UNREVIEWED)
    clock.advance(days=6)
    hit(db, *three_members, times=2)
    assert neighbors.guard(db) == 0
    clock.advance(days=1)
    hit(db, *three_members, times=2)
    assert neighbors.guard(db) == 1


def test_the_guard_also_quarantines_a_contribution_with_an_open_case(
    db: HashDB, other: Actor, three_members: tuple[Actor, ...], contribution: Contribution
) -> None:
    case = opinions.give(db, other, contribution.id, OpinionDraft(Stance.DISPUTES, "other")).case
    hit(db, *three_members, times=2)
    assert (neighbors.guard(db), standing(db, contribution)) == (1, Standing.QUARANTINED)
    (open_case,) = cases.page(db, COMMAND_LINE, None, 0, 10)
    assert (open_case.id, open_case.reason, open_case.holds) == (case, "other", True)
    decide(db, Decision.UPHOLD)
    assert standing(db, contribution) is Standing.UNREVIEWED


def test_without_a_cap_no_hits_are_kept_and_nothing_is_quarantined(
    db: HashDB, three_members: tuple[Actor, ...], contribution: Contribution
) -> None:
    db.rules = RULES
    hit(db, *three_members, times=3)
    db.rules = CAPPED
    assert neighbors.guard(db) == 0
    hit(db, *three_members, times=2)
    db.rules = RULES
    assert neighbors.guard(db) == 0


def test_the_guard_is_off_if_the_match_log_keeps_only_counts(
    db: HashDB, three_members: tuple[Actor, ...], contribution: Contribution
) -> None:
    """Without the members, hashdb cannot distinguish a flood from one key with many queries."""
    db.match_log = MatchLog.COUNTS
    hit(db, *three_members, times=3)
    assert neighbors.guard(db) == 0


def test_the_guard_ignores_a_withdrawn_contribution(
    db: HashDB, actor: Actor, three_members: tuple[Actor, ...], contribution: Contribution
) -> None:
    hit(db, *three_members, times=2)
    contributions.withdraw(db, actor, contribution.id, "other")
    assert neighbors.guard(db) == 0
