"""Counts: flushed, added up over processes, sealed, and checked against what was sealed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from hashdb.domain.accounts.members import COMMAND_LINE, SYSTEM, Actor, Scope
from hashdb.domain.ledger.events import Action, Event
from hashdb.domain.stats.counts import SETTLED, MatchLog, Reversal, lines
from hashdb.errors import ScopeMissing, StoreBusy
from hashdb.service import HashDB
from hashdb.service.contributions import contributions
from hashdb.service.ledger.verification import verify
from hashdb.service.matching import matches
from hashdb.service.stats import counts
from hashdb.store import Transaction
from tests.builders import NOON, Clock, again, contributed, draft, hashdb, near, query, signal

DAY = NOON.date()


def _match(db: HashDB, actor: Actor, *seeds: int) -> None:
    matches.match(db, actor, [query(near(signal(seed), 4)) for seed in seeds])


def _lines(db: HashDB, day: date = DAY) -> list[str]:
    return list(lines(counts.get(db, COMMAND_LINE, day).counts))


def _seals(db: HashDB) -> list[Event]:
    with db.store.read() as tx:
        return [one for one in tx.audit.since(0, 1000) if one.action == Action.COUNTS_SEALED]


def _run(url: str, statement: str) -> None:
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text(statement))
    engine.dispose()


def test_what_was_matched_is_counted_by_member_algorithm_and_outcome(db: HashDB, actor: Actor, other: Actor) -> None:
    contributed(db, actor, draft(1))
    _match(db, actor, 1)
    _match(db, other, 1, 2)
    assert counts.get(db, COMMAND_LINE, DAY).counts == ()
    assert counts.flush(db)
    assert actor.member and other.member
    mine, theirs = actor.member.id, other.member.id
    assert _lines(db) == sorted(
        [
            f"hit {mine} any own 1",
            f"hit {mine} pdq own 1",
            f"hit {theirs} any others 1",
            f"hit {theirs} pdq others 1",
            f"query {mine} any hit 1",
            f"query {mine} pdq hit 1",
            f"query {theirs} any hit 1",
            f"query {theirs} any none 1",
            f"query {theirs} pdq hit 1",
            f"query {theirs} pdq none 1",
        ]
    )
    assert not counts.flush(db)


def test_nothing_is_counted_twice_and_processes_add_up(database_url: str, db: HashDB, actor: Actor) -> None:
    contributed(db, actor, draft(1))
    second = hashdb(database_url, Clock())
    for one in (db, second, db):
        _match(one, actor, 1)
        counts.flush(one)
    second.close()
    assert [line for line in _lines(db) if line.startswith("query")] == [
        f"query {actor.member and actor.member.id} {algorithm} hit 3" for algorithm in ("any", "pdq")
    ]
    with db.store.read() as tx:
        assert len(list(tx.hits.first_hits(NOON.replace(year=2027)))) == 1


def test_hits_are_kept_only_where_that_is_set(db: HashDB, actor: Actor) -> None:
    db.match_log = MatchLog.COUNTS
    contributed(db, actor, draft(1))
    _match(db, actor, 1)
    counts.flush(db)
    assert _lines(db)
    with db.store.read() as tx:
        assert list(tx.hits.first_hits(NOON.replace(year=2027))) == []


def test_the_system_itself_is_not_counted(db: HashDB) -> None:
    _match(db, SYSTEM, 1)
    assert not counts.flush(db)


def test_a_flush_that_fails_is_made_good_by_the_next(db: HashDB, actor: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    contributed(db, actor, draft(1))
    _match(db, actor, 1)
    begin = db.store.begin

    @contextmanager
    def broken() -> Iterator[Transaction]:
        with begin() as tx:
            yield tx
            raise StoreBusy(1)

    with monkeypatch.context() as patch:
        patch.setattr(db.store, "begin", broken)
        with pytest.raises(StoreBusy):
            counts.flush(db)
    assert _lines(db) == []
    _match(db, actor, 1)
    counts.flush(db)
    assert f"query {actor.member and actor.member.id} any hit 2" in _lines(db)


def test_a_day_that_is_over_is_sealed_once(database_url: str, db: HashDB, actor: Actor, clock: Clock) -> None:
    _match(db, actor, 1)
    counts.flush(db)
    assert not counts.seal(db)
    clock.at = NOON.replace(day=21, hour=0, second=59)
    assert not counts.seal(db)
    clock.go(seconds=1)
    second = hashdb(database_url, clock)
    assert (counts.seal(second), counts.seal(db)) == (True, False)
    second.close()
    (event,) = _seals(db)
    found = counts.get(db, COMMAND_LINE, DAY)
    assert (event.actor, event.subject, event.details["lines"]) == ("system:hashdb", "day:20261120", 2)
    assert found.seal == (DAY, event.seq, event.details["digest"])


def test_days_that_were_missed_are_sealed_by_the_next_that_comes(db: HashDB, actor: Actor, clock: Clock) -> None:
    for _ in range(3):
        _match(db, actor, 1)
        counts.flush(db)
        clock.go(days=2)
    counts.seal(db)
    assert [event.subject for event in _seals(db)] == ["day:20261120", "day:20261122", "day:20261124"]


def test_what_comes_after_the_seal_counts_on_the_day_it_comes(db: HashDB, actor: Actor, clock: Clock) -> None:
    _match(db, actor, 1)
    counts.flush(db)
    _match(db, actor, 1)
    clock.go(days=1)
    counts.seal(db)
    counts.flush(db)
    assert [line.split()[-1] for line in _lines(db)] == ["1", "1"]
    assert [line.split()[-1] for line in _lines(db, date(2026, 11, 21))] == ["1", "1"]
    assert verify(db, COMMAND_LINE).findings == ()


def test_what_comes_after_a_day_without_counts_counts_on_the_day_it_comes(
    db: HashDB, actor: Actor, clock: Clock
) -> None:
    for day, seconds in ((20, 60), (21, 61)):
        clock.at = NOON.replace(day=day, hour=23, minute=59, second=59)
        _match(db, actor, 1)
        clock.go(seconds=seconds)
        counts.flush(db)
    assert [len(_lines(db, date(2026, 11, day))) for day in (20, 21, 22)] == [2, 0, 2]


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("UPDATE counts SET times = times + 1", "the counts of 2026-11-20 are not those that it sealed"),
        ("DELETE FROM counts", "the counts of 2026-11-20 are not those that it sealed"),
        (
            "INSERT INTO counts VALUES ('2026-11-01', 'query', 1, 'any', 'none', 5)",
            "there are counts of 2026-11-01, which no event sealed, though a later day is sealed",
        ),
        ("INSERT INTO counts VALUES ('2026-11-0x', 'query', 1, 'any', 'none', 5)", "is no day or no number"),
    ],
)
def test_counts_that_were_changed_are_found(
    database_url: str, db: HashDB, actor: Actor, clock: Clock, statement: str, found: str
) -> None:
    _match(db, actor, 1)
    counts.flush(db)
    clock.go(days=1)
    counts.seal(db)
    assert verify(db, COMMAND_LINE).findings == ()
    _run(database_url, statement)
    (finding,) = verify(db, COMMAND_LINE).findings
    assert found in str(finding)
    assert finding.first in (None, _seals(db)[0].seq)


def test_counts_are_for_auditors(db: HashDB, actor: Actor) -> None:
    with pytest.raises(ScopeMissing):
        counts.get(db, actor, DAY)


def test_no_hash_is_in_what_is_kept(db: HashDB, actor: Actor, tmp_path: Path) -> None:
    contributed(db, actor, draft(1))
    asked = near(signal(1), 4)
    matches.match(db, actor, [query(asked)])
    counts.flush(db)
    octets = b"".join(path.read_bytes() for path in tmp_path.glob("hashdb.sqlite*"))
    assert asked.to_bytes() not in octets
    assert str(asked).encode() not in octets


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
    (told,) = counts.reversals(db, other, 0, 10)
    assert told == Reversal(told.seq, one.id, "withdrawn", "removal_reversed", at)
    assert counts.reversals(db, other, told.seq, 10) == ()
    assert counts.reversals(db, actor, 0, 10) == ()


def test_what_is_erased_is_told_and_what_expires_is_not(db: HashDB, actor: Actor, other: Actor, clock: Clock) -> None:
    one, _ = contributed(db, actor, draft(1), draft(2, expires_at=NOON.replace(hour=13)))
    matches.match(db, other, [query(1), query(2)])
    clock.go(hours=2)
    contributions.emit_pending(db)
    contributions.erase(db, actor, one.id)
    clock.at += SETTLED
    assert [(told.contribution, told.now, told.reason) for told in counts.reversals(db, other, 0, 10)] == [
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
    assert counts.reversals(db, other, 0, 10) == ()
    counts.flush(elsewhere)
    elsewhere.close()
    clock.go(seconds=2)
    contributions.withdraw(db, actor, contributed(db, actor, draft(3))[0].id, "other")
    told = counts.reversals(db, other, 0, 1)
    assert [told.contribution for told in (*told, *counts.reversals(db, other, told[0].seq, 1))] == [one.id, two.id]


def test_without_hits_there_are_no_reversals(db: HashDB, actor: Actor, other: Actor, clock: Clock) -> None:
    db.match_log = MatchLog.COUNTS
    (one,) = contributed(db, actor, draft(1))
    matches.match(db, other, [query(1)])
    counts.flush(db)
    contributions.withdraw(db, actor, one.id, "other")
    clock.at += SETTLED
    assert counts.reversals(db, other, 0, 10) == ()


def test_reversals_are_for_members_that_match(db: HashDB, actor: Actor) -> None:
    for who in (again(db, actor, Scope.AUDIT, Scope.FEED), COMMAND_LINE):
        with pytest.raises(ScopeMissing):
            counts.reversals(db, who, 0, 10)
