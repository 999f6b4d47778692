"""Budgets: what one key may use of the service within a time, and what a request of it costs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import NamedTuple

from hashdb.domain.matching.matches import Query
from hashdb.domain.signals import Algorithm

_HOUR, _DAY = 3_600, 86_400


class Budget(StrEnum):
    """What is counted by key, within a time of its own."""

    QUERIES = "queries"
    SIGNALS = "signals"
    SHORT_SIGNALS = "short_signals"
    CONTRIBUTIONS = "contributions"
    OPINIONS = "opinions"
    DISPUTES = "disputes"
    CHANGES = "changes"

    # Enum's own hash is Python code, and these are looked up in the way of every match.
    __hash__ = str.__hash__

    @property
    def amount(self) -> int:
        """What a key may use within `seconds`, where the operator sets nothing else."""
        return _TERMS[self][0]

    @property
    def seconds(self) -> int:
        """The length of the time after which the budget renews. Days and hours are those of UTC."""
        return _TERMS[self][1]

    @property
    def counted(self) -> str:
        """What is counted, in words."""
        return _TERMS[self][2]

    def renewal(self, now: datetime) -> datetime:
        """When the budget that is in use at `now` renews."""
        return datetime.fromtimestamp((int(now.timestamp()) // self.seconds + 1) * self.seconds, UTC)


_TERMS = {
    Budget.QUERIES: (10_000_000, _DAY, "queries a day"),
    Budget.SIGNALS: (100_000_000, _DAY, "signals of queries a day"),
    Budget.SHORT_SIGNALS: (100_000, _DAY, "64-bit signals a day beyond the 256-bit ones of the same query"),
    Budget.CONTRIBUTIONS: (10_000_000, _DAY, "contributions sent a day"),
    Budget.OPINIONS: (600, _HOUR, "opinions an hour"),
    Budget.DISPUTES: (100, _HOUR, "disputes an hour"),
    Budget.CHANGES: (60, 6, "changes in six seconds"),
}
"""The amount, the seconds, and what is counted. Decision 29 has the reasons."""

MATCHING = (Budget.QUERIES, Budget.SIGNALS, Budget.SHORT_SIGNALS)
"""The budgets that a match uses."""
Cost = tuple[tuple[Budget, int], ...]
A_CHANGE: Cost = ((Budget.CHANGES, 1),)
# Looked up in the way of every match: an attribute of an Enum takes longer.
_QUERIES, _SIGNALS = Budget.QUERIES, Budget.SIGNALS
_PDQ, _PHASH256 = Algorithm.PDQ, Algorithm.PHASH256


@dataclass(frozen=True, slots=True)
class Spent:
    """What an actor has used of a budget until it renews."""

    actor: str
    budget: Budget
    renews_at: datetime
    amount: int


class BudgetLeft(NamedTuple):
    """What is left of a budget: a plain tuple, since it is told with every match."""

    budget: Budget
    limit: int
    left: int
    until: int
    """When the budget renews, in seconds since 1970."""

    @property
    def renews_at(self) -> datetime:
        """The same as an instant."""
        return datetime.fromtimestamp(self.until, UTC)


def cost_of(queries: Iterable[Query]) -> Cost:
    """What a request with these queries costs.

    A random 64-bit signal finds a stored one by chance, a random 256-bit one does not. So a query's 64-bit signals
    have a budget of their own as far as there are more of them than 256-bit ones.
    """
    number = signals = short = 0
    for query in queries:
        asked = [signal.algorithm for signal in query.signals]
        if query.transforms:
            asked += [signal.algorithm for turned in query.transforms.values() for signal in turned]
        number += 1
        signals += len(asked)
        excess = len(asked) - 2 * (asked.count(_PDQ) + asked.count(_PHASH256))
        if excess > 0:
            short += excess
    cost = (_QUERIES, number), (_SIGNALS, signals)
    return (*cost, (Budget.SHORT_SIGNALS, short)) if short else cost


def amounts(widened: Mapping[Budget, int]) -> dict[Budget, int]:
    """The amount of every budget, `widened` where the operator set it."""
    return {budget: widened.get(budget, budget.amount) for budget in Budget}
