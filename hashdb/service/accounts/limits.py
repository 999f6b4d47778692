"""Budgets: what each actor has used, counted in this process and summed up with the others' once a second."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from threading import Lock, local

from hashdb.domain.accounts.budgets import Budget, BudgetLeft, Cost, Spent
from hashdb.domain.accounts.members import SYSTEM, Actor
from hashdb.domain.ledger.events import Action, Details, Entry
from hashdb.domain.matching.matches import Answer, Query
from hashdb.domain.matching.suggestions import TEST_ID
from hashdb.domain.signals import Signal
from hashdb.domain.times import format_instant
from hashdb.errors import LimitReached, TooManyAtOnce
from hashdb.store import Store


class _Account:
    """What one actor has used of one budget until it renews: in all processes, and here without being written yet."""

    __slots__ = ("excess", "limit", "renews_at", "until", "unwritten", "used")

    def __init__(self, renews_at: datetime, excess: int = 0) -> None:
        self.renews_at = renews_at
        self.until = int(renews_at.timestamp())
        self.limit: int | None = None
        self.excess = excess
        self.used = excess
        self.unwritten = 0


class Budgets:
    """What each actor may still use.

    A process knows what others have written: it learns that at each `level`. Between two of them each process counts
    alone, so that a budget is exceeded at most by what the other processes answer within a second. What was used too
    much counts after the renewal, so that none is exceeded in the long run.
    """

    def __init__(self, amounts: Mapping[Budget, int]) -> None:
        """Nothing is used yet."""
        self._amounts = amounts
        self._lock = Lock()
        self._accounts: dict[str, dict[Budget, _Account]] = {}

    def spend(self, actor: Actor, cost: Cost, now: datetime) -> None:
        """Use up what a request costs: all of it, or nothing. Raises LimitReached."""
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
        """What an actor may still use."""
        factor = 1 if actor.member is None else actor.member.limits.budget_factor
        found = []
        with self._lock:
            accounts = self._accounts.setdefault(actor.name, {})
            for budget in budgets:
                limit, account = self._amounts[budget] * factor, accounts.get(budget)
                if account is None or now >= account.renews_at:
                    account = accounts[budget] = _renewed(account, budget, budget.renewal(now))
                left = limit - account.used
                found.append(BudgetLeft(budget, limit, left if left > 0 else 0, account.until))
        return found

    def unwritten(self) -> list[Spent]:
        """What was used here and is not written yet. One thread at a time, until `level`."""
        with self._lock:
            return [
                Spent(name, budget, account.renews_at, account.unwritten)
                for name, accounts in self._accounts.items()
                for budget, account in accounts.items()
                if account.unwritten
            ]

    def level(self, written: Sequence[Spent], known: Sequence[Spent], now: datetime) -> None:
        """Take note of what is `written` now, and of what all processes together have used."""
        with self._lock:
            for one in written:
                account = self._accounts.get(one.actor, {}).get(one.budget)
                if account is not None and account.renews_at == one.renews_at:
                    account.unwritten -= one.amount
            for one in known:
                if one.renews_at > one.budget.renewal(now):
                    continue  # Of a clock that was set back since.
                accounts = self._accounts.setdefault(one.actor, {})
                account = accounts.get(one.budget)
                if account is None or account.renews_at < one.renews_at:
                    account = accounts[one.budget] = _renewed(account, one.budget, one.renews_at)
                if account.renews_at == one.renews_at:
                    account.used = account.excess + one.amount + account.unwritten
            for name, accounts in list(self._accounts.items()):
                current = {
                    budget: account
                    for budget, account in accounts.items()
                    if _lasts(account, budget.renewal(now), budget)
                }
                if current:
                    self._accounts[name] = current
                else:
                    del self._accounts[name]


def _renewed(before: _Account | None, budget: Budget, renews_at: datetime) -> _Account:
    if before is None or before.limit is None:
        return _Account(renews_at)
    renewals = int((renews_at - before.renews_at).total_seconds()) // budget.seconds
    return _Account(renews_at, max(0, before.used - before.limit * renewals))


def _lasts(account: _Account, renews_at: datetime, budget: Budget) -> bool:
    """Whether an account counts at a time, or after it; one of a clock that was set back since does not."""
    return account.renews_at == renews_at or (
        account.renews_at < renews_at and _renewed(account, budget, renews_at).excess > 0
    )


def _used_up(budget: Budget, limit: int, renews_at: datetime, now: datetime) -> LimitReached:
    said = f"{limit:,} {budget.counted} by one key (budget `{budget}`, renews at {format_instant(renews_at)})"
    return LimitReached(said, max(1, math.ceil((renews_at - now).total_seconds())))


EACH = 5
"""Places that one key may hold in a process: other keys have the rest."""
ALL = 7
"""Places in a process, one fewer than `hashdb serve` has threads: what is quick always finds one."""
_RETRY_AFTER = 1


class _Here(local):
    """Of a thread: how many blocks of `place` it is in."""

    depth = 0


class Places:
    """The places of a process. A thread holds one at most, however many blocks it is in."""

    def __init__(self, each: int = EACH, all_keys: int = ALL) -> None:
        """Nobody holds one yet."""
        self._each, self._all = each, all_keys
        self._lock = Lock()
        self._here = _Here()
        self._held: Counter[str] = Counter()

    @contextmanager
    def place(self, actor: Actor) -> Iterator[None]:
        """Hold a place for the block. Raises TooManyAtOnce where the actor has its share, or no place is left."""
        self.enter(actor)
        try:
            yield
        finally:
            self.leave(actor)

    def enter(self, actor: Actor) -> None:
        """Take a place until `leave` is called in this thread. Raises TooManyAtOnce."""
        if not self._here.depth:
            with self._lock:
                if self._held[actor.name] >= self._each or self._held.total() >= self._all:
                    raise TooManyAtOnce(f"{self._each} large requests of a key, {self._all} in all", _RETRY_AFTER)
                self._held[actor.name] += 1
        self._here.depth += 1

    def leave(self, actor: Actor) -> None:
        """Give back what `enter` took."""
        self._here.depth -= 1
        if not self._here.depth:
            with self._lock:
                self._held[actor.name] -= 1
                if not self._held[actor.name]:
                    del self._held[actor.name]


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
