"""Reports of look-back: a sequence that only grows, told to a member until it acknowledges them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from hashdb.domain.matching.lookback import Cursor
from hashdb.domain.matching.matches import Match

REPORTS_A_REQUEST = 1_000
LONGEST_WAIT = 30
"""Seconds that a reader may wait for a report."""


class ReportKind(StrEnum):
    """`matched`: a contribution matches a remembered upload. `taken-back`: it does so no more."""

    MATCHED = "matched"
    TAKEN_BACK = "taken-back"


@dataclass(frozen=True, slots=True)
class Report:
    """What look-back found, or took back. It is advice to review."""

    number: int
    kind: ReportKind
    upload: str
    uploaded_at: datetime
    found_at: datetime
    match: Match
    """As it was found; on a report that takes it back, the match that was reported before."""
    reason: str | None = None
    """Why a match is taken back."""


@dataclass(frozen=True, slots=True)
class ReportsState:
    """How far look-back is (None: it has not begun), the last number, and how many are not acknowledged."""

    cursor: Cursor | None
    last: int
    acknowledged: int
    waiting: int
