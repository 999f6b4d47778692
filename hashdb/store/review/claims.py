"""Claims and notes in SQL: which reviewer has taken which open case, and what reviewers note for each other."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Select, and_, case, literal, or_, select, true

from hashdb.domain.review.queues import CaseNote, Claim, QueueQuery
from hashdb.store.columns import InstantColumn
from hashdb.store.repositories import Repository, attributes
from hashdb.store.review.queues import beyond, in_order, not_opened_by
from hashdb.store.tables import case_claims, case_notes, cases


class Claims(Repository):
    """Claims within one transaction.

    A claim no longer counts if its reviewer last took or renewed it at `idle_since` or before.
    """

    def take_next(
        self,
        actor: str,
        queue: QueueQuery,
        now: datetime,
        idle_since: datetime,
        *,
        without_openers: Collection[int] = (),
        place: Sequence[Any] | None = None,
        besides: int | None = None,
    ) -> int | None:
        """Take the first case of a queue that nobody has, after a place in the order; None if there is none.

        Cases whose opener is in `without_openers` are left out, and the case `besides`. `place` is from `Queues.place`.
        Callers at the same time each get another case.
        """
        free = cases.c.id.not_in(select(case_claims.c.case_id).where(case_claims.c.seen_at > idle_since))
        query = in_order(queue, now, *_claim_columns(actor, now)).where(free).limit(1)
        if without_openers:
            query = query.where(not_opened_by(without_openers))
        if place is not None:
            query = query.where(beyond(queue, place))
        if besides is not None:
            query = query.where(cases.c.id != besides)
        skip_locked = True
        while True:
            # `key_share`: other transactions may still insert rows that refer to the case.
            locked = query.with_for_update(of=cases, skip_locked=skip_locked, key_share=True)
            id: int | None = self._connection.execute(self._taking(locked, idle_since)).scalar_one_or_none()
            # None although a case is free has two causes. Another reviewer took that case after the statement began to
            # read: the next statement sees that. Or other transactions have locked each free case: the next one waits.
            if id is not None or self._connection.execute(query).first() is None:
                return id
            skip_locked = False

    def take(self, id: int, actor: str, now: datetime, idle_since: datetime, *, from_others: bool = False) -> bool:
        """Take an open case, or renew the actor's claim; return whether the actor has it now.

        The actor does not get it if it is decided or gone. It gets one that another actor has only with `from_others`.
        """
        query = select(*_claim_columns(actor, now)).where(cases.c.id == id, cases.c.decision.is_(None))
        statement = self._taking(query.with_for_update(of=cases, key_share=True), idle_since, from_others=from_others)
        return self._connection.execute(statement).first() is not None

    def lock(self, contributions: Collection[int]) -> None:
        """Lock the open cases on contributions, and the claims on these cases, until the transaction ends."""
        # `key_share`: other transactions may still insert rows that refer to a case.
        query = select(cases.c.id).where(cases.c.decision.is_(None)).order_by(cases.c.id)
        locked = self._rows_in(query.with_for_update(key_share=True), cases.c.contribution_id, contributions)
        claimed = select(case_claims.c.case_id).order_by(case_claims.c.case_id).with_for_update()
        self._rows_in(claimed, case_claims.c.case_id, [row.id for row in locked])

    def release(self, id: int, actor: str) -> None:
        """Release a case if the actor has it."""
        self._delete(case_claims, case_claims.c.case_id == id, case_claims.c.actor == actor)

    def release_all(self, actor: str) -> None:
        """Release every case that an actor has."""
        self._delete(case_claims, case_claims.c.actor == actor)

    def by_case(self, ids: Collection[int], idle_since: datetime) -> dict[int, Claim]:
        """The claims on these cases that count, by case."""
        query = select(case_claims).where(case_claims.c.seen_at > idle_since)
        return {row.case_id: _claim(row) for row in self._rows_in(query, case_claims.c.case_id, ids)}

    def of_actor(self, actor: str, idle_since: datetime) -> tuple[Claim, ...]:
        """The claims of an actor that count, the oldest first."""
        query = select(case_claims).where(case_claims.c.actor == actor, case_claims.c.seen_at > idle_since)
        query = query.order_by(case_claims.c.taken_at, case_claims.c.case_id)
        return tuple(map(_claim, self._connection.execute(query)))

    def _taking(self, query: Select[Any], idle_since: datetime, *, from_others: bool = False) -> Any:
        """The statement that takes the cases of a query that are free or the actor's own.

        With `from_others`, it also takes those that other actors have.
        """
        statement = self._insert_into(case_claims)
        statement = statement.from_select(["case_id", "actor", "taken_at", "seen_at"], query)
        new, is_idle = statement.excluded, case_claims.c.seen_at <= idle_since
        is_own = case_claims.c.actor == new.actor
        since = case((and_(is_own, ~is_idle), case_claims.c.taken_at), else_=new.taken_at)
        values = {"actor": new.actor, "taken_at": since, "seen_at": new.seen_at}
        where = true() if from_others else or_(is_idle, is_own)
        return statement.on_conflict_do_update(index_elements=["case_id"], set_=values, where=where).returning(
            case_claims.c.case_id
        )


class CaseNotes(Repository):
    """Notes between reviewers within one transaction."""

    def add(self, case: int, actor: str, text: str, now: datetime, proposal: int | None = None) -> CaseNote:
        """Record a note on a case."""
        row = {"case_id": case, "actor": actor, "at": now, "text": text, "proposal": proposal}
        return _note(self._insert(case_notes, row))

    def on_cases(self, ids: Collection[int]) -> tuple[CaseNote, ...]:
        """The notes on cases with these ids, the oldest first."""
        rows = self._rows_in(select(case_notes), case_notes.c.case_id, ids)
        return tuple(sorted(map(_note, rows), key=lambda note: note.id))


def _claim_columns(actor: str, now: datetime) -> tuple[Any, ...]:
    return cases.c.id, literal(actor), literal(now, InstantColumn), literal(now, InstantColumn)


def _claim(row: Any) -> Claim:
    return Claim(row.case_id, row.actor, row.taken_at, row.seen_at)


def _note(row: Any) -> CaseNote:
    return CaseNote(**attributes(row, "id", "actor", "at", "text", "proposal"), case=row.case_id)
