"""Background tasks: what a worker does that no request waits for. A failure is logged and counted under its task."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from enum import StrEnum
from types import TracebackType

from hashdb.errors import CannotStart, Unavailable

_FRAMES = 8
"""Places that are logged of one failure, from where it arose outwards."""
log = logging.getLogger("hashdb.background")


class Task(StrEnum):
    """What is done in the background, as it is named in the log and in the metrics."""

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

    @property
    def repeats(self) -> bool:
        """Whether every worker does it again and again, at least each minute, or sees that another process does."""
        return self not in _ONCE


_ONCE = frozenset(
    {Task.FILL, Task.DELIVERY_RECORDS, Task.DELIVERY, Task.VERIFICATION, Task.REPORT, Task.STOP},
)


class Background:
    """Runs tasks, whose failures end nothing: the next round tries again."""

    def __init__(self) -> None:
        """Tells nobody yet."""
        # Told of each task that was done, and of each that failed: who serves may count it.
        self.on_success: Callable[[Task], None] = lambda task: None
        self.on_failure: Callable[[Task], None] = lambda task: None

    def run(self, task: Task, act: Callable[[], object]) -> None:
        """Do something; where that fails, log it. Unavailable (a database that is away) is no failure: it waits."""
        try:
            act()
        except Unavailable as error:
            log.warning("background task %s waits: %s", task, error)
        except Exception as error:
            self.failed(task, error)
        else:
            self.on_success(task)

    def failed(self, task: Task, error: Exception) -> None:
        """Log a failure with its place, and count it."""
        # The text of any other error may hold content.
        reason = str(error) if isinstance(error, CannotStart) else type(error).__name__
        log.error("background task %s failed: %s at %s", task, reason, place(error))
        self.on_failure(task)


def place(error: Exception) -> str:
    """Where an error arose: functions and lines, the innermost first."""
    where = [f"{frame.tb_frame.f_code.co_qualname}:{frame.tb_lineno}" for frame in _frames(error)]
    return " < ".join(reversed(where[-_FRAMES:]))


def _frames(error: Exception) -> Iterator[TracebackType]:
    trace = error.__traceback__
    while trace is not None:
        yield trace
        trace = trace.tb_next
