"""The flood guard: how many hits of a contribution, within which time, quarantine it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

FLOOD_WINDOW = timedelta(hours=1)
"""A contribution with more hits than the cap within this time has a flood: it is quarantined, with a case."""
FLOOD_STEP = timedelta(minutes=5)
"""Hits are counted in steps of this length."""
FLOOD_PAUSE = timedelta(days=7)
"""For how long a flood opens no case on a contribution that a reviewer has upheld."""
FLOOD_MEMBERS = 3
"""A flood needs hits of at least this many members besides the contributor, so that one key cannot make one."""


@dataclass(frozen=True, slots=True)
class Flood:
    """How many hits a contribution had at members other than its contributor within the last hour."""

    contribution: int
    hits: int
    members: int
    """The number of members that had the hits."""


def max_hits_per_member(cap: int) -> int:
    """The most hits of one member that count against the cap (HASHDB_FLOOD_CAP).

    It takes the hits of at least `FLOOD_MEMBERS` members to exceed the cap.
    """
    return max(1, cap // (FLOOD_MEMBERS - 1))


def flood_step(at: datetime) -> datetime:
    """The start of the five minutes (`FLOOD_STEP`) that contain an instant."""
    return datetime.fromtimestamp(at.timestamp() // FLOOD_STEP.total_seconds() * FLOOD_STEP.total_seconds(), UTC)
