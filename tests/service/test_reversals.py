"""Reversals: what a member was given and should restore."""

from __future__ import annotations

from datetime import timedelta

import pytest

from hashdb.domain.hits import MatchLog
from hashdb.domain.members import COMMAND_LINE, Actor, Scope
from hashdb.domain.reversals import SETTLED, Reversal
from hashdb.errors import ScopeMissing
from hashdb.service import HashDB, contributions, counts, erasures, matches, reversals
from tests.builders import NOON, Clock, again, contributed, draft, hashdb, query


def test_a_member_hears_of_what_it_was_given_before_and_no_other(
    db: HashDB, actor: Actor, other: Actor, clock: Clock
) -> None:
    one, two = contributed(db, actor, draft(1), draft(2))
    matches.match(db, other, [query(1)])
    clock.go(hours=1)
    for id in (one.id, two.id):
        contributions.withdraw(db, actor, id, "removal_reversed")
    matches.match(db, other, [query(2)])
    at, clock.at = clock.at, clock.at + SETTLED
    (told,) = reversals.page(db, other, 0, 10)
    assert told == Reversal(told.seq, one.id, "withdrawn", "removal_reversed", at)
    assert reversals.page(db, other, told.seq, 10) == ()
    assert reversals.page(db, actor, 0, 10) == ()


def test_what_is_erased_is_told_and_what_expires_is_not(db: HashDB, actor: Actor, other: Actor, clock: Clock) -> None:
    one, _ = contributed(db, actor, draft(1), draft(2, expires_at=NOON.replace(hour=13)))
    matches.match(db, other, [query(1), query(2)])
    clock.go(hours=2)
    contributions.emit_pending(db)
    erasures.erase(db, actor, one.id)
    clock.at += SETTLED
    assert [(told.contribution, told.now, told.reason) for told in reversals.page(db, other, 0, 10)] == [
        (one.id, "withdrawn", "other")
    ]


def test_none_is_passed_over_that_another_process_answered_and_has_yet_to_write_down(
    db: HashDB, database_url: str, actor: Actor, other: Actor, clock: Clock
) -> None:
    elsewhere = hashdb(database_url, clock)
    one, two = contributed(db, actor, draft(1), draft(2))
    matches.match(elsewhere, other, [query(1)])
    matches.match(db, other, [query(2)])
    for id in (one.id, two.id):
        contributions.withdraw(db, actor, id, "other")
    clock.at += SETTLED - timedelta(seconds=1)
    assert reversals.page(db, other, 0, 10) == ()
    counts.flush(elsewhere)
    elsewhere.close()
    clock.go(seconds=2)
    contributions.withdraw(db, actor, contributed(db, actor, draft(3))[0].id, "other")
    told = reversals.page(db, other, 0, 1)
    assert [told.contribution for told in (*told, *reversals.page(db, other, told[0].seq, 1))] == [one.id, two.id]


def test_without_hits_there_are_no_reversals(db: HashDB, actor: Actor, other: Actor, clock: Clock) -> None:
    db.match_log = MatchLog.COUNTS
    (one,) = contributed(db, actor, draft(1))
    matches.match(db, other, [query(1)])
    counts.flush(db)
    contributions.withdraw(db, actor, one.id, "other")
    clock.at += SETTLED
    assert reversals.page(db, other, 0, 10) == ()


def test_reversals_are_for_members_that_match(db: HashDB, actor: Actor) -> None:
    for who in (again(db, actor, Scope.AUDIT, Scope.FEED), COMMAND_LINE):
        with pytest.raises(ScopeMissing):
            reversals.page(db, who, 0, 10)
