"""Background tasks, which no request waits for: their names, and the runner that logs, counts and stores failures."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from enum import StrEnum
from threading import get_native_id
from time import monotonic

from hashdb.errors import CannotStart, Unavailable, where_raised
from hashdb.store import Store

_KEEP_EVERY = 60.0
"""Seconds within which only one failure of a task is stored."""
log = logging.getLogger("hashdb.background")


class Task(StrEnum):
    """The names of background tasks in log and metrics; `schedule.BACKGROUND_TASKS` says what each does, and when."""

    FILL = "fill"
    INDEX = "index"
    METRICS = "metrics"
    COUNTS = "counts"
    USES = "uses"
    SUSPICIONS = "suspicions"
    FLOODS = "floods"
    SEALS = "seals"
    MASKS = "masks"
    EXPIRY = "expiry"
    PROPOSALS = "proposals"
    CHANGES = "changes"
    COMMITMENTS = "commitments"
    BATCHES = "batches"
    BATCH_RECORDS = "batch-records"
    OVERVIEWS = "overviews"
    SET = "set"
    CHECKPOINTS = "checkpoints"
    WITNESSES = "witnesses"
    WEBHOOKS = "webhooks"
    DUE = "due"
    MAILS = "mails"
    DELIVERY_RECORDS = "delivery-records"
    DELIVERY = "delivery"
    FOLLOW = "follow"
    VERIFICATION = "verification"
    REPORT = "report"
    ANSWERS = "answers"
    JOBS = "jobs"
    STOP = "stop"


def low_priority() -> None:
    """Lower the priority of the calling thread (on Linux; elsewhere it does nothing)."""
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, get_native_id(), 10)


class Background:
    """Runs tasks and reports the outcome of each. It raises no error."""

    def __init__(self, store: Store | None, clock: Callable[[], datetime]) -> None:
        """Run tasks of this process; without a store, failures are only logged and counted."""
        self._store, self._now = store, clock
        self._stored_at: dict[Task, float] = {}
        # Called with each task that succeeded and its seconds (None: another process runs it), or that failed.
        self.on_success: Callable[[Task, float | None], None] = lambda task, seconds: None
        self.on_failure: Callable[[Task], None] = lambda task: None

    def run(self, task: Task, act: Callable[[], object]) -> None:
        """Run a task, and log its failure. Unavailable (the database does not answer) is no failure: the task waits."""
        start = monotonic()
        try:
            act()
        except Unavailable as error:
            log.warning("background task %s waits: %s", task, error)
        except Exception as error:
            self.failed(task, error)
        else:
            self.on_success(task, monotonic() - start)

    def failed(self, task: Task, error: Exception) -> None:
        """Log a failure with its frames, count it, and store it for the console."""
        # The text of any other error may contain signals or personal data.
        reason = str(error) if isinstance(error, CannotStart) else type(error).__name__
        where = where_raised(error)
        log.error("background task %s failed: %s at %s", task, reason, where)
        self.on_failure(task)
        self._store_failure(task, f"{type(error).__name__} at {where.partition(' < ')[0]}")

    def _store_failure(self, task: Task, text: str) -> None:
        now = monotonic()
        if self._store is None or now - self._stored_at.get(task, -_KEEP_EVERY) < _KEEP_EVERY:
            return
        self._stored_at[task] = now
        try:
            with self._store.begin() as tx:
                tx.task_errors.put(task, text, self._now())
        except Exception as error:
            # The store may be what failed. The failure is already in the log.
            log.warning("the failure of background task %s could not be stored: %s", task, type(error).__name__)


def is_due(last: datetime | None, now: datetime, every: timedelta) -> bool:
    """Whether something last done at `last` (None: never) is due again; a clock that was set back delays nothing."""
    return last is None or not timedelta(0) <= now - last < every
