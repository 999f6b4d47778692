"""The overview, the first page of the console: figures that follow the log."""

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


def run_a_day(db: HashDB, actor: Actor, other: Actor, clock: Clock) -> None:
    """Run a day with contributions, withdrawals, opinions, decisions and an expiry."""
    items = contributed(db, actor, *(draft(seed) for seed in range(6)), draft(6, removed_at=NOON - 30 * HOUR))
    contributed(db, other, draft(7, removed_at=None), draft(8, expires_at=NOON + HOUR))
    contributions.withdraw(db, actor, items[0].id, "other")
    for place, decision in ((1, Decision.UPHOLD), (2, Decision.RETIRE), (3, None)):
        opinions.give(db, other, items[place].id, DISPUTE)
        if decision is not None:
            case = cases.page(db, COMMAND_LINE, None, 0, 100)[-1]
            cases.decide(db, COMMAND_LINE, case.id, decision)
    opinions.give(db, other, items[4].id, OpinionDraft(Stance.CONFIRMS))
    clock.advance(days=1)
    contributions.emit_pending(db)


def test_the_figures_do_not_change_when_the_stored_ones_catch_up(
    db: HashDB, actor: Actor, other: Actor, clock: Clock
) -> None:
    run_a_day(db, actor, other, clock)
    overview = overviews.get(db, COMMAND_LINE, 30)
    assert overviews.follow(db) == overview.seq
    assert overviews.get(db, COMMAND_LINE, 30) == overview
    assert overviews.follow(db) == 0
    assert overview.behind == 0
    assert overview.statuses == {Status.ACTIVE: 7, Status.WITHDRAWN: 1, Status.EXPIRED: 1, Status.SUSPENDED: 0}
    assert overview.standings[Standing.UNREVIEWED] == 6
    assert {
        standing: overview.standings[standing] for standing in (Standing.CONFIRMED, Standing.DISPUTED, Standing.RETIRED)
    } == {
        Standing.CONFIRMED: 1,
        Standing.DISPUTED: 1,
        Standing.RETIRED: 1,
    }
    assert (overview.waiting.open, overview.waiting.overdue, overview.new) == (1, 0, 9)
    assert [day.added for day in overview.days] == [*[0] * 28, 9, 0]
    day = overview.days[-2]
    assert (day.withdrawn, day.timed, day.in_hour, day.half, day.most) == (1, 8, 7, 3_600, 129_600)


def test_the_figures_of_each_member_have_its_contributions_and_precision(
    db: HashDB, actor: Actor, other: Actor, clock: Clock
) -> None:
    run_a_day(db, actor, other, clock)
    first, second = overviews.get(db, COMMAND_LINE, 30).members
    assert (first.added, first.active, first.timed, first.in_hour, first.precision) == (7, 6, 7, 6, Precision(2, 2))
    assert (first.precision.share, second.precision.share) == (0.5, None)
    assert (second.added, second.active, second.timed) == (2, 1, 1)
    assert [member.added for member in overviews.get(db, COMMAND_LINE, 1).members] == [0, 0]


def test_the_overview_states_how_many_events_are_not_yet_counted(
    db: HashDB, actor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overviews, "BLOCK", 4)
    contributed(db, actor, *(draft(seed) for seed in range(9)))
    head = db.store.head().seq
    assert overviews.get(db, COMMAND_LINE, 30).behind == head - 4
    while overviews.follow(db):
        pass
    overview = overviews.get(db, COMMAND_LINE, 30)
    assert (overview.seq, overview.behind, overview.statuses[Status.ACTIVE]) == (head, 0, 9)


def test_queries_count_at_once_and_the_same_after_the_day_is_sealed(
    db: HashDB, actor: Actor, other: Actor, clock: Clock
) -> None:
    contributed(db, actor, draft(1))
    matches.match(db, other, [query(1), query(9)])
    counts.flush(db)
    unsealed = overviews.get(db, COMMAND_LINE, 30)
    assert [(day.queries, day.hits) for day in unsealed.days][-1] == (2, 1)
    assert other.member
    assert {member.member: (member.queries, member.hits) for member in unsealed.members}[other.member.id] == (2, 1)
    clock.advance(days=1)
    counts.seal(db)
    sealed = overviews.get(db, COMMAND_LINE, 30)
    while overviews.follow(db):
        pass
    for overview in (sealed, overviews.get(db, COMMAND_LINE, 30)):
        assert [(day.queries, day.hits) for day in overview.days][-2:] == [(2, 1), (0, 0)]
        assert overview.members == sealed.members


def test_health_shows_the_position_of_the_log_and_of_the_index(db: HashDB, actor: Actor) -> None:
    contributed(db, actor, draft(1))
    assert overviews.get(db, COMMAND_LINE, 30).health.values["pdq"] == 0
    snapshot = db.index.catch_up()
    health = overviews.get(db, COMMAND_LINE, 30).health
    assert (health.seq, health.index_seq, health.values["pdq"], health.signed) == (snapshot.seq, snapshot.seq, 1, 0)


def test_reviewers_may_read_the_figures_and_members_may_not(db: HashDB, actor: Actor) -> None:
    with pytest.raises(ScopeMissing):
        overviews.get(db, actor, 30)
    overviews.get(db, Actor("user:1", frozenset({Scope.REVIEW})), 30)


def test_a_contribution_held_by_the_service_alone_does_not_lower_precision(
    db: HashDB, actor: Actor, other: Actor
) -> None:
    held, disputed = contributed(db, actor, draft(1), draft(2))
    cases.open_case(db, COMMAND_LINE, held.id, "other", holds=True)
    opinions.give(db, other, disputed.id, DISPUTE)
    (first, _) = overviews.members(db, COMMAND_LINE, 30)
    assert first.precision == Precision(0, 1)
    assert overviews.get(db, COMMAND_LINE, 30).members == overviews.members(db, COMMAND_LINE, 30)
    cases.decide(db, COMMAND_LINE, 1, Decision.RETIRE)
    assert overviews.members(db, COMMAND_LINE, 30)[0].precision.disputed == 2
