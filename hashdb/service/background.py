"""Background: runs tasks that no request waits for; a failure is logged, counted and stored."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from datetime import datetime
from enum import StrEnum
from time import monotonic
from types import TracebackType

from hashdb.errors import CannotStart, Unavailable
from hashdb.store import Store

_FRAMES = 8
"""Places of one failure that are logged, from where it arose outwards."""
_KEEP_EVERY = 60.0
"""Seconds within which a task's failures are stored once."""
log = logging.getLogger("hashdb.background")


class Task(StrEnum):
    """The names of background tasks in the log and in the metrics; `schedule.TABLE` says what each does, and when."""

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
    OVERVIEWS = "overviews"
    CHECKPOINTS = "checkpoints"
    WEBHOOKS = "webhooks"
    DELIVERY_RECORDS = "delivery-records"
    DELIVERY = "delivery"
    VERIFICATION = "verification"
    REPORT = "report"
    STOP = "stop"


class Background:
    """Runs tasks and reports what became of each. No failure leaves it."""

    def __init__(self, store: Store | None, clock: Callable[[], datetime]) -> None:
        """Without a store (its process has none), failures are only logged and counted."""
        self._store, self._now = store, clock
        self._kept: dict[Task, float] = {}
        # Called with each task that was done and the seconds it took (None: another process does it), and with each
        # that failed.
        self.on_success: Callable[[Task, float | None], None] = lambda task, seconds: None
        self.on_failure: Callable[[Task], None] = lambda task: None

    def run(self, task: Task, act: Callable[[], object]) -> None:
        """Do something; where that fails, log it. Unavailable (the database is away) is no failure: the task waits."""
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
        """Log a failure with its place, count it, and store it for the console."""
        # The text of any other error may hold content.
        reason = str(error) if isinstance(error, CannotStart) else type(error).__name__
        where = place(error)
        log.error("background task %s failed: %s at %s", task, reason, where)
        self.on_failure(task)
        self._keep(task, f"{type(error).__name__} at {where.partition(' < ')[0]}")

    def _keep(self, task: Task, text: str) -> None:
        now = monotonic()
        if self._store is None or now - self._kept.get(task, -_KEEP_EVERY) < _KEEP_EVERY:
            return
        self._kept[task] = now
        try:
            with self._store.begin() as tx:
                tx.task_errors.put(task, text, self._now())
        except Exception as error:
            # The store itself may be what fails. The failure is in the log already.
            log.warning("the failure of background task %s is not stored: %s", task, type(error).__name__)


def place(error: Exception) -> str:
    """Where an error arose: modules, functions and lines, the innermost first."""
    frames = list(_frames(error))[-_FRAMES:]
    return " < ".join(
        f"{frame.tb_frame.f_globals.get('__name__')}.{frame.tb_frame.f_code.co_qualname}:{frame.tb_lineno}"
        for frame in reversed(frames)
    )


def _frames(error: Exception) -> Iterator[TracebackType]:
    trace = error.__traceback__
    while trace is not None:
        yield trace
        trace = trace.tb_next
