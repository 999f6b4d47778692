"""The limits of each actor in this process: budgets, and slots for large requests."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from threading import Lock, local

from hashdb.domain.accounts.budgets import Budget, BudgetLeft, BudgetUse, Cost
from hashdb.domain.accounts.members import Actor
from hashdb.domain.times import format_instant
from hashdb.errors import LimitReached, TooManyAtOnce


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
