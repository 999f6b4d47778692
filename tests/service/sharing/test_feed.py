"""The feed, from which a member keeps an exact copy."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from hashdb.domain.accounts.members import COMMAND_LINE, SYSTEM, Actor, MemberChange, MemberStatus, Scope
from hashdb.domain.contributions import Amendment, Contribution, Media
from hashdb.domain.frames import Frame
from hashdb.domain.sharing.feed import Change, Gone
from hashdb.errors import FeedRestarted, MemberSuspended, ScopeMissing, StoreBusy
from hashdb.service import HashDB
from hashdb.service.accounts import members
from hashdb.service.contributions import contributions
from hashdb.service.sharing import feed
from tests.builders import NOON, Clock, contributed, draft, hashdb, member_with, signal, with_new_key
from tests.service.concurrently import run_concurrently
from tests.service.copies import Copy


def suspend(db: HashDB, actor: Actor, status: MemberStatus = MemberStatus.SUSPENDED) -> None:
    assert actor.member is not None
    members.change(db, COMMAND_LINE, actor.member.id, MemberChange(status=status))


def read_changes(db: HashDB, after: int = 0, limit: int = 1_000) -> tuple[Change, ...]:
    return feed.read(db, SYSTEM, after, limit).changes


def head(db: HashDB) -> int:
    with db.store.read() as tx:
        return tx.audit.head().seq


def test_the_feed_shows_signals_of_active_items_without_references(db: HashDB, actor: Actor) -> None:
    active, withdrawn = contributed(db, actor, draft(1, reference="own-id"), draft(2))
    contributions.withdraw(db, actor, withdrawn.id, "other")
    page = feed.read(db, SYSTEM, 0, 1_000)
    assert [change.what for change in page.changes] == [
        active.shown(signals=True, reference=False),
        Gone(withdrawn.id, "withdrawn", "other"),
        Gone(withdrawn.id, "withdrawn", "other"),
    ]
    assert (page.checkpoint, page.more) == (head(db), False)
    assert "reference" in next(change.what.hidden for change in page.changes if isinstance(change.what, Contribution))


def test_a_page_has_at_most_20_000_frames_and_at_least_one_video(db: HashDB, actor: Actor) -> None:
    still = tuple(Frame(float(at), (signal(1),), 90) for at in range(7_200))
    films = [draft(media=Media.VIDEO, frames=still[:-number], duration=7_200.0) for number in (1, 2, 3)]
    ids = [each.id for film in films for each in contributed(db, actor, film)]
    first = feed.read(db, actor, 0, 1_000)
    second = feed.read(db, actor, first.checkpoint, 1_000)
    assert [change.what.id for change in first.changes if isinstance(change.what, Contribution)] == ids[:2]
    assert [change.what.id for change in second.changes if isinstance(change.what, Contribution)] == ids[2:]
    assert (first.more, second.more) == (True, False)
    (single,) = feed.read(db, actor, 0, 1).changes
    assert isinstance(single.what, Contribution) and single.what.frames == films[0].frames


def test_other_events_are_not_in_the_feed_but_move_the_checkpoint(db: HashDB, actor: Actor) -> None:
    contributed(db, actor, draft(1))
    first = feed.read(db, SYSTEM, 0, 10)
    member_with(db)
    second = feed.read(db, SYSTEM, first.checkpoint, 10)
    assert (second.changes, second.checkpoint, second.more) == ((), first.checkpoint + 2, False)


@pytest.mark.parametrize("limit", [1, 2, 3, 1_000])
def test_any_limit_gives_the_same_changes(db: HashDB, actor: Actor, limit: int) -> None:
    ids = [each.id for each in contributed(db, actor, *[draft(seed) for seed in range(5)])]
    member_with(db)
    contributions.withdraw(db, actor, ids[1], "other")
    contributions.amend(db, actor, ids[2], Amendment(severity=1))
    changes: list[Change] = []
    after, more = 0, True
    while more:
        page = feed.read(db, SYSTEM, after, limit)
        assert len(page.changes) <= limit
        assert not page.more or page.checkpoint == page.changes[-1].seq
        changes += page.changes
        after, more = page.checkpoint, page.more
    assert tuple(changes) == read_changes(db)
    assert after == head(db)
    assert [change.seq for change in changes] == sorted({change.seq for change in changes})
    assert len(changes) == 7


def test_an_amended_contribution_is_returned_again_in_full(db: HashDB, actor: Actor) -> None:
    (contribution,) = contributed(db, actor, draft(1))
    after = head(db)
    contributions.amend(db, actor, contribution.id, Amendment(labels=("manifesto",)))
    (change,) = read_changes(db, after)
    assert change.what == replace(contribution, labels=("manifesto",)).shown(signals=True, reference=False)


def test_an_expired_contribution_is_gone_after_its_expiry_event(db: HashDB, actor: Actor, clock: Clock) -> None:
    (contribution,) = contributed(db, actor, draft(1, expires_at=NOON + timedelta(hours=1)))
    after = head(db)
    clock.advance(hours=1)
    assert read_changes(db, after) == ()
    assert [change.what for change in read_changes(db)] == [contribution.shown(signals=True, reference=False)]
    contributions.emit_pending(db)
    (change,) = read_changes(db, after)
    assert change.what == Gone(contribution.id, "expired")
    assert {type(change.what) for change in read_changes(db)} == {Gone}


def test_a_suspension_and_its_end_are_changes_of_each_contribution(db: HashDB, actor: Actor) -> None:
    first, second = contributed(db, actor, draft(1), draft(2))
    after = head(db)
    suspend(db, actor)
    contributions.emit_pending(db)
    assert [change.what for change in read_changes(db, after)] == [
        Gone(first.id, "suspended"),
        Gone(second.id, "suspended"),
    ]
    after = head(db)
    suspend(db, actor, MemberStatus.ACTIVE)
    contributions.emit_pending(db)
    assert [change.what for change in read_changes(db, after)] == [
        contribution.shown(signals=True, reference=False) for contribution in (first, second)
    ]


def test_a_copy_is_complete_if_a_suspension_ends_before_it_is_fully_logged(db: HashDB, actor: Actor) -> None:
    ids = [each.id for each in contributed(db, actor, *[draft(seed) for seed in range(4)])]
    copy = Copy()
    copy.follow(db, SYSTEM)
    suspend(db, actor)
    contributions.emit_pending(db, 2)
    copy.follow(db, SYSTEM)
    suspend(db, actor, MemberStatus.ACTIVE)
    copy.follow(db, SYSTEM)
    assert sorted(copy.contributions) == ids[2:]
    while contributions.emit_pending(db, 1):
        pass
    copy.follow(db, SYSTEM)
    fresh = Copy()
    fresh.follow(db, SYSTEM)
    assert sorted(copy.contributions) == sorted(fresh.contributions) == ids


def test_an_erased_contribution_is_gone_from_every_page(db: HashDB, actor: Actor) -> None:
    (contribution,) = contributed(db, actor, draft(1))
    contributions.erase(db, actor, contribution.id)
    assert {change.what for change in read_changes(db)} == {Gone(contribution.id, "withdrawn", "other")}
    assert len(read_changes(db)) == 2


@pytest.mark.parametrize("standing", ["quarantined", "retired"])
def test_a_quarantined_or_retired_contribution_is_gone(
    db: HashDB, actor: Actor, database_url: str, standing: str
) -> None:
    (contribution,) = contributed(db, actor, draft(1))
    engine = create_engine(database_url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE contributions SET standing = :standing"), {"standing": standing})
    engine.dispose()
    assert [change.what for change in read_changes(db)] == [Gone(contribution.id, standing)]


def test_a_cursor_of_another_epoch_or_past_the_head_is_rejected(db: HashDB, actor: Actor) -> None:
    contributed(db, actor, draft(1))
    page = feed.read(db, SYSTEM, 0, 10)
    assert feed.read(db, SYSTEM, page.checkpoint, 10, page.epoch).changes == ()
    for after, epoch in ((page.checkpoint + 1, None), (page.checkpoint + 1, page.epoch), (0, "0" * 32)):
        with pytest.raises(FeedRestarted) as caught:
            feed.read(db, SYSTEM, after, 10, epoch)
        assert caught.value.epoch == page.epoch


def test_reading_needs_the_feed_scope_and_an_active_member(db: HashDB, actor: Actor) -> None:
    without_scope = replace(actor, scopes=frozenset(Scope) - {Scope.FEED})
    for verb in (feed.read, feed.wait):
        with pytest.raises(ScopeMissing):
            verb(db, without_scope, 0, 1)
    suspend(db, actor)
    suspended = with_new_key(db, actor)
    for verb in (feed.read, feed.wait):
        with pytest.raises(MemberSuspended):
            verb(db, suspended, 0, 1)


class TestReadEvents:
    """Reading the feed is logged once per key and day."""

    def read_events(self, db: HashDB) -> list[str]:
        with db.store.read() as tx:
            return [event.subject for event in tx.audit.since(0, 100) if event.action == "feed.read"]

    def test_reading_is_logged_once_per_key_and_day(
        self, db: HashDB, actor: Actor, clock: Clock, database_url: str
    ) -> None:
        second, other_process = with_new_key(db, actor), hashdb(database_url, clock)
        assert actor.key is not None and second.key is not None
        for service in (db, other_process, db):
            for reader in (actor, actor, second):
                feed.read(service, reader, 0, 10)
        expected = [f"key:{actor.key.id}", f"key:{second.key.id}"]
        assert self.read_events(db) == expected
        clock.advance(hours=12)
        for service in (other_process, db):
            feed.read(service, actor, 0, 10)
        assert self.read_events(db) == [*expected, f"key:{actor.key.id}"]
        other_process.close()

    def test_concurrent_reads_of_a_key_are_logged_once(self, db: HashDB, actor: Actor) -> None:
        run_concurrently([lambda: feed.read(db, actor, 0, 10)] * 4)
        assert len(self.read_events(db)) == 1

    def test_a_read_that_could_not_be_logged_fails_and_the_next_is_logged(self, tmp_path: Path) -> None:
        db = hashdb(f"sqlite:///{tmp_path}/hashdb.sqlite", Clock(), busy_seconds=0.05)
        actor = member_with(db)
        with closing(sqlite3.connect(tmp_path / "hashdb.sqlite", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreBusy):
                feed.read(db, actor, 0, 10)
            other.execute("ROLLBACK")
        feed.read(db, actor, 0, 10)
        assert len(self.read_events(db)) == 1
        db.close()


class TestWait:
    """A reader that is up to date may wait for the next change."""

    def test_the_wait_ends_at_the_next_change_and_not_at_other_events(self, db: HashDB, actor: Actor) -> None:
        after = head(db)
        with ThreadPoolExecutor() as pool:
            waiting = pool.submit(feed.wait, db, actor, after, 20)
            member_with(db)
            time.sleep(0.3)
            assert not waiting.done()
            contributed(db, actor, draft(1))
            waiting.result(5)

    def test_the_wait_ends_after_its_time(self, db: HashDB, actor: Actor) -> None:
        started = time.monotonic()
        feed.wait(db, actor, head(db), 0.3)
        assert 0.3 <= time.monotonic() - started < 5
        feed.wait(db, actor, head(db), 0)

    def test_the_wait_ends_at_once_if_there_are_changes(self, db: HashDB, actor: Actor) -> None:
        contributed(db, actor, draft(1))
        started = time.monotonic()
        feed.wait(db, actor, head(db) - 1, 20)
        feed.wait(db, actor, head(db) + 1, 20)
        assert time.monotonic() - started < 5

    def test_a_key_may_wait_twice_and_all_keys_four_times_at_once(self, db: HashDB, actor: Actor, other: Actor) -> None:
        started = time.monotonic()
        with ThreadPoolExecutor(16) as pool:
            waiting = [pool.submit(feed.wait, db, actor, head(db), 20) for _ in range(8)]
            self.wait_until(lambda: sum(future.done() for future in waiting) == 6)
            waiting_of_other = [pool.submit(feed.wait, db, other, head(db), 20) for _ in range(8)]
            self.wait_until(lambda: sum(future.done() for future in waiting_of_other) == 6)
            # Four waits are taken, so a third key is answered at once.
            assert feed.wait(db, member_with(db), head(db), 20) is False
            contributed(db, actor, draft(1))
            for futures in (waiting, waiting_of_other):
                assert sorted(future.result(10) for future in futures) == [False] * 6 + [True] * 2
        assert time.monotonic() - started < 20
        assert feed.wait(db, actor, head(db), 0.01)

    def wait_until(self, holds: Callable[[], bool]) -> None:
        end = time.monotonic() + 10
        while not holds():
            assert time.monotonic() < end
            time.sleep(0.01)
