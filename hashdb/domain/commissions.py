"""Commission: a report that was asked for in the console: how far it is, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from hashdb.domain.periods import Period

STALE_AFTER = timedelta(seconds=60)


class Outcome(StrEnum):
    """What came of a commission."""

    MADE = "made"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Commission:
    """A report that is made, or was, from the log as it was when that began: `size` events, of which `done` are read.

    It is of one member, or of all (None).
    """

    id: int
    actor: str
    period: Period
    member: int | None
    begun_at: datetime
    touched_at: datetime
    size: int
    done: int
    outcome: Outcome | None
    """None while it goes on."""

    def running(self, now: datetime) -> bool:
        """Whether it goes on; one of which nothing was heard for a minute was broken off with its process."""
        return self.outcome is None and now - self.touched_at < STALE_AFTER

    def asks(self, period: Period, member: int | None) -> bool:
        """Whether it is of that."""
        return (self.period, self.member) == (period, member)

    @property
    def share(self) -> int:
        """How much of it is done, in hundredths."""
        return 100 if self.size == 0 else min(100, self.done * 100 // self.size)
