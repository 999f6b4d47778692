"""Requests that are answered later: at once where the work is short, else by a job that every process can read."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from threading import Event
from typing import TypeVar

import pytest

from hashdb.domain.accounts.members import Actor
from hashdb.domain.jobs import AnswerJob, JobStatus
from hashdb.errors import HashingBusy, JobLost, NotFound, StoreBusy, TooManyAtOnce, reject_field
from hashdb.service import HashDB, later
from hashdb.service.jobs import LONGEST_JOB
from hashdb.service.later import ALL_REQUESTS, KEPT_JOBS, KEY_REQUESTS, Advance, Later, Work, patiently
from tests.builders import Clock, hashdb, member_with

_Answer = TypeVar("_Answer")


@pytest.fixture
def requests(db: HashDB) -> Iterator[Later]:
    """Those of one process."""
    made = Later(db)
    yield made
    made.close()


@pytest.fixture
def going_on() -> Iterator[Event]:
    """What the work of a test waits for; at its end, no work is left."""
    event = Event()
    yield event
    event.set()


def sealed(outcome: str | Exception) -> str:
    return f"<{outcome if isinstance(outcome, str) else type(outcome).__name__}>"


def awaited(db: HashDB, actor: Actor, id: int, *wanted: JobStatus) -> AnswerJob:
    until = time.monotonic() + 30
    while (job := later.get(db, actor, id)).status not in wanted:
        assert time.monotonic() < until, job
        time.sleep(0.02)
    return job


def deferred(requests: Later, actor: Actor, going_on: Event, work: Work) -> int:
    """The id of the job of this work, which begins when the job is there."""

    def wait_and_work(advance: Advance) -> str:
        going_on.wait(30)
        return work(advance)

    id = requests.answer(actor, wait_and_work, sealed, 0)
    assert isinstance(id, int)
    going_on.set()
    return id


def refusing(_: Advance) -> str:
    reject_field("file", "is wrong")
    raise AssertionError


class _Hurried(Later):
    """The work has ended before anybody waits for it, as on a busy machine."""

    def _start(self, actor: Actor, work: Callable[[Advance], _Answer]) -> later._Running[_Answer]:
        running = super()._start(actor, work)
        assert running.ended.wait(30)
        return running


def test_who_prefers_a_job_gets_one_however_short_the_work_is(db: HashDB, actor: Actor) -> None:
    id = _Hurried(db).answer(actor, lambda advance: "answer", sealed, 0)
    assert isinstance(id, int)
    assert awaited(db, actor, id, JobStatus.DONE).text == "<answer>"


def test_short_work_is_answered_and_refused_as_usual_and_leaves_no_job(
    db: HashDB, actor: Actor, requests: Later
) -> None:
    assert requests.answer(actor, lambda advance: "answer", sealed, 30) == "answer"
    with pytest.raises(Exception, match="file: is wrong"):
        requests.answer(actor, refusing, sealed, 30)
    with pytest.raises(NotFound):
        later.get(db, actor, 1)


def test_long_work_is_a_job_whose_progress_and_answer_another_process_reads(
    db: HashDB, actor: Actor, requests: Later, going_on: Event, database_url: str, clock: Clock
) -> None:
    def work(advance: Advance) -> str:
        advance(0.25)
        going_on.wait(30)
        return "answer"

    id = requests.answer(actor, work, sealed, 0)
    assert isinstance(id, int)
    other = hashdb(database_url, clock)
    running = awaited(other, actor, id, JobStatus.RUNNING)
    assert (running.percent, running.text) == (25, None)
    going_on.set()
    done = awaited(other, actor, id, JobStatus.DONE)
    assert (done.percent, done.text) == (100, "<answer>")
    other.close()


def test_a_job_that_is_refused_has_failed_with_the_refusal(
    db: HashDB, actor: Actor, requests: Later, going_on: Event
) -> None:
    id = deferred(requests, actor, going_on, refusing)
    assert awaited(db, actor, id, JobStatus.FAILED).text == "<InvalidInput>"


def test_only_the_key_that_asked_reads_a_job(db: HashDB, actor: Actor, requests: Later, going_on: Event) -> None:
    id = deferred(requests, actor, going_on, lambda advance: "answer")
    awaited(db, actor, id, JobStatus.DONE)
    with pytest.raises(NotFound):
        later.get(db, member_with(db), id)


def test_a_key_has_a_share_of_the_requests_of_a_process(
    db: HashDB, actor: Actor, requests: Later, going_on: Event
) -> None:
    def work(_: Advance) -> str:
        going_on.wait(30)
        return ""

    for _ in range(KEY_REQUESTS):
        requests.answer(actor, work, sealed, 0)
    with pytest.raises(HashingBusy):
        requests.answer(actor, work, sealed, 0)
    others = [member_with(db) for number in range(ALL_REQUESTS // KEY_REQUESTS)]
    for other in others[1:]:
        for _ in range(KEY_REQUESTS):
            requests.answer(other, work, sealed, 0)
    with pytest.raises(HashingBusy):
        requests.answer(others[0], work, sealed, 0)


def test_a_job_whose_process_has_died_has_failed_after_a_minute(db: HashDB, actor: Actor, clock: Clock) -> None:
    with db.store.begin() as tx:
        id = tx.answer_jobs.add(actor.name, clock())
    clock.go(seconds=59)
    assert later.get(db, actor, id).status is JobStatus.WAITING
    clock.go(seconds=1)
    lost = later.get(db, actor, id)
    assert (lost.status, lost.text) == (JobStatus.FAILED, None)


class Watch:
    """The seconds of a process, which pass only when a test says so."""

    def __init__(self) -> None:
        self.seconds, self.read = 0.0, 0

    def __call__(self) -> float:
        self.read += 1
        return self.seconds

    def go(self, seconds: float) -> None:
        """Let them pass, until the service has seen it."""
        self.seconds += seconds
        seen, until = self.read, time.monotonic() + 10
        while self.read < seen + 2 and time.monotonic() < until:
            time.sleep(0.002)


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    """What the service reads."""
    made = Watch()
    monkeypatch.setattr(later, "monotonic", made)
    monkeypatch.setattr(later, "_LOOK_EVERY", 0.002)
    return made


def test_a_job_goes_on_for_as_long_as_it_waits_and_gets_ahead(
    db: HashDB, actor: Actor, requests: Later, going_on: Event, watch: Watch
) -> None:
    longest = LONGEST_JOB.total_seconds()

    def work(advance: Advance) -> str:
        watch.go(2 * longest)
        for share in (0.0, 0.25, 0.5, 0.75):
            advance(share)
            watch.go(0.9 * longest)
        return "answer"

    id = deferred(requests, actor, going_on, work)
    job = awaited(db, actor, id, JobStatus.DONE, JobStatus.FAILED)
    assert (job.status, job.text) == (JobStatus.DONE, "<answer>")


def test_a_job_that_began_and_gets_no_further_is_given_up(
    db: HashDB, actor: Actor, requests: Later, going_on: Event, watch: Watch
) -> None:
    given_up = Event()

    def work(advance: Advance) -> str:
        advance(0.25)
        watch.go(0)
        watch.seconds += 2 * LONGEST_JOB.total_seconds()
        given_up.wait(30)
        return "answer"

    id = deferred(requests, actor, going_on, work)
    job = awaited(db, actor, id, JobStatus.DONE, JobStatus.FAILED)
    given_up.set()
    assert (job.status, job.text) == (JobStatus.FAILED, "<JobLost>")


def test_what_nobody_waits_for_any_more_counts_until_it_has_ended(
    actor: Actor, requests: Later, going_on: Event
) -> None:
    def work(advance: Advance) -> str:
        going_on.wait(30)
        advance(0.5)
        raise AssertionError

    assert requests.within(actor, lambda advance: "answer", 30) == "answer"
    for _ in range(KEY_REQUESTS):
        with pytest.raises(TimeoutError):
            requests.within(actor, work, 0)
    with pytest.raises(HashingBusy):
        requests.within(actor, work, 0)


def test_a_process_that_ends_says_so_and_its_work_stops(
    db: HashDB, actor: Actor, requests: Later, going_on: Event
) -> None:
    stopped = Event()

    def work(advance: Advance) -> str:
        advance(0.5)
        going_on.wait(30)
        try:
            advance(0.6)
        except JobLost:
            stopped.set()
            raise
        return ""

    id = requests.answer(actor, work, sealed, 0)
    assert isinstance(id, int)
    requests.close()
    assert later.get(db, actor, id).text == "<JobLost>"
    going_on.set()
    assert stopped.wait(30)


def test_jobs_are_kept_for_an_hour_and_the_newest_of_a_key(db: HashDB, actor: Actor, clock: Clock) -> None:
    other = member_with(db)
    with db.store.begin() as tx:
        first = tx.answer_jobs.add(other.name, clock())
        ids = [tx.answer_jobs.add(actor.name, clock()) for _ in range(KEPT_JOBS + 1)]
        tx.answer_jobs.keep_newest(actor.name, KEPT_JOBS)
    with pytest.raises(NotFound):
        later.get(db, actor, ids[0])
    assert later.get(db, other, first).id == first
    clock.go(minutes=60)
    assert later.prune(db) == 0
    clock.go(seconds=1)
    assert later.prune(db) == KEPT_JOBS + 1


def test_what_is_refused_for_now_is_tried_again_and_all_else_is_not() -> None:
    refusals: list[Exception] = [TooManyAtOnce("1 at once", 0), StoreBusy(0)]

    def act() -> str:
        if refusals:
            raise refusals.pop()
        return "done"

    assert patiently(act) == "done"
    refusals.append(KeyError("no"))
    with pytest.raises(KeyError):
        patiently(act)
    refusals.append(StoreBusy(1_000))
    with pytest.raises(StoreBusy):
        patiently(act)
    assert not refusals
