"""Flood: more hits on one contribution within an hour than the operator lets pass without a person looking at it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

WINDOW = timedelta(hours=1)
STEP = timedelta(minutes=5)
REST = timedelta(days=7)
"""How long what a reviewer upheld is left alone."""


@dataclass(frozen=True, slots=True)
class Flood:
    """How often a contribution was answered within the last hour, and to how many members (None: that is not kept)."""

    contribution: int
    hits: int
    members: int | None


def step_of(at: datetime) -> datetime:
    """The beginning of the five minutes that an instant is in."""
    return datetime.fromtimestamp(at.timestamp() // STEP.total_seconds() * STEP.total_seconds(), UTC)
