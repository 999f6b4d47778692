"""Models of query strings: cursors, filters, options."""

from __future__ import annotations

import re
from dataclasses import fields
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Literal

from annotated_types import Ge, Le
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from hashdb.domain.contributions import Filter, Media, Standing, Status
from hashdb.domain.ledger.events import Action
from hashdb.domain.listings import Listing, Place, Position, Sort
from hashdb.domain.matching.benign import BenignFilter, BenignSort
from hashdb.domain.review.cases import CaseSort, CaseState
from hashdb.domain.review.queues import UNKNOWN_SEVERITY, Age, QueueOrder, QueueQuery
from hashdb.domain.sharing.webhooks import DeliveryOutcome
from hashdb.domain.signals import Algorithm, Profile
from hashdb.domain.tiers import Tier
from hashdb.wire import Line, Moment, ShortText, WholeNumber, check_whole, checked_by, one_of


def _parse_subject(value: str) -> tuple[str, int]:
    match = _SUBJECT.fullmatch(value)
    if not match:
        raise ValueError("must be a kind and an id, for example contribution:17")
    return match[1], int(match[2])


def _parse_day(value: str) -> date:
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", value, re.ASCII):
        raise ValueError("must be a day, like 2026-11-20")
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise ValueError("is not a valid day") from None


_SUBJECT = re.compile(r"([a-z]{1,32}):([0-9]{1,16})")
_Subject = Annotated[
    tuple[str, int],
    BeforeValidator(_parse_subject),
    WithJsonSchema({"type": "string", "pattern": "^[a-z]{1,32}:[0-9]{1,16}$"}),
]
_Position = Annotated[Position, BeforeValidator(Position.parse)]
_Label = Annotated[ShortText, checked_by(lambda context, code: context.rules.vocabulary.label_fault(code))]
_Flag = Annotated[int, Ge(0), Le(1), BeforeValidator(check_whole)]
"""1 for yes, 0 for no."""
Day = Annotated[date, BeforeValidator(_parse_day), WithJsonSchema({"type": "string", "format": "date"})]
Limit = Annotated[int, Ge(1), Le(1000), BeforeValidator(check_whole)]
_Row = Annotated[WholeNumber, Ge(1)]  # The number of a row of a list, from 1.
_Rows = Annotated[WholeNumber, Ge(1), Le(200)]  # The most rows of a page.


class QueryString(BaseModel):
    """The base of query strings; an unknown parameter is refused by name."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class PageQuery(QueryString):
    """A page of a list."""

    after: WholeNumber = Field(0, description="Where the page begins: `next` of the previous page.")
    limit: Limit = Field(100, description="The most entries of the page.")


class ListQuery(QueryString):
    """The order of a list of the console, and the number of the first row of its page."""

    sort: ShortText | None = None
    order: Literal["down", "up"] | None = None
    row: _Row = 1
    limit: _Rows = 50


class PlacedQuery(QueryString):
    """Where a page of a long list of the console is; `row` is the number of its first row, if it is known."""

    order: Literal["down", "up"] = "down"
    after: _Position | None = None
    before: _Position | None = None
    row: _Row | None = None
    limit: _Rows = 50

    @property
    def place(self) -> Place:
        """Where the page is."""
        return Place(self.after) if self.before is None else Place(self.before, back=True)


class BatchItemsQuery(QueryString):
    """Which items of a batch to list: from the one at the position `after`."""

    after: WholeNumber = 0
    limit: _Rows = 100


class ContributionsQuery(PageQuery):
    """Which contributions to list."""

    status: Status | None = Field(None, description="Only contributions with this status.")
    standing: Standing | None = Field(None, description="Only contributions with this standing.")
    label: _Label | None = Field(None, description="Only contributions with this label.")
    member: WholeNumber | None = Field(None, description="Only contributions of the member with this id.")
    since: Moment | None = Field(None, description="Only contributions received at this time or later.")
    until: Moment | None = Field(None, description="Only contributions received before this time.")
    tier: Tier | None = Field(None, description="Only contributions whose codes imply this tier, or one within it.")

    def to_domain(self) -> Filter:
        """The filter."""
        return Filter(
            member=self.member,
            status=self.status,
            standing=self.standing,
            label=self.label,
            since=self.since,
            until=self.until,
            tier=self.tier,
        )


class CasesQuery(PageQuery):
    """Which cases to list."""

    state: CaseState | None = Field(None, description="Only cases in this state.")


class MatchesQuery(QueryString):
    """Which other contributions to return."""

    include: Literal["quarantined"] | None = Field(
        None, description="`quarantined`: also return quarantined and retired contributions. Needs the scope `audit`."
    )

    @property
    def with_quarantined(self) -> bool:
        """Whether to return quarantined and retired contributions, too."""
        return self.include is not None


class SignalsQuery(QueryString):
    """Options of hashing pictures."""

    transforms: _Flag = Field(
        0,
        description="1: also hash each picture mirrored, rotated, straightened, inverted, unframed, and its panels, "
        "and compute signatures.",
    )


class MediaMatchesQuery(MatchesQuery, SignalsQuery):
    """Options of a match of pictures."""


class ContributeQuery(QueryString):
    """Whether the drafts come from a list."""

    imported: _Flag = Field(
        0, description="1: the items come from a list. `removed_at`, and `quality` with `pdq`, may be null."
    )


class EraseQuery(QueryString):
    """Whether the signals are erased at once."""

    now: _Flag = Field(
        0, description="1: delete the signals at once. Readers of other protocols do not learn then what to remove."
    )


class MediaQuery(QueryString):
    """How many variants of a picture are stored."""

    profile: Profile | None = Field(
        None, description="How many variants to store. The default is `thorough` for severity 3 and 4, else `balanced`."
    )


class ChangesQuery(QueryString):
    """Where to continue to read the feed."""

    after: WholeNumber = Field(0, description="`checkpoint` of the previous page; 0 to start.")
    limit: Limit | None = Field(
        None, description="The most changes of the page. The default is 1000; a stream has no limit by default."
    )
    epoch: ShortText | None = Field(
        None, description="The epoch of your copy. If the log has another one, the response is 410."
    )
    wait: Annotated[int, Ge(0), Le(30), BeforeValidator(check_whole)] = Field(
        0, description="How many seconds to wait for a change, if there is none yet."
    )


class DayQuery(QueryString):
    """Which day."""

    day: Day = Field(description="The day, in UTC, for example 2026-11-20.")


class ReportQuery(QueryString):
    """Which days; both are included."""

    model_config = ConfigDict(populate_by_name=True)

    first: Day | None = Field(
        None, alias="from", description="The first day, in UTC. The default is the first day of the log."
    )
    last: Day | None = Field(None, alias="to", description="The last day, in UTC, included. The default is today.")


class SetQuery(QueryString):
    """Which root of the active set to get."""

    signed: _Flag = Field(0, description="1: get the newest root that the quorum of organisations signed.")


class InclusionQuery(QueryString):
    """Which event to prove to be in the log."""

    seq: WholeNumber = Field(description="The seq of the event.")
    size: WholeNumber = Field(description="The size of a checkpoint; the proof leads to its root.")


class ReceiptsQuery(QueryString):
    """Which event to return the receipt of: give either `seq` or `subject`."""

    seq: WholeNumber | None = Field(None, description="The seq of the event.")
    subject: _Subject | None = Field(
        None, description="The last event of this subject, as `kind:id`, for example `contribution:17`."
    )
    action: Action | None = Field(None, description="With `subject`: the last event of this action.")
    witnessed: _Flag = Field(
        0, description="1: only over a checkpoint that the quorum of witnesses cosigned. While there is none, 404."
    )


class ConsistencyQuery(QueryString):
    """Which two sizes of the log to prove consistent."""

    first: WholeNumber = Field(description="The size of a checkpoint that you stored.")
    second: WholeNumber = Field(description="The size of a later checkpoint.")


class EventsQuery(PageQuery):
    """Which events to list."""

    actor: Line | None = Field(None, description="Only events of this actor, as `kind:id`, for example `key:9`.")
    action: Action | None = Field(None, description="Only events of this action.")
    subject: _Subject | None = Field(
        None, description="Only events of this subject, as `kind:id`, for example `contribution:17`."
    )


class EventsPageQuery(QueryString):
    """Which events a page of the console lists; the actor and the subject as people name them.

    A page begins below the event `before`, or ends above the event `newer`; `after` is where the live page goes on.
    """

    actor: Line | None = None
    action: Action | None = None
    subject: Line | None = None
    since: Day | None = None
    until: Day | None = None
    before: WholeNumber | None = None
    newer: WholeNumber | None = None
    after: WholeNumber | None = None
    limit: _Rows = 50
    follow: _Flag = 0

    @property
    def period(self) -> tuple[datetime | None, datetime | None]:
        """From the beginning of the first day to the end of the last, in UTC."""
        return midnight(self.since), midnight(self.until, days_later=1)


def midnight(day: date | None, *, days_later: int = 0) -> datetime | None:
    """Midnight UTC of a day, so many days later; None without a day, or if the calendar does not have it."""
    try:
        return None if day is None else datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=days_later)
    except OverflowError:
        return None


class DeliveriesQuery(PageQuery):
    """Which deliveries to list."""

    outcome: DeliveryOutcome | None = Field(None, description="Only deliveries with this outcome.")


class BenignPageQuery(PlacedQuery):
    """Which entries a page of the console lists."""

    sort: BenignSort = BenignSort.ADDED
    text: Line | None = None
    algorithm: Algorithm | None = None
    whose: Literal["built-in", "own"] | None = None

    def to_domain(self) -> BenignFilter:
        """The filter."""
        built_in = None if self.whose is None else self.whose == "built-in"
        return BenignFilter(text=self.text, algorithm=self.algorithm, built_in=built_in)


class CasesPageQuery(QueryString):
    """Which cases a page of the console lists: open ones, those that wait for a second person, or decided ones.

    The other fields choose among the open cases and order them; `pile` is the member for whose pile a case counts. A
    page begins after the case `after`, or ends before the case `before`.
    """

    state: Literal["open", "proposed", "decided"] = "open"
    sort: QueueOrder = QueueOrder.CLOCK
    order: Literal["down", "up"] | None = None
    label: ShortText | None = None
    severity: Literal["0", "1", "2", "3", "4", "unknown"] | None = None
    member: WholeNumber | None = None
    reason: ShortText | None = None
    age: Age | None = None
    pile: WholeNumber | None = None
    after: WholeNumber | None = None
    before: WholeNumber | None = None
    row: _Row = 1
    limit: _Rows = 50

    @model_validator(mode="before")
    @classmethod
    def _read_older_address(cls, fields: Any) -> Any:
        """The fields; in an address of version 0.1.0, `order` names what the queue is ordered by."""
        if isinstance(fields, dict) and fields.get("order") in set(QueueOrder):
            return {"sort": fields["order"], **{name: value for name, value in fields.items() if name != "order"}}
        return fields

    def to_domain(self) -> QueueQuery:
        """The queue."""
        default = "down" if self.sort is QueueOrder.SEVERITY else "up"
        severity = None if self.severity is None else _SEVERITIES.get(self.severity, UNKNOWN_SEVERITY)
        filters = {name: getattr(self, name) for name in ("label", "member", "reason", "age", "pile")}
        return QueueQuery(**filters, severity=severity, order=self.sort, reverse=self.order not in (None, default))


class DecidedCasesQuery(PlacedQuery):
    """Which decided cases a page of the console lists, in which order."""

    state: Literal[CaseState.DECIDED] = CaseState.DECIDED
    sort: CaseSort = CaseSort.DECIDED


_SEVERITIES = {str(severity): severity for severity in range(5)}


class ListingQuery(PlacedQuery):
    """Which contributions to list, in which order, and which page; `exact`: count all that the filter selects."""

    member: WholeNumber | None = None
    status: Status | None = None
    standing: Standing | None = None
    label: _Label | None = None
    severity: Annotated[WholeNumber, Le(4)] | None = None
    media: Media | None = None
    algorithm: Algorithm | None = None
    incident: ShortText | None = None
    reference: Line | None = None
    tier: Tier | None = None
    since: Day | None = None
    until: Day | None = None
    removed_since: Day | None = None
    removed_until: Day | None = None
    expires_until: Day | None = None
    sort: Sort = Sort.RECEIVED
    exact: _Flag = 0

    def to_domain(self) -> Listing:
        """The listing; days are whole days in UTC."""
        values = {field.name: getattr(self, field.name) for field in fields(Filter)}
        days_later = {"since": 0, "removed_since": 0, "until": 1, "removed_until": 1, "expires_until": 1}
        values |= {name: midnight(values[name], days_later=days) for name, days in days_later.items()}
        return Listing(Filter(**values), self.sort, descending=self.order == "down")


DAYS = (30, 90, 365)  # The periods of the charts.


class OverviewQuery(QueryString):
    """How many days the charts show."""

    days: Annotated[WholeNumber, one_of(DAYS)] = 30
