"""Background tasks: which failed and where is logged, without what the error says."""

from __future__ import annotations

import logging

import pytest

from hashdb.errors import BadSetting, StoreBusy
from hashdb.service.background import Background, Task


class Told:
    """What a worker counts."""

    def __init__(self) -> None:
        self.background = Background()
        self.done: list[Task] = []
        self.failed: list[Task] = []
        self.background.on_success = self.done.append
        self.background.on_failure = self.failed.append


def raises(error: Exception) -> None:
    raise error


def test_a_failure_is_logged_with_its_task_class_and_place_and_without_its_text(
    caplog: pytest.LogCaptureFixture,
) -> None:
    told = Told()
    told.background.run(Task.EXPIRY, lambda: raises(ValueError("f" * 64)))
    ((name, level, message),) = caplog.record_tuples
    assert (name, level) == ("hashdb.background", logging.ERROR)
    assert message.startswith("background task expiry failed: ValueError at raises:")
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
