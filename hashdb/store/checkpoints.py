"""Signed checkpoints, and the public halves of the keys that sign them, in SQL."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import insert, select, update

from hashdb.domain.checkpoints import LogKey
from hashdb.domain.notes import Verifier
from hashdb.store.repositories import Repository
from hashdb.store.tables import checkpoints, signers


class Kept(NamedTuple):
    """A signed checkpoint: over how many events, when it was signed, the note."""

    size: int
    at: datetime
    note: str


class Checkpoints(Repository):
    """Checkpoints and keys within one transaction."""

    def keys(self) -> tuple[LogKey, ...]:
        """Every key that signs or has signed, the newest last."""
        rows = self._connection.execute(select(signers).order_by(signers.c.id))
        return tuple(LogKey(Verifier(row.name, row.public), row.since, row.until) for row in rows)

    def signer(self) -> Verifier | None:
        """The key that signs now; None before the first start."""
        query = select(signers.c.name, signers.c.public).where(signers.c.until.is_(None))
        row = self._connection.execute(query).one_or_none()
        return None if row is None else Verifier(row.name, row.public)

    def sign_with(self, verifier: Verifier, now: datetime) -> int:
        """From now on another key signs; returns its number."""
        self._connection.execute(update(signers).where(signers.c.until.is_(None)).values(until=now))
        row = {"name": verifier.name, "public": verifier.public, "since": now}
        return int(self._connection.execute(insert(signers).returning(signers.c.id), row).scalar_one())

    def last(self) -> Kept | None:
        """The newest checkpoint that is kept."""
        row = self._connection.execute(select(checkpoints).order_by(checkpoints.c.size.desc()).limit(1)).one_or_none()
        return None if row is None else Kept(row.size, row.at, row.note)

    def keep(self, kept: Kept) -> None:
        """Keep a checkpoint, of a size of which there is none yet."""
        self._connection.execute(insert(checkpoints), kept._asdict())

    def all(self) -> Iterator[tuple[int, str]]:
        """The size and the note of every checkpoint that is kept, in order."""
        query = select(checkpoints.c.size, checkpoints.c.note).order_by(checkpoints.c.size)
        return ((row.size, row.note) for row in self._connection.execute(query))
