"""Overview: the figures of a service at a glance, as they follow from the events, one after the other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

from hashdb.domain.contributions import Standing, Status
from hashdb.domain.ledger.events import STANDING_AFTER, STATUS_AFTER, Action, Event
from hashdb.domain.stats.counts import ANY, Count, Kind, day_of
from hashdb.domain.stats.reports import Precision

EVERYONE = 0
"""Where a member stands in a figure of all together."""
_MINUTES = (
    1,
    1.5,
    2,
    3,
    4,
    5,
    6,
    8,
    10,
    12,
    15,
    18,
    21,
    25,
    30,
    35,
    40,
    45,
    50,
    55,
    60,
    75,
    90,
    120,
    150,
    180,
    240,
    300,
)
_HOURS = (6, 8, 10, 12, 16, 20, 24, 36, 48, 72, 120, 168)
BOUNDS = (*(int(60 * one) for one in _MINUTES), *(3_600 * one for one in _HOURS))
"""Seconds: a time to share counts at the first that it does not pass."""
HOUR, DAY = 3_600, 86_400
_NONE: Mapping[int, Iterable[Count]] = MappingProxyType({})


class Figure(StrEnum):
    """What is counted by day."""

    ADDED = "added"
    WITHDRAWN = "withdrawn"
    TIMED = "timed"
    """Contributions of which the time to share is known."""
    IN_HOUR = "in_hour"
    IN_DAY = "in_day"
    QUERIES = "queries"
    HITS = "hits"


class DayCount(NamedTuple):
    """A figure of a day: of a member, or of all together."""

    day: date
    what: str
    member: int


class TotalCount(NamedTuple):
    """A figure of all days: how many contributions of a member are of a status or a standing."""

    what: str
    member: int


@dataclass(frozen=True, slots=True)
class Deltas:
    """What events add to the figures, up to number `seq`."""

    seq: int
    by_day: Counter[DayCount] = field(default_factory=Counter)
    in_all: Counter[TotalCount] = field(default_factory=Counter)


def deltas(
    events: Iterable[Event], contributors: Mapping[int, int], seq: int, sealed: Mapping[int, Iterable[Count]] = _NONE
) -> Deltas:
    """What events add, which follow number `seq`.

    `contributors` tells whose the contributions are that they change, `sealed` the counts of the days that they seal.
    """
    by_day: Counter[DayCount] = Counter()
    in_all: Counter[TotalCount] = Counter()
    for event in events:
        seq = event.seq
        if event.kind == "contribution":
            if event.action == Action.CONTRIBUTION_ADDED:
                _add(event, by_day, in_all)
            elif event.id in contributors:
                _change(event, contributors[event.id], by_day, in_all)
        elif event.action == Action.COUNTS_SEALED:
            by_day.update(asked(day_of(event.id), sealed.get(event.id, ())))
    return Deltas(seq, by_day, in_all)


def asked(day: date, counts: Iterable[Count]) -> Counter[DayCount]:
    """How often members asked on a day, and had a match, of the counts of that day."""
    found: Counter[DayCount] = Counter()
    for cell, times in counts:
        what = _ASKED.get(cell.kind)
        if what is not None and cell.algorithm == ANY:
            found[DayCount(day, what, EVERYONE)] += times
            found[DayCount(day, what, cell.member)] += times if cell.member != EVERYONE else 0
    return found


def sealed(events: Iterable[Event]) -> set[int]:
    """The days that events seal, as numbers."""
    return {event.id for event in events if event.action == Action.COUNTS_SEALED}


def concerned(events: Iterable[Event]) -> set[int]:
    """The contributions of which must be known whose they are."""
    return {event.id for event in events if event.kind == "contribution" and event.action != Action.CONTRIBUTION_ADDED}


def bucket(bound: int | None) -> str:
    """The name of the figure of contributions that were shared within so many seconds, but not within fewer."""
    return f"share:{'later' if bound is None else bound}"


def status(of: Status) -> str:
    """The name of the figure of contributions of a status."""
    return f"status:{of}"


def standing(of: Standing) -> str:
    """The name of the figure of contributions of a standing."""
    return f"standing:{of}"


_NAMES = {bound: bucket(bound) for bound in BOUNDS}
_ASKED = {str(Kind.QUERY): str(Figure.QUERIES), str(Kind.HIT): str(Figure.HITS)}


def _add(event: Event, by_day: Counter[DayCount], in_all: Counter[TotalCount]) -> None:
    member, seconds = event.details.get("member"), event.details.get("seconds_to_share")
    whose, day = member if isinstance(member, int) else EVERYONE, event.at.date()
    found = [str(Figure.ADDED)]
    if isinstance(seconds, int):
        found += [
            Figure.TIMED,
            *([Figure.IN_HOUR] if seconds <= HOUR else []),
            *([Figure.IN_DAY] if seconds <= DAY else []),
        ]
        by_day[DayCount(day, bucket(next((one for one in BOUNDS if seconds <= one), None)), EVERYONE)] += 1
    for what in found:
        by_day[DayCount(day, str(what), EVERYONE)] += 1
        by_day[DayCount(day, str(what), whose)] += whose != EVERYONE
    in_all[TotalCount(status(Status.ACTIVE), whose)] += 1
    in_all[TotalCount(standing(Standing.UNREVIEWED), whose)] += 1


def _change(event: Event, whose: int, by_day: Counter[DayCount], in_all: Counter[TotalCount]) -> None:
    before = str(event.details.get("before"))
    if event.action in STATUS_AFTER:
        in_all[TotalCount(f"status:{before}", whose)] -= 1
        in_all[TotalCount(status(STATUS_AFTER[event.action]), whose)] += 1
    elif event.action in STANDING_AFTER:
        in_all[TotalCount(f"standing:{before}", whose)] -= 1
        in_all[TotalCount(standing(STANDING_AFTER[event.action]), whose)] += 1
    if event.action == Action.CONTRIBUTION_WITHDRAWN:
        by_day[DayCount(event.at.date(), str(Figure.WITHDRAWN), EVERYONE)] += 1
        by_day[DayCount(event.at.date(), str(Figure.WITHDRAWN), whose)] += whose != EVERYONE


@dataclass(frozen=True, slots=True)
class DayFigures:
    """What a day had. `half` and `most` are seconds within which half and nine in ten were shared, rounded up.

    They are one of the `BOUNDS`; None where no time is known, or where it was longer than the last.
    """

    day: date
    added: int = 0
    withdrawn: int = 0
    timed: int = 0
    in_hour: int = 0
    half: int | None = None
    most: int | None = None
    queries: int = 0
    hits: int = 0


@dataclass(frozen=True, slots=True)
class MemberFigures:
    """What a member did in a number of days, and how its contributions hold."""

    member: int
    name: str
    suspended: bool
    added: int
    active: int
    timed: int
    in_hour: int
    queries: int
    hits: int
    precision: Precision
    """Of all that was ever judged."""


@dataclass(frozen=True, slots=True)
class ReviewBacklog:
    """What waits for a reviewer."""

    open: int
    overdue: int
    soon: int
    first_due: datetime | None


@dataclass(frozen=True, slots=True)
class Health:
    """How the log and the index of this process are."""

    seq: int
    at: datetime
    index_seq: int | None
    values: Mapping[str, int]
    signed: int
    signed_at: datetime | None


@dataclass(frozen=True, slots=True)
class Overview:
    """The figures, as of event `seq`; `behind` is how many events are not counted yet."""

    seq: int
    behind: int
    statuses: Mapping[Status, int]
    standings: Mapping[Standing, int]
    new: int
    expiring: int
    suspected: int
    days: tuple[DayFigures, ...]
    members: tuple[MemberFigures, ...]
    waiting: ReviewBacklog
    health: Health


def within(figures: Mapping[str, int], share: float) -> int | None:
    """The seconds within which that share of contributions was shared; None where there are none, or past the last."""
    total, seen = figures.get(Figure.TIMED, 0), 0
    for bound in BOUNDS:
        seen += figures.get(_NAMES[bound], 0)
        if total and seen >= share * total:
            return bound
    return None
