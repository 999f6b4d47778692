"""Requests that carried an Idempotency-Key, and what they were answered, in SQL."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import delete, insert, select

from hashdb.domain.contributions import Once
from hashdb.errors import IdempotencyKeyReused
from hashdb.store.repositories import Repository
from hashdb.store.tables import requests


class Requests(Repository):
    """Remembered requests within one transaction."""

    def answered(self, member: int, once: Once, since: datetime) -> Mapping[str, object] | None:
        """What the same request was answered after `since`, if it was. Raises IdempotencyKeyReused."""
        query = select(requests).where(
            requests.c.member_id == member, requests.c.key == once.key, requests.c.at > since
        )
        row = self._connection.execute(query).one_or_none()
        if row is None:
            return None
        if row.digest != once.digest:
            raise IdempotencyKeyReused()
        answer: Mapping[str, object] = row.answer
        return answer

    def remember(self, member: int, once: Once, answer: Mapping[str, object], now: datetime, since: datetime) -> None:
        """Keep the answer to a request, and forget those of before `since`."""
        self._connection.execute(delete(requests).where(requests.c.at <= since))
        row = {"member_id": member, "key": once.key, "digest": once.digest, "at": now, "answer": answer}
        self._connection.execute(insert(requests), row)
