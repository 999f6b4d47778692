"""Background tasks: which failed and where is logged, without what the error says."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import pytest

from hashdb.domain.accounts.members import COMMAND_LINE
from hashdb.errors import BadSetting, StoreBusy
from hashdb.service import HashDB, background, schedule
from hashdb.service.background import Background, Task
from hashdb.store import Store
from hashdb.store.jobs import TaskError
from tests.builders import Clock


class Told:
    """What a worker counts."""

    def __init__(self, store: Store | None = None) -> None:
        self.background = Background(store, Clock())
        self.done: list[Task] = []
        self.failed: list[Task] = []
        self.background.on_success = lambda task, seconds: self.done.append(task)
        self.background.on_failure = self.failed.append


def errors(db: HashDB) -> Mapping[str, TaskError]:
    return schedule.last_errors(db, COMMAND_LINE)


def raises(error: Exception) -> None:
    raise error


def test_a_failure_is_logged_with_its_task_class_and_place_and_without_its_text(
    caplog: pytest.LogCaptureFixture,
) -> None:
    told = Told()
    told.background.run(Task.EXPIRY, lambda: raises(ValueError("f" * 64)))
    ((name, level, message),) = caplog.record_tuples
    assert (name, level) == ("hashdb.background", logging.ERROR)
    assert message.startswith("background task expiry failed: ValueError at tests.service.test_background.raises:")
    assert " < " in message and "Background.run:" in message and "fff" not in message
    assert (told.failed, told.done) == ([Task.EXPIRY], [])


def test_a_task_that_waits_for_the_database_is_neither_done_nor_failed(caplog: pytest.LogCaptureFixture) -> None:
    told = Told()
    told.background.run(Task.COUNTS, lambda: raises(StoreBusy(5)))
    assert caplog.messages == [f"background task counts waits: {StoreBusy(5)}"]
    assert (told.failed, told.done) == ([], [])


def test_what_the_operator_has_to_set_right_is_logged_in_words(caplog: pytest.LogCaptureFixture) -> None:
    told = Told()
    told.background.run(Task.CHECKPOINTS, lambda: raises(BadSetting("HASHDB_ORIGIN", "this log is named x")))
    assert "failed: HASHDB_ORIGIN: this log is named x at " in caplog.text
    assert told.failed == [Task.CHECKPOINTS]


def test_a_task_that_is_done_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    told = Told()
    told.background.run(Task.MASKS, lambda: None)
    assert (told.done, told.failed, caplog.messages) == ([Task.MASKS], [], [])


def test_the_last_failure_of_a_task_is_stored_once_a_minute_and_any_process_reads_it(
    db: HashDB, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(background, "monotonic", lambda: now[0])
    for error in (ValueError("secret"), KeyError("secret")):
        db.background.run(Task.EXPIRY, partial(raises, error))
    assert {task: one.text.partition(" at ")[0] for task, one in errors(db).items()} == {"expiry": "ValueError"}
    now[0] = 61
    clock.go(seconds=61)
    db.background.run(Task.EXPIRY, partial(raises, KeyError("secret")))
    (last,) = errors(db).values()
    assert last.at == clock() and last.text.startswith("KeyError at tests.service.test_background.raises:")


def test_a_failure_that_cannot_be_stored_is_logged_all_the_same(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    told = Told(Store(f"sqlite:///{tmp_path / 'empty.sqlite'}"))
    told.background.run(Task.EXPIRY, partial(raises, ValueError("secret")))
    assert [message.partition(" at ")[0] for message in caplog.messages] == [
        "background task expiry failed: ValueError",
        "the failure of background task expiry could not be stored: StoreBusy",
    ]
    assert told.failed == [Task.EXPIRY]
