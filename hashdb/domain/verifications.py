"""A verification of the log that was asked for in the console: how far it is, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

STALE_AFTER = timedelta(seconds=60)


class Outcome(StrEnum):
    """What came of a verification."""

    HOLDS = "holds"
    BROKEN = "broken"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Verification:
    """One verification, of the log as it was when it began."""

    id: int
    actor: str
    begun_at: datetime
    touched_at: datetime
    size: int
    done: int
    outcome: Outcome | None
    """None while it goes on."""
    checkpoints: int
    findings: tuple[str, ...]

    def running(self, now: datetime) -> bool:
        """Whether it goes on; one of which nothing was heard for a minute was broken off with its process."""
        return self.outcome is None and now - self.touched_at < STALE_AFTER

    @property
    def share(self) -> int:
        """How much of it is done, in hundredths."""
        return 100 if self.size == 0 else min(100, self.done * 100 // self.size)
