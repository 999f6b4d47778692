"""Hits: which contributions were answered to whom as matches, which of them were no match; and uses of keys."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum


class MatchLog(StrEnum):
    """What is kept of matches: which contributions were answered to whom, or numbers only."""

    HITS = "hits"
    COUNTS = "counts"


@dataclass(frozen=True, slots=True)
class Hit:
    """That a contribution was answered to a member on a day: from when to when, and how often.

    `seq` is the number of the log with which the first answer was level: what ended the contribution came after it.
    `distance` has the nearest of each algorithm in the first answer, in bits; nothing tells what was asked.
    """

    day: date
    member: int
    contribution: int
    first_at: datetime
    last_at: datetime
    seq: int
    times: int
    distance: Mapping[str, int]

    def joined(self, later: Hit) -> Hit:
        """This one and a later one of the same day, as one."""
        return replace(
            self,
            first_at=min(self.first_at, later.first_at),
            last_at=max(self.last_at, later.last_at),
            seq=min(self.seq, later.seq),
            times=self.times + later.times,
        )


def in_open_days(found: Iterable[Hit], closed: date, opened: date) -> list[Hit]:
    """Hits as they are written: those of days up to `closed` at the first moment of the day `opened`, as one."""
    at, hits = datetime.combine(opened, time.min, UTC), dict[tuple[date, int, int], Hit]()
    for hit in sorted(found, key=lambda hit: hit.day):
        one = replace(hit, day=opened, first_at=at, last_at=at) if hit.day <= closed else hit
        key = one.day, one.member, one.contribution
        hits[key] = hits[key].joined(one) if key in hits else one
    return list(hits.values())


SETTLED = timedelta(seconds=3)
"""How old an event is before what was answered until then is surely written down (`counts.flush` does each second)."""


@dataclass(frozen=True, slots=True)
class Reversal:
    """The event `seq`, after which a contribution that had been answered to a member is no match any more.

    `now` is what it is at the time of reading: `withdrawn`, `quarantined` or `retired`.
    """

    seq: int
    contribution: int
    now: str
    reason: str | None
    at: datetime


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
