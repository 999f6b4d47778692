"""Reversals: what was answered as a match and turned out not to be one, so that what was taken down can be restored."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

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
