"""Suspicions: keys whose many different queries find one contribution, as those of somebody who guesses its hash."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from datetime import datetime, timedelta

from hashdb.domain.accounts.members import SYSTEM, Actor
from hashdb.domain.ledger.events import Action, Details, LogEntry
from hashdb.domain.matching.matches import Answer, Query
from hashdb.domain.matching.testing import TEST_ID
from hashdb.domain.signals import Signal
from hashdb.service.background import is_due
from hashdb.store import Store

WINDOW = timedelta(hours=1)
"""How long queries are counted; then all counts start over."""
MANY = 50
"""Different queries of one key within the window, all answered with the same contribution, that are suspicious."""
_NEAREST = 10
"""How many of the matches of a query are counted: the nearest."""
_MOST_PAIRS = 50_000
"""Pairs of key and contribution that a process counts; with one more, all counts start over."""


_Item = tuple[tuple[Signal, ...], ...]
"""The signals of a query, then those of each frame of a video."""


class Suspicions:
    """The different queries that this process has answered in the present window, by key and contribution.

    Only a hash of each query is kept, in memory, and the hash differs between processes.
    """

    def __init__(self) -> None:
        """Empty."""
        # The id of the key, the query, and the contributions in its answer.
        self._noted: deque[tuple[int, _Item, tuple[int, ...]]] = deque()
        self._since: datetime | None = None
        self._queries: dict[tuple[int, int], set[int]] = {}
        self._logged: set[int] = set()

    def note(self, actor: Actor, queries: Sequence[Query], answer: Answer) -> None:
        """Note the queries of a key that have matches. Every match waits for this, so `log` does the counting."""
        if actor.key is None:
            return
        for query, result in zip(queries, answer.results, strict=True):
            if result.matches:
                contributions = tuple([match.contribution for match in result.matches[:_NEAREST]])
                item: _Item = (query.signals,)
                if query.frames:
                    item += tuple([frame.signals for frame in query.frames])
                self._noted.append((actor.key.id, item, contributions))

    def log(self, store: Store, now: datetime) -> int:
        """Log each key with many different queries about one contribution, once a window; return how many.

        Only one thread may call it. Raises StoreBusy; then the next call logs them.
        """
        if self._since is None or not timedelta(0) <= now - self._since < WINDOW:
            self._since, self._queries, self._logged = now, {}, set()
        while self._noted:
            self._count(*self._noted.popleft())
        suspects: dict[int, list[tuple[int, int]]] = {}
        for (key, contribution), queries in self._queries.items():
            if len(queries) >= MANY and key not in self._logged:
                suspects.setdefault(key, []).append((len(queries), contribution))
        if not suspects:
            return 0
        with store.begin() as tx:
            # Other processes may log the same keys.
            tx.counts.lock()
            last = {key: tx.audit.last_time("key", Action.KEY_SUSPECTED, key) for key in sorted(suspects)}
            due = [key for key, at in last.items() if is_due(at, now, WINDOW)]
            entries = [LogEntry(Action.KEY_SUSPECTED, "key", key, _details(suspects[key])) for key in due]
            tx.audit.append(now, SYSTEM, entries)
        self._logged |= set(suspects)
        return len(due)

    def _count(self, key: int, item: _Item, contributions: tuple[int, ...]) -> None:
        number = hash(item)
        for contribution in contributions:
            if contribution == TEST_ID:
                continue
            if len(self._queries) >= _MOST_PAIRS:
                self._queries = {}
            queries = self._queries.setdefault((key, contribution), set())
            if len(queries) < MANY * 20:  # More would only take memory.
                queries.add(number)


def _details(counts: Sequence[tuple[int, int]]) -> Details:
    """The details of a suspected key, from the number of its queries and the contribution of each suspicious series."""
    queries, contribution = max(counts)
    return {
        "contribution": contribution,
        "queries": queries,
        "contributions": len(counts),
        "seconds": int(WINDOW.total_seconds()),
    }
