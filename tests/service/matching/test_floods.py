"""The flood guard: what is answered too often within an hour waits until a person has looked at it."""

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
from tests.builders import RULES, Clock, again, contributed, draft, hashdb, member_with, query

CAPPED = replace(RULES, flood_cap=5)


@pytest.fixture
def db(database_url: str, clock: Clock) -> Iterator[HashDB]:
    """A service with a cap of five hits an hour."""
    db = hashdb(database_url, clock, CAPPED)
    yield db
    db.close()


@pytest.fixture
def one(db: HashDB, actor: Actor) -> Contribution:
    return contributed(db, actor, draft(1))[0]


@pytest.fixture
def crowd(db: HashDB) -> tuple[Actor, ...]:
    """Three members that contribute nothing."""
    return member_with(db), member_with(db), member_with(db)


def hit(db: HashDB, *members: Actor, times: int = 1) -> None:
    for actor in members:
        for _ in range(times):
            matches.match(db, actor, [query(1), query(TEST_SIGNALS[0])])
    counts.flush(db)


def standing(db: HashDB, one: Contribution) -> Standing:
    return contributions.get(db, SYSTEM, one.id).standing


def decide(db: HashDB, decision: Decision) -> None:
    (case,) = cases.page(db, COMMAND_LINE, CaseState.OPEN, 0, 10)
    cases.decide(db, COMMAND_LINE, case.id, decision)


def test_more_hits_than_the_cap_within_an_hour_quarantine(
    db: HashDB, actor: Actor, crowd: tuple[Actor, ...], one: Contribution
) -> None:
    hit(db, *crowd)
    hit(db, *crowd[:2])
    assert (neighbors.guard(db), standing(db, one)) == (0, Standing.UNREVIEWED)
    hit(db, crowd[2])
    assert (neighbors.guard(db), standing(db, one)) == (1, Standing.QUARANTINED)
    assert neighbors.guard(db) == 0
    (case,) = cases.page(db, actor, CaseState.OPEN, 0, 10)
    assert (case.contribution, case.reason, case.holds) == (one.id, "flood", True)
    with db.store.read() as tx:
        (event,) = tx.audit.events(0, 10, None, "contribution.quarantined", None)
    figures = {"hits": 6, "cap": 5, "seconds": 3600, "members": 3}
    assert (event.actor, event.details) == (str(SYSTEM), {"before": "unreviewed", "reason": "flood", **figures})


def test_one_member_alone_cannot_quarantine(db: HashDB, crowd: tuple[Actor, ...], one: Contribution) -> None:
    hit(db, crowd[0], times=50)
    assert (neighbors.guard(db), standing(db, one)) == (0, Standing.UNREVIEWED)


def test_two_members_cannot_quarantine_either(db: HashDB, crowd: tuple[Actor, ...], one: Contribution) -> None:
    hit(db, *crowd[:2], times=50)
    assert neighbors.guard(db) == 0


def test_of_one_member_at_most_half_of_the_cap_counts(db: HashDB, crowd: tuple[Actor, ...], one: Contribution) -> None:
    hit(db, crowd[0], times=50)
    hit(db, *crowd[1:])
    assert neighbors.guard(db) == 0
    hit(db, *crowd[1:])
    with db.store.read() as tx:
        assert [(flood.hits, flood.members) for flood in tx.floods.above_cap(5, db.now())] == [(54, 3)]
    assert neighbors.guard(db) == 1


@pytest.mark.parametrize("cap", [1, 2, 4])
def test_the_smallest_caps_take_three_members_too(
    db: HashDB, crowd: tuple[Actor, ...], one: Contribution, cap: int
) -> None:
    db.rules = replace(RULES, flood_cap=cap)
    hit(db, *crowd[:2], times=9)
    assert neighbors.guard(db) == 0
    hit(db, crowd[2], times=2)
    assert neighbors.guard(db) == 1


def test_hits_of_the_contributor_do_not_count(
    db: HashDB, actor: Actor, crowd: tuple[Actor, ...], one: Contribution
) -> None:
    hit(db, actor, again(db, actor), times=50)
    hit(db, *crowd[:2], times=50)
    assert neighbors.guard(db) == 0


def test_the_hits_of_all_processes_count(
    db: HashDB, database_url: str, clock: Clock, crowd: tuple[Actor, ...], one: Contribution
) -> None:
    elsewhere = hashdb(database_url, clock, CAPPED)
    hit(db, *crowd)
    hit(elsewhere, *crowd)
    assert (neighbors.guard(elsewhere), neighbors.guard(db)) == (1, 0)
    elsewhere.close()


def test_hits_of_an_hour_ago_count_no_more(
    db: HashDB, clock: Clock, crowd: tuple[Actor, ...], one: Contribution
) -> None:
    hit(db, *crowd)
    clock.go(minutes=30)
    hit(db, *crowd[:1])
    clock.go(minutes=30)
    hit(db, *crowd)
    assert neighbors.guard(db) == 0
    clock.go(minutes=20)
    hit(db, *crowd[1:])
    assert neighbors.guard(db) == 1


def test_what_was_upheld_is_left_alone_for_a_week(
    db: HashDB, clock: Clock, crowd: tuple[Actor, ...], one: Contribution
) -> None:
    hit(db, *crowd, times=2)
    neighbors.guard(db)
    decide(db, Decision.UPHOLD)
    assert (neighbors.guard(db), standing(db, one)) == (0, Standing.UNREVIEWED)
    clock.go(days=6)
    hit(db, *crowd, times=2)
    assert neighbors.guard(db) == 0
    clock.go(days=1)
    hit(db, *crowd, times=2)
    assert neighbors.guard(db) == 1


def test_an_open_case_keeps_nobody_from_it(
    db: HashDB, other: Actor, crowd: tuple[Actor, ...], one: Contribution
) -> None:
    case = opinions.give(db, other, one.id, OpinionDraft(Stance.DISPUTES, "other")).case
    hit(db, *crowd, times=2)
    assert (neighbors.guard(db), standing(db, one)) == (1, Standing.QUARANTINED)
    (held,) = cases.page(db, COMMAND_LINE, None, 0, 10)
    assert (held.id, held.reason, held.holds) == (case, "other", True)
    decide(db, Decision.UPHOLD)
    assert standing(db, one) is Standing.UNREVIEWED


def test_without_a_cap_nothing_is_kept_and_nothing_happens(
    db: HashDB, crowd: tuple[Actor, ...], one: Contribution
) -> None:
    db.rules = RULES
    hit(db, *crowd, times=3)
    db.rules = CAPPED
    assert neighbors.guard(db) == 0
    hit(db, *crowd, times=2)
    db.rules = RULES
    assert neighbors.guard(db) == 0


def test_where_only_numbers_are_kept_there_is_no_guard(db: HashDB, crowd: tuple[Actor, ...], one: Contribution) -> None:
    """Without the members nothing tells a flood from one key that asks often."""
    db.match_log = MatchLog.COUNTS
    hit(db, *crowd, times=3)
    assert neighbors.guard(db) == 0


def test_what_ended_is_left_alone(db: HashDB, actor: Actor, crowd: tuple[Actor, ...], one: Contribution) -> None:
    hit(db, *crowd, times=2)
    contributions.withdraw(db, actor, one.id, "other")
    assert neighbors.guard(db) == 0
