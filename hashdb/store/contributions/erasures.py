"""Erasures in SQL: what is deleted of a contribution at once, and its signals when they are due.

Version 0.1.0 may erase a contribution during an upgrade: it leaves what it does not know, which is deleted later.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, Table, delete, exists, func, insert, or_, select, update

from hashdb.store.contributions.contributions import Contributions
from hashdb.store.contributions.frames import limit_frames
from hashdb.store.repositories import CHUNK, Repository, chunks
from hashdb.store.tables import (
    SIGNAL_TABLES,
    SUPPRESSED_TABLES,
    amendments,
    contributions,
    digests,
    erasures,
    fingerprints,
    shots,
    signatures,
    text_masks,
)

_FRAME_COUNTS = select(contributions.c.id, func.coalesce(contributions.c.frame_count, 0))
_ERASED = select(contributions.c.id).where(contributions.c.erased_at.is_not(None)).order_by(contributions.c.id)
_AT_ONCE = (signatures, fingerprints)
"""The tables of a contribution whose rows an erasure deletes at once."""
_UNKNOWN = (shots, digests, text_masks)
"""The tables of a contribution whose rows version 0.1.0 does not delete at the end of an erasure."""


def _has_rows(tables: Iterable[Table]) -> ColumnElement[bool]:
    """Whether one of these tables has a row of the contribution."""
    return or_(*(exists().where(table.c.contribution_id == contributions.c.id) for table in tables))


class Erasures(Repository):
    """Erasures within one transaction."""

    def erase(self, id: int, now: datetime, due_at: datetime) -> None:
        """Delete reference, salt, signatures, old values and fingerprints; the signals follow from `due_at` (`purge`).

        The row stays, empty. Signals that are still stored are shown to nobody.
        """
        self._connection.execute(insert(erasures), {"contribution_id": id, "due_at": due_at})
        self._delete(amendments, amendments.c.contribution_id == id)
        self.delete_signatures([id])
        self._update(contributions, id, reference=None, fingerprint=None, erased_at=now)

    def due(self, now: datetime, limit: int) -> tuple[int, ...]:
        """At most `limit` erased contributions whose signals are due for deletion at `now`."""
        query = select(erasures.c.contribution_id).where(erasures.c.due_at <= now)
        return tuple(self._connection.scalars(query.order_by(erasures.c.due_at).limit(limit)))

    def purge(self, ids: Collection[int]) -> tuple[int, ...]:
        """Lock erased contributions, and delete their signals; return the contributions whose deletion was due."""
        # Locked, as where the benign list suppresses or restores signals: otherwise that could write them again.
        Contributions(self._connection).lock(ids)
        purged: list[int] = []
        for chunk in chunks(list(ids)):
            query = delete(erasures).where(erasures.c.contribution_id.in_(chunk)).returning(erasures.c.contribution_id)
            purged += self._connection.scalars(query)
            for table in (*SIGNAL_TABLES, *_AT_ONCE, *SUPPRESSED_TABLES, shots):
                self._delete(table, table.c.contribution_id.in_(chunk))
        return tuple(sorted(purged))

    def with_signatures_left(self) -> tuple[int, ...]:
        """The erased contributions that still have what `delete_signatures` deletes, because version 0.1.0 left it."""
        incomplete = or_(contributions.c.salt.is_not(None), _has_rows(_AT_ONCE))
        return tuple(self._connection.scalars(_ERASED.where(incomplete)))

    def delete_signatures(self, ids: Collection[int]) -> None:
        """Delete signatures, further fingerprints and salts."""
        for chunk in chunks(list(ids)):
            self._connection.execute(update(contributions).where(contributions.c.id.in_(chunk)).values(salt=None))
            for table in _AT_ONCE:
                self._delete(table, table.c.contribution_id.in_(chunk))

    def with_rows_left(self) -> tuple[int, ...]:
        """The erased contributions whose signals version 0.1.0 deleted, and that have rows which it left."""
        query = _ERASED.outerjoin(erasures, erasures.c.contribution_id == contributions.c.id)
        return tuple(self._connection.scalars(query.where(erasures.c.contribution_id.is_(None), _has_rows(_UNKNOWN))))

    def limit_frames(self, ids: Sequence[int]) -> Sequence[int]:
        """The first of these erased contributions with `FRAMES_A_REQUEST` frames together at most; at least one."""
        counts = dict(self._rows_in(_FRAME_COUNTS, contributions.c.id, ids[:CHUNK]))
        return limit_frames(ids[:CHUNK], counts.__getitem__)
