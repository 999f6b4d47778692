"""Batches in SQL: the selected rows, and the outcome of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, and_, exists, func, or_, select, update

from hashdb.domain.contributions import Filter
from hashdb.domain.review.bulk import (
    Batch,
    BatchAction,
    BatchChoices,
    BatchItem,
    BatchProgress,
    BatchState,
    ItemOutcome,
    RowKind,
)
from hashdb.domain.times import format_instant, parse_instant
from hashdb.store.contributions.filters import filter_conditions
from hashdb.store.repositories import Repository, attributes, chunks, insert_rows
from hashdb.store.tables import batch_items, batches, contributions, members


class Batches(Repository):
    """Batches within one transaction."""

    def add(
        self, actor: str, action: BatchAction, row_kind: RowKind, ids: Sequence[int], now: datetime, undoes: int | None
    ) -> int:
        """Record a draft with these items, and return its id."""
        row = {
            "actor": actor,
            "action": str(action),
            "picks": str(row_kind),
            "state": str(BatchState.DRAFT),
            "size": len(ids),
            "choices": {},
            "note": "",
            "made_at": now,
            "undoes": undoes,
        }
        id = int(self._insert(batches, row).id)
        rows = [{"batch_id": id, "position": position, "subject": subject} for position, subject in enumerate(ids)]
        insert_rows(self._connection, batch_items, rows)
        return id

    def one(self, id: int) -> Batch:
        """One batch. Raises NotFound."""
        return _batch(self._get_row(select(batches).where(batches.c.id == id), f"batch {id}"))

    def page(self, after: int, limit: int) -> tuple[Batch, ...]:
        """At most `limit` batches that are no drafts, with ids above `after`, in order."""
        query = select(batches).where(batches.c.state != str(BatchState.DRAFT))
        return tuple(map(_batch, self._page_after(query, batches.c.id, after, limit)))

    def begin(self, id: int, choices: BatchChoices, now: datetime) -> bool:
        """Start a batch with these choices; return whether it was a draft."""
        chosen = {"reason": choices.reason, "days": choices.days}
        if choices.expires_at is not None:
            chosen["expires_at"] = format_instant(choices.expires_at)
        values = {
            "state": str(BatchState.RUNNING),
            "choices": {name: value for name, value in chosen.items() if value is not None},
            "note": choices.note,
            "begun_at": now,
        }
        return self._change_if(BatchState.DRAFT, id, values)

    def stop(self, id: int, now: datetime) -> bool:
        """Stop a running batch, and delete its note; return whether it was running."""
        values = {"state": str(BatchState.STOPPED), "note": "", "ended_at": now}
        return self._change_if(BatchState.RUNNING, id, values)

    def end(self, id: int, now: datetime) -> bool:
        """End a running batch of which no item waits, and delete its note; return whether it ended."""
        waiting = exists().where(batch_items.c.batch_id == id, batch_items.c.outcome.is_(None))
        query = update(batches).where(batches.c.id == id, batches.c.state == str(BatchState.RUNNING), ~waiting)
        values = {"state": str(BatchState.DONE), "note": "", "ended_at": now}
        return bool(self._connection.execute(query.values(values)).rowcount)

    def running(self) -> tuple[int, ...]:
        """The ids of the running batches, in order."""
        query = select(batches.c.id).where(batches.c.state == str(BatchState.RUNNING))
        return tuple(self._connection.scalars(query.order_by(batches.c.id)))

    def waiting(self, id: int, after: int, limit: int) -> tuple[BatchItem, ...]:
        """At most `limit` items of a batch without an outcome, at positions above `after`, in order."""
        query = _items(id).where(batch_items.c.outcome.is_(None))
        return tuple(map(_item, self._page_after(query, batch_items.c.position, after, limit)))

    def lock_item(self, id: int, position: int) -> BatchItem | None:
        """Lock an item of a running batch until the transaction ends.

        None if it has an outcome, another process has locked it, or the batch was stopped.
        """
        running = exists().where(batches.c.id == id, batches.c.state == str(BatchState.RUNNING))
        query = _items(id).where(batch_items.c.position == position, batch_items.c.outcome.is_(None), running)
        return self._find(query.with_for_update(of=batch_items, skip_locked=True), _item)

    def finish(
        self,
        id: int,
        position: int,
        outcome: ItemOutcome,
        now: datetime,
        *,
        why: str | None = None,
        made: str | None = None,
        before: Mapping[str, object] | None = None,
    ) -> None:
        """Record the outcome of an item that this transaction locked by `lock_item`; the fields are of `BatchItem`."""
        values = {"outcome": str(outcome), "why": why, "made": made, "before": before, "at": now}
        query = update(batch_items).where(batch_items.c.batch_id == id, batch_items.c.position == position)
        self._connection.execute(query.values(values))

    def items(
        self, id: int, after: int, limit: int, outcomes: Collection[ItemOutcome] | None = None
    ) -> tuple[BatchItem, ...]:
        """At most `limit` items of a batch at positions above `after`, in order.

        Only those with one of these outcomes; None: all.
        """
        query = _items(id)
        if outcomes is not None:
            query = query.where(batch_items.c.outcome.in_([str(outcome) for outcome in outcomes]))
        return tuple(map(_item, self._page_after(query, batch_items.c.position, after, limit)))

    def items_at(self, id: int, positions: Collection[int]) -> dict[int, BatchItem]:
        """The items of a batch at these positions."""
        return {row.position: _item(row) for row in self._rows_in(_items(id), batch_items.c.position, positions)}

    def progress(self, id: int) -> BatchProgress:
        """How far a batch is."""
        columns = batch_items.c.outcome, batch_items.c.why
        query = select(*columns, func.count()).where(batch_items.c.batch_id == id).group_by(*columns)
        counts, why = Counter[str](), Counter[str]()
        for outcome, reason, count in self._connection.execute(query):
            counts[outcome or "waiting"] += count
            if reason is not None:
                why[reason] += count
        return BatchProgress(**counts, why=why)

    def prune(self, drafts_before: datetime, ended_before: datetime) -> int:
        """Delete the drafts that were made, and the batches that ended, before these times; return how many."""
        old_draft = and_(batches.c.state == str(BatchState.DRAFT), batches.c.made_at < drafts_before)
        query = select(batches.c.id).where(or_(old_draft, batches.c.ended_at < ended_before))
        # Locked, so that a draft that a user begins meanwhile is not deleted.
        old = self._connection.scalars(query.with_for_update(skip_locked=True)).all()
        for table, column in ((batch_items, batch_items.c.batch_id), (batches, batches.c.id)):
            for chunk in chunks(old):
                self._delete(table, column.in_(chunk))
        return len(old)

    def selected(self, chosen: Filter, upto: int, now: datetime, limit: int) -> tuple[int, ...]:
        """The ids up to `upto` of at most `limit` contributions that a filter selects, the newest first."""
        query = select(contributions.c.id).join(members, members.c.id == contributions.c.member_id)
        query = query.where(contributions.c.id <= upto, *filter_conditions(chosen, now))
        return tuple(self._connection.scalars(query.order_by(contributions.c.id.desc()).limit(limit)))

    def newest_contribution(self) -> int:
        """The id of the newest contribution; 0 if there is none."""
        return self._connection.execute(select(func.max(contributions.c.id))).scalar_one() or 0

    def _change_if(self, state: BatchState, id: int, values: Mapping[str, object]) -> bool:
        """Set columns of a batch if it has this state; return whether it had."""
        query = update(batches).where(batches.c.id == id, batches.c.state == str(state))
        return bool(self._connection.execute(query.values(values)).rowcount)


def _items(batch: int) -> Select[Any]:
    return select(batch_items).where(batch_items.c.batch_id == batch)


def _batch(row: Any) -> Batch:
    stored, at = row.choices, row.choices.get("expires_at")
    expires_at = None if at is None else parse_instant(at)
    choices = BatchChoices(stored.get("reason"), row.note, stored.get("days"), expires_at)
    return Batch(
        **attributes(row, "id", "actor", "size", "made_at", "begun_at", "ended_at", "undoes"),
        action=BatchAction(row.action),
        row_kind=RowKind(row.picks),
        state=BatchState(row.state),
        choices=choices,
    )


def _item(row: Row[tuple[object, ...]]) -> BatchItem:
    return BatchItem(
        **attributes(row, "position", "subject", "why", "made", "at"),
        outcome=None if row.outcome is None else ItemOutcome(row.outcome),
        before=row.before or {},
    )
