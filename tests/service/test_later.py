"""Requests with a deferred answer: short work is answered at once, long work is a job that every process can read."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from threading import Event, Thread
from typing import TypeVar

import pytest

from hashdb.domain.accounts.members import Actor
from hashdb.domain.jobs import AnswerJob, JobStatus
from hashdb.errors import HashingBusy, JobLost, NotFound, StoreBusy, TooManyAtOnce, Unavailable, reject_field
from hashdb.service import HashDB, later
from hashdb.service.jobs import LONGEST_JOB
from hashdb.service.later import ALL_REQUESTS, KEPT_JOBS, KEY_REQUESTS, Advance, Later, Work, retry_for_a_minute
from tests.builders import Clock, hashdb, member_with

_Answer = TypeVar("_Answer")


@pytest.fixture
def requests(db: HashDB) -> Iterator[Later]:
    """The deferred requests of one process."""
    later_requests = Later(db)
    yield later_requests
    later_requests.close()


@pytest.fixture
def may_finish() -> Iterator[Event]:
    """The event that the work of a test waits for. It is set at the end of the test, so that no work remains."""
    event = Event()
    yield event
    event.set()


def serialize(outcome: str | Exception) -> str:
    return f"<{outcome if isinstance(outcome, str) else type(outcome).__name__}>"


def wait_for_status(db: HashDB, actor: Actor, id: int, *wanted: JobStatus) -> AnswerJob:
    deadline = time.monotonic() + 30
    while (job := later.get(db, actor, id)).status not in wanted:
        assert time.monotonic() < deadline, job
        time.sleep(0.02)
    return job


def defer(requests: Later, actor: Actor, may_finish: Event, work: Work) -> int:
    """Start a job whose work begins once the job is stored; return its id."""

    def wait_and_work(advance: Advance) -> str:
        may_finish.wait(30)
        return work(advance)

    id = requests.answer(actor, wait_and_work, serialize, 0)
    assert isinstance(id, int)
    may_finish.set()
    return id


def reject_file(_: Advance) -> str:
    reject_field("file", "is invalid")
    raise AssertionError


class _EndedBeforeTheWait(Later):
    """The work ends before the request waits for it, as on a busy machine."""

    def _start(self, actor: Actor, work: Callable[[Advance], _Answer]) -> later._Running[_Answer]:
        running = super()._start(actor, work)
        assert running.ended.wait(30)
        return running


def test_a_request_that_prefers_a_job_gets_one_even_for_short_work(db: HashDB, actor: Actor) -> None:
    id = _EndedBeforeTheWait(db).answer(actor, lambda advance: "answer", serialize, 0)
    assert isinstance(id, int)
    assert wait_for_status(db, actor, id, JobStatus.DONE).text == "<answer>"


def test_short_work_is_answered_directly_and_leaves_no_job(db: HashDB, actor: Actor, requests: Later) -> None:
    assert requests.answer(actor, lambda advance: "answer", serialize, 30) == "answer"
    with pytest.raises(Exception, match="file: is invalid"):
        requests.answer(actor, reject_file, serialize, 30)
    with pytest.raises(NotFound):
        later.get(db, actor, 1)


def test_another_process_reads_the_progress_and_the_answer_of_long_work(
    db: HashDB, actor: Actor, requests: Later, may_finish: Event, database_url: str, clock: Clock
) -> None:
    def work(advance: Advance) -> str:
        advance(0.25)
        may_finish.wait(30)
        return "answer"

    id = requests.answer(actor, work, serialize, 0)
    assert isinstance(id, int)
    other = hashdb(database_url, clock)
    running = wait_for_status(other, actor, id, JobStatus.RUNNING)
    assert (running.percent, running.text) == (25, None)
    may_finish.set()
    finished = wait_for_status(other, actor, id, JobStatus.DONE)
    assert (finished.percent, finished.text) == (100, "<answer>")
    other.close()


def test_a_job_with_invalid_input_fails_with_that_error(
    db: HashDB, actor: Actor, requests: Later, may_finish: Event
) -> None:
    id = defer(requests, actor, may_finish, reject_file)
    assert wait_for_status(db, actor, id, JobStatus.FAILED).text == "<InvalidInput>"


def test_only_the_key_that_started_a_job_can_read_it(
    db: HashDB, actor: Actor, requests: Later, may_finish: Event
) -> None:
    id = defer(requests, actor, may_finish, lambda advance: "answer")
    wait_for_status(db, actor, id, JobStatus.DONE)
    with pytest.raises(NotFound):
        later.get(db, member_with(db), id)


def test_one_key_and_all_keys_together_have_limited_requests_in_a_process(
    db: HashDB, actor: Actor, requests: Later, may_finish: Event
) -> None:
    def work(_: Advance) -> str:
        may_finish.wait(30)
        return ""

    for _ in range(KEY_REQUESTS):
        requests.answer(actor, work, serialize, 0)
    with pytest.raises(HashingBusy):
        requests.answer(actor, work, serialize, 0)
    others = [member_with(db) for number in range(ALL_REQUESTS // KEY_REQUESTS)]
    for other in others[1:]:
        for _ in range(KEY_REQUESTS):
            requests.answer(other, work, serialize, 0)
    with pytest.raises(HashingBusy):
        requests.answer(others[0], work, serialize, 0)


def test_a_job_of_a_dead_process_fails_after_a_minute(db: HashDB, actor: Actor, clock: Clock) -> None:
    with db.store.begin() as tx:
        id = tx.answer_jobs.add(actor.name, clock())
    clock.advance(seconds=59)
    assert later.get(db, actor, id).status is JobStatus.WAITING
    clock.advance(seconds=1)
    job = later.get(db, actor, id)
    assert (job.status, job.text) == (JobStatus.FAILED, None)


class ManualClock:
    """A monotonic clock that advances only when a test advances it."""

    def __init__(self) -> None:
        self.seconds, self.reads = 0.0, 0

    def __call__(self) -> float:
        self.reads += 1
        return self.seconds

    def advance(self, seconds: float) -> None:
        """Let seconds pass, and wait until the service has read the clock again."""
        self.seconds += seconds
        seen, deadline = self.reads, time.monotonic() + 10
        while self.reads < seen + 2 and time.monotonic() < deadline:
            time.sleep(0.002)


@pytest.fixture
def manual_clock(monkeypatch: pytest.MonkeyPatch) -> ManualClock:
    """The clock that the service reads for deferred requests."""
    manual_clock = ManualClock()
    monkeypatch.setattr(later, "monotonic", manual_clock)
    monkeypatch.setattr(later, "_LOOK_EVERY", 0.002)
    return manual_clock


def test_a_job_may_take_long_while_it_waits_or_makes_progress(
    db: HashDB, actor: Actor, requests: Later, may_finish: Event, manual_clock: ManualClock
) -> None:
    longest = LONGEST_JOB.total_seconds()

    def work(advance: Advance) -> str:
        manual_clock.advance(2 * longest)
        for share in (0.0, 0.25, 0.5, 0.75):
            advance(share)
            manual_clock.advance(0.9 * longest)
        return "answer"

    id = defer(requests, actor, may_finish, work)
    job = wait_for_status(db, actor, id, JobStatus.DONE, JobStatus.FAILED)
    assert (job.status, job.text) == (JobStatus.DONE, "<answer>")


def test_a_started_job_without_progress_is_aborted(
    db: HashDB, actor: Actor, requests: Later, may_finish: Event, manual_clock: ManualClock
) -> None:
    aborted = Event()

    def work(advance: Advance) -> str:
        advance(0.25)
        manual_clock.advance(0)
        manual_clock.seconds += 2 * LONGEST_JOB.total_seconds()
        aborted.wait(30)
        return "answer"

    id = defer(requests, actor, may_finish, work)
    job = wait_for_status(db, actor, id, JobStatus.DONE, JobStatus.FAILED)
    aborted.set()
    assert (job.status, job.text) == (JobStatus.FAILED, "<JobLost>")


def test_work_after_a_timeout_counts_against_the_limit_until_it_ends(
    actor: Actor, requests: Later, may_finish: Event
) -> None:
    def work(advance: Advance) -> str:
        may_finish.wait(30)
        advance(0.5)
        raise AssertionError

    assert requests.within(actor, lambda advance: "answer", 30) == "answer"
    for _ in range(KEY_REQUESTS):
        with pytest.raises(TimeoutError):
            requests.within(actor, work, 0)
    with pytest.raises(HashingBusy):
        requests.within(actor, work, 0)


def test_a_request_for_which_no_thread_starts_is_not_counted(
    actor: Actor, requests: Later, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cannot_start(thread: Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(Thread, "start", cannot_start)
        for _ in range(KEY_REQUESTS):
            with pytest.raises(HashingBusy):
                requests.within(actor, lambda advance: "answer", 30)
    assert requests.within(actor, lambda advance: "answer", 30) == "answer"


def test_a_job_that_no_thread_can_follow_is_refused_and_given_up(
    actor: Actor, requests: Later, monkeypatch: pytest.MonkeyPatch, may_finish: Event
) -> None:
    start, started, advances = Thread.start, list[Thread](), list[Advance]()

    def start_the_first(thread: Thread) -> None:
        if started:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        start(thread)

    def work(advance: Advance) -> str:
        may_finish.wait(30)
        advances.append(advance)
        advance(0.5)
        return "answer"

    with monkeypatch.context() as patched:
        patched.setattr(Thread, "start", start_the_first)
        with pytest.raises(Unavailable):
            requests.answer(actor, work, serialize, 0)
    may_finish.set()
    started[0].join(30)
    with pytest.raises(JobLost):
        advances[0](1.0)
    assert requests.answer(actor, lambda advance: "answer", serialize, 30) == "answer"


def test_a_closing_process_reports_its_jobs_as_lost_and_stops_their_work(
    db: HashDB, actor: Actor, requests: Later, may_finish: Event
) -> None:
    stopped = Event()

    def work(advance: Advance) -> str:
        advance(0.5)
        may_finish.wait(30)
        try:
            advance(0.6)
        except JobLost:
            stopped.set()
            raise
        return ""

    id = requests.answer(actor, work, serialize, 0)
    assert isinstance(id, int)
    requests.close()
    assert later.get(db, actor, id).text == "<JobLost>"
    may_finish.set()
    assert stopped.wait(30)


def test_jobs_are_kept_for_an_hour_and_only_the_newest_of_a_key(db: HashDB, actor: Actor, clock: Clock) -> None:
    other = member_with(db)
    with db.store.begin() as tx:
        first = tx.answer_jobs.add(other.name, clock())
        ids = [tx.answer_jobs.add(actor.name, clock()) for _ in range(KEPT_JOBS + 1)]
        tx.answer_jobs.keep_newest(actor.name, KEPT_JOBS)
    with pytest.raises(NotFound):
        later.get(db, actor, ids[0])
    assert later.get(db, other, first).id == first
    clock.advance(minutes=60)
    assert later.prune(db) == 0
    clock.advance(seconds=1)
    assert later.prune(db) == KEPT_JOBS + 1


def test_only_temporary_refusals_are_retried() -> None:
    refusals: list[Exception] = [TooManyAtOnce("1 at once", 0), StoreBusy(0)]

    def attempt() -> str:
        if refusals:
            raise refusals.pop()
        return "done"

    assert retry_for_a_minute(attempt) == "done"
    refusals.append(KeyError("no"))
    with pytest.raises(KeyError):
        retry_for_a_minute(attempt)
    refusals.append(StoreBusy(1_000))
    with pytest.raises(StoreBusy):
        retry_for_a_minute(attempt)
    assert not refusals
