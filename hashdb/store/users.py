"""Users of the console in SQL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from sqlalchemy import Row, Select, insert, select, update
from sqlalchemy.exc import IntegrityError

from hashdb.domain.users import Credentials, Identity, Role, User, UserChange, UserDraft, UserStatus
from hashdb.errors import NameTaken, NotFound
from hashdb.store.repositories import Repository
from hashdb.store.tables import users


class Users(Repository):
    """Users within one transaction."""

    def add(self, draft: UserDraft, password: str | None, now: datetime, *, provisional: bool) -> User:
        """Record a user, with the text that Argon2 made of the password. Raises NameTaken."""
        row = {
            "name": draft.name,
            "role": draft.role,
            "status": UserStatus.ACTIVE,
            "password": password,
            "provisional": provisional,
            "step": 0,
            "recovery": (),
            "created_at": now,
        }
        with _unique_name(draft.name):
            added = self._connection.execute(insert(users).returning(users), row).one()
        return user_of(added)

    def get(self, user: int, *, lock: bool = False) -> User:
        """One user, held to the end of the transaction with `lock`. Raises NotFound."""
        query = select(users).where(users.c.id == user)
        return self._one(query.with_for_update() if lock else query, f"user {user}")

    def named(self, name: str) -> User:
        """The user of that name. Raises NotFound."""
        return self._one(select(users).where(users.c.name == name), f"a user named {name}")

    def page(self, after: int, limit: int) -> tuple[User, ...]:
        """At most `limit` users with ids above `after`, in order."""
        query = select(users).where(users.c.id > after).order_by(users.c.id).limit(limit)
        return tuple(map(user_of, self._connection.execute(query)))

    def names(self, besides: int) -> tuple[str, ...]:
        """The names of all users but one."""
        return tuple(self._connection.execute(select(users.c.name).where(users.c.id != besides)).scalars())

    def credentials(self, user: int) -> Credentials:
        """What the user is recognised by."""
        row = self._connection.execute(
            select(users.c.password, users.c.secret, users.c.step, users.c.recovery).where(users.c.id == user)
        ).one()
        return Credentials(*row)

    def change(self, user: int, change: UserChange) -> User:
        """Change what is set in `change`."""
        values = {name: value for name in ("role", "status") if (value := getattr(change, name)) is not None}
        return self._update(user, values) if values else self.get(user)

    def set_password(self, user: int, password: str, *, provisional: bool) -> User:
        """Keep the text that Argon2 made of a new password."""
        return self._update(user, {"password": password, "provisional": provisional})

    def set_factor(self, user: int, secret: str | None, step: int, recovery: tuple[str, ...]) -> User:
        """Keep the secret of the second factor (None: there is none from now on) and its recovery codes."""
        return self._update(user, {"secret": secret, "step": step, "recovery": recovery})

    def identity(self, user: int) -> Identity | None:
        """Who the user is at the provider; None before the first sign-in."""
        row = self._connection.execute(select(users.c.issuer, users.c.subject).where(users.c.id == user)).one()
        return None if row.subject is None else Identity(row.issuer, row.subject)

    def set_identity(self, user: int, identity: Identity) -> User:
        """Bind the user to that account at the provider."""
        return self._update(user, {"issuer": identity.issuer, "subject": identity.subject})

    def clear_credentials(self, user: int) -> User:
        """Delete the password, the second factor and the identity at the provider."""
        credentials = {"password": None, "provisional": False, "secret": None, "step": 0, "recovery": ()}
        return self._update(user, {**credentials, "issuer": None, "subject": None})

    def _one(self, query: Select[tuple[object, ...]], what: str) -> User:
        row = self._connection.execute(query).one_or_none()
        if row is None:
            raise NotFound(what)
        return user_of(row)

    def _update(self, user: int, values: dict[str, object]) -> User:
        query = update(users).where(users.c.id == user).values(values).returning(users)
        return user_of(self._connection.execute(query).one())


@contextmanager
def _unique_name(name: str) -> Iterator[None]:
    """Turns the database's refusal of a second user of that name into NameTaken."""
    try:
        yield
    except IntegrityError:
        raise NameTaken(name, "user") from None


def user_of(row: Row[tuple[object, ...]]) -> User:
    """The user of a row of the table."""
    return User(
        id=row.id,
        name=row.name,
        role=Role(row.role),
        status=UserStatus(row.status),
        has_password=row.password is not None,
        provisional=row.provisional,
        second_factor=row.secret is not None,
        created_at=row.created_at,
    )
