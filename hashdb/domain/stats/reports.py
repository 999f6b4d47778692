"""Reports: the figures of a period; docs/reports.md defines each of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from math import sqrt
from typing import NamedTuple, Self

from hashdb.domain.contributions import Standing
from hashdb.domain.times import Period

HOUR, DAY = 3_600, 86_400
"""In seconds."""
GROUPINGS = ("member", "kind", "label", "algorithm", "basis", "media")
"""The groupings of contributions."""
MEMBER_GROUPS = ("all", "trusted_flagger", "others")
"""The groups of members whose durations are separate."""


@dataclass(frozen=True, slots=True)
class Durations:
    """Durations in whole seconds; percentiles by nearest rank, None without any duration."""

    count: int
    median: int | None
    p90: int | None
    within_1h: float | None
    within_24h: float | None

    @classmethod
    def from_seconds(cls, seconds: Sequence[int]) -> Durations:
        """The figures of some durations in seconds, in any order.

        >>> Durations.from_seconds([50, 10, 7200, 20])
        Durations(count=4, median=20, p90=7200, within_1h=0.75, within_24h=1.0)
        """
        if not seconds:
            return cls(count=0, median=None, p90=None, within_1h=None, within_24h=None)
        ordered = sorted(seconds)
        return cls(
            len(ordered),
            _percentile(ordered, 50),
            _percentile(ordered, 90),
            _within(ordered, HOUR),
            _within(ordered, DAY),
        )


@dataclass(frozen=True, slots=True)
class GroupCounts:
    """The contributions of one member, label, …: added and withdrawn in the period, active at its end."""

    added: int
    withdrawn: int
    active: int


@dataclass(frozen=True, slots=True)
class Contributed:
    """The contributions in the period, and how many are active at its end."""

    added: int
    active: int
    withdrawn: Mapping[str, int]
    """By reason."""
    other_events: Mapping[str, int]
    """The number of other events on contributions, by verb: `expired`, `suspended`, …"""
    by: Mapping[str, Mapping[str, GroupCounts]]
    """By one of `GROUPINGS`, and its value, as `by["label"]["manifesto"]`."""


@dataclass(frozen=True, slots=True)
class QueryFigures:
    """The queries with (`hit`) and without matches (`none`), and the hits on `own` contributions and on `others`."""

    hit: int = 0
    none: int = 0
    own: int = 0
    others: int = 0


@dataclass(frozen=True, slots=True)
class Caught:
    """The contributions that another member first had as a match in the period, and how long after their receipt."""

    contributions: int
    first_catch: Durations


@dataclass(frozen=True, slots=True)
class Reviewed:
    """Opinions given, cases opened and decided in the period; `open` at its end.

    `disputes` are counted by reason, decisions by `Decision`; `to_decide` has the times from opening to decision.
    `disputes_decided` are the decisions on cases under which a member disputed.
    """

    confirms: int
    disputes: Mapping[str, int]
    opened: int
    decided: Mapping[str, int]
    disputes_decided: Mapping[str, int]
    open: int
    to_decide: Durations


@dataclass(frozen=True, slots=True)
class DecisionsBy:
    """The decisions of one user or key in the period, by `Decision`, and the times from opening to decision.

    `again` is how many of them another decision on the same contribution followed before the end of the period, and
    `reversed` how many of these said the opposite: `uphold` against `quarantine` or `retire`.
    """

    decided: Mapping[str, int]
    to_decide: Durations
    again: int
    reversed: int

    @property
    def count(self) -> int:
        """How many decisions there are."""
        return sum(self.decided.values())

    @property
    def stood(self) -> float | None:
        """The share that was not reversed; None without a decision."""
        return round(1 - self.reversed / self.count, 4) if self.count else None


class Judgement(NamedTuple):
    """The judgement of a contribution: its standing, whether its last decision upheld it, and whether it waits.

    It waits while the service or a reviewer holds it in quarantine under a case without a dispute.
    """

    standing: Standing
    upheld: bool = False
    waits: bool = False

    @property
    def holds(self) -> bool | None:
        """Whether the contribution holds; None where no active member judged it, or it waits."""
        match self.standing:
            case Standing.CONFIRMED:
                return True
            case Standing.UNREVIEWED:
                return True if self.upheld else None
            case Standing.QUARANTINED:
                return None if self.waits else False
            case Standing.DISPUTED | Standing.RETIRED:
                return False


class Interval(NamedTuple):
    """Where the share of all contributions lies, if those that were judged are a random sample of them."""

    low: float
    high: float

    @classmethod
    def from_counts(cls, count: int, total: int) -> Self:
        """The 95 % score interval of a share (E. B. Wilson, 1927), rounded to four places.

        >>> Interval.from_counts(3, 3)
        Interval(low=0.4385, high=1.0)
        """
        share, spread = count / total, _DEVIATIONS**2 / total
        middle = (share + spread / 2) / (1 + spread)
        half = _DEVIATIONS * sqrt((share * (1 - share) + spread / 4) / total) / (1 + spread)
        return cls(round(max(0.0, middle - half), 4), round(min(1.0, middle + half), 4))


_DEVIATIONS = 1.959964
"""Standard deviations to either side that hold 95 % of a normal distribution."""
_HIGH, _LOW = 0.9, 0.8
"""The share from which a precision is high, and that below which it is low: see `Grade`."""


class Grade(StrEnum):
    """What the judgements of a member's contributions show.

    `high`: the whole interval is at 90 % or more. `low`: it is below 80 %. `open`: neither, or too few were judged.
    """

    HIGH = "high"
    LOW = "low"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class Precision:
    """How many of a member's judged contributions hold, and how many do not."""

    confirmed: int
    disputed: int

    @classmethod
    def from_judgements(cls, judged: Mapping[Judgement, int]) -> Precision:
        """The precision over contributions, given as the number of each judgement.

        >>> Precision.from_judgements({Judgement(Standing.CONFIRMED): 3, Judgement(Standing.UNREVIEWED): 2})
        Precision(confirmed=3, disputed=0)
        """
        sums: Counter[bool | None] = Counter()
        for judgement, times in judged.items():
            sums[judgement.holds] += times
        return cls(sums[True], sums[False])

    @property
    def count(self) -> int:
        """How many were judged."""
        return self.confirmed + self.disputed

    @property
    def share(self) -> float | None:
        """Confirmed ÷ (confirmed + disputed and not upheld); None without a judgement."""
        return round(self.confirmed / self.count, 4) if self.count else None

    @property
    def interval(self) -> Interval | None:
        """The 95 % interval of the share; None without a judgement."""
        return Interval.from_counts(self.confirmed, self.count) if self.count else None

    @property
    def grade(self) -> Grade:
        """What so many judgements show.

        >>> Precision(3, 0).grade, Precision(60, 0).grade, Precision(40, 20).grade
        (<Grade.OPEN: 'open'>, <Grade.HIGH: 'high'>, <Grade.LOW: 'low'>)
        """
        match self.interval:
            case Interval(low=low) if low >= _HIGH:
                return Grade.HIGH
            case Interval(high=high) if high < _LOW:
                return Grade.LOW
        return Grade.OPEN


@dataclass(frozen=True, slots=True)
class DayReport:
    """The figures of a day."""

    added: int = 0
    withdrawn: int = 0
    queries: int = 0
    hits: int = 0


@dataclass(frozen=True, slots=True)
class Report:
    """The figures of a period, of all members or of one.

    Times to remove and to share are by group of members, one of `MEMBER_GROUPS`. `size` is the seq of the last event
    before its end. `final` is whether no figure can change any more: the period ended some minutes ago, and each of its
    days with counts is sealed.
    """

    period: Period
    member: int | None
    size: int
    final: bool
    members: Mapping[int, str]
    """The names, by id."""
    contributions: Contributed
    to_remove: Mapping[str, Durations]
    to_share: Mapping[str, Durations]
    queries: Mapping[str, QueryFigures]
    """By algorithm; `any`: all."""
    queries_by_member: Mapping[int, QueryFigures]
    caught: Caught
    reviews: Reviewed
    deciders: Mapping[str, DecisionsBy]
    """By the actor as the log has it; of no one in a report of one member, which does not see who decides."""
    precision: Mapping[int, Precision]
    refused: Mapping[str, int]
    """Refused requests to contribute, by the slug of the error, or the slug and a field."""
    turned_away: Mapping[str, int]
    """Requests without a valid key, scope or role, by `AccessRefusal`."""
    days: Mapping[date, DayReport]


def _percentile(ordered: Sequence[int], percent: int) -> int:
    return ordered[-(-percent * len(ordered) // 100) - 1]


def _within(ordered: Sequence[int], seconds: int) -> float:
    return round(sum(duration <= seconds for duration in ordered) / len(ordered), 4)
