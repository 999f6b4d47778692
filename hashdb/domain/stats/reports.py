"""Reports: the figures of a period; docs/reports.md defines each of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from math import sqrt
from typing import NamedTuple, Self

from hashdb.domain.contributions import Media, Standing
from hashdb.domain.times import Period

HOUR, DAY = 3_600, 86_400
GROUPS = ("member", "kind", "label", "algorithm", "basis", "media")
"""The groupings of contributions."""
WHO = ("all", "trusted_flagger", "others")
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
    def of(cls, seconds: Sequence[int]) -> Durations:
        """The figures of some durations in seconds, in any order.

        >>> Durations.of([50, 10, 7200, 20])
        Durations(count=4, median=20, p90=7200, within_1h=0.75, within_24h=1.0)
        """
        if not seconds:
            return cls(0, None, None, None, None)
        ordered = sorted(seconds)
        return cls(len(ordered), _rank(ordered, 50), _rank(ordered, 90), _within(ordered, HOUR), _within(ordered, DAY))


@dataclass(frozen=True, slots=True)
class Share:
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
    told: Mapping[str, int]
    """The number of other events on contributions, by verb: `expired`, `suspended`, …"""
    by: Mapping[str, Mapping[str, Share]]


@dataclass(frozen=True, slots=True)
class QueryFigures:
    """The queries and hits of an algorithm (`any`: of all) or of a member."""

    hit: int
    none: int
    own: int
    others: int


@dataclass(frozen=True, slots=True)
class Caught:
    """The contributions that another member first had as a match in the period, and how long after their receipt."""

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


@dataclass(frozen=True, slots=True)
class DecisionsBy:
    """The decisions of one user or key in the period.

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
    def of(cls, count: int, total: int) -> Self:
        """The 95 % score interval of a share (E. B. Wilson, 1927), rounded to four places.

        >>> Interval.of(3, 3)
        Interval(low=0.4385, high=1.0)
        """
        share, spread = count / total, _DEVIATIONS**2 / total
        middle = (share + spread / 2) / (1 + spread)
        half = _DEVIATIONS * sqrt((share * (1 - share) + spread / 4) / total) / (1 + spread)
        return cls(round(max(0.0, middle - half), 4), round(min(1.0, middle + half), 4))


_DEVIATIONS = 1.959964
"""Standard deviations to either side that hold 95 % of a normal distribution."""
_HIGH, _LOW = 0.9, 0.8


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
    def of(cls, judged: Mapping[Judgement, int]) -> Precision:
        """The precision over contributions, given as the number of each judgement.

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
        """Confirmed ÷ (confirmed + disputed and not upheld); None without a judgement."""
        return round(self.confirmed / self.count, 4) if self.count else None

    @property
    def interval(self) -> Interval | None:
        """The 95 % interval of the share; None without a judgement."""
        return Interval.of(self.confirmed, self.count) if self.count else None

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

    `size` is the seq of the last event before its end. `final` is whether no figure can change any more: the period
    ended some minutes ago, and each of its days with counts is sealed.
    """

    period: Period
    member: int | None
    size: int
    final: bool
    members: Mapping[int, str]
    contributions: Contributed
    to_remove: Mapping[str, Durations]
    to_share: Mapping[str, Durations]
    asked: Mapping[str, QueryFigures]
    asked_by: Mapping[int, QueryFigures]
    caught: Caught
    reviews: Reviewed
    deciders: Mapping[str, DecisionsBy]
    """By the actor as the log has it; of no one in a report of one member, which does not see who decides."""
    precision: Mapping[int, Precision]
    refused: Mapping[str, int]
    turned_away: Mapping[str, int]
    days: Mapping[date, DayReport]


def _rank(ordered: Sequence[int], percent: int) -> int:
    return ordered[-(-percent * len(ordered) // 100) - 1]


def _within(ordered: Sequence[int], seconds: int) -> float:
    return round(sum(duration <= seconds for duration in ordered) / len(ordered), 4)


_CONTENT = {
    Media.IMAGE: "CONTENT_TYPE_IMAGE",
    Media.VIDEO: "CONTENT_TYPE_VIDEO",
    Media.VIDEO_FRAME: "CONTENT_TYPE_VIDEO",
    Media.AUDIO: "CONTENT_TYPE_AUDIO",
    Media.DOCUMENT: "CONTENT_TYPE_TEXT",
    Media.TEXT: "CONTENT_TYPE_TEXT",
}
_SYNTHETIC = "synthetic"
_PLATFORM_FIELDS = (
    "decision_visibility",
    "decision_ground",
    "illegal_content_legal_ground",
    "illegal_content_explanation",
    "incompatible_content_ground",
    "incompatible_content_explanation",
    "content_date",
    "application_date",
    "territorial_scope",
    "puid",
)


def statement_of_reasons(media: Media, context: Collection[str], labels: Collection[str]) -> Mapping[str, object]:
    """The fields of a statement of reasons to the DSA Transparency Database that a match provides.

    The platform fills the fields with None. Fields and values follow
    https://transparency.dsa.ec.europa.eu/page/api-documentation (since July 2025). Automated means found the content.
    Since a match is advice to review, a person decided with their help.
    """
    synthetic = ["CONTENT_TYPE_SYNTHETIC_MEDIA"] if _SYNTHETIC in context else []
    facts = (
        "The content was found to be the same as, or close to, content that a member of a shared database of hashes "
        f"removed as terrorist content ({', '.join(sorted(labels))}), by comparing perceptual hashes. "
        "A person reviewed the match and decided."
    )
    return {
        "content_type": [_CONTENT[media], *synthetic],
        "category": "STATEMENT_CATEGORY_RISK_FOR_PUBLIC_SECURITY",
        "category_specification": ["KEYWORD_TERRORIST_CONTENT"],
        "source_type": "SOURCE_VOLUNTARY",
        "automated_detection": "Yes",
        "automated_decision": "AUTOMATED_DECISION_PARTIALLY",
        "decision_facts": facts,
    } | dict.fromkeys(_PLATFORM_FIELDS)


def tco_report(report: Report) -> Mapping[str, object]:
    """The points of Regulation (EU) 2021/784, Article 7(3), as far as known; the platform fills those with None."""
    period = {"from": report.period.first.isoformat(), "to": report.period.last.isoformat()}
    regulation = {"regulation": "Regulation (EU) 2021/784", "article": "7(3)"}
    points = {**_measures(report), **_outcomes(report)}
    return {**regulation, **period, "member": report.member, "final": report.final, "points": points}


def _measures(report: Report) -> Mapping[str, object]:
    queries = report.asked.get("any", QueryFigures(0, 0, 0, 0))
    return {
        "a": {
            "information": "measures in relation to the identification and removal of or disabling of access to "
            "terrorist content",
            "items_compared_before_or_after_publication": queries.hit + queries.none,
            "items_found_close_to_known_terrorist_content": queries.hit,
            "items_removed_and_shared": report.contributions.added,
            "seconds_from_notification_to_removal": _duration_figures(report.to_remove["all"]),
        },
        "b": {
            "information": "measures to address the reappearance online of material which has previously been removed, "
            "in particular where automated tools have been used",
            "automated_tools": "comparison of perceptual hashes; a match is advice to review, nothing is removed by it",
            "matches_on_own_removed_items": queries.own,
            "matches_on_items_removed_by_others": queries.others,
            "own_items_that_reappeared_elsewhere": report.caught.contributions,
        },
    }


def _outcomes(report: Report) -> Mapping[str, object]:
    basis = report.contributions.by["basis"]
    removed = {name: share.added for name, share in basis.items() if share.added}
    orders = removed.get("removal_order", 0)
    return {
        "c": {
            "information": "number of items removed following removal orders or specific measures, and number of "
            "removal orders where content was not removed, with the grounds",
            "items_removed_following_removal_orders": orders,
            "items_removed_otherwise": report.contributions.added - orders,
            "items_removed_by_basis": removed,
            "removal_orders_not_executed": None,
        },
        "d": {
            "information": "number and outcome of complaints handled in accordance with Article 10",
            "complaints": None,
            "disputes_by_other_members": sum(report.reviews.disputes.values()),
            "outcomes_of_disputes": dict(report.reviews.disputes_decided),
        },
        "e": {
            "information": "number and outcome of administrative or judicial review proceedings brought by the "
            "hosting service provider",
            "proceedings": None,
        },
        "f": {
            "information": "number of cases in which content was to be reinstated as a result of such proceedings",
            "reinstated_following_proceedings": None,
        },
        "g": {
            "information": "number of cases in which content was reinstated following a complaint by the content "
            "provider",
            "reinstated_following_complaints": None,
            "items_withdrawn_because_removal_was_reversed": report.contributions.withdrawn.get("removal_reversed", 0),
        },
    }


def _duration_figures(durations: Durations) -> Mapping[str, object]:
    return {name: getattr(durations, name) for name in ("count", "median", "p90", "within_1h")}
