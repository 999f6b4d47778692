"""Look-back: what a member remembers of its uploads, and what it finds when contributions change later."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple, Protocol

from hashdb.domain.frames import FRAMES_AN_ITEM
from hashdb.domain.matching.matches import Match, Query
from hashdb.domain.rules import past_fault
from hashdb.domain.times import EPOCH
from hashdb.errors import Fault

LONGEST_ID: Final = 256
"""The most characters of the id of an upload."""
UPLOADS_A_REQUEST: Final = 1_000


@dataclass(frozen=True, slots=True)
class Upload:
    """An upload of a member: its own id, when it was uploaded, and what a match of it would ask.

    Of the query, the signals are remembered, with the transforms, the signatures, the frames and their duration. The
    same id again replaces.
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
            # What converts times to UTC fails at the beginning of the calendar.
            yield Fault("at", "must not be before 1970")
        elif reason := past_fault(self.at, now):
            yield Fault("at", reason)
        if len(self.query.frames) > FRAMES_AN_ITEM:
            yield Fault("frames", f"must be at most {FRAMES_AN_ITEM} frames")
        if not self.query.signals and not self.query.transforms and not any(one.matches for one in self.query.frames):
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
    """Up to which event of which log look-back has found everything."""

    epoch: str
    seq: int


class Found(NamedTuple):
    """An upload that matches a contribution, and until when, if the contribution expires."""

    upload: str
    uploaded_at: datetime
    match: Match
    expires_at: datetime | None = None


class TakenBack(NamedTuple):
    """An upload that no longer matches a contribution, with the reason."""

    upload: str
    contribution: int
    reason: str


class Findings(Protocol):
    """Keeps what look-back found, and its cursor, in one file. A pair of upload and contribution *stands* from when it
    was found until it is taken back."""

    def cursor(self) -> Cursor | None:
        """The cursor that `record` was last given; None at first."""

    def standing(self, contributions: Collection[int]) -> Sequence[tuple[str, int]]:
        """The pairs of upload and contribution that stand, of these contributions."""

    def contributions(self) -> Set[int]:
        """All contributions of which a pair stands."""

    def expired(self, now: datetime) -> Set[int]:
        """The contributions of which a pair stands whose latest `expires_at` is at or before `now`."""

    def record(self, cursor: Cursor, found: Sequence[Found], taken_back: Sequence[TakenBack]) -> int:
        """Store all of it in one transaction, and return how many reports were added.

        A pair that stands is not told again, but its `expires_at` is updated. A pair that does not stand is not taken
        back.
        """
