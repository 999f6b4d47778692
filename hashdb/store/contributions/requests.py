"""Remembered requests in SQL: the answer to each request with an idempotency key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import select

from hashdb.domain.contributions import IdempotencyKey
from hashdb.errors import IdempotencyKeyReused
from hashdb.store.repositories import Repository, insert_rows
from hashdb.store.tables import requests

KEPT = timedelta(hours=24)
"""For how long the answer to a request is kept."""
Answer = tuple[int, IdempotencyKey, Mapping[str, object]]
"""A member, the idempotency key of its request, and the answer."""


class Requests(Repository):
    """Remembered requests within one transaction."""

    def answered(self, member: int, key: IdempotencyKey, now: datetime) -> Mapping[str, object] | None:
        """The answer to the same request within the last 24 hours, if there is one. Raises IdempotencyKeyReused."""
        query = select(requests).where(requests.c.member_id == member, requests.c.key == key.key)
        row = self._connection.execute(query.where(requests.c.at > now - KEPT)).one_or_none()
        if row is None:
            return None
        if row.digest != key.digest:
            raise IdempotencyKeyReused()
        answer: Mapping[str, object] = row.answer
        return answer

    def remember(self, answers: Sequence[Answer], now: datetime) -> None:
        """Store the answers to requests, and delete those that are older than 24 hours."""
        self._delete(requests, requests.c.at <= now - KEPT)
        rows = [
            {"member_id": member, "key": key.key, "digest": key.digest, "at": now, "answer": answer}
            for member, key, answer in answers
        ]
        insert_rows(self._connection, requests, rows)
