"""Uses of keys in SQL: when each was last used, and how far it has read the feed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime

from sqlalchemy import Text, func, select

from hashdb.domain.accounts.members import MemberStatus, Scope
from hashdb.domain.ledger.events import FEED_ACTIONS
from hashdb.domain.stats.counts import MAX_LAG, Lag, Use
from hashdb.store.accounts.members import valid_key
from hashdb.store.repositories import Repository
from hashdb.store.tables import events, key_uses, keys, members

_FEED = list(map(str, FEED_ACTIONS))
"""The actions whose events change the feed."""


class Uses(Repository):
    """Uses of keys within one transaction."""

    def record(self, new: Sequence[Use]) -> None:
        """Record the latest use of each key. If a use has no `fed_at`, the stored position in the feed stays."""
        uses = sorted(new, key=lambda use: use.key)
        rows = [{"key_id": use.key, "used_at": use.used_at} for use in uses]
        self._upsert(key_uses, rows, max_columns=("used_at",))
        for use in uses:
            if use.fed_at is not None:
                later = key_uses.c.fed_at.is_(None) | (key_uses.c.fed_at <= use.fed_at)
                query = key_uses.update().where(key_uses.c.key_id == use.key, later)
                self._connection.execute(query.values(fed_at=use.fed_at, fed_seq=use.fed_seq))

    def of_member(self, member: int | None) -> tuple[tuple[Use, int], ...]:
        """The uses of a member's keys (None: of everybody's), each with its member."""
        query = select(key_uses, keys.c.member_id).join(keys, keys.c.id == key_uses.c.key_id).order_by(keys.c.id)
        if member is not None:
            query = query.where(keys.c.member_id == member)
        return tuple((Use(*use), member) for *use, member in self._connection.execute(query))

    def feed_readers(self, now: datetime) -> tuple[tuple[int, int], ...]:
        """The valid keys that have read the feed, each with the seq up to which it has read.

        It is stored within a second of the request, unlike `keys.feed_read_on`, which the event `feed.read` sets.
        """
        query = select(key_uses.c.key_id, key_uses.c.fed_seq).join(keys, keys.c.id == key_uses.c.key_id)
        query = query.where(valid_key(now), key_uses.c.fed_seq.is_not(None)).order_by(keys.c.id)
        return tuple((int(key), int(seq)) for key, seq in self._connection.execute(query))

    def count_feed_readers(self, since: date) -> int:
        """How many members read the feed from the day `since` on."""
        # A column of codes stores ` a b c `.
        query = (
            select(func.count(members.c.id.distinct()))
            .join(keys, keys.c.member_id == members.c.id)
            .where(
                members.c.status == str(MemberStatus.ACTIVE),
                keys.c.revoked_at.is_(None),
                keys.c.scopes.cast(Text).contains(f" {Scope.FEED} "),
                keys.c.feed_read_on >= since.isoformat(),
            )
        )
        return self._connection.execute(query).scalar_one()

    def feed_lag(self, seq: int) -> Lag:
        """How far a reader of the feed up to `seq` is behind: the changes after it, and the time of the first."""
        query = select(events.c.at).where(events.c.seq > seq, events.c.action.in_(_FEED)).order_by(events.c.seq)
        part = query.limit(MAX_LAG).subquery()
        changes, since = self._connection.execute(select(func.count(), func.min(part.c.at))).one()
        return Lag(int(changes), since if isinstance(since, datetime) else None)
