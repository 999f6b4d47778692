"""Budgets: what each actor has used, counted in this process and summed up with the others' once a second."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from threading import Lock

from hashdb.domain.budgets import Budget, Cost, Left, Spent
from hashdb.domain.instants import format_instant
from hashdb.domain.members import Actor
from hashdb.errors import LimitReached


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
            accounts = self._of(actor.name)
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

    def left(self, actor: Actor, budgets: Iterable[Budget], now: datetime) -> list[Left]:
        """What an actor may still use."""
        factor = 1 if actor.member is None else actor.member.limits.budget_factor
        found = []
        with self._lock:
            accounts = self._of(actor.name)
            for budget in budgets:
                limit, account = self._amounts[budget] * factor, accounts.get(budget)
                if account is None or now >= account.renews_at:
                    account = accounts[budget] = _renewed(account, budget, budget.renewal(now))
                left = limit - account.used
                found.append(Left(budget, limit, left if left > 0 else 0, account.until))
        return found

    def _of(self, actor: str) -> dict[Budget, _Account]:
        accounts = self._accounts.get(actor)
        if accounts is None:
            accounts = self._accounts[actor] = {}
        return accounts

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
                accounts = self._of(one.actor)
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
