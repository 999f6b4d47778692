"""Queues: the open cases by order and filter, who has taken which one, and what reviewers note for each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from hashdb.domain.contributions import Contribution
from hashdb.domain.review.cases import Case
from hashdb.domain.review.proposals import Proposal


class QueueOrder(StrEnum):
    """The order of the queue.

    `clock`: by due time. `severity`: the highest first. `opened`: by number, the oldest case first.
    """

    CLOCK = "clock"
    SEVERITY = "severity"
    OPENED = "opened"


class Age(StrEnum):
    """How long ago a case was opened: up to 1 day, up to 3 days, up to 7 days, or longer."""

    DAY = "day"
    DAYS = "days"
    WEEK = "week"
    OLDER = "older"

    @property
    def bounds(self) -> tuple[timedelta, timedelta | None]:
        """From which age on, and below which one (None: any)."""
        return _AGES[self]


_AGES: Mapping[Age, tuple[timedelta, timedelta | None]] = {
    Age.DAY: (timedelta(0), timedelta(days=1)),
    Age.DAYS: (timedelta(days=1), timedelta(days=3)),
    Age.WEEK: (timedelta(days=3), timedelta(days=7)),
    Age.OLDER: (timedelta(days=7), None),
}
UNKNOWN_SEVERITY = -1
"""The severity of a filter for contributions without one."""


@dataclass(frozen=True, slots=True)
class QueueQuery:
    """Which open cases a queue has (None is any), and in which order; `reverse` reverses it.

    `member` is the contributor. `pile` is the opener of the cases: the member whose disputes opened them, or whose
    reuploads they are about.
    """

    label: str | None = None
    severity: int | None = None
    member: int | None = None
    reason: str | None = None
    age: Age | None = None
    pile: int | None = None
    order: QueueOrder = QueueOrder.CLOCK
    reverse: bool = False


@dataclass(frozen=True, slots=True)
class Claim:
    """An open case that a reviewer has taken, and when its page was last used (`seen_at`).

    It ends once the page was not used for `Rules.case_idle`.
    """

    case: int
    actor: str
    taken_at: datetime
    seen_at: datetime


@dataclass(frozen=True, slots=True)
class CaseNote:
    """What a reviewer noted on a case for other reviewers; with `proposal`, the reason of that proposal."""

    id: int
    case: int
    actor: str
    at: datetime
    text: str
    proposal: int | None = None


@dataclass(frozen=True, slots=True)
class WaitingCase:
    """An open case, its contribution, and who has taken it (None: nobody)."""

    case: Case
    contribution: Contribution
    claim: Claim | None = None


@dataclass(frozen=True, slots=True)
class ProposedCase:
    """An open case that waits for a second person, and the reason that the first person gave."""

    proposal: Proposal
    waiting: WaitingCase
    reason: CaseNote | None


MOST_WITHOUT_PILE = 25
"""The highest number of open cases of one opener that have a row each in the queue."""


@dataclass(frozen=True, slots=True)
class Pile:
    """More than `MOST_WITHOUT_PILE` open cases of one opener: its disputes opened them, or they are on its reuploads.

    `due_at` is the earliest, `severity` the highest. `held` is how many of them quarantine their contribution.
    """

    member: int
    member_name: str
    count: int
    held: int
    due_at: datetime
    severity: int | None


@dataclass(frozen=True, slots=True)
class Queue:
    """A page of the open cases in the order of decision, and the piles that follow the last page.

    `before` and `after` are the cases from which the pages before and after this one are read; None if there is none.
    """

    waiting: tuple[WaitingCase, ...] = ()
    piles: tuple[Pile, ...] = ()
    before: int | None = None
    after: int | None = None


@dataclass(frozen=True, slots=True)
class QueueCounts:
    """How many open cases there are in a queue, in all and by value of each field; `more` if more were not counted.

    `member` has the ids of contributors; `newest` is the highest id of a case.
    """

    total: int = 0
    more: bool = False
    newest: int = 0
    label: Mapping[str, int] = field(default_factory=dict)
    severity: Mapping[int, int] = field(default_factory=dict)
    member: Mapping[int, int] = field(default_factory=dict)
    reason: Mapping[str, int] = field(default_factory=dict)
    age: Mapping[Age, int] = field(default_factory=dict)
