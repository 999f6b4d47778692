"""Reports: of all or of one member, on both databases; the numbers are held against the log in the tests of the web."""

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
def told(db: HashDB, actor: Actor, flagger: Actor, clock: Clock) -> HashDB:
    """A day with a bit of everything."""
    one, _ = contributed(db, actor, draft(1), draft(2, basis="removal_order", notified_at=NOON - timedelta(hours=3)))
    contributed(db, flagger, draft(3, labels=("manifesto",), removed_at=None))
    matches.match(db, flagger, [query(1), query(2), query(99)])
    matches.match(db, actor, [query(1)])
    with pytest.raises(NotAuthenticated):
        members.authenticate(db, "")
    clock.go(minutes=10)
    contributions.withdraw(db, actor, one.id, "removal_reversed")
    counts.flush(db)
    return db


def test_a_report_tells_of_the_day(told: HashDB, actor: Actor, flagger: Actor) -> None:
    assert actor.member and flagger.member
    found = reports.transparency(told, COMMAND_LINE, None, None, form="json")
    assert (found.period.first, found.period.last, found.final) == (DAY, DAY, False)
    assert (found.contributions.added, found.contributions.active) == (3, 2)
    assert found.contributions.withdrawn == {"removal_reversed": 1}
    assert found.contributions.by["label"] == {"glorification": GroupCounts(2, 1, 1), "manifesto": GroupCounts(1, 0, 1)}
    assert found.contributions.by["kind"] == {"platform": GroupCounts(2, 1, 1), "trusted_flagger": GroupCounts(1, 0, 1)}
    assert (found.to_share["all"].count, found.to_share["others"].median) == (2, 3600)
    assert found.to_remove["all"].median == 7200
    assert found.queries["any"] == QueryFigures(hit=3, none=1, own=1, others=2)
    assert found.queries_by_member[flagger.member.id] == QueryFigures(hit=2, none=1, own=0, others=2)
    assert found.caught.contributions == 2
    assert found.turned_away == {"no-key": 1}
    assert found.days[DAY].added == 3


def test_a_report_of_one_member_is_of_its_contributions_and_its_queries(told: HashDB, actor: Actor) -> None:
    assert actor.member
    found = reports.transparency(told, COMMAND_LINE, DAY, DAY, form="tco", member=actor.member.id)
    assert (found.contributions.added, found.queries["any"]) == (2, QueryFigures(hit=1, none=0, own=1, others=0))
    assert set(found.queries_by_member) == {actor.member.id}
    assert found.turned_away == {}
    said = tco_report(found)
    points = said["points"]
    assert isinstance(points, dict) and list(points) == ["a", "b", "c", "d", "e", "f", "g"]
    assert points["c"]["items_removed_following_removal_orders"] == 1
    assert points["c"]["items_removed_otherwise"] == 1
    assert points["b"]["own_items_that_reappeared_elsewhere"] == 2
    assert points["g"]["items_withdrawn_because_removal_was_reversed"] == 1


def test_whose_contributions_hold_is_as_their_standing_is(db: HashDB, actor: Actor, other: Actor) -> None:
    third = member_with(db)
    confirmed, disputed, held = contributed(db, actor, draft(1), draft(2), draft(3))
    for one in (confirmed, disputed):
        case = opinions.give(db, other, one.id, DISPUTES).case
        assert case
        cases.decide(db, COMMAND_LINE, case, Decision.UPHOLD)
        opinions.give(db, third, one.id, DISPUTES)
    opinions.give(db, third, confirmed.id, CONFIRMS)
    opinions.give(db, other, held.id, CONFIRMS)
    with db.store.begin() as tx:
        tx.audit.append(NOON, SYSTEM, cases.hold(tx, RULES, [tx.contributions.one(held.id, NOON)], Cause.FLOOD, NOON))
    found = reports.transparency(db, COMMAND_LINE, DAY, DAY, form="json")
    # What the flood guard holds, and nobody disputed, waits for a reviewer.
    assert actor.member and found.precision == {actor.member.id: Precision(1, 1)}
    (figures, *_) = overviews.members(db, COMMAND_LINE, 30)
    assert figures.precision == Precision(1, 1)
    cases.decide(db, COMMAND_LINE, 5, Decision.QUARANTINE)
    found = reports.transparency(db, COMMAND_LINE, DAY, DAY, form="json")
    assert found.precision == {actor.member.id: Precision(1, 2)}
    (figures, *_) = overviews.members(db, COMMAND_LINE, 30)
    assert figures.precision == Precision(1, 2)


def test_the_outcomes_of_disputes_are_of_cases_in_which_somebody_disputed(
    db: HashDB, actor: Actor, other: Actor
) -> None:
    disputed, joined, brought = contributed(db, actor, draft(1), draft(2), draft(3))
    ruled = {disputed.id: Decision.RETIRE, joined.id: Decision.QUARANTINE, brought.id: Decision.UPHOLD}
    for one in (joined, brought):
        cases.open_case(db, COMMAND_LINE, one.id, "edsa_context", holds=False)
    for one in (disputed, joined):
        opinions.give(db, other, one.id, DISPUTES)
    for case in cases.page(db, COMMAND_LINE, CaseState.OPEN, 0, 10):
        cases.decide(db, COMMAND_LINE, case.id, ruled[case.contribution])
    found = reports.transparency(db, COMMAND_LINE, DAY, DAY, form="tco")
    assert found.reviews.decided == {"quarantine": 1, "retire": 1, "uphold": 1}
    points = tco_report(found)["points"]
    assert isinstance(points, dict)
    assert points["d"]["disputes_by_other_members"] == 2
    assert points["d"]["outcomes_of_disputes"] == {"quarantine": 1, "retire": 1}


@pytest.mark.parametrize("counted", [True, False])
def test_what_is_final_stays_though_a_worker_writes_late(
    database_url: str, db: HashDB, actor: Actor, other: Actor, clock: Clock, counted: bool
) -> None:
    contributed(db, actor, draft(1))
    clock.at = NOON.replace(hour=23, minute=59, second=59)
    late = hashdb(database_url, clock)
    matches.match(late, other, [query(1)])
    if counted:
        matches.match(db, actor, [query(99)])
        counts.flush(db)
    clock.go(seconds=1)
    assert not reports.transparency(db, COMMAND_LINE, DAY, DAY, form="json").final
    clock.go(minutes=2)
    counts.seal(db)
    before = reports.transparency(db, COMMAND_LINE, DAY, DAY, form="json")
    counts.flush(late)
    late.close()
    after = reports.transparency(db, COMMAND_LINE, DAY, DAY, form="json")
    assert before.final and before == after
    next_day = reports.transparency(db, COMMAND_LINE, DAY + timedelta(days=1), None, form="json")
    assert (next_day.caught.contributions, next_day.caught.first_catch.median) == (1, 43_200)
    assert next_day.queries["any"] == QueryFigures(hit=1, none=0, own=0, others=1)


def test_of_a_log_that_is_empty_there_is_a_report_too(db: HashDB) -> None:
    found = reports.transparency(db, COMMAND_LINE, None, None, form="json")
    assert (found.size, found.contributions.added, dict(found.days)) == (0, 0, {})


def test_what_cannot_be_reported_is_refused(db: HashDB, actor: Actor) -> None:
    with pytest.raises(ScopeMissing):
        reports.transparency(db, actor, None, None, form="json")
    with pytest.raises(InvalidInput, match="to: is before from"):
        reports.transparency(db, COMMAND_LINE, DAY, date(2026, 1, 1), form="json")
    with pytest.raises(NotFound):
        reports.transparency(db, COMMAND_LINE, DAY, DAY, form="json", member=99)
