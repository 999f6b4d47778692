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


def test_an_index_is_opened_again_as_it_was_left(db: HashDB, actor: Actor, database_url: str, folder: Path) -> None:
    contributed(db, actor, *map(draft, range(20)))
    with open_service(database_url, folder) as one:
        assert unmatched(one, actor, range(20)) == []
        one.index.maintain(at_once=True)
        assert (index_of(one).in_memory, len(index_of(one).segments)) == (0, 1)
        contributed(one, actor, draft(20))
        assert unmatched(one, actor, range(21)) == []
    with open_service(database_url, folder) as again:
        assert unmatched(again, actor, range(21)) == []
        # Only what came after was read.
        assert (index_of(again).in_memory, len(index_of(again))) == (1, 21)


def test_little_is_left_in_memory_and_much_becomes_a_segment(
    db: HashDB, actor: Actor, database_url: str, folder: Path
) -> None:
    with open_service(database_url, folder) as one:
        contributed(one, actor, *map(draft, range(20)))
        for _ in range(3):
            one.index.maintain()
            assert index_of(one).in_memory == 20
        made = fill_store(one, actor)
        one.index.maintain()
        assert index_of(one).in_memory == index_of(one, PHASH).in_memory == 0
        assert len(index_of(one, PHASH)) == len(set(made))
        assert unmatched(one, actor, range(20)) == []


@pytest.mark.parametrize("few", [True, False], ids=["asked for each", "asked for all"])
def test_values_leave_when_all_that_hold_them_have_ended_and_not_before(
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

    with open_service(database_url, folder, clock) as one:

        def held(*seeds: int) -> list[int]:
            one.index.catch_up()
            found = index_of(one).search([signal(seed).value for seed in seeds], 0)
            return [seed for seed, near in zip(seeds, found, strict=True) if near]

        one.index.maintain(at_once=True)
        contributions.withdraw(one, actor, withdrawn.id, "other")
        contributions.withdraw(one, actor, shared.id, "other")
        contributions.erase(one, actor, erased.id)
        clock.go(hours=2)
        contributed(one, actor, draft(4))
        contributions.emit_pending(one)
        assert other.member is not None
        members.change(one, COMMAND_LINE, other.member.id, MemberChange(status=MemberStatus.SUSPENDED))
        contributions.emit_pending(one)
        assert held(1, 2, 3, 4, 5, 6) == [1, 2, 3, 4, 5, 6]
        assert unmatched(one, actor, [1, 2, 3, 4, 5, 6, 100]) == [1, 2, 3, 5, 6]

        contributed(one, actor, *map(draft, range(110, 120)))
        one.index.maintain(at_once=True)
        assert held(1, 2, 3, 4, 5, 6) == [2, 4, 6]
        assert unmatched(one, actor, [4, *range(100, 120)]) == []
        members.change(one, COMMAND_LINE, other.member.id, MemberChange(status=MemberStatus.ACTIVE))
        contributions.emit_pending(one)
        assert unmatched(one, actor, [2, 6]) == []
        contributed(one, actor, draft(1), draft(3))
        assert unmatched(one, actor, [1, 3]) == []
        one.index.maintain(at_once=True)
        assert unmatched(one, actor, [1, 2, 3, 4, 6]) == []


@pytest.mark.parametrize("few", [True, False], ids=["asked for each", "asked for all"])
def test_what_had_ended_and_left_is_found_when_it_is_given_more_time(
    db: HashDB, actor: Actor, database_url: str, folder: Path, few: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not few:
        monkeypatch.setattr(index_view, "FEW", 0)
    soon, later = NOON + timedelta(hours=1), NOON + timedelta(hours=3)
    ended, *_ = contributed(db, actor, draft(1, expires_at=soon), *map(draft, range(100, 110)))
    ahead = Clock(NOON + timedelta(hours=2))
    with open_service(database_url, folder) as one, open_service(database_url, folder, ahead) as hasty:
        hasty.index.maintain(at_once=True)
        assert contributions.emit_pending(hasty) == 1
        contributed(one, actor, *map(draft, range(110, 120)))
        hasty.index.maintain(at_once=True)
        assert index_of(hasty).search([signal(1).value], 0) == [[]]
        assert unmatched(one, actor, [1, *range(100, 120)]) == [1]
        contributions.amend(one, actor, ended.id, Amendment(expires_at=later))
        for each in (one, hasty):
            assert unmatched(each, actor, [1]) == []
        for start in (120, 140):
            contributed(one, actor, *map(draft, range(start, start + 20)))
            hasty.index.maintain(at_once=True)
            assert index_of(hasty).in_memory == 0
            for each in (one, hasty):
                assert unmatched(each, actor, [1, *range(100, start + 20)]) == []
    with open_service(database_url, folder) as again:
        assert unmatched(again, actor, [1, *range(100, 160)]) == []


def test_a_restore_starts_over(db: HashDB, actor: Actor, database_url: str, folder: Path) -> None:
    for epoch in ("restored", None):
        with open_service(database_url, folder) as one, open_service(database_url, folder) as idle:
            base = one.index.catch_up().seq * 10 + 1_000
            contributed(one, actor, draft(base))
            kept = one.index.catch_up().seq
            lost = contributed(one, actor, draft(base + 1), draft(base + 2))
            for each in (one, idle):
                each.index.maintain(at_once=True)
            roll_back_service(database_url, kept, lost[0].id, epoch)

            for each in (one, idle):
                assert unmatched(each, actor, [base, base + 1, base + 2]) == [base + 1, base + 2]
            contributed(one, actor, *map(draft, range(base + 3, base + 13)))
            for each in (one, idle):
                assert unmatched(each, actor, [base, base + 1, *range(base + 3, base + 13)]) == [base + 1]
                each.index.maintain(at_once=True)
                assert unmatched(each, actor, [base, base + 1, *range(base + 3, base + 13)]) == [base + 1]
        with open_service(database_url, folder) as again:
            assert unmatched(again, actor, [base, base + 1, *range(base + 3, base + 13)]) == [base + 1]
            assert index_of(again).in_memory == 0


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_threads_find_each_others_while_one_of_them_freezes_and_merges(
    actor: Actor, database_url: str, folder: Path
) -> None:
    done = Event()
    with open_service(database_url, folder) as one:

        def work(thread: int) -> int:
            misses = 0
            for time in range(40):
                seeds = [thread * 1_000 + time, *(thread * 1_000 + 500 + i for i in range(time % 20))]
                contributed(one, actor, *map(draft, seeds))
                misses += len(unmatched(one, actor, seeds))
            return misses

        def maintain() -> int:
            times = 0
            while not done.is_set():
                one.index.maintain(at_once=True)
                times += 1
            return times

        with ThreadPoolExecutor(1) as pool:
            maintaining = pool.submit(maintain)
            try:
                assert run_concurrently([partial(work, thread) for thread in range(3)]) == [0, 0, 0]
            finally:
                done.set()
            assert maintaining.result(60) > 1
        assert len(index_of(one).segments) > 0
