"""Models of figures: the counts of a day, in exactly the lines that are sealed, and reports as JSON and CSV."""

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
    Durations,
    Precision,
    QueryFigures,
    Report,
    Reviewed,
    Share,
)
from hashdb.domain.times import Period
from hashdb.wire import ResponseModel
from hashdb.wire.cells import line
from hashdb.wire.conversions import FromDomain, MappedTo, Mirror


class SealOut(ResponseModel):
    """The event that sealed a day, and the digest in it."""

    seq: int
    digest: str


class CountsOut(ResponseModel):
    """The counts of a day: the SHA-256 of the day and the lines, each ended by a line feed, is the digest."""

    day: date
    lines: list[str]
    digest: str
    sealed: SealOut | None

    @classmethod
    def from_domain(cls, day: date, counts: tuple[Count, ...], sealed: tuple[int, str] | None) -> Self:
        """The counts of a day; `sealed` is the number of the event that sealed it, and its digest."""
        seal = None if sealed is None else SealOut.build(seq=sealed[0], digest=sealed[1])
        return cls.build(day=day, lines=list(lines(counts)), digest=digest(day, counts), sealed=seal)


class ShareOut(ResponseModel, Mirror[Share]):
    """For one member, label, …: contributions added and withdrawn in the period, and active at its end."""

    added: int
    withdrawn: int
    active: int


class DurationsOut(ResponseModel, Mirror[Durations]):
    """Durations in seconds; shares are from 0 to 1."""

    count: int
    median: int | None
    p90: int | None
    within_1h: float | None
    within_24h: float | None


class ContributedOut(ResponseModel, Mirror[Contributed]):
    """Contributions of the period; `withdrawn` is by reason, `events` counts their other events by kind."""

    added: int
    active: int
    withdrawn: dict[str, int]
    events: Annotated[dict[str, int], MappedTo("told")]
    by: dict[str, dict[str, ShareOut]]


class AskedOut(ResponseModel, Mirror[QueryFigures]):
    """Queries by outcome, and matches on the member's own and on others' contributions."""

    queries_hit: Annotated[int, MappedTo("hit")]
    queries_none: Annotated[int, MappedTo("none")]
    matches_own: Annotated[int, MappedTo("own")]
    matches_others: Annotated[int, MappedTo("others")]


class MatchesOut(ResponseModel, FromDomain[Report]):
    """Queries and matches, by algorithm and by member."""

    by_algorithm: Annotated[dict[str, AskedOut], MappedTo("asked")]
    by_member: Annotated[dict[str, AskedOut], MappedTo("asked_by")]


class ReappearancesOut(ResponseModel, FromDomain[Report]):
    """Matches, the contributions that another member matched for the first time in the period, and the time to that."""

    own: int
    others: int
    caught: Annotated[int, MappedTo("caught.contributions")]
    time_to_first_catch: Annotated[DurationsOut, MappedTo("caught.first_catch")]

    @classmethod
    def fields_from(cls, value: Report) -> dict[str, Any]:
        """The fields of the model."""
        figures = value.asked.get("any", QueryFigures(0, 0, 0, 0))
        return super().fields_from(value) | {"own": figures.own, "others": figures.others}


class ReviewsOut(ResponseModel, Mirror[Reviewed]):
    """Opinions, cases and decisions; disputes by reason, decisions by outcome, `cases_open` at the end.

    `disputes_decided` are the decisions on cases under which a member disputed.
    """

    confirms: int
    disputes: dict[str, int]
    cases_opened: Annotated[int, MappedTo("opened")]
    cases_decided: Annotated[dict[str, int], MappedTo("decided")]
    disputes_decided: dict[str, int] = Field(default_factory=dict)
    """Empty in a report that an earlier version stored."""
    cases_open: Annotated[int, MappedTo("open")]
    time_to_decide: Annotated[DurationsOut, MappedTo("to_decide")]


class PrecisionOut(ResponseModel, Mirror[Precision]):
    """How many of a member's judged contributions hold."""

    confirmed: int
    disputed: int
    precision: Annotated[float | None, MappedTo("share")]


class RefusalsOut(ResponseModel, FromDomain[Report]):
    """Refused requests to contribute, and requests that were turned away, by reason."""

    contributions: Annotated[dict[str, int], MappedTo("refused")]
    requests: Annotated[dict[str, int], MappedTo("turned_away")]


class DayOut(ResponseModel, Mirror[DayReport]):
    """The figures of a day."""

    added: int
    withdrawn: int
    queries: int
    matches: Annotated[int, MappedTo("hits")]


class ReportOut(ResponseModel, Mirror[Report]):
    """The figures of a period. `final`: none can change any more. `size` is the seq of the last event that was read."""

    first: Annotated[date, MappedTo("period.first")] = Field(alias="from", serialization_alias="from")
    last: Annotated[date, MappedTo("period.last")] = Field(alias="to", serialization_alias="to")
    final: bool
    size: int
    member: int | None
    members: dict[str, str]
    contributions: ContributedOut
    time_to_remove: Annotated[dict[str, DurationsOut], MappedTo("to_remove")]
    time_to_share: Annotated[dict[str, DurationsOut], MappedTo("to_share")]
    matches: MatchesOut
    reappearances: ReappearancesOut
    reviews: ReviewsOut
    precision: dict[str, PrecisionOut]
    refusals: RefusalsOut
    days: dict[str, DayOut]

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
    """The same figures as CSV: the name of the figure (joined by dots), and the number, or nothing for null."""
    figures = ReportOut.from_domain(report).model_dump(mode="json", by_alias=True)
    rows = (row for row in _figures(figures, ()) if not row[0].startswith("members."))
    return "".join(map(line, [("figure", "value"), *rows]))


def _figures(value: Any, path: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for name, part in value.items():
            yield from _figures(part, (*path, str(name)))
    else:
        yield ".".join(path), "" if value is None else str(value).lower() if isinstance(value, bool) else value
