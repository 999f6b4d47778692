"""Overviews: the figures of a service at a glance, which follow from the events one after the other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import NamedTuple

from hashdb.domain.contributions import Standing, Status
from hashdb.domain.ledger.events import STANDING_AFTER, STATUS_AFTER, Action, Event
from hashdb.domain.stats.counts import ANY_ALGORITHM, Count, CountKind, day_of
from hashdb.domain.stats.reports import DAY, HOUR, Precision

EVERYONE = 0
"""The member of a figure over all members."""
_MINUTES = (1, 1.5, 2, 3, 4, 5, 6, 8, 10, 12, 15, 18, 21, *range(25, 61, 5), 75, 90, 120, 150, 180, 240, 300)
_HOURS = (6, 8, 10, 12, 16, 20, 24, 36, 48, 72, 120, 168)
BOUNDS = (*(int(60 * minutes) for minutes in _MINUTES), *(3_600 * hours for hours in _HOURS))
"""The upper bounds, in seconds, of the classes of times to share."""


class Figure(StrEnum):
    """The figures of a day."""

    ADDED = "added"
    WITHDRAWN = "withdrawn"
    TIMED = "timed"
    """Contributions with a known time to share."""
    IN_HOUR = "in_hour"
    """Those of `TIMED` that were shared within an hour of the removal."""
    IN_DAY = "in_day"
    """Those of `TIMED` that were shared within a day of the removal."""
    QUERIES = "queries"
    HITS = "hits"


class DayCount(NamedTuple):
    """The key of a figure of a day: `what` is a `Figure` or a `share_figure`, `member` an id or `EVERYONE`."""

    day: date
    what: str
    member: int


class TotalCount(NamedTuple):
    """The key of a figure of all days: `what` is a `status_figure` or a `standing_figure` of a member."""

    what: str
    member: int


@dataclass(frozen=True, slots=True)
class Deltas:
    """What the events up to `seq` add to the figures."""

    seq: int
    by_day: Counter[DayCount] = field(default_factory=Counter)
    in_all: Counter[TotalCount] = field(default_factory=Counter)


def deltas(
    events: Iterable[Event], contributors: Mapping[int, int], seq: int, sealed: Mapping[int, Iterable[Count]]
) -> Deltas:
    """What the events after `seq` add to the figures.

    `contributors` has the member of each contribution that they change, `sealed` the counts of the days that they seal,
    by `sealed_days`.
    """
    by_day: Counter[DayCount] = Counter()
    in_all: Counter[TotalCount] = Counter()
    for event in events:
        seq = event.seq
        if event.kind == "contribution":
            if event.action == Action.CONTRIBUTION_ADDED:
                _count_addition(event, by_day, in_all)
            elif event.id in contributors:
                _count_change(event, contributors[event.id], by_day, in_all)
        elif event.action == Action.COUNTS_SEALED:
            by_day.update(query_figures(day_of(event.id), sealed.get(event.id, ())))
    return Deltas(seq, by_day, in_all)


def query_figures(day: date, counts: Iterable[Count]) -> Counter[DayCount]:
    """The queries and hits of a day, from its counts."""
    figures: Counter[DayCount] = Counter()
    for cell, times in counts:
        figure = _FIGURE_OF_COUNT.get(cell.kind)
        if figure is not None and cell.algorithm == ANY_ALGORITHM:
            _count(figures, day, figure, cell.member, times)
    return figures


def sealed_days(events: Iterable[Event]) -> set[int]:
    """The days that events seal, as numbers (20261120)."""
    return {event.id for event in events if event.action == Action.COUNTS_SEALED}


def changed_contributions(events: Iterable[Event]) -> set[int]:
    """The contributions whose member must be known for `deltas`."""
    return {event.id for event in events if event.kind == "contribution" and event.action != Action.CONTRIBUTION_ADDED}


def share_figure(bound: int | None) -> str:
    """The name of the figure of contributions in one class of times to share; `bound` is in seconds (None: later)."""
    return f"share:{'later' if bound is None else bound}"


def status_figure(value: str) -> str:
    """The name of the figure of contributions with a status."""
    return f"status:{value}"


def standing_figure(value: str) -> str:
    """The name of the figure of contributions with a standing."""
    return f"standing:{value}"


_SHARE_FIGURES = {bound: share_figure(bound) for bound in BOUNDS}
_FIGURE_OF_COUNT = {str(CountKind.QUERY): str(Figure.QUERIES), str(CountKind.HIT): str(Figure.HITS)}


def _count_addition(event: Event, by_day: Counter[DayCount], in_all: Counter[TotalCount]) -> None:
    """Count an added contribution, by the member that the event names."""
    # An event without a member counts for `EVERYONE` alone, which is 0.
    contributor, day, seconds = event.integer("member"), event.at.date(), event.details.get("seconds_to_share")
    _count(by_day, day, Figure.ADDED, contributor)
    if isinstance(seconds, int):
        _count(by_day, day, Figure.TIMED, contributor)
        if seconds <= HOUR:
            _count(by_day, day, Figure.IN_HOUR, contributor)
        if seconds <= DAY:
            _count(by_day, day, Figure.IN_DAY, contributor)
        by_day[DayCount(day, share_figure(next((bound for bound in BOUNDS if seconds <= bound), None)), EVERYONE)] += 1
    in_all[TotalCount(status_figure(Status.ACTIVE), contributor)] += 1
    in_all[TotalCount(standing_figure(Standing.UNREVIEWED), contributor)] += 1


def _count_change(event: Event, contributor: int, by_day: Counter[DayCount], in_all: Counter[TotalCount]) -> None:
    """Count a change of status or standing; the event names the one `before`."""
    before = str(event.details.get("before"))
    if event.action in STATUS_AFTER:
        in_all[TotalCount(status_figure(before), contributor)] -= 1
        in_all[TotalCount(status_figure(STATUS_AFTER[event.action]), contributor)] += 1
    elif event.action in STANDING_AFTER:
        in_all[TotalCount(standing_figure(before), contributor)] -= 1
        in_all[TotalCount(standing_figure(STANDING_AFTER[event.action]), contributor)] += 1
    if event.action == Action.CONTRIBUTION_WITHDRAWN:
        _count(by_day, event.at.date(), Figure.WITHDRAWN, contributor)


def _count(figures: Counter[DayCount], day: date, figure: str, member: int, times: int = 1) -> None:
    """Add to a figure of a day, of all members and of the one that is known."""
    figures[DayCount(day, str(figure), EVERYONE)] += times
    if member != EVERYONE:
        figures[DayCount(day, str(figure), member)] += times


@dataclass(frozen=True, slots=True)
class DayFigures:
    """The figures of a day, as of `Figure`. Half were shared within `half` seconds, nine in ten within `most`.

    Both are rounded up to one of the `BOUNDS`; None if no time is known, or it was longer than the last bound.
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
    """The figures of a member over some days (`Figure`); `active` is how many contributions are active now."""

    member: int
    name: str
    suspended: bool
    added: int
    active: int
    timed: int
    """Of those added, how many state when the item was removed."""
    in_hour: int
    """Of those timed, how many were contributed within an hour of that."""
    queries: int
    hits: int
    precision: Precision
    """The precision over all contributions that were ever judged."""


@dataclass(frozen=True, slots=True)
class ReviewBacklog:
    """How many cases are open, and of them overdue or due soon (within a day), and the first due time."""

    open: int
    overdue: int
    soon: int
    first_due: datetime | None


@dataclass(frozen=True, slots=True)
class Health:
    """The state of the log, and of the index of this process.

    `seq` and `at` are of the last event. `index_seq` is the event up to which the index is (None: it is being built).
    `values` counts its values by algorithm. `signed` is the size of the last signed checkpoint.
    """

    seq: int
    at: datetime
    index_seq: int | None
    values: Mapping[str, int]
    signed: int
    signed_at: datetime | None


@dataclass(frozen=True, slots=True)
class Overview:
    """The figures as of event `seq`; `behind` is how many later events are not counted yet.

    `new` contributions were received in the last 24 hours, `expiring` ones expire within 7 days. `suspected` is how
    many keys were suspected of reading hashes in the last 7 days.
    """

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


def shared_within(figures: Mapping[str, int], share: float) -> int | None:
    """The bound (seconds) within which this share of contributions was shared; None without any, or past the last."""
    total, counted = figures.get(Figure.TIMED, 0), 0
    for bound in BOUNDS:
        counted += figures.get(_SHARE_FIGURES[bound], 0)
        if total and counted >= share * total:
            return bound
    return None
