"""Reports on the wire: JSON."""

from __future__ import annotations

from datetime import date

from pydantic import Field

from hashdb.domain.periods import Period
from hashdb.domain.reports import (
    Asked,
    Caught,
    Contributed,
    Durations,
    OfDay,
    Precision,
    Report,
    Reviewed,
    Share,
)
from hashdb.wire import Answered


class ShareOut(Answered):
    """Of a member, a label, …: added and withdrawn in the period, active at its end."""

    added: int
    withdrawn: int
    active: int

    @classmethod
    def of(cls, one: Share) -> ShareOut:
        """The wire form."""
        return cls.model_construct(added=one.added, withdrawn=one.withdrawn, active=one.active)

    def value(self) -> Share:
        """The inverse."""
        return Share(self.added, self.withdrawn, self.active)


class DurationsOut(Answered):
    """How long something took, in seconds; shares are of 1."""

    count: int
    median: int | None
    p90: int | None
    within_1h: float | None
    within_24h: float | None

    @classmethod
    def of(cls, one: Durations) -> DurationsOut:
        """The wire form."""
        return cls.model_construct(
            count=one.count,
            median=one.median,
            p90=one.p90,
            within_1h=one.within_1h,
            within_24h=one.within_24h,
        )

    def value(self) -> Durations:
        """The inverse."""
        return Durations(self.count, self.median, self.p90, self.within_1h, self.within_24h)


class ContributedOut(Answered):
    """What became of contributions; `withdrawn` is by reason, `events` by what else happened to them."""

    added: int
    active: int
    withdrawn: dict[str, int]
    events: dict[str, int]
    by: dict[str, dict[str, ShareOut]]

    @classmethod
    def of(cls, found: Contributed) -> ContributedOut:
        """The wire form; `value` is the inverse."""
        by = {name: {key: ShareOut.of(share) for key, share in group.items()} for name, group in found.by.items()}
        withdrawn, events = dict(found.withdrawn), dict(found.told)
        return cls.model_construct(added=found.added, active=found.active, withdrawn=withdrawn, events=events, by=by)

    def value(self) -> Contributed:
        """What this spells."""
        by = {name: {key: share.value() for key, share in group.items()} for name, group in self.by.items()}
        return Contributed(self.added, self.active, self.withdrawn, self.events, by)


class AskedOut(Answered):
    """Queries by outcome, and matches on the member's own and on others' contributions."""

    queries_hit: int
    queries_none: int
    matches_own: int
    matches_others: int

    @classmethod
    def of(cls, one: Asked) -> AskedOut:
        """The wire form."""
        return cls.model_construct(
            queries_hit=one.hit, queries_none=one.none, matches_own=one.own, matches_others=one.others
        )

    def value(self) -> Asked:
        """The inverse."""
        return Asked(self.queries_hit, self.queries_none, self.matches_own, self.matches_others)


class MatchesOut(Answered):
    """What was asked, by algorithm and by member."""

    by_algorithm: dict[str, AskedOut]
    by_member: dict[str, AskedOut]


class ReappearancesOut(Answered):
    """Matches answered, contributions that another member first had as one in the period, and how long that took."""

    own: int
    others: int
    caught: int
    time_to_first_catch: DurationsOut


class ReviewsOut(Answered):
    """Opinions, cases and decisions; disputes by reason, decisions by outcome, `cases_open` at the end.

    `disputes_decided` are the decisions on cases under which a member disputed.
    """

    confirms: int
    disputes: dict[str, int]
    cases_opened: int
    cases_decided: dict[str, int]
    disputes_decided: dict[str, int] = Field(default_factory=dict)
    """None in a report that was kept from before it was told."""
    cases_open: int
    time_to_decide: DurationsOut

    @classmethod
    def of(cls, one: Reviewed) -> ReviewsOut:
        """The wire form."""
        return cls.model_construct(
            confirms=one.confirms,
            disputes=dict(one.disputes),
            cases_opened=one.opened,
            cases_decided=dict(one.decided),
            disputes_decided=dict(one.disputes_decided),
            cases_open=one.open,
            time_to_decide=DurationsOut.of(one.to_decide),
        )

    def value(self) -> Reviewed:
        """The inverse."""
        opinions, decided = (self.confirms, self.disputes), (self.cases_decided, self.disputes_decided)
        return Reviewed(*opinions, self.cases_opened, *decided, self.cases_open, self.time_to_decide.value())


class PrecisionOut(Answered):
    """Of a member's contributions that were judged: how many hold."""

    confirmed: int
    disputed: int
    precision: float | None


class RefusalsOut(Answered):
    """Refused requests to contribute, and requests that were turned away, by reason."""

    contributions: dict[str, int]
    requests: dict[str, int]


class DayOut(Answered):
    """What a day had."""

    added: int
    withdrawn: int
    queries: int
    matches: int

    @classmethod
    def of(cls, one: OfDay) -> DayOut:
        """The wire form."""
        return cls.model_construct(added=one.added, withdrawn=one.withdrawn, queries=one.queries, matches=one.hits)

    def value(self) -> OfDay:
        """The inverse."""
        return OfDay(self.added, self.withdrawn, self.queries, self.matches)


class ReportOut(Answered):
    """The figures of a period; `final` says that none can change any more, `size` which event was the last."""

    first: date = Field(alias="from", serialization_alias="from")
    last: date = Field(alias="to", serialization_alias="to")
    final: bool
    size: int
    member: int | None
    members: dict[str, str]
    contributions: ContributedOut
    time_to_remove: dict[str, DurationsOut]
    time_to_share: dict[str, DurationsOut]
    matches: MatchesOut
    reappearances: ReappearancesOut
    reviews: ReviewsOut
    precision: dict[str, PrecisionOut]
    refusals: RefusalsOut
    days: dict[str, DayOut]

    @classmethod
    def of(cls, report: Report) -> ReportOut:
        """The wire form of a report."""
        return cls.model_construct(
            **{name: getattr(report, name) for name in ("final", "size", "member")},
            first=report.period.first,
            last=report.period.last,
            members={str(id): name for id, name in report.members.items()},
            contributions=ContributedOut.of(report.contributions),
            time_to_remove={who: DurationsOut.of(one) for who, one in report.to_remove.items()},
            time_to_share={who: DurationsOut.of(one) for who, one in report.to_share.items()},
            matches=_matches(report),
            reappearances=_reappearances(report),
            reviews=ReviewsOut.of(report.reviews),
            precision={str(member): _precision(report, member) for member in report.precision},
            refusals=RefusalsOut.model_construct(contributions=dict(report.refused), requests=dict(report.turned_away)),
            days={day.isoformat(): DayOut.of(one) for day, one in report.days.items()},
        )

    def value(self) -> Report:
        """The report that this spells."""
        return Report(
            period=Period(self.first, self.last),
            member=self.member,
            size=self.size,
            final=self.final,
            members={int(id): name for id, name in self.members.items()},
            contributions=self.contributions.value(),
            to_remove={who: one.value() for who, one in self.time_to_remove.items()},
            to_share={who: one.value() for who, one in self.time_to_share.items()},
            asked={name: one.value() for name, one in self.matches.by_algorithm.items()},
            asked_by={int(member): one.value() for member, one in self.matches.by_member.items()},
            caught=Caught(self.reappearances.caught, self.reappearances.time_to_first_catch.value()),
            reviews=self.reviews.value(),
            precision={int(member): Precision(one.confirmed, one.disputed) for member, one in self.precision.items()},
            refused=self.refusals.contributions,
            turned_away=self.refusals.requests,
            days={date.fromisoformat(day): one.value() for day, one in self.days.items()},
        )

    def json_text(self) -> str:
        """The JSON text."""
        return self.model_dump_json(by_alias=True)


def _matches(report: Report) -> MatchesOut:
    return MatchesOut.model_construct(
        by_algorithm={name: AskedOut.of(one) for name, one in report.asked.items()},
        by_member={str(member): AskedOut.of(one) for member, one in report.asked_by.items()},
    )


def _reappearances(report: Report) -> ReappearancesOut:
    asked = report.asked.get("any", Asked(0, 0, 0, 0))
    return ReappearancesOut.model_construct(
        own=asked.own,
        others=asked.others,
        caught=report.caught.contributions,
        time_to_first_catch=DurationsOut.of(report.caught.first_catch),
    )


def _precision(report: Report, member: int) -> PrecisionOut:
    one = report.precision[member]
    return PrecisionOut.model_construct(confirmed=one.confirmed, disputed=one.disputed, precision=one.share)
