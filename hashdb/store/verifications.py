"""Verifications of the log in SQL: the progress that every process can tell."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Row, insert, select, update

from hashdb.domain.verifications import Outcome, Verification
from hashdb.store.repositories import Repository
from hashdb.store.tables import verifications


class Verifications(Repository):
    """Verifications within one transaction."""

    def add(self, actor: str, size: int, now: datetime) -> Verification:
        """Record that one begins, of a log of `size` events."""
        row = {
            "actor": actor,
            "begun_at": now,
            "touched_at": now,
            "size": size,
            "done": 0,
            "checkpoints": 0,
            "findings": {"reasons": []},
        }
        return _verification(self._connection.execute(insert(verifications).returning(verifications), row).one())

    def advance(self, id: int, done: int, now: datetime) -> None:
        """Note how many events it has read."""
        query = update(verifications).where(verifications.c.id == id)
        self._connection.execute(query.values(done=done, touched_at=now))

    def end(
        self, id: int, outcome: Outcome, done: int, checkpoints: int, findings: Sequence[str], now: datetime
    ) -> None:
        """Note what came of it."""
        values = {
            "outcome": outcome,
            "done": done,
            "checkpoints": checkpoints,
            "findings": {"reasons": list(findings)},
            "touched_at": now,
        }
        self._connection.execute(update(verifications).where(verifications.c.id == id).values(values))

    def latest(self, limit: int) -> tuple[Verification, ...]:
        """The last ones, the last first."""
        query = select(verifications).order_by(verifications.c.id.desc()).limit(limit)
        return tuple(map(_verification, self._connection.execute(query)))


def _verification(row: Row[tuple[object, ...]]) -> Verification:
    return Verification(
        id=row.id,
        actor=row.actor,
        begun_at=row.begun_at,
        touched_at=row.touched_at,
        size=row.size,
        done=row.done,
        outcome=None if row.outcome is None else Outcome(row.outcome),
        checkpoints=row.checkpoints,
        findings=tuple(row.findings["reasons"]),
    )
