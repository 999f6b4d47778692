"""The feed: from which a member keeps a copy that is never wrong."""

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
from tests.builders import NOON, Clock, again, contributed, draft, hashdb, member_with, signal
from tests.service.concurrently import run_concurrently
from tests.service.copies import Copy


def suspend(db: HashDB, actor: Actor, status: MemberStatus = MemberStatus.SUSPENDED) -> None:
    assert actor.member is not None
    members.change(db, COMMAND_LINE, actor.member.id, MemberChange(status=status))


def read(db: HashDB, after: int = 0, limit: int = 1_000) -> tuple[Change, ...]:
    return feed.read(db, SYSTEM, after, limit).changes


def head(db: HashDB) -> int:
    with db.store.read() as tx:
        return tx.audit.head().seq


def test_a_reader_holds_what_is_active_with_signals_and_without_references(db: HashDB, actor: Actor) -> None:
    one, two = contributed(db, actor, draft(1, reference="ours"), draft(2))
    contributions.withdraw(db, actor, two.id, "other")
    page = feed.read(db, SYSTEM, 0, 1_000)
    assert [change.what for change in page.changes] == [
        one.shown(signals=True, reference=False),
        Gone(two.id, "withdrawn", "other"),
        Gone(two.id, "withdrawn", "other"),
    ]
    assert (page.checkpoint, page.more) == (head(db), False)
    assert "reference" in next(c.what.hidden for c in page.changes if isinstance(c.what, Contribution))


def test_a_page_has_at_most_20_000_frames_and_at_least_one_video(db: HashDB, actor: Actor) -> None:
    still = tuple(Frame(float(at), (signal(1),), 90) for at in range(7_200))
    films = [draft(media=Media.VIDEO, frames=still[:-number], duration=7_200.0) for number in (1, 2, 3)]
    made = [one.id for film in films for one in contributed(db, actor, film)]
    first = feed.read(db, actor, 0, 1_000)
    second = feed.read(db, actor, first.checkpoint, 1_000)
    assert [change.what.id for change in first.changes if isinstance(change.what, Contribution)] == made[:2]
    assert [change.what.id for change in second.changes if isinstance(change.what, Contribution)] == made[2:]
    assert (first.more, second.more) == (True, False)
    (alone,) = feed.read(db, actor, 0, 1).changes
    assert isinstance(alone.what, Contribution) and alone.what.frames == films[0].frames


def test_other_events_are_not_in_the_feed_but_move_the_checkpoint(db: HashDB, actor: Actor) -> None:
    contributed(db, actor, draft(1))
    first = feed.read(db, SYSTEM, 0, 10)
    member_with(db)
    second = feed.read(db, SYSTEM, first.checkpoint, 10)
    assert (second.changes, second.checkpoint, second.more) == ((), first.checkpoint + 2, False)


@pytest.mark.parametrize("limit", [1, 2, 3, 1_000])
def test_any_limit_gives_the_same_changes(db: HashDB, actor: Actor, limit: int) -> None:
    ids = [one.id for one in contributed(db, actor, *[draft(seed) for seed in range(5)])]
    member_with(db)
    contributions.withdraw(db, actor, ids[1], "other")
    contributions.amend(db, actor, ids[2], Amendment(severity=1))
    seen: list[Change] = []
    after, more = 0, True
    while more:
        page = feed.read(db, SYSTEM, after, limit)
        assert len(page.changes) <= limit
        assert not page.more or page.checkpoint == page.changes[-1].seq
        seen += page.changes
        after, more = page.checkpoint, page.more
    assert tuple(seen) == read(db)
    assert after == head(db)
    assert [change.seq for change in seen] == sorted({change.seq for change in seen})
    assert len(seen) == 7


def test_an_amended_contribution_comes_again_whole(db: HashDB, actor: Actor) -> None:
    (one,) = contributed(db, actor, draft(1))
    after = head(db)
    contributions.amend(db, actor, one.id, Amendment(labels=("manifesto",)))
    (change,) = read(db, after)
    assert change.what == replace(one, labels=("manifesto",)).shown(signals=True, reference=False)


def test_an_expiry_is_told_when_it_is_announced(db: HashDB, actor: Actor, clock: Clock) -> None:
    (one,) = contributed(db, actor, draft(1, expires_at=NOON + timedelta(hours=1)))
    after = head(db)
    clock.go(hours=1)
    assert read(db, after) == ()
    assert [change.what for change in read(db)] == [one.shown(signals=True, reference=False)]
    contributions.emit_pending(db)
    (change,) = read(db, after)
    assert change.what == Gone(one.id, "expired")
    assert {type(change.what) for change in read(db)} == {Gone}


def test_a_suspension_and_its_end_are_told_one_by_one(db: HashDB, actor: Actor) -> None:
    one, two = contributed(db, actor, draft(1), draft(2))
    after = head(db)
    suspend(db, actor)
    contributions.emit_pending(db)
    assert [change.what for change in read(db, after)] == [Gone(one.id, "suspended"), Gone(two.id, "suspended")]
    after = head(db)
    suspend(db, actor, MemberStatus.ACTIVE)
    contributions.emit_pending(db)
    assert [change.what for change in read(db, after)] == [
        contribution.shown(signals=True, reference=False) for contribution in (one, two)
    ]


def test_suspended_and_reinstated_before_it_was_announced_nothing_is_lost(db: HashDB, actor: Actor) -> None:
    ids = [one.id for one in contributed(db, actor, *[draft(seed) for seed in range(4)])]
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
    (one,) = contributed(db, actor, draft(1))
    contributions.erase(db, actor, one.id)
    assert {change.what for change in read(db)} == {Gone(one.id, "withdrawn", "other")}
    assert len(read(db)) == 2


@pytest.mark.parametrize("standing", ["quarantined", "retired"])
def test_what_no_longer_matches_by_its_standing_is_gone(
    db: HashDB, actor: Actor, database_url: str, standing: str
) -> None:
    (one,) = contributed(db, actor, draft(1))
    engine = create_engine(database_url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE contributions SET standing = :standing"), {"standing": standing})
    engine.dispose()
    assert [change.what for change in read(db)] == [Gone(one.id, standing)]


def test_a_cursor_of_another_log_starts_over(db: HashDB, actor: Actor) -> None:
    contributed(db, actor, draft(1))
    page = feed.read(db, SYSTEM, 0, 10)
    assert feed.read(db, SYSTEM, page.checkpoint, 10, page.epoch).changes == ()
    for after, epoch in ((page.checkpoint + 1, None), (page.checkpoint + 1, page.epoch), (0, "0" * 32)):
        with pytest.raises(FeedRestarted) as caught:
            feed.read(db, SYSTEM, after, 10, epoch)
        assert caught.value.epoch == page.epoch


def test_only_who_may_read_the_feed_does(db: HashDB, actor: Actor) -> None:
    without = replace(actor, scopes=frozenset(Scope) - {Scope.FEED})
    for verb in (feed.read, feed.wait):
        with pytest.raises(ScopeMissing):
            verb(db, without, 0, 1)
    suspend(db, actor)
    suspended = again(db, actor)
    for verb in (feed.read, feed.wait):
        with pytest.raises(MemberSuspended):
            verb(db, suspended, 0, 1)


class TestNotes:
    """Reading is one event a key a day."""

    def read_by(self, db: HashDB) -> list[str]:
        with db.store.read() as tx:
            return [event.subject for event in tx.audit.since(0, 100) if event.action == "feed.read"]

    def test_one_event_a_key_a_day(self, db: HashDB, actor: Actor, clock: Clock, database_url: str) -> None:
        second, elsewhere = again(db, actor), hashdb(database_url, clock)
        assert actor.key is not None and second.key is not None
        for service in (db, elsewhere, db):
            for reader in (actor, actor, second):
                feed.read(service, reader, 0, 10)
        expected = [f"key:{actor.key.id}", f"key:{second.key.id}"]
        assert self.read_by(db) == expected
        clock.go(hours=12)
        for service in (elsewhere, db):
            feed.read(service, actor, 0, 10)
        assert self.read_by(db) == [*expected, f"key:{actor.key.id}"]
        elsewhere.close()

    def test_readers_at_once_are_noted_once(self, db: HashDB, actor: Actor) -> None:
        run_concurrently([lambda: feed.read(db, actor, 0, 10)] * 4)
        assert len(self.read_by(db)) == 1

    def test_what_could_not_be_noted_is_noted_at_the_next_reading(self, tmp_path: Path) -> None:
        db = hashdb(f"sqlite:///{tmp_path}/hashdb.sqlite", Clock(), busy_seconds=0.05)
        actor = member_with(db)
        with closing(sqlite3.connect(tmp_path / "hashdb.sqlite", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreBusy):
                feed.read(db, actor, 0, 10)
            other.execute("ROLLBACK")
        feed.read(db, actor, 0, 10)
        assert len(self.read_by(db)) == 1
        db.close()


class TestWait:
    """A reader at the head may wait for the next change."""

    def test_it_ends_at_the_next_change_not_at_other_events(self, db: HashDB, actor: Actor) -> None:
        after = head(db)
        with ThreadPoolExecutor() as pool:
            waiting = pool.submit(feed.wait, db, actor, after, 20)
            member_with(db)
            time.sleep(0.3)
            assert not waiting.done()
            contributed(db, actor, draft(1))
            waiting.result(5)

    def test_it_ends_after_its_time(self, db: HashDB, actor: Actor) -> None:
        begun = time.monotonic()
        feed.wait(db, actor, head(db), 0.3)
        assert 0.3 <= time.monotonic() - begun < 5
        feed.wait(db, actor, head(db), 0)

    def test_it_ends_at_once_where_there_is_something_to_read(self, db: HashDB, actor: Actor) -> None:
        contributed(db, actor, draft(1))
        begun = time.monotonic()
        feed.wait(db, actor, head(db) - 1, 20)
        feed.wait(db, actor, head(db) + 1, 20)
        assert time.monotonic() - begun < 5

    def test_past_its_share_a_key_is_answered_at_once_and_another_key_waits(
        self, db: HashDB, actor: Actor, other: Actor
    ) -> None:
        begun = time.monotonic()
        with ThreadPoolExecutor(16) as pool:
            waiting = [pool.submit(feed.wait, db, actor, head(db), 20) for _ in range(8)]
            self.until(lambda: sum(one.done() for one in waiting) == 6)
            others = [pool.submit(feed.wait, db, other, head(db), 20) for _ in range(8)]
            self.until(lambda: sum(one.done() for one in others) == 6)
            # Four wait in all.
            assert feed.wait(db, member_with(db), head(db), 20) is False
            contributed(db, actor, draft(1))
            for some in (waiting, others):
                assert sorted(one.result(10) for one in some) == [False] * 6 + [True] * 2
        assert time.monotonic() - begun < 20
        assert feed.wait(db, actor, head(db), 0.01)

    def until(self, holds: Callable[[], bool]) -> None:
        end = time.monotonic() + 10
        while not holds():
            assert time.monotonic() < end
            time.sleep(0.01)
