"""Flood: more hits on one contribution within an hour than the operator allows before a reviewer looks at it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

WINDOW = timedelta(hours=1)
STEP = timedelta(minutes=5)
REST = timedelta(days=7)
"""How long what a reviewer upheld is left alone."""
MEMBERS = 3
"""A flood takes hits of at least so many members other than the contributor: one key alone cannot make one."""


@dataclass(frozen=True, slots=True)
class Flood:
    """How often a contribution was answered to other members within the last hour, and to how many of them."""

    contribution: int
    hits: int
    members: int


def share_of(cap: int) -> int:
    """How many hits of one member count towards the cap: so few that it takes `MEMBERS` to exceed it."""
    return max(1, cap // (MEMBERS - 1))


def step_of(at: datetime) -> datetime:
    """The beginning of the five minutes that an instant is in."""
    return datetime.fromtimestamp(at.timestamp() // STEP.total_seconds() * STEP.total_seconds(), UTC)
