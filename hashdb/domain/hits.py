"""Hits: which contributions were answered to whom as matches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
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
