"""Jobs: reports and verifications run one of a kind at a time, show progress, and have a time limit."""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from threading import Event

import pytest

from hashdb.domain.accounts.members import COMMAND_LINE, Actor
from hashdb.domain.jobs import JobOutcome, ReportJob, Verification
from hashdb.domain.stats.reports import Report
from hashdb.domain.times import Period
from hashdb.errors import InvalidInput, NotFound, ScopeMissing
from hashdb.service import HashDB, jobs
from hashdb.service.ledger import verification
from hashdb.service.stats import reports
from tests.builders import NOON, Clock, contributed, draft

DAY = NOON.date()


def added_count(report: Report) -> str:
    return str(report.contributions.added)


def finished_report(db: HashDB) -> ReportJob:
    for _ in range(400):
        last, *others = reports.latest(db, COMMAND_LINE)
        threads = {thread.name for thread in threading.enumerate()}
        if "report" not in threads and all(job.outcome is not None for job in (last, *others)):
            return last
        time.sleep(0.02)
    raise AssertionError(last)


def test_a_report_job_stores_its_requester_and_its_result(db: HashDB, actor: Actor) -> None:
    contributed(db, actor, draft(1), draft(2))
    started = reports.start(db, COMMAND_LINE, None, None, None, added_count)
    last = finished_report(db)
    assert started.is_for(Period(DAY, DAY), None)
    assert (last.id, last.actor, last.outcome, last.done, last.percent) == (
        started.id,
        "system:cli",
        JobOutcome.MADE,
        4,
        100,
    )
    assert reports.get(db, COMMAND_LINE, started.id) == last
    assert reports.text(db, COMMAND_LINE, started.id, "csv") == "2"


def test_an_invalid_report_is_rejected_before_its_job_starts(db: HashDB, actor: Actor) -> None:
    with pytest.raises(ScopeMissing):
        reports.start(db, actor, None, None, None, added_count)
    with pytest.raises(InvalidInput):
        reports.start(db, COMMAND_LINE, DAY, DAY - timedelta(days=1), None, added_count)
    with pytest.raises(NotFound):
        reports.start(db, COMMAND_LINE, None, None, 99, added_count)
    assert reports.latest(db, COMMAND_LINE) == ()


def test_one_report_job_runs_at_a_time(db: HashDB, actor: Actor, clock: Clock) -> None:
    may_finish = Event()

    def slow(report: Report) -> str:
        may_finish.wait(20)
        return added_count(report)

    first = reports.start(db, COMMAND_LINE, DAY, DAY, None, slow)
    assert actor.member
    second = reports.start(db, COMMAND_LINE, DAY, DAY, actor.member.id, added_count)
    assert (second.id, second.running(clock()), second.is_for(Period(DAY, DAY), 1)) == (first.id, True, False)
    with pytest.raises(NotFound):
        reports.text(db, COMMAND_LINE, first.id)
    clock.advance(seconds=61)
    assert reports.start(db, COMMAND_LINE, DAY, DAY, None, added_count).id == first.id + 1
    may_finish.set()
    finished_report(db)


def test_a_report_job_stops_with_its_process_at_its_time_limit_and_on_an_error(
    db: HashDB, actor: Actor, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    db.stopping = lambda: True
    reports.start(db, COMMAND_LINE, DAY, DAY, None, added_count)
    assert finished_report(db).outcome is JobOutcome.STOPPED
    db.stopping = lambda: False
    monkeypatch.setattr(jobs, "LONGEST_JOB", timedelta(0))
    reports.start(db, COMMAND_LINE, DAY, DAY, None, added_count)
    assert finished_report(db).outcome is JobOutcome.STOPPED
    monkeypatch.undo()
    reports.start(db, COMMAND_LINE, DAY, DAY, None, lambda report: str(report.days[DAY.replace(year=1)]))
    assert finished_report(db).outcome is JobOutcome.STOPPED
    (message,) = caplog.messages
    assert message.startswith("background task report failed: KeyError at ")


def finished_verification(db: HashDB) -> Verification:
    for _ in range(400):
        last = verification.latest(db, COMMAND_LINE)[0]
        if last.outcome is not None and "verification" not in {thread.name for thread in threading.enumerate()}:
            return last
        time.sleep(0.02)
    raise AssertionError(last)


def test_a_verification_stores_its_requester_and_its_outcome(db: HashDB, actor: Actor) -> None:
    started = verification.start(db, COMMAND_LINE)
    last = finished_verification(db)
    assert (last.id, last.actor, last.outcome, last.findings) == (started.id, "system:cli", JobOutcome.HOLDS, ())
    assert (last.done, last.size, last.percent) == (2, 2, 100)


def test_a_member_without_the_scope_cannot_start_or_read_verifications(db: HashDB, actor: Actor) -> None:
    with pytest.raises(ScopeMissing):
        verification.start(db, actor)
    with pytest.raises(ScopeMissing):
        verification.latest(db, actor)


def test_one_verification_runs_at_a_time(
    db: HashDB, actor: Actor, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_finish, verify = Event(), verification.verify

    def slow(*arguments: object) -> object:
        may_finish.wait(20)
        return verify(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(verification, "verify", slow)
    first = verification.start(db, COMMAND_LINE)
    assert first.running(clock())
    assert verification.start(db, COMMAND_LINE).id == first.id
    clock.advance(seconds=61)
    assert verification.start(db, COMMAND_LINE).id == first.id + 1
    may_finish.set()
    finished_verification(db)


def test_a_verification_stops_with_its_process_and_at_its_time_limit(
    db: HashDB, actor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    db.stopping = lambda: True
    verification.start(db, COMMAND_LINE)
    assert finished_verification(db).outcome is JobOutcome.STOPPED
    db.stopping = lambda: False
    monkeypatch.setattr(jobs, "LONGEST_JOB", timedelta(seconds=-1))
    verification.start(db, COMMAND_LINE)
    assert finished_verification(db).outcome is JobOutcome.STOPPED


def test_an_internal_error_of_a_verification_is_reported_without_its_text(
    db: HashDB, actor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr(verification, "verify", broken)
    verification.start(db, COMMAND_LINE)
    assert finished_verification(db).findings == ("the service failed and logged the error",)
