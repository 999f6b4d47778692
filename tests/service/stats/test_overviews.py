"""The console's first page: figures that follow the log."""

from __future__ import annotations

from datetime import timedelta

import pytest

from hashdb.domain.accounts.members import COMMAND_LINE, Actor, Scope
from hashdb.domain.contributions import Standing, Status
from hashdb.domain.review.cases import Decision, OpinionDraft, Stance
from hashdb.domain.stats.reports import Precision
from hashdb.errors import ScopeMissing
from hashdb.service import HashDB
from hashdb.service.contributions import contributions
from hashdb.service.matching import matches
from hashdb.service.review import cases, opinions
from hashdb.service.stats import counts, overviews
from tests.builders import NOON, Clock, contributed, draft, query

HOUR = timedelta(hours=1)
DISPUTE = OpinionDraft(Stance.DISPUTES, "other")


def happened(db: HashDB, actor: Actor, other: Actor, clock: Clock) -> None:
    """A day on which everything happens."""
    found = contributed(db, actor, *(draft(seed) for seed in range(6)), draft(6, removed_at=NOON - 30 * HOUR))
    contributed(db, other, draft(7, removed_at=None), draft(8, expires_at=NOON + HOUR))
    contributions.withdraw(db, actor, found[0].id, "other")
    for place, decision in ((1, Decision.UPHOLD), (2, Decision.RETIRE), (3, None)):
        opinions.give(db, other, found[place].id, DISPUTE)
        if decision is not None:
            case = cases.page(db, COMMAND_LINE, None, 0, 100)[-1]
            cases.decide(db, COMMAND_LINE, case.id, decision)
    opinions.give(db, other, found[4].id, OpinionDraft(Stance.CONFIRMS))
    clock.go(days=1)
    contributions.emit_pending(db)


def test_the_figures_are_the_same_before_and_after_they_were_followed(
    db: HashDB, actor: Actor, other: Actor, clock: Clock
) -> None:
    happened(db, actor, other, clock)
    before = overviews.get(db, COMMAND_LINE, 30)
    assert overviews.follow(db) == before.seq
    assert overviews.get(db, COMMAND_LINE, 30) == before
    assert overviews.follow(db) == 0
    assert before.behind == 0
    assert before.statuses == {Status.ACTIVE: 7, Status.WITHDRAWN: 1, Status.EXPIRED: 1, Status.SUSPENDED: 0}
    assert before.standings[Standing.UNREVIEWED] == 6
    assert {one: before.standings[one] for one in (Standing.CONFIRMED, Standing.DISPUTED, Standing.RETIRED)} == {
        Standing.CONFIRMED: 1,
        Standing.DISPUTED: 1,
        Standing.RETIRED: 1,
    }
    assert (before.waiting.open, before.waiting.overdue, before.new) == (1, 0, 9)
    assert [day.added for day in before.days] == [*[0] * 28, 9, 0]
    day = before.days[-2]
    assert (day.withdrawn, day.timed, day.in_hour, day.half, day.most) == (1, 8, 7, 3_600, 129_600)


def test_members_are_told_by_what_they_did_and_how_it_holds(
    db: HashDB, actor: Actor, other: Actor, clock: Clock
) -> None:
    happened(db, actor, other, clock)
    first, second = overviews.get(db, COMMAND_LINE, 30).members
    assert (first.added, first.active, first.timed, first.in_hour, first.precision) == (7, 6, 7, 6, Precision(2, 2))
    assert (first.precision.share, second.precision.share) == (0.5, None)
    assert (second.added, second.active, second.timed) == (2, 1, 1)
    assert [one.added for one in overviews.get(db, COMMAND_LINE, 1).members] == [0, 0]


def test_a_page_tells_how_many_events_it_has_not_counted(
    db: HashDB, actor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overviews, "BLOCK", 4)
    contributed(db, actor, *(draft(seed) for seed in range(9)))
    head = db.store.head().seq
    assert overviews.get(db, COMMAND_LINE, 30).behind == head - 4
    while overviews.follow(db):
        pass
    found = overviews.get(db, COMMAND_LINE, 30)
    assert (found.seq, found.behind, found.statuses[Status.ACTIVE]) == (head, 0, 9)


def test_what_members_asked_counts_at_once_and_the_same_once_its_day_is_sealed(
    db: HashDB, actor: Actor, other: Actor, clock: Clock
) -> None:
    contributed(db, actor, draft(1))
    matches.match(db, other, [query(1), query(9)])
    counts.flush(db)
    before = overviews.get(db, COMMAND_LINE, 30)
    assert [(day.queries, day.hits) for day in before.days][-1] == (2, 1)
    assert other.member
    assert {one.member: (one.queries, one.hits) for one in before.members}[other.member.id] == (2, 1)
    clock.go(days=1)
    counts.seal(db)
    sealed = overviews.get(db, COMMAND_LINE, 30)
    while overviews.follow(db):
        pass
    for found in (sealed, overviews.get(db, COMMAND_LINE, 30)):
        assert [(day.queries, day.hits) for day in found.days][-2:] == [(2, 1), (0, 0)]
        assert found.members == sealed.members


def test_health_tells_how_far_log_and_index_are(db: HashDB, actor: Actor) -> None:
    contributed(db, actor, draft(1))
    assert overviews.get(db, COMMAND_LINE, 30).health.values["pdq"] == 0
    level = db.index.catch_up()
    health = overviews.get(db, COMMAND_LINE, 30).health
    assert (health.seq, health.index_seq, health.values["pdq"], health.signed) == (level.seq, level.seq, 1, 0)


def test_the_figures_are_for_who_audits_or_reviews(db: HashDB, actor: Actor) -> None:
    with pytest.raises(ScopeMissing):
        overviews.get(db, actor, 30)
    overviews.get(db, Actor("user:1", frozenset({Scope.REVIEW})), 30)


def test_what_only_the_service_doubts_is_not_held_against_its_member(db: HashDB, actor: Actor, other: Actor) -> None:
    held, disputed = contributed(db, actor, draft(1), draft(2))
    cases.open_case(db, COMMAND_LINE, held.id, "other", holds=True)
    opinions.give(db, other, disputed.id, DISPUTE)
    (first, _) = overviews.members(db, COMMAND_LINE, 30)
    assert first.precision == Precision(0, 1)
    assert overviews.get(db, COMMAND_LINE, 30).members == overviews.members(db, COMMAND_LINE, 30)
    cases.decide(db, COMMAND_LINE, 1, Decision.RETIRE)
    assert overviews.members(db, COMMAND_LINE, 30)[0].precision.disputed == 2
