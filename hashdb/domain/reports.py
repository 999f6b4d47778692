"""Report: the figures of a period; docs/reports.md says how each is defined."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

from hashdb.domain.contributions import Standing
from hashdb.domain.periods import Period

HOUR, DAY = 3_600, 86_400
GROUPS = ("member", "kind", "label", "algorithm", "basis", "media")
"""By what contributions are counted."""
WHO = ("all", "trusted_flagger", "others")
"""Whose times are told apart."""


@dataclass(frozen=True, slots=True)
class Durations:
    """How long something took, in whole seconds; percentiles by nearest rank, None where there is nothing."""

    count: int
    median: int | None
    p90: int | None
    within_1h: float | None
    within_24h: float | None

    @classmethod
    def of(cls, seconds: Sequence[int]) -> Durations:
        """Of so many durations, in any order.

        >>> Durations.of([50, 10, 7200, 20])
        Durations(count=4, median=20, p90=7200, within_1h=0.75, within_24h=1.0)
        """
        if not seconds:
            return cls(0, None, None, None, None)
        ordered = sorted(seconds)
        return cls(len(ordered), _rank(ordered, 50), _rank(ordered, 90), _within(ordered, HOUR), _within(ordered, DAY))


@dataclass(frozen=True, slots=True)
class Share:
    """Of the contributions of one member, label, …: added and withdrawn in the period, active at its end."""

    added: int
    withdrawn: int
    active: int


@dataclass(frozen=True, slots=True)
class Contributed:
    """What became of contributions in the period, and how many are active at its end."""

    added: int
    active: int
    withdrawn: Mapping[str, int]
    """By reason."""
    told: Mapping[str, int]
    """How many events of each other kind there were on contributions, by the verb: `expired`, `suspended`, …"""
    by: Mapping[str, Mapping[str, Share]]


@dataclass(frozen=True, slots=True)
class Asked:
    """Queries and matches, by algorithm (`any`: all together) or by member."""

    hit: int
    none: int
    own: int
    others: int


@dataclass(frozen=True, slots=True)
class Caught:
    """Contributions that another member first had as a match in the period, and how long after they were received."""

    contributions: int
    first_catch: Durations


@dataclass(frozen=True, slots=True)
class Reviewed:
    """Opinions given, cases opened and decided in the period; `open` at its end.

    `disputes_decided` are the decisions on cases under which a member disputed.
    """

    confirms: int
    disputes: Mapping[str, int]
    opened: int
    decided: Mapping[str, int]
    disputes_decided: Mapping[str, int]
    open: int
    to_decide: Durations


class Judgement(NamedTuple):
    """What was said of a contribution: its standing, whether its last decision upheld it, and whether it waits.

    It waits while the service or a reviewer holds it in quarantine, under a case under which no member has disputed.
    """

    standing: Standing
    upheld: bool = False
    waits: bool = False

    @property
    def holds(self) -> bool | None:
        """Whether the contribution holds; None where nobody that takes part says anything of it, or it waits."""
        match self.standing:
            case Standing.CONFIRMED:
                return True
            case Standing.UNREVIEWED:
                return True if self.upheld else None
            case Standing.QUARANTINED:
                return None if self.waits else False
            case Standing.DISPUTED | Standing.RETIRED:
                return False


@dataclass(frozen=True, slots=True)
class Precision:
    """Of a member's contributions that were judged: how many hold, and how many do not."""

    confirmed: int
    disputed: int

    @classmethod
    def of(cls, judged: Mapping[Judgement, int]) -> Precision:
        """Of so many contributions by what was said of them.

        >>> Precision.of({Judgement(Standing.CONFIRMED): 3, Judgement(Standing.UNREVIEWED): 2})
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
        """Confirmed ÷ (confirmed + disputed and not upheld)."""
        return round(self.confirmed / self.count, 4) if self.count else None


@dataclass(frozen=True, slots=True)
class OfDay:
    """What a day had."""

    added: int = 0
    withdrawn: int = 0
    queries: int = 0
    hits: int = 0


@dataclass(frozen=True, slots=True)
class Report:
    """The figures of a period, of all members or of one.

    `size` is the number of the last event before its end. `final` is whether no number can change any more: the
    period is over for some minutes, and each of its days that has counts is sealed.
    """

    period: Period
    member: int | None
    size: int
    final: bool
    members: Mapping[int, str]
    contributions: Contributed
    to_remove: Mapping[str, Durations]
    to_share: Mapping[str, Durations]
    asked: Mapping[str, Asked]
    asked_by: Mapping[int, Asked]
    caught: Caught
    reviews: Reviewed
    precision: Mapping[int, Precision]
    refused: Mapping[str, int]
    turned_away: Mapping[str, int]
    days: Mapping[date, OfDay]


def _rank(ordered: Sequence[int], percent: int) -> int:
    return ordered[-(-percent * len(ordered) // 100) - 1]


def _within(ordered: Sequence[int], seconds: int) -> float:
    return round(sum(one <= seconds for one in ordered) / len(ordered), 4)
