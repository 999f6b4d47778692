"""Sessions of the console, and the sign-ins that failed, in SQL."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import Row, delete, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from hashdb.domain.audit import tag
from hashdb.domain.sessions import FORGOTTEN_AFTER, Session, Tries
from hashdb.domain.users import User
from hashdb.store.repositories import Repository
from hashdb.store.tables import sessions, tries, users
from hashdb.store.users import user_of

_SESSION = (
    sessions.c.id.label("session"),
    sessions.c.created_at.label("begun_at"),
    sessions.c.seen_at,
    sessions.c.complete,
    sessions.c.digest,
)


class Sessions(Repository):
    """Sessions and tries within one transaction."""

    def add(self, user: User, digest: bytes, now: datetime, *, complete: bool) -> Session:
        """Record a session by the digest of its secret."""
        row = {"user_id": user.id, "digest": digest, "complete": complete, "created_at": now, "seen_at": now}
        id = self._connection.execute(insert(sessions).returning(sessions.c.id), row).scalar_one()
        return Session(id, user, now, now, complete, tag(digest))

    def with_digest(self, digest: bytes) -> Session | None:
        """The session whose secret has this digest, if there is one."""
        query = select(users, *_SESSION).join_from(sessions, users).where(sessions.c.digest == digest)
        row = self._connection.execute(query).one_or_none()
        return None if row is None else _session(row)

    def of(self, user: int) -> tuple[Session, ...]:
        """The complete sessions of a user, the one seen last first."""
        query = select(users, *_SESSION).join_from(sessions, users)
        query = query.where(sessions.c.user_id == user, sessions.c.complete)
        return tuple(map(_session, self._connection.execute(query.order_by(sessions.c.seen_at.desc()))))

    def see(self, session: int, now: datetime) -> None:
        """Note that a session is in use."""
        self._connection.execute(update(sessions).where(sessions.c.id == session).values(seen_at=now))

    def end(self, session: int) -> bool:
        """End one session; whether there was one."""
        return self._connection.execute(delete(sessions).where(sessions.c.id == session)).rowcount == 1

    def end_all(self, user: int, besides: int | None = None) -> int:
        """End every session of a user besides one; how many there were."""
        query = delete(sessions).where(sessions.c.user_id == user)
        return self._connection.execute(query.where(sessions.c.id != besides) if besides else query).rowcount

    def end_old(self, seen_before: datetime) -> None:
        """Forget sessions that nobody used since."""
        self._connection.execute(delete(sessions).where(sessions.c.seen_at < seen_before))

    def tries(self, digests: Mapping[str, bytes]) -> tuple[Tries, ...]:
        """What failed lately under these digests."""
        query = select(tries.c.kind, tries.c.count, tries.c.last).where(tries.c.digest.in_(list(digests.values())))
        return tuple(Tries(*row) for row in self._connection.execute(query))

    def hold_tries(self, digests: Mapping[str, bytes], now: datetime) -> None:
        """Hold what is counted under these digests to the end of the transaction; forget what is a day old."""
        self._connection.execute(delete(tries).where(tries.c.last < now - FORGOTTEN_AFTER))
        dialect = sqlite if self._connection.dialect.name == "sqlite" else postgresql
        held = dialect.insert(tries).on_conflict_do_update(
            index_elements=[tries.c.digest], set_={"count": tries.c.count}
        )
        # In one order, so that two at a time do not wait for each other in a circle.
        for kind, digest in sorted(digests.items()):
            self._connection.execute(held, {"digest": digest, "kind": kind, "count": 0, "last": now})

    def count_try(self, digests: Mapping[str, bytes], now: datetime) -> None:
        """Count a failure under digests that are held."""
        query = update(tries).where(tries.c.digest.in_(list(digests.values())))
        self._connection.execute(query.values(count=tries.c.count + 1, last=now))

    def uncount_try(self, digest: bytes) -> None:
        """Take one back: it did not fail."""
        self._connection.execute(update(tries).where(tries.c.digest == digest).values(count=tries.c.count - 1))

    def forget_tries(self, digest: bytes) -> None:
        """Forget what failed under this digest."""
        self._connection.execute(delete(tries).where(tries.c.digest == digest))


def _session(row: Row[tuple[object, ...]]) -> Session:
    return Session(row.session, user_of(row), row.begun_at, row.seen_at, row.complete, tag(row.digest))
