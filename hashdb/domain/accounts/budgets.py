"""Budgets: what one key may use of the service within a time, and what a request costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import NamedTuple, Self

from hashdb.domain.frames import Frame
from hashdb.domain.matching.matches import Query
from hashdb.domain.signals import DIGESTS, PERCEPTUAL

_HOUR, _DAY = 3_600, 86_400


class Budget(StrEnum):
    """What the service counts for each key, each in its own period.

    `queries`: queries for matches. `signals`: the signals of these queries. `short_signals`: signals of 64 bits, as far
    as a query has more of them than of 256 bits. `contributions`: contributions sent. `opinions`: opinions sent.
    `disputes`: opinions that dispute. `changes`: other requests that may change something.
    """

    # The name, then `amount`, `seconds` and `counted`, which are described below.
    QUERIES = "queries", 10_000_000, _DAY, "queries a day"
    SIGNALS = "signals", 1_000_000_000, _DAY, "signals of queries a day"
    SHORT_SIGNALS = "short_signals", 100_000, _DAY, "64-bit signals a day beyond the 256-bit ones of the same query"
    CONTRIBUTIONS = "contributions", 10_000_000, _DAY, "contributions sent a day"
    OPINIONS = "opinions", 600, _HOUR, "opinions an hour"
    DISPUTES = "disputes", 100, _HOUR, "disputes an hour"
    CHANGES = "changes", 60, 6, "changes in six seconds"

    # Each match looks budgets up, and the hash of an Enum is Python code.
    __hash__ = str.__hash__

    amount: int
    """What a key may use within `seconds`, unless the operator sets another amount; decision 29 has the reasons."""
    seconds: int
    """The time in seconds after which the budget renews; days and hours are those of UTC."""
    counted: str
    """What is counted, in words for people."""

    def __new__(cls, value: str, amount: int = 0, seconds: int = 0, counted: str = "") -> Self:
        """A budget with its amount, its period and its words."""
        member = str.__new__(cls, value)
        member._value_, member.amount, member.seconds, member.counted = value, amount, seconds, counted
        return member

    def renewal(self, now: datetime) -> datetime:
        """When the budget in use at `now` renews."""
        return datetime.fromtimestamp((int(now.timestamp()) // self.seconds + 1) * self.seconds, UTC)


MATCH_BUDGETS = (Budget.QUERIES, Budget.SIGNALS, Budget.SHORT_SIGNALS)
"""The budgets that a match uses."""
Cost = tuple[tuple[Budget, int], ...]
"""What a request costs: budgets, each with the amount that the request uses of it."""
CHANGE_COST: Cost = ((Budget.CHANGES, 1),)
# Each match looks these up, and an attribute of an Enum takes longer.
_QUERIES, _SIGNALS = Budget.QUERIES, Budget.SIGNALS
_EXCESS = {algorithm: 1 if algorithm.bits == 64 else -1 for algorithm in PERCEPTUAL} | dict.fromkeys(DIGESTS, 0)
"""What each signal of an item adds to the excess of its 64-bit signals over its 256-bit ones, by algorithm.

Digests count for neither, since they find nothing by chance.
"""


@dataclass(frozen=True, slots=True)
class BudgetUse:
    """What an actor has used of a budget until it renews."""

    actor: str
    budget: Budget
    renews_at: datetime
    amount: int


class BudgetLeft(NamedTuple):
    """What is left of a budget. A plain tuple, since every match returns it."""

    budget: Budget
    limit: int
    """The whole amount of the period."""
    left: int
    until: int
    """When the budget renews, in seconds since 1970."""

    @property
    def renews_at(self) -> datetime:
        """When the budget renews, as an instant."""
        return datetime.fromtimestamp(self.until, UTC)


def query_cost(queries: Sequence[Query]) -> Cost:
    """The cost of a request with these queries.

    A random 64-bit signal finds a stored one by chance, a random 256-bit one does not. So the 64-bit signals of a
    query beyond its number of 256-bit ones have their own budget. Each frame of a video, page and window of words
    counts as an item does, and all of them are one query.
    """
    total = short = 0
    for query in queries:
        items: tuple[Query | Frame, ...] = (query, *query.frames)
        for item in items:
            algorithms = [signal.algorithm for signal in item.signals]
            if item.transforms:
                algorithms += [signal.algorithm for transform in item.transforms.values() for signal in transform]
            total += len(algorithms)
            if (excess := sum(map(_EXCESS.__getitem__, algorithms))) > 0:
                short += excess
    cost = (_QUERIES, len(queries)), (_SIGNALS, total)
    return (*cost, (Budget.SHORT_SIGNALS, short)) if short else cost


def budget_amounts(set_by_operator: Mapping[Budget, int]) -> dict[Budget, int]:
    """The amount of every budget: that of `set_by_operator` if it has one, else the default."""
    return {budget: set_by_operator.get(budget, budget.amount) for budget in Budget}
