"""Cases that are due soon in SQL: to whom they were reported, and the mail addresses of users."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, exists, literal, or_, select, update

from hashdb.domain.accounts.members import Scope
from hashdb.domain.accounts.users import Role, UserStatus
from hashdb.domain.review.due import DueCase, MailAddress, MailTrouble
from hashdb.store.repositories import Repository, attributes, chunks
from hashdb.store.tables import cases, due_notices, mail_addresses, users

_REVIEWERS = [str(role) for role in Role if role.scopes & {Scope.REVIEW, Scope.ADMIN}]


class RecipientKind(StrEnum):
    """Who receives a report of cases that are due soon: a webhook, or a user by mail."""

    WEBHOOK = "webhook"
    USER = "user"


class DueNotices(Repository):
    """Which cases were reported to which recipient, a kind and an id, within one transaction. Each is reported once."""

    def pending(
        self, until: datetime, kind: RecipientKind, recipient: int, limit: int | None = None
    ) -> tuple[DueCase, ...]:
        """At most `limit` open cases due by `until` that were not reported to a recipient, by due time."""
        reported = exists().where(due_notices.c.case_id == cases.c.id, _is_recipient(kind, recipient))
        query = select(cases.c.id, cases.c.due_at).where(cases.c.decision.is_(None), cases.c.due_at <= until, ~reported)
        rows = self._connection.execute(query.order_by(cases.c.due_at, cases.c.id).limit(limit))
        return tuple(DueCase(*row) for row in rows)

    def has_due(self, until: datetime) -> bool:
        """Whether an open case is due by `until`."""
        query = select(cases.c.id).where(cases.c.decision.is_(None), cases.c.due_at <= until).limit(1)
        return self._connection.execute(query).first() is not None

    def add(self, ids: Collection[int], kind: RecipientKind, recipient: int, now: datetime) -> frozenset[int]:
        """Record that cases were reported; return those that are open and were not reported before."""
        added: set[int] = set()
        columns = list(due_notices.c["case_id", "kind", "recipient", "at"])
        for chunk in chunks(sorted(ids)):
            values = select(cases.c.id, literal(str(kind)), literal(recipient), literal(now, due_notices.c.at.type))
            still_open = values.where(cases.c.id.in_(chunk), cases.c.decision.is_(None)).order_by(cases.c.id)
            query = self._insert_into(due_notices).from_select(columns, still_open)
            query = query.on_conflict_do_nothing().returning(due_notices.c.case_id)
            added.update(self._connection.scalars(query))
        return frozenset(added)

    def forget_recipient(self, kind: RecipientKind, recipient: int) -> None:
        """Delete the record of what was reported to a recipient."""
        self._delete(due_notices, _is_recipient(kind, recipient))


class MailAddresses(Repository):
    """Mail addresses of users within one transaction."""

    def get(self, user: int) -> MailAddress | None:
        """The address of a user; None if there is none."""
        return self._find(select(mail_addresses).where(mail_addresses.c.user_id == user), _address)

    def put(self, user: int, address: str) -> None:
        """Store the address of a user in place of an earlier one, with no attempts so far."""
        values = {"address": address, "attempts": 0, "next_at": None, "sent_at": None, "trouble": None}
        self._upsert(mail_addresses, [{"user_id": user, **values}], new_columns=tuple(values))

    def remove(self, user: int) -> None:
        """Delete the address of a user."""
        self._delete(mail_addresses, mail_addresses.c.user_id == user)

    def ready(self, now: datetime) -> tuple[MailAddress, ...]:
        """The addresses of active users that may decide cases, without those whose next attempt is later."""
        query = select(mail_addresses).join(users, users.c.id == mail_addresses.c.user_id)
        query = query.where(users.c.status == str(UserStatus.ACTIVE), users.c.role.in_(_REVIEWERS), _ready(now))
        return tuple(map(_address, self._connection.execute(query.order_by(mail_addresses.c.user_id))))

    def claim(self, address: MailAddress, now: datetime, lease: timedelta) -> bool:
        """Claim an address for one attempt; return whether no other process had it, and it was not changed."""
        query = update(mail_addresses).where(*_is_unchanged(address), _ready(now))
        return self._connection.execute(query.values(next_at=now + lease)).rowcount == 1

    def record_attempt(
        self, address: MailAddress, trouble: MailTrouble | None, now: datetime, next_at: datetime | None
    ) -> None:
        """Record the result of an attempt; the next one is not before `next_at` (None: it was sent or given up)."""
        sent = {"sent_at": now} if trouble is None else {}
        attempts = 0 if next_at is None else address.attempts + 1
        values = {"attempts": attempts, "next_at": next_at, "trouble": trouble, **sent}
        self._connection.execute(update(mail_addresses).where(*_is_unchanged(address)).values(values))


def _is_recipient(kind: RecipientKind, recipient: int) -> ColumnElement[bool]:
    return and_(due_notices.c.kind == str(kind), due_notices.c.recipient == recipient)


def _ready(now: datetime) -> ColumnElement[bool]:
    return or_(mail_addresses.c.next_at.is_(None), mail_addresses.c.next_at <= now)


def _is_unchanged(address: MailAddress) -> tuple[ColumnElement[bool], ...]:
    table = mail_addresses.c
    return table.user_id == address.user, table.address == address.address, table.attempts == address.attempts


def _address(row: Row[Any]) -> MailAddress:
    trouble = None if row.trouble is None else MailTrouble(row.trouble)
    return MailAddress(row.user_id, **attributes(row, "address", "attempts", "sent_at"), trouble=trouble)
