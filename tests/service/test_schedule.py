"""The schedule: the thread and the period of each task, and the tasks that run while the index is filled."""

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

SERVER_TASKS = {Task.MAILS, Task.METRICS, Task.SUSPICIONS, Task.WEBHOOKS, Task.FOLLOW}
"""Tasks whose function the serving process provides."""


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_each_task_is_listed_once_with_a_period_or_as_on_demand() -> None:
    assert sorted(plan.task for plan in BACKGROUND_TASKS) == sorted(Task)
    for plan in BACKGROUND_TASKS:
        if plan.every is None:
            assert plan.demand and plan.act is None
        else:
            assert plan.every > 0 and plan.lane is not None and not plan.demand
            assert (plan.act is None) == (plan.task in SERVER_TASKS)


def test_only_an_auditor_can_read_the_errors_of_tasks(db: HashDB, actor: Actor) -> None:
    with pytest.raises(ScopeMissing):
        schedule.last_errors(db, actor)


def test_log_tasks_and_count_tasks_run_while_the_index_is_filled(
    database_url: str, signing: Signing, clock: Clock
) -> None:
    before, db = (hashdb(database_url, clock, signing=signing) for _ in range(2))
    checkpoints.start(before)
    actor = member_with(before)
    (item,) = contributed(before, actor, draft(1, expires_at=NOON + timedelta(hours=1)))
    clock.advance(hours=2)
    stop, may_fill, filling = Event(), Event(), Event()
    finished: list[Task] = []
    db.background.on_success = lambda task, seconds: finished.append(task)

    def fill(db: HashDB) -> None:
        filling.set()
        may_fill.wait(30)
        db.index.fill(lambda count: None)

    schedule.start(db, stop, {Task.FILL: fill})
    try:
        filling.wait(30)
        expected = {
            plan.task for plan in BACKGROUND_TASKS if plan.lane in (Lane.LOG, Lane.FLUSH) and plan.act is not None
        }
        wait_until(lambda: expected <= set(finished))
        assert db.index.head is None
        with db.store.read() as tx:
            (event,) = tx.audit.events(0, 10, None, Action.CONTRIBUTION_EXPIRED, None)
            signed = tx.checkpoints.last()
        assert event.id == item.id and signed is not None
        assert not {plan.task for plan in BACKGROUND_TASKS if plan.lane is Lane.INDEX} & set(finished)
        may_fill.set()
        wait_until(lambda: {Task.FILL, Task.INDEX, Task.MASKS} <= set(finished))
    finally:
        may_fill.set()
        stop.set()
        wait_until(lambda: not {str(lane) for lane in Lane} & {thread.name for thread in threading.enumerate()})
        before.close()
        db.close()


def test_a_task_runs_again_only_after_its_period(db: HashDB, monkeypatch: pytest.MonkeyPatch) -> None:
    seconds, ran, stop = [0.0], list[tuple[float, Task]](), Event()
    monkeypatch.setattr(schedule, "monotonic", lambda: seconds[0])
    db.background.on_success = lambda task, duration: ran.append((seconds[0], task))

    def pass_time(period: float) -> None:
        seconds[0] += period
        if seconds[0] > 20:
            stop.set()

    schedule.work(db, Lane.FLUSH, stop, {}, pass_time)
    for task, every in ((Task.COUNTS, 1), (Task.SEALS, 10)):
        assert [at for at, ran_task in ran if ran_task is task] == [float(at) for at in range(0, 21, every)]


def test_a_failing_task_does_not_block_the_others(db: HashDB) -> None:
    finished, stop = list[Task](), Event()
    db.background.on_success = lambda task, seconds: finished.append(task)

    def fail(db: HashDB) -> None:
        raise ValueError

    schedule.work(db, Lane.LOG, stop, {Task.EXPIRY: fail}, lambda seconds: stop.set())
    assert finished == [
        Task.PROPOSALS,
        Task.CHANGES,
        Task.COMMITMENTS,
        Task.OVERVIEWS,
        Task.JOBS,
        Task.SET,
        Task.CHECKPOINTS,
    ]
