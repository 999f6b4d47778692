"""Jobs: reports and verifications one of a kind at a time, with progress, bounded in time."""

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


def size(report: Report) -> str:
    return str(report.contributions.added)


def ended(db: HashDB) -> ReportJob:
    for _ in range(400):
        last, *others = reports.latest(db, COMMAND_LINE)
        threads = {thread.name for thread in threading.enumerate()}
        if "report" not in threads and all(one.outcome is not None for one in (last, *others)):
            return last
        time.sleep(0.02)
    raise AssertionError(last)


def test_it_tells_who_asked_and_keeps_what_was_made(db: HashDB, actor: Actor) -> None:
    contributed(db, actor, draft(1), draft(2))
    begun = reports.start(db, COMMAND_LINE, None, None, None, size)
    last = ended(db)
    assert begun.is_for(Period(DAY, DAY), None)
    assert (last.id, last.actor, last.outcome, last.done, last.percent) == (
        begun.id,
        "system:cli",
        JobOutcome.MADE,
        4,
        100,
    )
    assert reports.get(db, COMMAND_LINE, begun.id) == last
    assert reports.text(db, COMMAND_LINE, begun.id, "csv") == "2"


def test_what_cannot_be_made_is_refused_before(db: HashDB, actor: Actor) -> None:
    with pytest.raises(ScopeMissing):
        reports.start(db, actor, None, None, None, size)
    with pytest.raises(InvalidInput):
        reports.start(db, COMMAND_LINE, DAY, DAY - timedelta(days=1), None, size)
    with pytest.raises(NotFound):
        reports.start(db, COMMAND_LINE, None, None, 99, size)
    assert reports.latest(db, COMMAND_LINE) == ()


def test_one_is_made_at_a_time(db: HashDB, actor: Actor, clock: Clock) -> None:
    go_on = Event()

    def slow(report: Report) -> str:
        go_on.wait(20)
        return size(report)

    first = reports.start(db, COMMAND_LINE, DAY, DAY, None, slow)
    assert actor.member
    second = reports.start(db, COMMAND_LINE, DAY, DAY, actor.member.id, size)
    assert (second.id, second.running(clock()), second.is_for(Period(DAY, DAY), 1)) == (first.id, True, False)
    with pytest.raises(NotFound):
        reports.text(db, COMMAND_LINE, first.id)
    clock.go(seconds=61)
    assert reports.start(db, COMMAND_LINE, DAY, DAY, None, size).id == first.id + 1
    go_on.set()
    ended(db)


def test_it_ends_with_its_process_when_its_time_is_over_and_on_a_fault(
    db: HashDB, actor: Actor, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    db.stopping = lambda: True
    reports.start(db, COMMAND_LINE, DAY, DAY, None, size)
    assert ended(db).outcome is JobOutcome.STOPPED
    db.stopping = lambda: False
    monkeypatch.setattr(jobs, "LONGEST_JOB", timedelta(0))
    reports.start(db, COMMAND_LINE, DAY, DAY, None, size)
    assert ended(db).outcome is JobOutcome.STOPPED
    monkeypatch.undo()
    reports.start(db, COMMAND_LINE, DAY, DAY, None, lambda report: str(report.days[DAY.replace(year=1)]))
    assert ended(db).outcome is JobOutcome.STOPPED
    (message,) = caplog.messages
    assert message.startswith("background task report failed: KeyError at ")


def verified(db: HashDB) -> Verification:
    for _ in range(400):
        last = verification.latest(db, COMMAND_LINE)[0]
        if last.outcome is not None and "verification" not in {thread.name for thread in threading.enumerate()}:
            return last
        time.sleep(0.02)
    raise AssertionError(last)


def test_a_verification_keeps_who_asked_and_what_came_of_it(db: HashDB, actor: Actor) -> None:
    begun = verification.start(db, COMMAND_LINE)
    last = verified(db)
    assert (last.id, last.actor, last.outcome, last.findings) == (begun.id, "system:cli", JobOutcome.HOLDS, ())
    assert (last.done, last.size, last.percent) == (2, 2, 100)


def test_a_member_without_the_scope_asks_for_none(db: HashDB, actor: Actor) -> None:
    with pytest.raises(ScopeMissing):
        verification.start(db, actor)
    with pytest.raises(ScopeMissing):
        verification.latest(db, actor)


def test_one_verification_goes_on_at_a_time(
    db: HashDB, actor: Actor, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on, verify = Event(), verification.verify

    def slow(*arguments: object) -> object:
        go_on.wait(20)
        return verify(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(verification, "verify", slow)
    first = verification.start(db, COMMAND_LINE)
    assert first.running(clock())
    assert verification.start(db, COMMAND_LINE).id == first.id
    clock.go(seconds=61)
    assert verification.start(db, COMMAND_LINE).id == first.id + 1
    go_on.set()
    verified(db)


def test_a_verification_ends_with_its_process_and_when_its_time_is_over(
    db: HashDB, actor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    db.stopping = lambda: True
    verification.start(db, COMMAND_LINE)
    assert verified(db).outcome is JobOutcome.STOPPED
    db.stopping = lambda: False
    monkeypatch.setattr(jobs, "LONGEST_JOB", timedelta(seconds=-1))
    verification.start(db, COMMAND_LINE)
    assert verified(db).outcome is JobOutcome.STOPPED


def test_a_fault_of_ours_is_told_without_its_text(db: HashDB, actor: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr(verification, "verify", broken)
    verification.start(db, COMMAND_LINE)
    assert verified(db).findings == ("the service failed and logged the error",)
