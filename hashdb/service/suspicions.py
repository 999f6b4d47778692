"""Suspicions: a key that asks about one contribution with many different queries may be reading its hash bit by bit."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from datetime import datetime, timedelta

from hashdb.domain.audit import Action, Details, Entry
from hashdb.domain.matches import Answer, Query
from hashdb.domain.members import SYSTEM, Actor
from hashdb.domain.signals import Signal
from hashdb.domain.testing import TEST_ID
from hashdb.store import Store

WINDOW = timedelta(hours=1)
MANY = 50
"""Different queries of one key within the window that are answered with one contribution."""
_NEAREST = 10
"""Matches of a query that are looked at."""
_MOST_PAIRS = 50_000
"""Pairs of key and contribution of which a process keeps the queries; more are forgotten with those before."""


class Suspicions:
    """Which different queries of each key this process has answered with which contribution, in the present window.

    Of a query only a number is kept, which another process computes otherwise, and that in memory.
    """

    def __init__(self) -> None:
        """Nothing is known yet."""
        self._noted: deque[tuple[int, tuple[Signal, ...], tuple[int, ...]]] = deque()
        self._since: datetime | None = None
        self._asked: dict[tuple[int, int], set[int]] = {}
        self._told: set[int] = set()

    def note(self, actor: Actor, queries: Sequence[Query], answer: Answer) -> None:
        """Note the queries of a key that found something. In the way of every match: the rest is for `tell`."""
        if actor.key is None:
            return
        for query, result in zip(queries, answer.results, strict=True):
            if result.matches:
                found = tuple([match.contribution for match in result.matches[:_NEAREST]])
                self._noted.append((actor.key.id, query.signals, found))

    def tell(self, store: Store, now: datetime) -> int:
        """Write an event for each key that asked too much about one contribution, once a window; how many.

        One thread at a time. Raises StoreBusy; then the next call tells.
        """
        if self._since is None or not timedelta(0) <= now - self._since < WINDOW:
            self._since, self._asked, self._told = now, {}, set()
        while self._noted:
            self._take(*self._noted.popleft())
        worst: dict[int, list[tuple[int, int]]] = {}
        for (key, contribution), asked in self._asked.items():
            if len(asked) >= MANY and key not in self._told:
                worst.setdefault(key, []).append((len(asked), contribution))
        if not worst:
            return 0
        with store.begin() as tx:
            # Other processes tell of the same keys.
            tx.counts.hold()
            due = [key for key in sorted(worst) if _due(tx.refusals.last_told("key", key, Action.KEY_SUSPECTED), now)]
            entries = [Entry(Action.KEY_SUSPECTED, "key", key, _details(worst[key])) for key in due]
            tx.audit.append(now, SYSTEM, entries)
        self._told |= set(worst)
        return len(due)

    def _take(self, key: int, signals: tuple[Signal, ...], found: tuple[int, ...]) -> None:
        number = hash(signals)
        for contribution in found:
            if contribution == TEST_ID:
                continue
            if len(self._asked) >= _MOST_PAIRS:
                self._asked = {}
            asked = self._asked.setdefault((key, contribution), set())
            if len(asked) < MANY * 20:
                asked.add(number)


def _due(last: datetime | None, now: datetime) -> bool:
    # A clock that was set back does not keep the next one away.
    return last is None or not timedelta(0) <= now - last < WINDOW


def _details(found: Sequence[tuple[int, int]]) -> Details:
    queries, contribution = max(found)
    return {
        "contribution": contribution,
        "queries": queries,
        "contributions": len(found),
        "seconds": int(WINDOW.total_seconds()),
    }
