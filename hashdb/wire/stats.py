"""Models of figures: the counts of a day, in exactly the lines that are hashed, and reports as JSON and CSV."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Annotated, Any, Self

from pydantic import Field

from hashdb.domain.stats.counts import Count, digest, lines
from hashdb.domain.stats.reports import (
    Caught,
    Contributed,
    DayReport,
    DecisionsBy,
    Durations,
    GroupCounts,
    Interval,
    Precision,
    QueryFigures,
    Report,
    Reviewed,
)
from hashdb.domain.times import Period
from hashdb.wire import ResponseModel
from hashdb.wire.cells import csv_line
from hashdb.wire.conversions import FromDomain, MappedTo, Mirror


class SealOut(ResponseModel):
    """The event that sealed a day."""

    seq: int = Field(description="The seq of the event.")
    digest: str = Field(description="The digest in the event.")


class CountsOut(ResponseModel):
    """The counts of a day. The digest is the SHA-256 of the day and the lines, each ended by a line feed."""

    day: date = Field(description="The day, in UTC.")
    lines: list[str] = Field(description="The counts, one per line, in the order in which they are hashed.")
    digest: str = Field(description="The SHA-256 of the day and the lines.")
    sealed: SealOut | None = Field(description="The event that sealed the day; null while it is not sealed.")

    @classmethod
    def from_domain(cls, day: date, counts: tuple[Count, ...], sealed: tuple[int, str] | None) -> Self:
        """The counts of a day; `sealed` is the seq of the event that sealed it, and the digest in it."""
        seal = None if sealed is None else SealOut.build(seq=sealed[0], digest=sealed[1])
        return cls.build(day=day, lines=list(lines(counts)), digest=digest(day, counts), sealed=seal)


class ShareOut(ResponseModel, Mirror[GroupCounts]):
    """The contributions of one member, label or other group."""

    added: int = Field(description="Added in the period.")
    withdrawn: int = Field(description="Withdrawn in the period.")
    active: int = Field(description="Active at the end of the period.")


class DurationsOut(ResponseModel, Mirror[Durations]):
    """Durations."""

    count: int = Field(description="How many durations were measured.")
    median: int | None = Field(description="The median, in seconds; null without durations.")
    p90: int | None = Field(description="90 % took at most this long, in seconds.")
    within_1h: float | None = Field(description="The share that took at most one hour, from 0 to 1.")
    within_24h: float | None = Field(description="The share that took at most 24 hours, from 0 to 1.")


class ContributedOut(ResponseModel, Mirror[Contributed]):
    """The contributions of the period."""

    added: int = Field(description="Contributions added in the period.")
    active: int = Field(description="Contributions that are active at the end of the period.")
    withdrawn: dict[str, int] = Field(description="Contributions withdrawn in the period, by reason.")
    events: Annotated[dict[str, int], MappedTo("other_events")] = Field(
        description="Other events of contributions, by kind."
    )
    by: dict[str, dict[str, ShareOut]] = Field(
        description="Contributions by group (`member`, `kind`, `label`, `algorithm`, `basis`, `media`), then by value."
    )


class AskedOut(ResponseModel, Mirror[QueryFigures]):
    """Queries by outcome, and matches on the member's own and on others' contributions."""

    queries_hit: Annotated[int, MappedTo("hit")] = Field(description="Queries with a match.")
    queries_none: Annotated[int, MappedTo("none")] = Field(description="Queries without a match.")
    matches_own: Annotated[int, MappedTo("own")] = Field(description="Matches on contributions of the same member.")
    matches_others: Annotated[int, MappedTo("others")] = Field(description="Matches on contributions of others.")


class MatchesOut(ResponseModel, FromDomain[Report]):
    """Queries and matches, by algorithm and by member."""

    by_algorithm: Annotated[dict[str, AskedOut], MappedTo("queries")] = Field(
        description="By algorithm; `any` is all of them together."
    )
    by_member: Annotated[dict[str, AskedOut], MappedTo("queries_by_member")] = Field(
        description="By the id of the querying member."
    )


class ReappearancesOut(ResponseModel, FromDomain[Report]):
    """How often known content came back."""

    own: int = Field(description="Matches on contributions of the querying member.")
    others: int = Field(description="Matches on contributions of other members.")
    caught: Annotated[int, MappedTo("caught.contributions")] = Field(
        description="Contributions that another member matched for the first time in the period."
    )
    time_to_first_catch: Annotated[DurationsOut, MappedTo("caught.first_catch")] = Field(
        description="The time from the contribution to that first match."
    )

    @classmethod
    def fields_from(cls, value: Report) -> dict[str, Any]:
        """The fields of the model."""
        figures = value.queries.get("any", QueryFigures())
        return super().fields_from(value) | {"own": figures.own, "others": figures.others}


class ReviewsOut(ResponseModel, Mirror[Reviewed]):
    """Opinions, cases and decisions of the period."""

    confirms: int = Field(description="Opinions that confirm.")
    disputes: dict[str, int] = Field(description="Opinions that dispute, by reason.")
    cases_opened: Annotated[int, MappedTo("opened")] = Field(description="Cases opened in the period.")
    cases_decided: Annotated[dict[str, int], MappedTo("decided")] = Field(
        description="Cases decided in the period, by decision."
    )
    disputes_decided: dict[str, int] = Field(
        default_factory=dict,
        description="Of these, the cases in which a member disputed, by decision. Empty in older reports.",
    )
    cases_open: Annotated[int, MappedTo("open")] = Field(description="Cases that are open at the end of the period.")
    time_to_decide: Annotated[DurationsOut, MappedTo("to_decide")] = Field(
        description="The time from the opening of a case to its decision."
    )


class DecisionsByOut(ResponseModel, Mirror[DecisionsBy]):
    """The decisions of one user or key."""

    decided: dict[str, int] = Field(description="Cases decided in the period, by decision.")
    time_to_decide: Annotated[DurationsOut, MappedTo("to_decide")] = Field(
        description="The time from the opening of a case to its decision."
    )
    again: int = Field(description="After how many of these decisions the contribution was decided again.")
    reversed: int = Field(description="How many of them the next decision on the contribution reversed.")
    stood: float | None = Field(description="The share that was not reversed, from 0 to 1.")


class IntervalOut(ResponseModel, FromDomain[Interval]):
    """Between which shares the precision of all contributions lies, by the score interval of Wilson (1927)."""

    low: float = Field(description="The lower bound, from 0 to 1.")
    high: float = Field(description="The upper bound, from 0 to 1.")


class PrecisionOut(ResponseModel, Mirror[Precision]):
    """How many of a member's judged contributions were right."""

    confirmed: int = Field(description="Contributions that were confirmed or upheld.")
    disputed: int = Field(description="Contributions that are disputed, quarantined or retired, and were not upheld.")
    precision: Annotated[float | None, MappedTo("share")] = Field(
        description="The first as a share of both, from 0 to 1; null if none was judged."
    )
    judged: Annotated[int, MappedTo("count")] = Field(0, description="Both together. Older reports have 0.")
    interval: Annotated[IntervalOut | None, MappedTo("interval")] = Field(
        None, description="The 95 % interval of the precision; null if none was judged."
    )


class RefusalsOut(ResponseModel, FromDomain[Report]):
    """Requests that the service refused."""

    contributions: Annotated[dict[str, int], MappedTo("refused")] = Field(
        description="Refused requests to contribute, by reason."
    )
    requests: Annotated[dict[str, int], MappedTo("turned_away")] = Field(
        description="Requests without a valid key, scope or role, by reason."
    )


class DayOut(ResponseModel, Mirror[DayReport]):
    """The figures of a day."""

    added: int = Field(description="Contributions added on the day.")
    withdrawn: int = Field(description="Contributions withdrawn on the day.")
    queries: int = Field(description="Queries on the day.")
    matches: Annotated[int, MappedTo("hits")] = Field(description="Matches returned on the day.")


class ReportOut(ResponseModel, Mirror[Report]):
    """The figures of a period."""

    first: Annotated[date, MappedTo("period.first")] = Field(
        alias="from", serialization_alias="from", description="The first day, in UTC."
    )
    last: Annotated[date, MappedTo("period.last")] = Field(
        alias="to", serialization_alias="to", description="The last day, in UTC, included."
    )
    final: bool = Field(description="Whether no figure can change any more.")
    size: int = Field(description="The seq of the last event that was read.")
    member: int | None = Field(description="The id of the member that the report is about; null for all members.")
    members: dict[str, str] = Field(description="The name of each member in the report, by id.")
    contributions: ContributedOut = Field(description="Contributions.")
    time_to_remove: Annotated[dict[str, DurationsOut], MappedTo("to_remove")] = Field(
        description="The time from notification to removal, for `all`, `trusted_flagger` and `others`."
    )
    time_to_share: Annotated[dict[str, DurationsOut], MappedTo("to_share")] = Field(
        description="The time from removal to contribution, for `all`, `trusted_flagger` and `others`."
    )
    matches: MatchesOut = Field(description="Queries and matches.")
    reappearances: ReappearancesOut = Field(description="How often known content came back.")
    reviews: ReviewsOut = Field(description="Opinions, cases and decisions.")
    deciders: dict[str, DecisionsByOut] = Field(
        default_factory=dict,
        description=(
            "Decisions by the person or key that made them (`user:3`, `key:7`). Empty for one member, and in older"
            " reports."
        ),
    )
    precision: dict[str, PrecisionOut] = Field(
        description="How many judged contributions were right, by the id of the member."
    )
    refusals: RefusalsOut = Field(description="Requests that the service refused.")
    days: dict[str, DayOut] = Field(description="The figures of each day that has some.")

    @classmethod
    def fields_from(cls, value: Report) -> dict[str, Any]:
        """The fields of the model."""
        return super().fields_from(value) | {
            "matches": MatchesOut.from_domain(value),
            "reappearances": ReappearancesOut.from_domain(value),
            "refusals": RefusalsOut.from_domain(value),
        }

    def arguments(self) -> dict[str, Any]:
        """The arguments of the domain class."""
        caught = Caught(self.reappearances.caught, self.reappearances.time_to_first_catch.to_domain())
        parts = self.matches.arguments() | self.refusals.arguments()
        return super().arguments() | parts | {"period": Period(self.first, self.last), "caught": caught}

    def json_text(self) -> str:
        """The JSON text."""
        return self.model_dump_json(by_alias=True)


def csv_text(report: Report) -> str:
    """The same figures as CSV: the name of each figure, joined by dots, and its number; null is an empty cell."""
    figures = ReportOut.from_domain(report).model_dump(mode="json", by_alias=True)
    rows = (row for row in _figures(figures, ()) if not row[0].startswith("members."))
    return "".join(map(csv_line, [("figure", "value"), *rows]))


def _figures(value: Any, path: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    """The rows of a figure, or of all figures in a mapping: the name and the cell of each.

    `path` has the names of the mappings around it, and of the figure itself if `value` is one.
    """
    if isinstance(value, Mapping):
        for name, part in value.items():
            yield from _figures(part, (*path, str(name)))
    else:
        yield ".".join(path), "" if value is None else str(value).lower() if isinstance(value, bool) else value
