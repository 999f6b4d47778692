"""Users of the console in SQL, with their sessions and failed sign-ins."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import Row, select, update

from hashdb.domain.accounts.users import (
    FORGOTTEN_AFTER,
    Credentials,
    FailedTries,
    ProviderIdentity,
    Role,
    Session,
    User,
    UserChange,
    UserDraft,
    UserStatus,
)
from hashdb.domain.ledger.events import secret_tag
from hashdb.store.accounts.members import unique_name
from hashdb.store.repositories import Repository, attributes
from hashdb.store.tables import sessions, tries, users


class Users(Repository):
    """Users within one transaction."""

    def add(self, draft: UserDraft, password: str | None, now: datetime, *, provisional: bool) -> User:
        """Record a user, with the Argon2 hash of a password (None: no password).

        With `provisional`, the user did not choose the password and must change it. Raises NameTaken.
        """
        row = {
            **attributes(draft, "name", "role"),
            "status": UserStatus.ACTIVE,
            "password": password,
            "provisional": provisional,
            "step": 0,
            "recovery": (),
            "created_at": now,
        }
        with unique_name(draft.name, "user"):
            return user_from_row(self._insert(users, row))

    def get(self, user: int, *, lock: bool = False) -> User:
        """One user; `lock` locks it until the transaction ends. Raises NotFound."""
        return user_from_row(self._get_row(select(users).where(users.c.id == user), f"user {user}", lock=lock))

    def named(self, name: str) -> User:
        """The user of that name. Raises NotFound."""
        return user_from_row(self._get_row(select(users).where(users.c.name == name), f"a user named {name}"))

    def page(self, after: int, limit: int) -> tuple[User, ...]:
        """At most `limit` users with ids above `after`, in order."""
        return tuple(map(user_from_row, self._page_after(select(users), users.c.id, after, limit)))

    def names(self, besides: int) -> tuple[str, ...]:
        """The names of all users but one."""
        return tuple(self._connection.execute(select(users.c.name).where(users.c.id != besides)).scalars())

    def credentials(self, user: int) -> Credentials:
        """The user's password hash and second factor."""
        row = self._connection.execute(
            select(users.c.password, users.c.secret, users.c.step, users.c.recovery).where(users.c.id == user)
        ).one()
        return Credentials(*row)

    def change(self, user: int, change: UserChange) -> User:
        """Change the fields that are set in `change`."""
        values = {name: value for name in ("role", "status") if (value := getattr(change, name)) is not None}
        return self._change(user, **values) if values else self.get(user)

    def set_password(self, user: int, password: str, *, provisional: bool) -> User:
        """Store the Argon2 hash of a new password."""
        return self._change(user, password=password, provisional=provisional)

    def set_factor(self, user: int, secret: str | None, step: int, recovery: tuple[str, ...]) -> User:
        """Store the secret of the second factor (None: remove it), its last used time step, and its recovery codes.

        `recovery` has the SHA-256 of each code.
        """
        return self._change(user, secret=secret, step=step, recovery=recovery)

    def identity(self, user: int) -> ProviderIdentity | None:
        """The user's identity at the identity provider; None before the first sign-in."""
        row = self._connection.execute(select(users.c.issuer, users.c.subject).where(users.c.id == user)).one()
        return None if row.subject is None else ProviderIdentity(row.issuer, row.subject)

    def set_identity(self, user: int, identity: ProviderIdentity) -> User:
        """Bind the user to that identity at the provider."""
        return self._change(user, issuer=identity.issuer, subject=identity.subject)

    def clear_credentials(self, user: int) -> User:
        """Delete the password, the second factor and the identity at the provider."""
        return self._change(
            user, password=None, provisional=False, secret=None, step=0, recovery=(), issuer=None, subject=None
        )

    def _change(self, user: int, **values: object) -> User:
        query = update(users).where(users.c.id == user).values(values).returning(users)
        return user_from_row(self._connection.execute(query).one())


def user_from_row(row: Row[tuple[object, ...]]) -> User:
    """The user of a row of the table."""
    return User(
        **attributes(row, "id", "name", "provisional", "created_at"),
        role=Role(row.role),
        status=UserStatus(row.status),
        has_password=row.password is not None,
        second_factor=row.secret is not None,
    )


_SESSIONS = select(
    users,
    sessions.c.id.label("session"),
    sessions.c.created_at.label("begun_at"),
    *sessions.c["seen_at", "complete", "digest"],
).join_from(sessions, users)


class Sessions(Repository):
    """Sessions and failed sign-ins within one transaction."""

    def add(self, user: User, digest: bytes, now: datetime, *, complete: bool) -> Session:
        """Record a session by the digest of its secret."""
        row = {"user_id": user.id, "digest": digest, "complete": complete, "created_at": now, "seen_at": now}
        return Session(self._insert(sessions, row).id, user, now, now, complete, secret_tag(digest))

    def with_digest(self, digest: bytes) -> Session | None:
        """The session whose secret has this digest, if there is one."""
        return self._find(_SESSIONS.where(sessions.c.digest == digest), _session)

    def complete_sessions(self, user: int) -> tuple[Session, ...]:
        """The complete sessions of a user, the most recently used first."""
        query = _SESSIONS.where(sessions.c.user_id == user, sessions.c.complete)
        return tuple(map(_session, self._connection.execute(query.order_by(sessions.c.seen_at.desc()))))

    def mark_used(self, session: int, now: datetime) -> None:
        """Record that a session is in use."""
        self._update(sessions, session, seen_at=now)

    def end(self, session: int) -> bool:
        """End one session; return whether there was one."""
        return self._delete(sessions, sessions.c.id == session) == 1

    def end_all(self, user: int, besides: int | None = None) -> int:
        """End every session of a user except `besides`; return how many there were."""
        others = [sessions.c.id != besides] if besides else []
        return self._delete(sessions, sessions.c.user_id == user, *others)

    def end_old(self, seen_before: datetime) -> None:
        """Delete sessions that nobody has used since an instant."""
        self._delete(sessions, sessions.c.seen_at < seen_before)

    def tries(self, digests: Mapping[str, bytes]) -> tuple[FailedTries, ...]:
        """The recent failed sign-ins that are counted under these digests.

        `digests` has that of a user's name, that of an address, or both, under the keys `user` and `address`.
        """
        query = select(tries.c.kind, tries.c.count, tries.c.last).where(tries.c.digest.in_(list(digests.values())))
        return tuple(FailedTries(*row) for row in self._connection.execute(query))

    def lock_tries(self, digests: Mapping[str, bytes], now: datetime) -> None:
        """Lock the counts under these digests until the transaction ends; delete counts that are a day old."""
        self._delete(tries, tries.c.last < now - FORGOTTEN_AFTER)
        query = self._insert_into(tries)
        query = query.on_conflict_do_update(index_elements=[tries.c.digest], set_={"count": tries.c.count})
        # In one order, so that two transactions cannot deadlock.
        for kind, digest in sorted(digests.items()):
            self._connection.execute(query, {"digest": digest, "kind": kind, "count": 0, "last": now})

    def count_try(self, digests: Mapping[str, bytes], now: datetime) -> None:
        """Count a failed sign-in under digests, by kind, that are locked."""
        query = update(tries).where(tries.c.digest.in_(list(digests.values())))
        self._connection.execute(query.values(count=tries.c.count + 1, last=now))

    def uncount_try(self, digest: bytes) -> None:
        """Remove one failure from the count: the try did not fail."""
        self._connection.execute(update(tries).where(tries.c.digest == digest).values(count=tries.c.count - 1))

    def forget_tries(self, digest: bytes) -> None:
        """Delete the count of failures under this digest."""
        self._delete(tries, tries.c.digest == digest)


def _session(row: Row[tuple[object, ...]]) -> Session:
    return Session(row.session, user_from_row(row), row.begun_at, row.seen_at, row.complete, secret_tag(row.digest))
