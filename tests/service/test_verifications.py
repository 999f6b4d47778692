"""Verifications in the background: one at a time, told as they go, ended in time."""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from threading import Event

import pytest

from hashdb.domain.members import COMMAND_LINE, Actor
from hashdb.domain.verifications import Outcome, Verification
from hashdb.errors import ScopeMissing
from hashdb.service import HashDB, verification, verifications
from tests.builders import Clock


def ended(db: HashDB) -> Verification:
    for _ in range(400):
        last = verifications.latest(db, COMMAND_LINE)[0]
        if last.outcome is not None and "verify" not in {thread.name for thread in threading.enumerate()}:
            return last
        time.sleep(0.02)
    raise AssertionError(last)


def test_it_tells_who_asked_and_what_came_of_it(db: HashDB, actor: Actor) -> None:
    begun = verifications.start(db, COMMAND_LINE)
    last = ended(db)
    assert (last.id, last.actor, last.outcome, last.findings) == (begun.id, "system:cli", Outcome.HOLDS, ())
    assert (last.done, last.size, last.share) == (2, 2, 100)


def test_a_member_without_the_scope_asks_for_none(db: HashDB, actor: Actor) -> None:
    with pytest.raises(ScopeMissing):
        verifications.start(db, actor)
    with pytest.raises(ScopeMissing):
        verifications.latest(db, actor)


def test_one_goes_on_at_a_time(db: HashDB, actor: Actor, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    go_on = Event()

    def slow(*arguments: object) -> object:
        go_on.wait(20)
        return verification.verify(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(verifications, "verify", slow)
    first = verifications.start(db, COMMAND_LINE)
    assert first.running(clock())
    assert verifications.start(db, COMMAND_LINE).id == first.id
    clock.go(seconds=61)
    assert verifications.start(db, COMMAND_LINE).id == first.id + 1
    go_on.set()
    ended(db)


def test_it_ends_with_its_process_and_when_its_time_is_over(
    db: HashDB, actor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    db.stopping = lambda: True
    verifications.start(db, COMMAND_LINE)
    assert ended(db).outcome is Outcome.STOPPED
    db.stopping = lambda: False
    monkeypatch.setattr(verifications, "LONGEST", timedelta(seconds=-1))
    verifications.start(db, COMMAND_LINE)
    assert ended(db).outcome is Outcome.STOPPED


def test_a_fault_of_ours_is_told_without_its_text(db: HashDB, actor: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr(verifications, "verify", broken)
    verifications.start(db, COMMAND_LINE)
    assert ended(db).findings == ("a fault of the service, which it has noted",)
