"""The schedule: what runs in which thread, in which period, and what runs while the index is filled."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from threading import Event

import pytest

from hashdb.domain.accounts.members import Actor
from hashdb.domain.ledger.events import Action
from hashdb.errors import ScopeMissing
from hashdb.service import HashDB, schedule
from hashdb.service.background import Task
from hashdb.service.ledger import checkpoints
from hashdb.service.ledger.signing import Signing
from hashdb.service.schedule import BACKGROUND_TASKS, Lane
from tests.builders import NOON, Clock, contributed, draft, hashdb, member_with

SERVING = {Task.MAILS, Task.METRICS, Task.SUSPICIONS, Task.WEBHOOKS, Task.FOLLOW}
"""Tasks whose function is named by the process that serves."""


def until(done: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not done():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_each_task_is_in_the_table_once_with_a_period_and_a_function_or_with_its_occasion() -> None:
    assert sorted(plan.task for plan in BACKGROUND_TASKS) == sorted(Task)
    for plan in BACKGROUND_TASKS:
        if plan.every is None:
            assert plan.demand and plan.act is None
        else:
            assert plan.every > 0 and plan.lane is not None and not plan.demand
            assert (plan.act is None) == (plan.task in SERVING)


def test_only_who_audits_reads_the_errors(db: HashDB, actor: Actor) -> None:
    with pytest.raises(ScopeMissing):
        schedule.last_errors(db, actor)


def test_while_the_index_is_filled_the_log_is_signed_and_expiries_and_counts_are_written(
    database_url: str, signing: Signing, clock: Clock
) -> None:
    before, db = (hashdb(database_url, clock, signing=signing) for _ in range(2))
    checkpoints.start(before)
    actor = member_with(before)
    (item,) = contributed(before, actor, draft(1, expires_at=NOON + timedelta(hours=1)))
    clock.go(hours=2)
    stop, filled, filling = Event(), Event(), Event()
    done: list[Task] = []
    db.background.on_success = lambda task, seconds: done.append(task)

    def fill(db: HashDB) -> None:
        filling.set()
        filled.wait(30)
        db.index.fill(lambda count: None)

    schedule.start(db, stop, {Task.FILL: fill})
    try:
        filling.wait(30)
        wanted = {
            plan.task for plan in BACKGROUND_TASKS if plan.lane in (Lane.LOG, Lane.FLUSH) and plan.act is not None
        }
        until(lambda: wanted <= set(done))
        assert db.index.head is None
        with db.store.read() as tx:
            (event,) = tx.audit.events(0, 10, None, Action.CONTRIBUTION_EXPIRED, None)
            signed = tx.checkpoints.last()
        assert event.id == item.id and signed is not None
        assert not {plan.task for plan in BACKGROUND_TASKS if plan.lane is Lane.INDEX} & set(done)
        filled.set()
        until(lambda: {Task.FILL, Task.INDEX, Task.MASKS} <= set(done))
    finally:
        filled.set()
        stop.set()
        until(lambda: not {str(lane) for lane in Lane} & {thread.name for thread in threading.enumerate()})
        before.close()
        db.close()


def test_a_task_runs_again_only_after_its_period(db: HashDB, monkeypatch: pytest.MonkeyPatch) -> None:
    now, ran, stop = [0.0], list[tuple[float, Task]](), Event()
    monkeypatch.setattr(schedule, "monotonic", lambda: now[0])
    db.background.on_success = lambda task, seconds: ran.append((now[0], task))

    def wait(seconds: float) -> None:
        now[0] += seconds
        if now[0] > 20:
            stop.set()

    schedule.work(db, Lane.FLUSH, stop, {}, wait)
    for task, every in ((Task.COUNTS, 1), (Task.SEALS, 10)):
        assert [at for at, one in ran if one is task] == [float(at) for at in range(0, 21, every)]


def test_a_task_that_fails_holds_up_no_other(db: HashDB) -> None:
    done, stop = list[Task](), Event()
    db.background.on_success = lambda task, seconds: done.append(task)

    def fail(db: HashDB) -> None:
        raise ValueError

    schedule.work(db, Lane.LOG, stop, {Task.EXPIRY: fail}, lambda seconds: stop.set())
    assert done == [
        Task.PROPOSALS,
        Task.CHANGES,
        Task.COMMITMENTS,
        Task.OVERVIEWS,
        Task.JOBS,
        Task.SET,
        Task.CHECKPOINTS,
    ]
