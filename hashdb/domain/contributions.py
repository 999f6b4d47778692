"""Draft and Contribution: one removed item, as sent and as recorded."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple, Self

from hashdb.domain.signals import Algorithm, Signal

TOMBSTONES_KEPT = timedelta(days=90)
"""How long after a withdrawal a reader that knows values and no ids can be told of it: what ThreatExchange keeps."""


class Media(StrEnum):
    """What kind of thing was removed."""

    IMAGE = "image"
    VIDEO = "video"
    VIDEO_FRAME = "video_frame"
    DOCUMENT = "document"
    AUDIO = "audio"


class Status(StrEnum):
    """Whether a contribution matches, and if not, why."""

    ACTIVE = "active"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"
    SUSPENDED = "suspended"


class Standing(StrEnum):
    """What opinions and decisions about a contribution add up to."""

    UNREVIEWED = "unreviewed"
    CONFIRMED = "confirmed"
    DISPUTED = "disputed"
    QUARANTINED = "quarantined"
    RETIRED = "retired"

    @property
    def matches(self) -> bool:
        """Whether such a contribution is answered as a match."""
        return self not in (Standing.QUARANTINED, Standing.RETIRED)


@dataclass(frozen=True, slots=True)
class Draft:
    """What a member sends: one removed item with 1 to 64 signals."""

    signals: tuple[Signal, ...]
    labels: tuple[str, ...]
    removed_at: datetime | None
    quality: int | None = None
    media: Media = Media.IMAGE
    severity: int | None = None
    basis: str | None = None
    tco_ground: str | None = None
    entity: str | None = None
    incident: str | None = None
    context: tuple[str, ...] = ()
    notified_at: datetime | None = None
    reference: str | None = None
    expires_at: datetime | None = None

    def fingerprint(self) -> bytes:
        """32 bytes that are equal for equal sets of signals, whatever their order."""
        return hashlib.sha256(" ".join(sorted({str(s) for s in self.signals})).encode()).digest()


@dataclass(frozen=True, slots=True)
class Contribution:
    """What is recorded: one removed item, by one member.

    `hidden` names the fields that the reader may not see; they are empty then, as they are once erased.
    """

    id: int
    member: int
    member_name: str
    status: Status
    standing: Standing
    received_at: datetime
    signals: tuple[Signal, ...]
    labels: tuple[str, ...]
    removed_at: datetime | None
    quality: int | None
    media: Media
    severity: int | None
    basis: str | None
    tco_ground: str | None
    entity: str | None
    incident: str | None
    context: tuple[str, ...]
    notified_at: datetime | None
    reference: str | None
    expires_at: datetime | None
    withdrawn_at: datetime | None
    withdrawal_reason: str | None
    erased: bool
    masked: int = 0
    """How many of its signals match nothing, because they are close to a benign one; they are not among `signals`."""
    hidden: frozenset[str] = frozenset()
    changed_at: datetime | None = field(default=None, compare=False)
    """When the log last told of it; None where that was not asked for, or is not for the reader to know."""

    def shown(self, *, signals: bool, reference: bool, member: bool = True) -> Contribution:
        """The same contribution as a reader with these rights sees it; the member that is not told is 0."""
        shown = {"signals": signals, "reference": reference}
        return replace(
            self,
            member=self.member if member else 0,
            member_name=self.member_name if member else "",
            signals=self.signals if signals else (),
            reference=self.reference if reference else None,
            hidden=frozenset(name for name, may in shown.items() if not may),
        )


class Unset(StrEnum):
    """The mark of a field that a change leaves as it is (None means: set to nothing)."""

    UNSET = "unset"


UNSET = Unset.UNSET


@dataclass(frozen=True, slots=True)
class Amendment:
    """What is sent to change a contribution."""

    labels: tuple[str, ...] | Unset = UNSET
    severity: int | None | Unset = UNSET
    basis: str | None | Unset = UNSET
    context: tuple[str, ...] | Unset = UNSET
    incident: str | None | Unset = UNSET
    expires_at: datetime | None | Unset = UNSET


@dataclass(frozen=True, slots=True)
class Recorded:
    """The answer to one draft; `known` means that the member had this set of signals active already."""

    contribution: Contribution
    known: bool


@dataclass(frozen=True, slots=True)
class Receipt:
    """The answer to a request that contributes: durable and matchable up to `checkpoint`."""

    recorded: tuple[Recorded, ...]
    checkpoint: int


@dataclass(frozen=True, slots=True)
class Filter:
    """Which contributions to list; None is any. `since` and `until` bound `received_at` (from, before).

    `reference` is what the contributor's own id begins with; `expires_until` bounds `expires_at` (before).
    """

    member: int | None = None
    status: Status | None = None
    standing: Standing | None = None
    label: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    severity: int | None = None
    algorithm: Algorithm | None = None
    incident: str | None = None
    reference: str | None = None
    removed_since: datetime | None = None
    removed_until: datetime | None = None
    expires_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """What makes a repeated request one: the member's own key and a digest of the body."""

    key: str
    digest: bytes


class Sort(StrEnum):
    """By what contributions are ordered; of equal ones, by their ids."""

    RECEIVED = "received"
    REMOVED = "removed"
    SEVERITY = "severity"


class Position(NamedTuple):
    """Where a page ended: the value that it is ordered by (microseconds, or a severity; None comes last), and the id.

    >>> Position.parse(str(Position(None, 17)))
    Position(key=None, id=17)
    """

    key: int | None
    id: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """The position that `text` spells; `str()` is the inverse. Raises ValueError with a sentence."""
        key, dot, id = text.partition(".")
        digits = key.removeprefix("-")
        if not dot or not (digits == "" or _is_number(digits)) or not _is_number(id) or key == "-":
            raise ValueError("is not where a page of this list ended")
        return cls(int(key) if key else None, int(id))

    def __str__(self) -> str:
        return f"{'' if self.key is None else self.key}.{self.id}"


@dataclass(frozen=True, slots=True)
class Listing:
    """What is asked for: a filter and an order."""

    chosen: Filter = field(default_factory=Filter)
    sort: Sort = Sort.RECEIVED
    descending: bool = True


@dataclass(frozen=True, slots=True)
class Listed:
    """A page of contributions. Go on after `next`, which is None at the end.

    `unfinished`: rather than look at millions, the search stopped before the page was full; there may be more.
    """

    contributions: tuple[Contribution, ...]
    next: Position | None = None
    unfinished: bool = False


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 18
