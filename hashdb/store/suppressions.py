"""Suppressed signals in SQL: taken out of the table that matches read, and put back; the API calls them masked."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from sqlalchemy import Row, Table, and_, delete, func, or_, select, update

from hashdb.domain.signals import Algorithm, Signal
from hashdb.store.bulk import insert_rows
from hashdb.store.chunks import chunks
from hashdb.store.contributions import Contributions
from hashdb.store.repositories import Repository
from hashdb.store.tables import contributions, masks, signals


class Held(NamedTuple):
    """A signal of a contribution, and its place there."""

    contribution: int
    position: int
    signal: Signal


class Suppressions(Repository):
    """Suppressed signals within one transaction."""

    def holders(self, found: Collection[Signal]) -> list[int]:
        """The ids of contributions, whatever their status, that hold any of these signals unsuppressed, in order."""
        ids: set[int] = set()
        for algorithm, group in groupby(sorted(found), key=lambda one: one.algorithm):
            for octets in chunks([one.to_bytes() for one in group]):
                query = select(signals.c.contribution_id).where(
                    signals.c.algorithm == str(algorithm), signals.c.value.in_(octets)
                )
                ids.update(self._connection.scalars(query))
        return sorted(ids)

    def held(self, ids: Collection[int]) -> Iterator[Held]:
        """The signals of these contributions that match, which nobody is kept from changing."""
        for some in chunks(sorted(ids)):
            yield from map(_held, self._of(signals, some))

    def members(self, ids: Collection[int]) -> int:
        """How many members have contributed these."""
        found: set[int] = set()
        for some in chunks(sorted(ids)):
            found.update(
                self._connection.scalars(select(contributions.c.member_id).where(contributions.c.id.in_(some)))
            )
        return len(found)

    def of_entry(self, entry: int) -> tuple[int, int, int]:
        """How many signals, of how many contributions, by how many members, an entry suppresses."""
        query = select(
            func.count(),
            func.count(masks.c.contribution_id.distinct()),
            func.count(contributions.c.member_id.distinct()),
        ).join_from(masks, contributions, contributions.c.id == masks.c.contribution_id)
        row = self._connection.execute(query.where(masks.c.benign_id == entry)).one()
        return int(row[0]), int(row[1]), int(row[2])

    def silenced(self, entry: int) -> int:
        """How many contributions an entry suppresses that have no signal left to match."""
        query = select(func.count(masks.c.contribution_id.distinct())).where(
            masks.c.benign_id == entry,
            ~select(signals.c.position).where(signals.c.contribution_id == masks.c.contribution_id).exists(),
        )
        return self._connection.execute(query).scalar_one()

    def matching(self, ids: Sequence[int]) -> tuple[Held, ...]:
        """The signals of these contributions that match, which are held to the end of the transaction."""
        Contributions(self._connection).hold(ids)
        return tuple(_held(row) for some in chunks(ids) for row in self._of(signals, some))

    def suppressed(self, entry: int, limit: int) -> tuple[Held, ...]:
        """What an entry suppresses, of at most `limit` contributions, which are held to the end of the transaction."""
        query = select(masks.c.contribution_id).distinct().where(masks.c.benign_id == entry)
        ids = list(self._connection.scalars(query.order_by(masks.c.contribution_id).limit(limit)))
        Contributions(self._connection).hold(ids)
        rows = (row for some in chunks(ids) for row in self._of(masks, some))
        return tuple(_held(row) for row in rows if row.benign_id == entry)

    def suppress(self, held: Iterable[Held], entry: int) -> None:
        """Let signals match no longer, because of an entry."""
        held = tuple(held)
        self._remove(signals, held)
        insert_rows(self._connection, masks, [{**_row(one), "benign_id": entry} for one in held])

    def restore(self, held: Iterable[Held]) -> None:
        """Let signals match again."""
        held = tuple(held)
        self._remove(masks, held)
        insert_rows(self._connection, signals, [_row(one) for one in held])

    def assign(self, held: Iterable[Held], entry: int) -> None:
        """Note that another entry suppresses these now."""
        for some in chunks(tuple(held)):
            self._connection.execute(update(masks).where(_places(masks, some)).values(benign_id=entry))

    def _of(self, table: Table, ids: Collection[int]) -> Sequence[Row[Any]]:
        query = select(table).where(table.c.contribution_id.in_(ids))
        return self._connection.execute(query.order_by(table.c.contribution_id, table.c.position)).all()

    def _remove(self, table: Table, held: Sequence[Held]) -> None:
        for some in chunks(held):
            self._connection.execute(delete(table).where(_places(table, some)))


def _places(table: Table, held: Iterable[Held]) -> Any:
    each = groupby(held, key=lambda one: one.contribution)
    return or_(
        *(
            and_(table.c.contribution_id == id, table.c.position.in_([one.position for one in group]))
            for id, group in each
        )
    )


def _held(row: Row[Any]) -> Held:
    return Held(row.contribution_id, row.position, Signal.from_bytes(Algorithm(row.algorithm), row.value))


def _row(held: Held) -> dict[str, object]:
    return {
        "contribution_id": held.contribution,
        "position": held.position,
        "algorithm": held.signal.algorithm,
        "value": held.signal.to_bytes(),
    }
