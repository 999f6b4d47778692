"""Counts are flushed, added up over processes, sealed by day, and verified against their seals."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from hashdb.domain.accounts.members import COMMAND_LINE, SYSTEM, Actor, Scope
from hashdb.domain.ledger.events import Action, Event
from hashdb.domain.stats.counts import SETTLED_AGE, MatchLog, Reversal, lines
from hashdb.errors import ScopeMissing, StoreBusy
from hashdb.service import HashDB
from hashdb.service.contributions import contributions
from hashdb.service.ledger.verification import verify
from hashdb.service.matching import matches
from hashdb.service.stats import counts
from hashdb.store import Transaction
from tests.builders import NOON, Clock, contributed, draft, hashdb, near, query, signal, with_new_key

DAY = NOON.date()


def _match(db: HashDB, actor: Actor, *seeds: int) -> None:
    matches.match(db, actor, [query(near(signal(seed), 4)) for seed in seeds])


def _lines(db: HashDB, day: date = DAY) -> list[str]:
    return list(lines(counts.get(db, COMMAND_LINE, day).counts))


def _seals(db: HashDB) -> list[Event]:
    with db.store.read() as tx:
        return [event for event in tx.audit.since(0, 1000) if event.action == Action.COUNTS_SEALED]


def _run(url: str, statement: str) -> None:
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text(statement))
    engine.dispose()


def test_queries_are_counted_by_member_algorithm_and_outcome(db: HashDB, actor: Actor, other: Actor) -> None:
    contributed(db, actor, draft(1))
    _match(db, actor, 1)
    _match(db, other, 1, 2)
    assert counts.get(db, COMMAND_LINE, DAY).counts == ()
    assert counts.flush(db)
    assert actor.member and other.member
    contributor, matcher = actor.member.id, other.member.id
    assert _lines(db) == sorted(
        [
            f"hit {contributor} any own 1",
            f"hit {contributor} pdq own 1",
            f"hit {matcher} any others 1",
            f"hit {matcher} pdq others 1",
            f"query {contributor} any hit 1",
            f"query {contributor} pdq hit 1",
            f"query {matcher} any hit 1",
            f"query {matcher} any none 1",
            f"query {matcher} pdq hit 1",
            f"query {matcher} pdq none 1",
        ]
    )
    assert not counts.flush(db)


def test_the_counts_of_two_processes_are_added_up_without_repetition(
    database_url: str, db: HashDB, actor: Actor
) -> None:
    contributed(db, actor, draft(1))
    second = hashdb(database_url, Clock())
    for service in (db, second, db):
        _match(service, actor, 1)
        counts.flush(service)
    second.close()
    assert [line for line in _lines(db) if line.startswith("query")] == [
        f"query {actor.member and actor.member.id} {algorithm} hit 3" for algorithm in ("any", "pdq")
    ]
    with db.store.read() as tx:
        assert len(list(tx.hits.first_hits(NOON.replace(year=2027)))) == 1


def test_no_hits_are_kept_if_the_match_log_keeps_only_counts(db: HashDB, actor: Actor) -> None:
    db.match_log = MatchLog.COUNTS
    contributed(db, actor, draft(1))
    _match(db, actor, 1)
    counts.flush(db)
    assert _lines(db)
    with db.store.read() as tx:
        assert list(tx.hits.first_hits(NOON.replace(year=2027))) == []


def test_queries_of_the_system_are_not_counted(db: HashDB) -> None:
    _match(db, SYSTEM, 1)
    assert not counts.flush(db)


def test_the_next_flush_also_writes_the_counts_of_a_failed_one(
    db: HashDB, actor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
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


def test_a_past_day_is_sealed_once(database_url: str, db: HashDB, actor: Actor, clock: Clock) -> None:
    _match(db, actor, 1)
    counts.flush(db)
    assert not counts.seal(db)
    clock.at = NOON.replace(day=21, hour=0, second=59)
    assert not counts.seal(db)
    clock.advance(seconds=1)
    second = hashdb(database_url, clock)
    assert (counts.seal(second), counts.seal(db)) == (True, False)
    second.close()
    (event,) = _seals(db)
    day_counts = counts.get(db, COMMAND_LINE, DAY)
    assert (event.actor, event.subject, event.details["lines"]) == ("system:hashdb", "day:20261120", 2)
    assert day_counts.seal == (DAY, event.seq, event.details["digest"])


def test_one_seal_call_also_seals_missed_days(db: HashDB, actor: Actor, clock: Clock) -> None:
    for _ in range(3):
        _match(db, actor, 1)
        counts.flush(db)
        clock.advance(days=2)
    counts.seal(db)
    assert [event.subject for event in _seals(db)] == ["day:20261120", "day:20261122", "day:20261124"]


def test_counts_written_after_the_seal_of_their_day_go_to_the_day_of_writing(
    db: HashDB, actor: Actor, clock: Clock
) -> None:
    _match(db, actor, 1)
    counts.flush(db)
    _match(db, actor, 1)
    clock.advance(days=1)
    counts.seal(db)
    counts.flush(db)
    assert [line.split()[-1] for line in _lines(db)] == ["1", "1"]
    assert [line.split()[-1] for line in _lines(db, date(2026, 11, 21))] == ["1", "1"]
    assert verify(db, COMMAND_LINE).findings == ()


def test_late_counts_of_a_day_without_counts_go_to_the_day_of_writing(db: HashDB, actor: Actor, clock: Clock) -> None:
    for day, seconds in ((20, 60), (21, 61)):
        clock.at = NOON.replace(day=day, hour=23, minute=59, second=59)
        _match(db, actor, 1)
        clock.advance(seconds=seconds)
        counts.flush(db)
    assert [len(_lines(db, date(2026, 11, day))) for day in (20, 21, 22)] == [2, 0, 2]


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("UPDATE counts SET times = times + 1", "the counts of 2026-11-20 differ from the sealed counts"),
        ("DELETE FROM counts", "the counts of 2026-11-20 differ from the sealed counts"),
        (
            "INSERT INTO counts VALUES ('2026-11-01', 'query', 1, 'any', 'none', 5)",
            "the counts of 2026-11-01 are not sealed, although a later day is",
        ),
        (
            "INSERT INTO counts VALUES ('2026-11-0x', 'query', 1, 'any', 'none', 5)",
            "the counts contain an invalid day or number",
        ),
    ],
)
def test_verify_reports_counts_that_were_changed(
    database_url: str, db: HashDB, actor: Actor, clock: Clock, statement: str, expected: str
) -> None:
    _match(db, actor, 1)
    counts.flush(db)
    clock.advance(days=1)
    counts.seal(db)
    assert verify(db, COMMAND_LINE).findings == ()
    _run(database_url, statement)
    (finding,) = verify(db, COMMAND_LINE).findings
    assert expected in str(finding)
    assert finding.first in (None, _seals(db)[0].seq)


def test_members_may_not_read_the_counts(db: HashDB, actor: Actor) -> None:
    with pytest.raises(ScopeMissing):
        counts.get(db, actor, DAY)


def test_the_database_contains_no_hash_of_a_query(db: HashDB, actor: Actor, tmp_path: Path) -> None:
    contributed(db, actor, draft(1))
    queried = near(signal(1), 4)
    matches.match(db, actor, [query(queried)])
    counts.flush(db)
    octets = b"".join(path.read_bytes() for path in tmp_path.glob("hashdb.sqlite*"))
    assert queried.to_bytes() not in octets
    assert str(queried).encode() not in octets


def test_a_member_sees_only_reversals_of_matches_that_it_got_before(
    db: HashDB, actor: Actor, other: Actor, clock: Clock
) -> None:
    matched, unmatched = contributed(db, actor, draft(1), draft(2))
    matches.match(db, other, [query(1)])
    clock.advance(hours=1)
    for id in (matched.id, unmatched.id):
        contributions.withdraw(db, actor, id, "removal_reversed")
    matches.match(db, other, [query(2)])
    withdrawn_at, clock.at = clock.at, clock.at + SETTLED_AGE
    (reversal,) = counts.reversals(db, other, 0, 10)
    assert reversal == Reversal(reversal.seq, matched.id, "withdrawn", "removal_reversed", withdrawn_at)
    assert counts.reversals(db, other, reversal.seq, 10) == ()
    assert counts.reversals(db, actor, 0, 10) == ()


def test_an_erasure_is_a_reversal_and_an_expiry_is_not(db: HashDB, actor: Actor, other: Actor, clock: Clock) -> None:
    erased, _ = contributed(db, actor, draft(1), draft(2, expires_at=NOON.replace(hour=13)))
    matches.match(db, other, [query(1), query(2)])
    clock.advance(hours=2)
    contributions.emit_pending(db)
    contributions.erase(db, actor, erased.id)
    clock.at += SETTLED_AGE
    assert [
        (reversal.contribution, reversal.now, reversal.reason) for reversal in counts.reversals(db, other, 0, 10)
    ] == [(erased.id, "withdrawn", "other")]


def test_reversals_wait_for_hits_that_another_process_has_not_yet_stored(
    db: HashDB, database_url: str, actor: Actor, other: Actor, clock: Clock
) -> None:
    other_process = hashdb(database_url, clock)
    first, second = contributed(db, actor, draft(1), draft(2))
    matches.match(other_process, other, [query(1)])
    matches.match(db, other, [query(2)])
    for id in (first.id, second.id):
        contributions.withdraw(db, actor, id, "other")
    clock.at += SETTLED_AGE - timedelta(seconds=1)
    assert counts.reversals(db, other, 0, 10) == ()
    counts.flush(other_process)
    other_process.close()
    clock.advance(seconds=2)
    contributions.withdraw(db, actor, contributed(db, actor, draft(3))[0].id, "other")
    first_page = counts.reversals(db, other, 0, 1)
    assert [each.contribution for each in (*first_page, *counts.reversals(db, other, first_page[0].seq, 1))] == [
        first.id,
        second.id,
    ]


def test_there_are_no_reversals_if_no_hits_are_kept(db: HashDB, actor: Actor, other: Actor, clock: Clock) -> None:
    db.match_log = MatchLog.COUNTS
    (contribution,) = contributed(db, actor, draft(1))
    matches.match(db, other, [query(1)])
    counts.flush(db)
    contributions.withdraw(db, actor, contribution.id, "other")
    clock.at += SETTLED_AGE
    assert counts.reversals(db, other, 0, 10) == ()


def test_reversals_need_a_member_with_the_match_scope(db: HashDB, actor: Actor) -> None:
    for reader in (with_new_key(db, actor, Scope.AUDIT, Scope.FEED), COMMAND_LINE):
        with pytest.raises(ScopeMissing):
            counts.reversals(db, reader, 0, 10)
