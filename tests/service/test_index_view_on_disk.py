"""An index in a folder: it is opened again as it was left, drops ended values, and starts over after a restore."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from pathlib import Path
from threading import Event

import pytest

from hashdb.domain.accounts.members import COMMAND_LINE, Actor, MemberChange, MemberStatus
from hashdb.domain.contributions import Amendment
from hashdb.service import HashDB, index_view
from hashdb.service.accounts import members
from hashdb.service.contributions import contributions
from tests.builders import NOON, Clock, contributed, draft, signal
from tests.service.concurrently import run_concurrently
from tests.service.folders import PHASH, fill_store, index_of, open_service, roll_back_service, unmatched


def test_an_index_is_reopened_as_it_was_left(db: HashDB, actor: Actor, database_url: str, folder: Path) -> None:
    contributed(db, actor, *map(draft, range(20)))
    with open_service(database_url, folder) as service:
        assert unmatched(service, actor, range(20)) == []
        service.index.maintain(at_once=True)
        assert (index_of(service).in_memory, len(index_of(service).segments)) == (0, 1)
        contributed(service, actor, draft(20))
        assert unmatched(service, actor, range(21)) == []
    with open_service(database_url, folder) as reopened:
        assert unmatched(reopened, actor, range(21)) == []
        # It read only the newer contribution from the database.
        assert (index_of(reopened).in_memory, len(index_of(reopened))) == (1, 21)


def test_few_values_stay_in_memory_and_many_become_a_segment(
    db: HashDB, actor: Actor, database_url: str, folder: Path
) -> None:
    with open_service(database_url, folder) as service:
        contributed(service, actor, *map(draft, range(20)))
        for _ in range(3):
            service.index.maintain()
            assert index_of(service).in_memory == 20
        stored = fill_store(service, actor)
        service.index.maintain()
        assert index_of(service).in_memory == index_of(service, PHASH).in_memory == 0
        assert len(index_of(service, PHASH)) == len(set(stored))
        assert unmatched(service, actor, range(20)) == []


@pytest.mark.parametrize("few", [True, False], ids=["few values", "many values"])
def test_a_value_leaves_the_index_only_after_its_last_contribution_ended(
    db: HashDB,
    actor: Actor,
    other: Actor,
    clock: Clock,
    database_url: str,
    folder: Path,
    few: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if not few:
        monkeypatch.setattr(index_view, "FEW", 0)
    soon = NOON + timedelta(hours=1)
    withdrawn, shared, _, _, erased = contributed(
        db, actor, draft(1), draft(2), draft(3, expires_at=soon), draft(4, expires_at=soon), draft(5)
    )
    contributed(db, other, draft(2), draft(6))
    contributed(db, actor, *map(draft, range(100, 110)))

    with open_service(database_url, folder, clock) as service:

        def indexed(*seeds: int) -> list[int]:
            service.index.catch_up()
            results = index_of(service).search([signal(seed).value for seed in seeds], 0)
            return [seed for seed, neighbors in zip(seeds, results, strict=True) if neighbors]

        service.index.maintain(at_once=True)
        contributions.withdraw(service, actor, withdrawn.id, "other")
        contributions.withdraw(service, actor, shared.id, "other")
        contributions.erase(service, actor, erased.id)
        clock.advance(hours=2)
        contributed(service, actor, draft(4))
        contributions.emit_pending(service)
        assert other.member is not None
        members.change(service, COMMAND_LINE, other.member.id, MemberChange(status=MemberStatus.SUSPENDED))
        contributions.emit_pending(service)
        assert indexed(1, 2, 3, 4, 5, 6) == [1, 2, 3, 4, 5, 6]
        assert unmatched(service, actor, [1, 2, 3, 4, 5, 6, 100]) == [1, 2, 3, 5, 6]

        contributed(service, actor, *map(draft, range(110, 120)))
        service.index.maintain(at_once=True)
        assert indexed(1, 2, 3, 4, 5, 6) == [2, 4, 6]
        assert unmatched(service, actor, [4, *range(100, 120)]) == []
        members.change(service, COMMAND_LINE, other.member.id, MemberChange(status=MemberStatus.ACTIVE))
        contributions.emit_pending(service)
        assert unmatched(service, actor, [2, 6]) == []
        contributed(service, actor, draft(1), draft(3))
        assert unmatched(service, actor, [1, 3]) == []
        service.index.maintain(at_once=True)
        assert unmatched(service, actor, [1, 2, 3, 4, 6]) == []


@pytest.mark.parametrize("few", [True, False], ids=["few values", "many values"])
def test_an_expired_contribution_matches_again_when_it_gets_more_time(
    db: HashDB, actor: Actor, database_url: str, folder: Path, few: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not few:
        monkeypatch.setattr(index_view, "FEW", 0)
    soon, later = NOON + timedelta(hours=1), NOON + timedelta(hours=3)
    ended, *_ = contributed(db, actor, draft(1, expires_at=soon), *map(draft, range(100, 110)))
    ahead = Clock(NOON + timedelta(hours=2))
    with open_service(database_url, folder) as on_time, open_service(database_url, folder, ahead) as early:
        early.index.maintain(at_once=True)
        assert contributions.emit_pending(early) == 1
        contributed(on_time, actor, *map(draft, range(110, 120)))
        early.index.maintain(at_once=True)
        assert index_of(early).search([signal(1).value], 0) == [[]]
        assert unmatched(on_time, actor, [1, *range(100, 120)]) == [1]
        contributions.amend(on_time, actor, ended.id, Amendment(expires_at=later))
        for service in (on_time, early):
            assert unmatched(service, actor, [1]) == []
        for start in (120, 140):
            contributed(on_time, actor, *map(draft, range(start, start + 20)))
            early.index.maintain(at_once=True)
            assert index_of(early).in_memory == 0
            for service in (on_time, early):
                assert unmatched(service, actor, [1, *range(100, start + 20)]) == []
    with open_service(database_url, folder) as reopened:
        assert unmatched(reopened, actor, [1, *range(100, 160)]) == []


def test_the_index_starts_over_after_a_restore(db: HashDB, actor: Actor, database_url: str, folder: Path) -> None:
    for epoch in ("restored", None):
        with open_service(database_url, folder) as active, open_service(database_url, folder) as idle:
            base = active.index.catch_up().seq * 10 + 1_000
            contributed(active, actor, draft(base))
            kept_seq = active.index.catch_up().seq
            lost = contributed(active, actor, draft(base + 1), draft(base + 2))
            for service in (active, idle):
                service.index.maintain(at_once=True)
            roll_back_service(database_url, kept_seq, lost[0].id, epoch)

            for service in (active, idle):
                assert unmatched(service, actor, [base, base + 1, base + 2]) == [base + 1, base + 2]
            contributed(active, actor, *map(draft, range(base + 3, base + 13)))
            for service in (active, idle):
                assert unmatched(service, actor, [base, base + 1, *range(base + 3, base + 13)]) == [base + 1]
                service.index.maintain(at_once=True)
                assert unmatched(service, actor, [base, base + 1, *range(base + 3, base + 13)]) == [base + 1]
        with open_service(database_url, folder) as reopened:
            assert unmatched(reopened, actor, [base, base + 1, *range(base + 3, base + 13)]) == [base + 1]
            assert index_of(reopened).in_memory == 0


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_threads_match_their_contributions_while_the_index_is_maintained(
    actor: Actor, database_url: str, folder: Path
) -> None:
    stop = Event()
    with open_service(database_url, folder) as service:

        def work(thread: int) -> int:
            misses = 0
            for time in range(40):
                seeds = [thread * 1_000 + time, *(thread * 1_000 + 500 + i for i in range(time % 20))]
                contributed(service, actor, *map(draft, seeds))
                misses += len(unmatched(service, actor, seeds))
            return misses

        def maintain() -> int:
            times = 0
            while not stop.is_set():
                service.index.maintain(at_once=True)
                times += 1
            return times

        with ThreadPoolExecutor(1) as pool:
            maintaining = pool.submit(maintain)
            try:
                assert run_concurrently([partial(work, thread) for thread in range(3)]) == [0, 0, 0]
            finally:
                stop.set()
            assert maintaining.result(60) > 1
        assert len(index_of(service).segments) > 0
