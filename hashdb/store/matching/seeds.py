"""Seeds in SQL."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select

from hashdb.domain.seeds import Seed, SeedState
from hashdb.store.repositories import Repository
from hashdb.store.tables import seeds


class Seeds(Repository):
    """Seeds within one transaction."""

    def in_use(self) -> tuple[Seed, ...]:
        """The seeds in use, newest first."""
        query = select(seeds.c.id, seeds.c.octets).where(seeds.c.octets.is_not(None)).order_by(seeds.c.id.desc())
        return tuple(Seed(row.id, row.octets) for row in self._connection.execute(query))

    def all_states(self) -> tuple[SeedState, ...]:
        """The state of every seed that ever was, newest first."""
        query = select(seeds.c.id, seeds.c.made_at, seeds.c.retired_at).order_by(seeds.c.id.desc())
        return tuple(SeedState(*row) for row in self._connection.execute(query))

    def add(self, octets: bytes, now: datetime) -> SeedState:
        """Record a new seed."""
        row = {"octets": octets, "made_at": now}
        return SeedState(self._insert(seeds, row).id, now, None)

    def retire(self, id: int, now: datetime) -> SeedState:
        """End the use of a seed, and delete its secret. Raises NotFound unless it is in use."""
        query = select(seeds.c.made_at).where(seeds.c.id == id, seeds.c.octets.is_not(None))
        made_at = self._get_row(query, f"a seed in use with the id {id}", lock=True).made_at
        self._update(seeds, id, octets=None, retired_at=now)
        return SeedState(id, made_at, now)
