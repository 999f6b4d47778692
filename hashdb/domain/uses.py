"""Use: when a key was last used, and how far behind the log is who reads the feed with it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

MOST = 1_000
"""Changes that are counted of what a reader has not been given; more are `more`."""


@dataclass(frozen=True, slots=True)
class Use:
    """When a key was last used, to the minute; with which event of the log the feed made its reader level, and when."""

    key: int
    used_at: datetime
    fed_at: datetime | None = None
    fed_seq: int | None = None


@dataclass(frozen=True, slots=True)
class Lag:
    """What the feed has for a reader that it has not given yet: how many changes (at most `MOST`), the oldest since."""

    changes: int
    since: datetime | None

    @property
    def more(self) -> bool:
        """Whether there are more than are counted."""
        return self.changes >= MOST


@dataclass(frozen=True, slots=True)
class KeyUse:
    """What is known of a key's use; `lag` where it has read the feed."""

    use: Use
    member: int
    lag: Lag | None
