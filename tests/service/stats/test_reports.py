"""Reports of all members or of one, on both databases. The tests of the web compare the figures with the log."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from hashdb.domain.accounts.members import COMMAND_LINE, SYSTEM, Actor, MemberKind
from hashdb.domain.review.cases import CaseState, Cause, Decision, OpinionDraft, Stance
from hashdb.domain.stats.reports import GroupCounts, Precision, QueryFigures
from hashdb.domain.stats.statements import tco_report
from hashdb.errors import InvalidInput, NotAuthenticated, NotFound, ScopeMissing
from hashdb.service import HashDB
from hashdb.service.accounts import members
from hashdb.service.contributions import contributions
from hashdb.service.matching import matches
from hashdb.service.review import cases, opinions
from hashdb.service.stats import counts, overviews, reports
from tests.builders import NOON, RULES, Clock, contributed, draft, hashdb, member_with, query

DAY = NOON.date()
CONFIRMS, DISPUTES = OpinionDraft(Stance.CONFIRMS), OpinionDraft(Stance.DISPUTES, "edsa_context")


@pytest.fixture
def flagger(db: HashDB) -> Actor:
    return member_with(db, kind=MemberKind.TRUSTED_FLAGGER)


@pytest.fixture
def busy_day(db: HashDB, actor: Actor, flagger: Actor, clock: Clock) -> HashDB:
    """A service after a day with contributions, queries, a withdrawal and a request without a key."""
    withdrawn, _ = contributed(
        db, actor, draft(1), draft(2, basis="removal_order", notified_at=NOON - timedelta(hours=3))
    )
    contributed(db, flagger, draft(3, labels=("manifesto",), removed_at=None))
    matches.match(db, flagger, [query(1), query(2), query(99)])
    matches.match(db, actor, [query(1)])
    with pytest.raises(NotAuthenticated):
        members.authenticate(db, "")
    clock.advance(minutes=10)
    contributions.withdraw(db, actor, withdrawn.id, "removal_reversed")
    counts.flush(db)
    return db


def test_a_report_has_the_figures_of_its_period(busy_day: HashDB, actor: Actor, flagger: Actor) -> None:
    assert actor.member and flagger.member
    report = reports.transparency(busy_day, COMMAND_LINE, None, None, form="json")
    assert (report.period.first, report.period.last, report.final) == (DAY, DAY, False)
    assert (report.contributions.added, report.contributions.active) == (3, 2)
    assert report.contributions.withdrawn == {"removal_reversed": 1}
    assert report.contributions.by["label"] == {
        "glorification": GroupCounts(2, 1, 1),
        "manifesto": GroupCounts(1, 0, 1),
    }
    assert report.contributions.by["kind"] == {
        "platform": GroupCounts(2, 1, 1),
        "trusted_flagger": GroupCounts(1, 0, 1),
    }
    assert (report.to_share["all"].count, report.to_share["others"].median) == (2, 3600)
    assert report.to_remove["all"].median == 7200
    assert report.queries["any"] == QueryFigures(hit=3, none=1, own=1, others=2)
    assert report.queries_by_member[flagger.member.id] == QueryFigures(hit=2, none=1, own=0, others=2)
    assert report.caught.contributions == 2
    assert report.turned_away == {"no-key": 1}
    assert report.days[DAY].added == 3


def test_a_report_of_one_member_has_only_its_contributions_and_queries(busy_day: HashDB, actor: Actor) -> None:
    assert actor.member
    report = reports.transparency(busy_day, COMMAND_LINE, DAY, DAY, form="tco", member=actor.member.id)
    assert (report.contributions.added, report.queries["any"]) == (2, QueryFigures(hit=1, none=0, own=1, others=0))
    assert set(report.queries_by_member) == {actor.member.id}
    assert report.turned_away == {}
    tco = tco_report(report)
    points = tco["points"]
    assert isinstance(points, dict) and list(points) == ["a", "b", "c", "d", "e", "f", "g"]
    assert points["c"]["items_removed_following_removal_orders"] == 1
    assert points["c"]["items_removed_otherwise"] == 1
    assert points["b"]["own_items_that_reappeared_elsewhere"] == 2
    assert points["g"]["items_withdrawn_because_removal_was_reversed"] == 1


def test_the_precision_of_a_member_follows_the_standing_of_its_items(db: HashDB, actor: Actor, other: Actor) -> None:
    third = member_with(db)
    confirmed, disputed, held = contributed(db, actor, draft(1), draft(2), draft(3))
    for each in (confirmed, disputed):
        case = opinions.give(db, other, each.id, DISPUTES).case
        assert case
        cases.decide(db, COMMAND_LINE, case, Decision.UPHOLD)
        opinions.give(db, third, each.id, DISPUTES)
    opinions.give(db, third, confirmed.id, CONFIRMS)
    opinions.give(db, other, held.id, CONFIRMS)
    with db.store.begin() as tx:
        tx.audit.append(NOON, SYSTEM, cases.hold(tx, RULES, [tx.contributions.one(held.id, NOON)], Cause.FLOOD, NOON))
    report = reports.transparency(db, COMMAND_LINE, DAY, DAY, form="json")
    # The contribution that the flood guard holds does not count until a reviewer has decided.
    assert actor.member and report.precision == {actor.member.id: Precision(1, 1)}
    (figures, *_) = overviews.members(db, COMMAND_LINE, 30)
    assert figures.precision == Precision(1, 1)
    cases.decide(db, COMMAND_LINE, 5, Decision.QUARANTINE)
    report = reports.transparency(db, COMMAND_LINE, DAY, DAY, form="json")
    assert report.precision == {actor.member.id: Precision(1, 2)}
    (figures, *_) = overviews.members(db, COMMAND_LINE, 30)
    assert figures.precision == Precision(1, 2)


def test_outcomes_of_disputes_count_only_cases_with_a_dispute(db: HashDB, actor: Actor, other: Actor) -> None:
    disputed, joined, undisputed = contributed(db, actor, draft(1), draft(2), draft(3))
    decisions = {disputed.id: Decision.RETIRE, joined.id: Decision.QUARANTINE, undisputed.id: Decision.UPHOLD}
    for each in (joined, undisputed):
        cases.open_case(db, COMMAND_LINE, each.id, "edsa_context", holds=False)
    for each in (disputed, joined):
        opinions.give(db, other, each.id, DISPUTES)
    for case in cases.page(db, COMMAND_LINE, CaseState.OPEN, 0, 10):
        cases.decide(db, COMMAND_LINE, case.id, decisions[case.contribution])
    report = reports.transparency(db, COMMAND_LINE, DAY, DAY, form="tco")
    assert report.reviews.decided == {"quarantine": 1, "retire": 1, "uphold": 1}
    points = tco_report(report)["points"]
    assert isinstance(points, dict)
    assert points["d"]["disputes_by_other_members"] == 2
    assert points["d"]["outcomes_of_disputes"] == {"quarantine": 1, "retire": 1}


@pytest.mark.parametrize("counted", [True, False])
def test_a_final_report_does_not_change_if_a_worker_writes_late(
    database_url: str, db: HashDB, actor: Actor, other: Actor, clock: Clock, counted: bool
) -> None:
    contributed(db, actor, draft(1))
    clock.at = NOON.replace(hour=23, minute=59, second=59)
    late_worker = hashdb(database_url, clock)
    matches.match(late_worker, other, [query(1)])
    if counted:
        matches.match(db, actor, [query(99)])
        counts.flush(db)
    clock.advance(seconds=1)
    assert not reports.transparency(db, COMMAND_LINE, DAY, DAY, form="json").final
    clock.advance(minutes=2)
    counts.seal(db)
    first_report = reports.transparency(db, COMMAND_LINE, DAY, DAY, form="json")
    counts.flush(late_worker)
    late_worker.close()
    second_report = reports.transparency(db, COMMAND_LINE, DAY, DAY, form="json")
    assert first_report.final and first_report == second_report
    next_day = reports.transparency(db, COMMAND_LINE, DAY + timedelta(days=1), None, form="json")
    assert (next_day.caught.contributions, next_day.caught.first_catch.median) == (1, 43_200)
    assert next_day.queries["any"] == QueryFigures(hit=1, none=0, own=0, others=1)


def test_an_empty_log_has_a_report_too(db: HashDB) -> None:
    report = reports.transparency(db, COMMAND_LINE, None, None, form="json")
    assert (report.size, report.contributions.added, dict(report.days)) == (0, 0, {})


def test_wrong_scopes_periods_and_members_of_a_report_are_rejected(db: HashDB, actor: Actor) -> None:
    with pytest.raises(ScopeMissing):
        reports.transparency(db, actor, None, None, form="json")
    with pytest.raises(InvalidInput, match="to: must not be before from"):
        reports.transparency(db, COMMAND_LINE, DAY, date(2026, 1, 1), form="json")
    with pytest.raises(NotFound):
        reports.transparency(db, COMMAND_LINE, DAY, DAY, form="json", member=99)
