"""Reports in the background: one at a time, told as they go, ended in time."""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from threading import Event

import pytest

from hashdb.domain.commissions import Commission, Outcome
from hashdb.domain.members import COMMAND_LINE, Actor
from hashdb.domain.periods import Period
from hashdb.domain.reports import Report
from hashdb.errors import InvalidInput, NotFound, ScopeMissing
from hashdb.service import HashDB, commissions, reports
from tests.builders import NOON, Clock, contributed, draft

DAY = NOON.date()


def size(report: Report) -> str:
    return str(report.contributions.added)


def ended(db: HashDB) -> Commission:
    for _ in range(400):
        last, *others = commissions.latest(db, COMMAND_LINE)
        threads = {thread.name for thread in threading.enumerate()}
        if "report" not in threads and all(one.outcome is not None for one in (last, *others)):
            return last
        time.sleep(0.02)
    raise AssertionError(last)


def test_it_tells_who_asked_and_keeps_what_was_made(db: HashDB, actor: Actor) -> None:
    contributed(db, actor, draft(1), draft(2))
    begun = commissions.start(db, COMMAND_LINE, None, None, None, size)
    last = ended(db)
    assert begun.asks(Period(DAY, DAY), None)
    assert (last.id, last.actor, last.outcome, last.done, last.share) == (begun.id, "system:cli", Outcome.MADE, 4, 100)
    assert commissions.get(db, COMMAND_LINE, begun.id) == last
    assert commissions.text(db, COMMAND_LINE, begun.id, "csv") == "2"


def test_what_cannot_be_made_is_refused_before(db: HashDB, actor: Actor) -> None:
    with pytest.raises(ScopeMissing):
        commissions.start(db, actor, None, None, None, size)
    with pytest.raises(InvalidInput):
        commissions.start(db, COMMAND_LINE, DAY, DAY - timedelta(days=1), None, size)
    with pytest.raises(NotFound):
        commissions.start(db, COMMAND_LINE, None, None, 99, size)
    assert commissions.latest(db, COMMAND_LINE) == ()


def test_one_is_made_at_a_time(db: HashDB, actor: Actor, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    go_on, made = Event(), reports.made

    def slow(*arguments: object) -> object:
        go_on.wait(20)
        return made(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(reports, "made", slow)
    first = commissions.start(db, COMMAND_LINE, DAY, DAY, None, size)
    assert actor.member
    second = commissions.start(db, COMMAND_LINE, DAY, DAY, actor.member.id, size)
    assert (second.id, second.running(clock()), second.asks(Period(DAY, DAY), 1)) == (first.id, True, False)
    with pytest.raises(NotFound):
        commissions.text(db, COMMAND_LINE, first.id)
    clock.go(seconds=61)
    assert commissions.start(db, COMMAND_LINE, DAY, DAY, None, size).id == first.id + 1
    go_on.set()
    ended(db)


def test_it_ends_with_its_process_when_its_time_is_over_and_on_a_fault(
    db: HashDB, actor: Actor, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    db.stopping = lambda: True
    commissions.start(db, COMMAND_LINE, DAY, DAY, None, size)
    assert ended(db).outcome is Outcome.STOPPED
    db.stopping = lambda: False
    monkeypatch.setattr(commissions, "LONGEST", timedelta(0))
    commissions.start(db, COMMAND_LINE, DAY, DAY, None, size)
    assert ended(db).outcome is Outcome.STOPPED
    monkeypatch.undo()
    commissions.start(db, COMMAND_LINE, DAY, DAY, None, lambda report: str(report.days[DAY.replace(year=1)]))
    assert ended(db).outcome is Outcome.STOPPED
    (message,) = caplog.messages
    assert message.startswith("background task report failed: KeyError at ")
