"""What actors have used of their budgets, in SQL, until these renew."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, select

from hashdb.domain.budgets import Budget, Spent
from hashdb.store.bulk import upsert
from hashdb.store.repositories import Repository
from hashdb.store.tables import spent


class BudgetsUsed(Repository):
    """Used budgets within one transaction."""

    def add(self, used: Sequence[Spent], now: datetime) -> None:
        """Add what was used, and forget what is past its renewal."""
        self._connection.execute(delete(spent).where(spent.c.renews_at <= now))
        rows = [
            {"actor": one.actor, "budget": str(one.budget), "renews_at": one.renews_at, "amount": one.amount}
            for one in sorted(used, key=lambda one: (one.actor, one.budget))
            if one.renews_at > now
        ]
        upsert(self._connection, spent, rows, adds=("amount",))

    def used(self, now: datetime) -> list[Spent]:
        """What all actors have used of the budgets in use at `now`."""
        rows = self._connection.execute(select(spent).where(spent.c.renews_at > now))
        # A newer version may count what this one does not know.
        return [Spent(row.actor, Budget(row.budget), row.renews_at, row.amount) for row in rows if row.budget in _KNOWN]


_KNOWN = frozenset(map(str, Budget))
