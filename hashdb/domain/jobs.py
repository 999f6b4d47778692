"""Jobs: reports and verifications that people request in the console, and requests that are answered later."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from hashdb.domain.times import Period

STALE_AFTER = timedelta(seconds=60)
"""How long a job may report no progress before it counts as ended."""


class JobOutcome(StrEnum):
    """The outcome of a job: a report is `made`, a log `holds` or is `broken`, and either may be `stopped` early."""

    MADE = "made"
    HOLDS = "holds"
    BROKEN = "broken"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Work on the log as it was at the start: of its `size` events, `done` have been read.

    `touched_at` is the time of the last progress.
    """

    id: int
    actor: str
    begun_at: datetime
    touched_at: datetime
    size: int
    done: int
    outcome: JobOutcome | None
    """None while the job runs."""

    def running(self, now: datetime) -> bool:
        """Whether the job runs. A job that reported no progress for a minute ended with its process."""
        return self.outcome is None and now - self.touched_at < STALE_AFTER

    @property
    def percent(self) -> int:
        """The share that is done, in percent."""
        return 100 if self.size == 0 else min(100, self.done * 100 // self.size)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportJob(Job):
    """The job of a report on a period, for one member or for all (None)."""

    period: Period
    member: int | None

    def is_for(self, period: Period, member: int | None) -> bool:
        """Whether the job is for this period and member."""
        return (self.period, self.member) == (period, member)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification(Job):
    """The job of a verification: how many signed checkpoints agreed, and the findings that do not hold."""

    checkpoints: int
    findings: tuple[str, ...]


class JobStatus(StrEnum):
    """How far the answer to a request is.

    `waiting`: other requests are before it. `running`: its files are being hashed. `done`: the answer is there.
    `failed`: there is an error instead.
    """

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


KEEP_ANSWERS = timedelta(hours=1)
"""How long the answer to a request is kept after it was made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerJob:
    """A request that is answered later; `percent` is the share that is done, `touched_at` the time of the progress."""

    id: int
    actor: str
    touched_at: datetime
    status: JobStatus
    percent: int
    text: str | None
    """The answer or the error as it was stored, once there is one."""

    def lost(self, now: datetime) -> bool:
        """Whether the job ended with its process: it was not done, and reported nothing for a minute."""
        return self.status in (JobStatus.WAITING, JobStatus.RUNNING) and now - self.touched_at >= STALE_AFTER
