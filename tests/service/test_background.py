"""Background tasks: the log names the failed task and the place of the error, without the text of the error."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import closing
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


class Recorder:
    """The tasks that a worker counted as done and as failed."""

    def __init__(self, store: Store | None = None) -> None:
        self.background = Background(store, Clock())
        self.succeeded: list[Task] = []
        self.failed: list[Task] = []
        self.background.on_success = lambda task, seconds: self.succeeded.append(task)
        self.background.on_failure = self.failed.append


def stored_errors(db: HashDB) -> Mapping[str, TaskError]:
    return schedule.last_errors(db, COMMAND_LINE)


def raises(error: Exception) -> None:
    raise error


def test_a_failure_is_logged_with_task_class_and_place_but_not_its_text(
    caplog: pytest.LogCaptureFixture,
) -> None:
    recorder = Recorder()
    recorder.background.run(Task.EXPIRY, lambda: raises(ValueError("f" * 64)))
    ((name, level, message),) = caplog.record_tuples
    assert (name, level) == ("hashdb.background", logging.ERROR)
    assert message.startswith("background task expiry failed: ValueError at tests.service.test_background.raises:")
    assert " < " in message and "Background.run:" in message and "fff" not in message
    assert (recorder.failed, recorder.succeeded) == ([Task.EXPIRY], [])


def test_a_task_that_waits_for_the_database_counts_as_neither_done_nor_failed(caplog: pytest.LogCaptureFixture) -> None:
    recorder = Recorder()
    recorder.background.run(Task.COUNTS, lambda: raises(StoreBusy(5)))
    assert caplog.messages == [f"background task counts waits: {StoreBusy(5)}"]
    assert (recorder.failed, recorder.succeeded) == ([], [])


def test_an_invalid_setting_is_logged_with_its_message(caplog: pytest.LogCaptureFixture) -> None:
    recorder = Recorder()
    recorder.background.run(Task.CHECKPOINTS, lambda: raises(BadSetting("HASHDB_ORIGIN", "this log is named x")))
    assert "failed: HASHDB_ORIGIN: this log is named x at " in caplog.text
    assert recorder.failed == [Task.CHECKPOINTS]


def test_a_successful_task_is_counted_as_done_and_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    recorder = Recorder()
    recorder.background.run(Task.MASKS, lambda: None)
    assert (recorder.succeeded, recorder.failed, caplog.messages) == ([Task.MASKS], [], [])


def test_the_last_failure_of_a_task_is_stored_at_most_once_a_minute(
    db: HashDB, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = [0.0]
    monkeypatch.setattr(background, "monotonic", lambda: seconds[0])
    for error in (ValueError("secret"), KeyError("secret")):
        db.background.run(Task.EXPIRY, partial(raises, error))
    assert {task: error.text.partition(" at ")[0] for task, error in stored_errors(db).items()} == {
        "expiry": "ValueError"
    }
    seconds[0] = 61
    clock.advance(seconds=61)
    db.background.run(Task.EXPIRY, partial(raises, KeyError("secret")))
    (last,) = stored_errors(db).values()
    assert last.at == clock() and last.text.startswith("KeyError at tests.service.test_background.raises:")


def test_a_failure_that_cannot_be_stored_is_still_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with closing(Store(f"sqlite:///{tmp_path / 'empty.sqlite'}")) as store:
        recorder = Recorder(store)
        recorder.background.run(Task.EXPIRY, partial(raises, ValueError("secret")))
    assert [message.partition(" at ")[0] for message in caplog.messages] == [
        "background task expiry failed: ValueError",
        "the failure of background task expiry could not be stored: StoreBusy",
    ]
    assert recorder.failed == [Task.EXPIRY]
