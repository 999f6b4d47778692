"""Jobs: reports and verifications that a person asks for in the console: how far each is, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from hashdb.domain.times import Period

STALE_AFTER = timedelta(seconds=60)


class JobOutcome(StrEnum):
    """What came of a job: a report is `made`, a log `holds` or is `broken`; either may be `stopped` before its end."""

    MADE = "made"
    HOLDS = "holds"
    BROKEN = "broken"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Work on the log as it was at the start: it had `size` events, of which `done` are read."""

    id: int
    actor: str
    begun_at: datetime
    touched_at: datetime
    size: int
    done: int
    outcome: JobOutcome | None
    """None while it goes on."""

    def running(self, now: datetime) -> bool:
        """Whether it goes on. A job that reported nothing for a minute ended with its process."""
        return self.outcome is None and now - self.touched_at < STALE_AFTER

    @property
    def share(self) -> int:
        """How much of it is done, in hundredths."""
        return 100 if self.size == 0 else min(100, self.done * 100 // self.size)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportJob(Job):
    """A report of a period, on one member or on all (None)."""

    period: Period
    member: int | None

    def asks(self, period: Period, member: int | None) -> bool:
        """Whether it is the report of this period and member."""
        return (self.period, self.member) == (period, member)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification(Job):
    """A verification of the log: how many signed checkpoints agreed, and what does not hold."""

    checkpoints: int
    findings: tuple[str, ...]
