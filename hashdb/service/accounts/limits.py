"""The limits of each actor in this process: budgets, slots for large requests, and suspicious series of queries."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from threading import Lock, local

from hashdb.domain.accounts.budgets import Budget, BudgetLeft, BudgetUse, Cost
from hashdb.domain.accounts.members import SYSTEM, Actor
from hashdb.domain.ledger.events import Action, Details, LogEntry
from hashdb.domain.matching.matches import Answer, Query
from hashdb.domain.matching.testing import TEST_ID
from hashdb.domain.signals import Signal
from hashdb.domain.times import format_instant
from hashdb.errors import LimitReached, TooManyAtOnce
from hashdb.service.background import is_due
from hashdb.store import Store


class _Account:
    """What one actor has used of one budget until the budget renews, in all processes together."""

    __slots__ = ("excess", "limit", "renews_at", "renews_at_unix", "unwritten", "used")

    def __init__(self, renews_at: datetime, excess: int = 0) -> None:
        self.renews_at = renews_at
        self.renews_at_unix = int(renews_at.timestamp())
        self.limit: int | None = None  # Set by the first request in this process.
        # What was used beyond the limit before the last renewal. It counts now, so `used` begins with it.
        self.excess = excess
        self.used = excess
        # What was used in this process and is not stored yet; it is a part of `used`.
        self.unwritten = 0


class Budgets:
    """What each actor may still use of its budgets.

    A process learns once a second, at `synchronise`, what the others have written. In between each process counts
    alone, so a budget is exceeded at most by what the others answer within a second. The excess counts after the
    renewal, so no budget is exceeded in the long run.
    """

    def __init__(self, amounts: Mapping[Budget, int]) -> None:
        """Nothing is used yet."""
        self._amounts = amounts
        self._lock = Lock()
        self._accounts: dict[str, dict[Budget, _Account]] = {}

    def spend(self, actor: Actor, cost: Cost, now: datetime) -> None:
        """Spend the cost of a request, all of it or nothing. Raises LimitReached."""
        factor = 1 if actor.member is None else actor.member.limits.budget_factor
        with self._lock:
            accounts = self._accounts.setdefault(actor.name, {})
            for budget, amount in cost:
                limit, account = self._amounts[budget] * factor, accounts.get(budget)
                if account is None or now >= account.renews_at:
                    account = accounts[budget] = _renewed(account, budget, budget.renewal(now))
                account.limit = limit
                if account.used + amount > limit:
                    raise _used_up(budget, limit, account.renews_at, now)
            for budget, amount in cost:
                account = accounts[budget]
                account.used += amount
                account.unwritten += amount

    def left(self, actor: Actor, budgets: Iterable[Budget], now: datetime) -> list[BudgetLeft]:
        """What an actor may still use of each budget."""
        factor = 1 if actor.member is None else actor.member.limits.budget_factor
        budgets_left = []
        with self._lock:
            accounts = self._accounts.setdefault(actor.name, {})
            for budget in budgets:
                limit, account = self._amounts[budget] * factor, accounts.get(budget)
                if account is None or now >= account.renews_at:
                    account = accounts[budget] = _renewed(account, budget, budget.renewal(now))
                left = limit - account.used
                budgets_left.append(BudgetLeft(budget, limit, left if left > 0 else 0, account.renews_at_unix))
        return budgets_left

    def unwritten(self) -> list[BudgetUse]:
        """What was used in this process and is not stored yet. One thread may call this, and then `synchronise`."""
        with self._lock:
            return [
                BudgetUse(name, budget, account.renews_at, account.unwritten)
                for name, accounts in self._accounts.items()
                for budget, account in accounts.items()
                if account.unwritten
            ]

    def synchronise(self, written: Sequence[BudgetUse], stored: Sequence[BudgetUse], now: datetime) -> None:
        """Subtract from the unwritten amounts what is `written` now, and take over what all processes have `stored`."""
        with self._lock:
            for spent in written:
                account = self._accounts.get(spent.actor, {}).get(spent.budget)
                if account is not None and account.renews_at == spent.renews_at:
                    account.unwritten -= spent.amount
            for spent in stored:
                if spent.renews_at > spent.budget.renewal(now):
                    continue  # The clock was set back since.
                accounts = self._accounts.setdefault(spent.actor, {})
                account = accounts.get(spent.budget)
                if account is None or account.renews_at < spent.renews_at:
                    account = accounts[spent.budget] = _renewed(account, spent.budget, spent.renews_at)
                if account.renews_at == spent.renews_at:
                    account.used = account.excess + spent.amount + account.unwritten
            for name, accounts in list(self._accounts.items()):
                current = {budget: account for budget, account in accounts.items() if _counts(account, budget, now)}
                if current:
                    self._accounts[name] = current
                else:
                    del self._accounts[name]


def _renewed(before: _Account | None, budget: Budget, renews_at: datetime) -> _Account:
    """A new account. Its excess is what remains of the use before, less the limit of each period since."""
    if before is None or before.limit is None:
        return _Account(renews_at)
    renewals = int((renews_at - before.renews_at).total_seconds()) // budget.seconds
    return _Account(renews_at, max(0, before.used - before.limit * renewals))


def _counts(account: _Account, budget: Budget, now: datetime) -> bool:
    """Whether an account is of the present period, or has an excess that counts in it.

    An account of a later period does not count: the clock was set back since.
    """
    renews_at = budget.renewal(now)
    return account.renews_at == renews_at or (
        account.renews_at < renews_at and _renewed(account, budget, renews_at).excess > 0
    )


def _used_up(budget: Budget, limit: int, renews_at: datetime, now: datetime) -> LimitReached:
    limits = f"{limit} {budget.counted} by one key (budget `{budget}`, renews at {format_instant(renews_at)})"
    return LimitReached(limits, max(1, math.ceil((renews_at - now).total_seconds())))


KEY_SLOTS = 5
"""Slots that one key may hold in a process; the rest are for other keys."""
ALL_SLOTS = 7
"""Slots in a process, one fewer than the threads of `hashdb serve`: a quick request always finds a thread."""
_RETRY_AFTER = 1
"""Seconds after which a client may try again."""


class _Depth(local):
    """How many blocks of `hold` a thread is in."""

    depth = 0


class RequestSlots:
    """The slots of a process for large requests. A thread holds at most one, however many blocks it is in."""

    def __init__(self, each: int = KEY_SLOTS, all_keys: int = ALL_SLOTS) -> None:
        """All slots are free. A key may hold `each` of them, and all keys together `all_keys`."""
        self._each, self._all = each, all_keys
        self._lock = Lock()
        self._thread = _Depth()
        self._held: Counter[str] = Counter()

    @contextmanager
    def hold(self, actor: Actor) -> Iterator[None]:
        """Hold a slot for the block. Raises TooManyAtOnce if the actor has its share, or no slot is free."""
        self.enter(actor)
        try:
            yield
        finally:
            self.leave(actor)

    def enter(self, actor: Actor) -> None:
        """Take a slot until `leave` is called in this thread. Raises TooManyAtOnce."""
        if not self._thread.depth:
            with self._lock:
                if self._held[actor.name] >= self._each or self._held.total() >= self._all:
                    raise TooManyAtOnce(f"{self._each} large requests per key, {self._all} in all", _RETRY_AFTER)
                self._held[actor.name] += 1
        self._thread.depth += 1

    def leave(self, actor: Actor) -> None:
        """Give back what `enter` took."""
        self._thread.depth -= 1
        if not self._thread.depth:
            with self._lock:
                self._held[actor.name] -= 1
                if not self._held[actor.name]:
                    del self._held[actor.name]


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
