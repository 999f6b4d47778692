"""When keys were last used, in SQL, and what the feed has not given their readers."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import func, select

from hashdb.domain.audit import Action
from hashdb.domain.uses import MOST, Lag, Use
from hashdb.store.bulk import upsert
from hashdb.store.repositories import Repository
from hashdb.store.tables import events, key_uses, keys


class Uses(Repository):
    """Uses of keys within one transaction."""

    def write(self, used: Sequence[Use]) -> None:
        """Note uses, of which the latest counts; who has not read the feed since keeps what is noted of that."""
        uses = sorted(used, key=lambda one: one.key)
        upsert(
            self._connection, key_uses, [{"key_id": one.key, "used_at": one.used_at} for one in uses], most=("used_at",)
        )
        fed = [one for one in uses if one.fed_at is not None]
        for one in fed:
            later = key_uses.c.fed_at.is_(None) | (key_uses.c.fed_at <= one.fed_at)
            query = key_uses.update().where(key_uses.c.key_id == one.key, later)
            self._connection.execute(query.values(fed_at=one.fed_at, fed_seq=one.fed_seq))

    def of(self, members: Collection[int] | None = None) -> tuple[tuple[Use, int], ...]:
        """The uses of members' keys (None: of all), each with its member."""
        query = select(key_uses, keys.c.member_id).join(keys, keys.c.id == key_uses.c.key_id).order_by(keys.c.id)
        if members is not None:
            query = query.where(keys.c.member_id.in_(members))
        rows = self._connection.execute(query)
        return tuple((Use(row.key_id, row.used_at, row.fed_at, row.fed_seq), row.member_id) for row in rows)

    def readers(self, now: datetime) -> tuple[tuple[int, int], ...]:
        """The keys that are valid and have read the feed, each with the event up to which it has."""
        valid = keys.c.revoked_at.is_(None) & (keys.c.expires_at.is_(None) | (keys.c.expires_at > now))
        query = select(key_uses.c.key_id, key_uses.c.fed_seq).join(keys, keys.c.id == key_uses.c.key_id)
        rows = self._connection.execute(query.where(valid, key_uses.c.fed_seq.is_not(None)).order_by(keys.c.id))
        return tuple((int(row.key_id), int(row.fed_seq)) for row in rows)

    def lag(self, seq: int) -> Lag:
        """What the feed has after a number of the log."""
        query = select(events.c.at).where(events.c.seq > seq, events.c.action.in_(_FEED)).order_by(events.c.seq)
        part = query.limit(MOST).subquery()
        changes, since = self._connection.execute(select(func.count(), func.min(part.c.at))).one()
        return Lag(int(changes), since if isinstance(since, datetime) else None)


_FEED = [str(action) for action in Action if action.changes_feed]
