"""Look-back: what a member remembers of its uploads, and the reports of what it finds when contributions change."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, NamedTuple

from hashdb.domain.frames import FRAMES_AN_ITEM
from hashdb.domain.matching.matches import Match, Query
from hashdb.domain.rules import past_fault
from hashdb.domain.times import EPOCH
from hashdb.errors import Fault

LONGEST_ID: Final = 256
"""The most characters of the id of an upload."""
UPLOADS_A_REQUEST: Final = 1_000
REPORTS_A_REQUEST: Final = 1_000
LONGEST_WAIT: Final = 30
"""Seconds that a reader may wait for a report."""


@dataclass(frozen=True, slots=True)
class Upload:
    """An upload of a member: the member's own id for it, when it was uploaded, and the query to match it.

    Of the query, the signals are remembered, with the transforms, the signatures, the frames and their duration. An
    upload with the same id replaces the earlier one.
    """

    id: str
    at: datetime
    query: Query

    def faults(self, now: datetime) -> Iterator[Fault]:
        """Every fault, at its field."""
        if reason := id_fault(self.id):
            yield Fault("id", reason)
        if self.at.tzinfo is None:
            yield Fault("at", "must have a time zone")
        elif self.at < EPOCH:
            # Conversions to UTC fail at the beginning of the calendar.
            yield Fault("at", "must not be before 1970")
        elif reason := past_fault(self.at, now):
            yield Fault("at", reason)
        if len(self.query.frames) > FRAMES_AN_ITEM:
            yield Fault("frames", f"must be at most {FRAMES_AN_ITEM} frames")
        if (
            not self.query.signals
            and not self.query.transforms
            and not any(frame.matches for frame in self.query.frames)
        ):
            yield Fault("signals", "must have at least one signal")


def id_fault(id: str) -> str | None:
    """Why an upload cannot have this id, or None."""
    if 1 <= len(id) <= LONGEST_ID and id.isprintable():
        return None
    return f"must have 1 to {LONGEST_ID} printable characters"


def uploads_faults(uploads: Iterable[Upload], now: datetime) -> Iterator[Fault]:
    """Every fault of the uploads of a request, at `uploads[i].field`."""
    for position, upload in enumerate(uploads):
        for fault in upload.faults(now):
            yield Fault(f"uploads[{position}].{fault.at}", fault.reason)


class Cursor(NamedTuple):
    """How far look-back has read the log: up to the event `seq` of the log with this `epoch`.

    All contributions up to there are compared with the remembered uploads.
    """

    epoch: str
    seq: int


class FoundMatch(NamedTuple):
    """An upload that matches a contribution, and until when, if the contribution expires."""

    upload: str
    """The member's id."""
    uploaded_at: datetime
    match: Match
    expires_at: datetime | None = None


class TakenBack(NamedTuple):
    """An upload that no longer matches a contribution, with the reason."""

    upload: str
    contribution: int
    reason: str


class ReportKind(StrEnum):
    """`matched`: a contribution matches a remembered upload. `taken-back`: it no longer does."""

    MATCHED = "matched"
    TAKEN_BACK = "taken-back"


@dataclass(frozen=True, slots=True)
class LookBackReport:
    """A report of look-back; reports are numbered from 1. It is advice to review."""

    number: int
    kind: ReportKind
    upload: str
    uploaded_at: datetime
    found_at: datetime
    match: Match
    """The match as it was found. In a report that takes a match back, the one that was reported before."""
    reason: str | None = None
    """Why a match is taken back."""


@dataclass(frozen=True, slots=True)
class ReportsState:
    """The state of look-back and of its reports.

    Reports up to the number `acknowledged` are acknowledged; `waiting` counts the others.
    """

    cursor: Cursor | None
    """How far look-back is; None: it has not begun."""
    last: int
    """The number of the last report."""
    acknowledged: int
    waiting: int
