"""The benign list in SQL. Version 0.1.0 knows no texts, so their benign and suppressed signals are in tables apart."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Row, Select, Table, and_, func, literal_column, or_, select, union_all, update

from hashdb.domain.listings import Paged, Place
from hashdb.domain.matching.benign import BenignDraft, BenignEntry, BenignFilter, BenignImpact, BenignSort
from hashdb.domain.signals import Algorithm, Signal
from hashdb.errors import NotFound
from hashdb.store import keysets
from hashdb.store.contributions.contributions import Contributions
from hashdb.store.repositories import CHUNK, Repository, attributes, chunks, insert_rows, values_by_algorithm
from hashdb.store.tables import (
    SIGNAL_TABLES,
    SUPPRESSED_TABLES,
    benign,
    benign_signals,
    benign_text_signals,
    contributions,
    masks,
    signal_table,
    suppressed_table,
    text_masks,
)


class BenignSignal(NamedTuple):
    """A benign signal: an entry suppresses all signals within the radius (bits) of it."""

    entry: int
    signal: Signal
    radius: int


class UnappliedEntry(NamedTuple):
    """An entry that is not applied to contributions yet."""

    id: int
    deleted: bool


class BenignList(Repository):
    """The benign list within one transaction."""

    def add(self, draft: BenignDraft, now: datetime) -> BenignEntry:
        """Record an entry, which is not applied to contributions yet."""
        row = {"built_in": draft.built_in, "note": draft.note, "created_at": now, "settled": False}
        id = self._insert(benign, row).id
        rows: dict[Table, list[dict[str, object]]] = {benign_signals: [], benign_text_signals: []}
        for position, signal in enumerate(draft.signals):
            of_signal: dict[str, object] = {
                "benign_id": id,
                "position": position,
                "algorithm": signal.algorithm,
                "value": signal.to_bytes(),
                "radius": draft.radius_of(signal.algorithm),
            }
            if signal.algorithm.of_text:
                rows[benign_text_signals].append({**of_signal, "settled": False})
            else:
                rows[benign_signals].append(of_signal)
        for table, of_table in rows.items():
            insert_rows(self._connection, table, of_table)
        return self.one(id)

    def delete(self, id: int, now: datetime) -> None:
        """Mark an entry as deleted and delete its note; what it suppresses is restored later. Raises NotFound."""
        query = update(benign).where(benign.c.id == id, benign.c.deleted_at.is_(None))
        if not self._connection.execute(query.values(deleted_at=now, note="", settled=False)).rowcount:
            raise NotFound(f"benign entry {id}")

    def one(self, id: int) -> BenignEntry:
        """One entry. Raises NotFound."""
        return self._entries([self._get_row(_ENTRIES.where(benign.c.id == id), f"benign entry {id}")])[0]

    def page(self, after: int, limit: int) -> tuple[BenignEntry, ...]:
        """At most `limit` entries with ids above `after`, in order."""
        return self._entries(self._page_after(_chosen(BenignFilter()), benign.c.id, after, limit))

    def listed(
        self, filter: BenignFilter, sort: BenignSort, place: Place, limit: int, *, descending: bool
    ) -> Paged[BenignEntry]:
        """The page of a list in an order, with its total."""
        query = _chosen(filter)
        order = keysets.Order(_ORDERS[sort], benign.c.id, descending)
        rows, links = keysets.page(self._connection, query, order, place, limit)
        total = keysets.count(self._connection, query.with_only_columns(benign.c.id))
        return Paged(self._entries(rows), links.previous, links.next, total)

    def existing(self, ids: Collection[int]) -> frozenset[int]:
        """Those of these ids whose entry exists and is not deleted."""
        query = select(benign.c.id).where(benign.c.deleted_at.is_(None))
        return frozenset(row.id for row in self._rows_in(query, benign.c.id, ids))

    def all_signals(self) -> tuple[BenignSignal, ...]:
        """Every benign signal of all entries, in the order of the entries' ids."""
        query = select(*_EVERY.c).join(benign, benign.c.id == _EVERY.c.benign_id).where(benign.c.deleted_at.is_(None))
        return tuple(map(_benign_signal, self._connection.execute(query.order_by(_EVERY.c.benign_id))))

    def signals(self, id: int) -> tuple[BenignSignal, ...]:
        """The signals of one entry."""
        return tuple(self._signals_by_id([id])[id])

    def built_in(self) -> dict[str, tuple[int, bool]]:
        """The newest entry of each recorded name of the built-in list, and whether it is deleted."""
        query = select(benign.c.built_in, benign.c.id, benign.c.deleted_at).where(benign.c.built_in.is_not(None))
        rows = self._connection.execute(query.order_by(benign.c.id))
        return {row.built_in: (row.id, row.deleted_at is not None) for row in rows}

    def unsettled(self) -> tuple[UnappliedEntry, ...]:
        """The entries that are not applied to contributions yet, in order.

        Version 0.1.0 may have applied an entry during an upgrade: then only its signals of texts are not applied.
        """
        texts = benign_text_signals.c
        unapplied = or_(texts.settled.is_(False), benign.c.deleted_at.is_not(None))
        of_texts = select(texts.position).where(texts.benign_id == benign.c.id, unapplied).exists()
        query = select(benign.c.id, benign.c.deleted_at).where(or_(benign.c.settled.is_(False), of_texts))
        query = query.order_by(benign.c.id)
        return tuple(UnappliedEntry(row.id, row.deleted_at is not None) for row in self._connection.execute(query))

    def settle(self, entry: UnappliedEntry) -> None:
        """Record that an entry is applied, unless it was deleted in between; a deleted entry loses its signals."""
        query = update(benign).where(benign.c.id == entry.id, benign.c.deleted_at.is_not(None) == entry.deleted)
        if not self._connection.execute(query.values(settled=True)).rowcount:
            return
        if entry.deleted:
            for table in (benign_signals, benign_text_signals):
                self._delete(table, table.c.benign_id == entry.id)
        else:
            of_texts = update(benign_text_signals).where(benign_text_signals.c.benign_id == entry.id)
            self._connection.execute(of_texts.values(settled=True))

    def _entries(self, rows: Sequence[Row[Any]]) -> tuple[BenignEntry, ...]:
        signals_by_id = self._signals_by_id([row.id for row in rows])
        return tuple(
            BenignEntry(
                **attributes(row, "id", "note", "built_in", "created_at", "masked"),
                signals=tuple(listed.signal for listed in signals_by_id[row.id]),
                radius={listed.signal.algorithm: listed.radius for listed in signals_by_id[row.id]},
            )
            for row in rows
        )

    def _signals_by_id(self, ids: Collection[int]) -> Mapping[int, Sequence[BenignSignal]]:
        """The signals of entries, by entry."""
        signals_by_id: dict[int, list[BenignSignal]] = {id: [] for id in ids}
        query = select(*_EVERY.c).order_by(_EVERY.c.benign_id, _EVERY.c.position)
        for row in self._rows_in(query, _EVERY.c.benign_id, ids):
            signals_by_id[row.benign_id].append(_benign_signal(row))
        return signals_by_id


def _counted(table: Table) -> ColumnElement[int]:
    """How many rows of an entry a table has."""
    return select(func.count()).where(table.c.benign_id == benign.c.id).scalar_subquery()


_MASKED = _counted(masks) + _counted(text_masks)
_SIGNALS = _counted(benign_signals) + _counted(benign_text_signals)
_EVERY = union_all(
    *(
        select(*table.c["benign_id", "position", "algorithm", "value", "radius"])
        for table in (benign_signals, benign_text_signals)
    )
).subquery()
"""All benign signals."""
_ENTRIES: Select[Any] = select(benign, _MASKED.label("masked")).where(benign.c.deleted_at.is_(None))
_ORDERS: Mapping[BenignSort, ColumnElement[int]] = {
    BenignSort.ADDED: benign.c.id,
    BenignSort.SUPPRESSES: _MASKED,
    BenignSort.SIGNALS: _SIGNALS,
}


def _chosen(filter: BenignFilter) -> Select[Any]:
    """The entries that a filter selects."""
    query = _ENTRIES
    if filter.text is not None:
        named = (column.icontains(filter.text, autoescape=True) for column in (benign.c.note, benign.c.built_in))
        query = query.where(or_(*named))
    if filter.algorithm is not None:
        of_algorithm = select(_EVERY.c.benign_id).where(_EVERY.c.algorithm == str(filter.algorithm))
        query = query.where(benign.c.id.in_(of_algorithm))
    if filter.built_in is not None:
        query = query.where(benign.c.built_in.is_not(None) == filter.built_in)
    return query


def _benign_signal(row: Row[Any]) -> BenignSignal:
    return BenignSignal(row.benign_id, Signal.from_bytes(Algorithm(row.algorithm), row.value), row.radius)


class PlacedSignal(NamedTuple):
    """A signal of a contribution, and its position there."""

    contribution: int
    position: int
    signal: Signal


_PLACE = itemgetter(0, 1)
"""The contribution and the position of a signal, by which they are sorted."""


class Suppressions(Repository):
    """Suppressed signals within one transaction."""

    def contributions_with(self, wanted: Collection[Signal]) -> list[int]:
        """The ids of contributions, whatever their status, that have any of these signals unsuppressed, in order."""
        ids: set[int] = set()
        for algorithm, octets in values_by_algorithm(wanted):
            table = signal_table(algorithm).c
            query = select(table.contribution_id).where(table.algorithm == str(algorithm), table.value.in_(octets))
            ids.update(self._connection.scalars(query))
        return sorted(ids)

    def unsuppressed(self, ids: Collection[int], wanted: Collection[Signal]) -> tuple[PlacedSignal, ...]:
        """Those of the signals that these contributions have unsuppressed, in order; nothing is locked.

        A video has thousands of signals, of which an entry touches a few.
        """
        placed: list[PlacedSignal] = []
        wanted_ids = set(ids)
        for algorithm, octets in values_by_algorithm(wanted):
            table = signal_table(algorithm)
            query = select(table).where(table.c.algorithm == str(algorithm), table.c.value.in_(octets))
            if len(wanted_ids) <= CHUNK:
                # The sum keeps SQLite from a look-up for each pair of a contribution and a value.
                query = query.where((table.c.contribution_id + literal_column("0")).in_(wanted_ids))
            placed += [_placed(row) for row in self._connection.execute(query) if row.contribution_id in wanted_ids]
        return tuple(sorted(placed, key=_PLACE))

    def count_unsuppressed(self, ids: Collection[int]) -> dict[int, int]:
        """How many signals each of these contributions has that are not suppressed, digests included."""
        count_by_id = dict.fromkeys(ids, 0)
        for table in SIGNAL_TABLES:
            query = select(table.c.contribution_id, func.count()).group_by(table.c.contribution_id)
            for id, count in self._rows_in(query, table.c.contribution_id, ids):
                count_by_id[id] += count
        return count_by_id

    def impact(self, entry: int) -> BenignImpact:
        """What an entry suppresses now."""
        counts = select(
            func.count(),
            func.count(_MASKS.c.contribution_id.distinct()),
            func.count(contributions.c.member_id.distinct()),
        ).join_from(_MASKS, contributions, contributions.c.id == _MASKS.c.contribution_id)
        of_signals, of_contributions, of_members = self._connection.execute(
            counts.where(_MASKS.c.benign_id == entry)
        ).one()
        silenced = select(func.count(_MASKS.c.contribution_id.distinct())).where(
            _MASKS.c.benign_id == entry,
            *(
                ~select(table.c.position).where(table.c.contribution_id == _MASKS.c.contribution_id).exists()
                for table in SIGNAL_TABLES
            ),
        )
        return BenignImpact(
            of_signals, of_contributions, of_members, silenced=self._connection.execute(silenced).scalar_one()
        )

    def lock_suppressed(self, entry: int, limit: int) -> tuple[PlacedSignal, ...]:
        """The signals that an entry suppresses, of at most `limit` contributions, which it locks."""
        query = select(_MASKS.c.contribution_id).distinct().where(_MASKS.c.benign_id == entry)
        query = query.order_by(_MASKS.c.contribution_id).limit(limit)
        while ids := self._connection.scalars(query).all():
            Contributions(self._connection).lock(ids)
            rows = (
                row for table in SUPPRESSED_TABLES for row in self._rows_in(select(table), table.c.contribution_id, ids)
            )
            if placed := tuple(sorted((_placed(row) for row in rows if row.benign_id == entry), key=_PLACE)):
                return placed
            # Another process has restored these before they were locked; there may be more.
        return ()

    def suppress(self, placed_signals: Iterable[PlacedSignal], entry: int) -> None:
        """Suppress signals because of an entry: they no longer match."""
        for algorithm, group in _by_algorithm(placed_signals):
            self._remove(signal_table(algorithm), group)
            rows = [{**_row(signal), "benign_id": entry} for signal in group]
            insert_rows(self._connection, suppressed_table(algorithm), rows)

    def restore(self, placed_signals: Iterable[PlacedSignal]) -> None:
        """Restore suppressed signals: they match again."""
        for algorithm, group in _by_algorithm(placed_signals):
            self._remove(suppressed_table(algorithm), group)
            insert_rows(self._connection, signal_table(algorithm), [_row(signal) for signal in group])

    def assign(self, placed_signals: Iterable[PlacedSignal], entry: int) -> None:
        """Record that `entry` suppresses these suppressed signals now, in place of another entry."""
        for algorithm, group in _by_algorithm(placed_signals):
            table = suppressed_table(algorithm)
            for chunk in chunks(group):
                self._connection.execute(update(table).where(_places(table, chunk)).values(benign_id=entry))

    def _remove(self, table: Table, placed_signals: Sequence[PlacedSignal]) -> None:
        for chunk in chunks(placed_signals):
            self._delete(table, _places(table, chunk))


_MASKS = union_all(*(select(table.c.contribution_id, table.c.benign_id) for table in SUPPRESSED_TABLES)).subquery()
"""All suppressed signals, each by its contribution."""


def _by_algorithm(placed_signals: Iterable[PlacedSignal]) -> Iterator[tuple[Algorithm, tuple[PlacedSignal, ...]]]:
    """The signals of each algorithm, in the order of their contributions."""
    ordered = sorted(placed_signals, key=lambda placed: (placed.signal.algorithm, placed.contribution, placed.position))
    for algorithm, group in groupby(ordered, key=lambda placed: placed.signal.algorithm):
        yield algorithm, tuple(group)


def _places(table: Table, placed_signals: Iterable[PlacedSignal]) -> Any:
    """The condition for the rows of these signals, which are in the order of their contributions."""
    return or_(
        *(
            and_(table.c.contribution_id == id, table.c.position.in_([placed.position for placed in group]))
            for id, group in groupby(placed_signals, key=lambda placed: placed.contribution)
        )
    )


def _placed(row: Row[Any]) -> PlacedSignal:
    return PlacedSignal(row.contribution_id, row.position, Signal.from_bytes(Algorithm(row.algorithm), row.value))


def _row(placed: PlacedSignal) -> dict[str, object]:
    return {
        "contribution_id": placed.contribution,
        "position": placed.position,
        "algorithm": placed.signal.algorithm,
        "value": placed.signal.to_bytes(),
    }
