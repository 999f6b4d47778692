"""Users of the console: an administrator adds and changes them; each sets its own password and second factor."""

from __future__ import annotations

from hashdb.domain.accounts.members import Actor, Scope
from hashdb.domain.accounts.users import (
    AddedUser,
    Role,
    Session,
    User,
    UserChange,
    UserDraft,
    UserStatus,
    password_fault,
)
from hashdb.domain.ledger.events import Action, Details, LogEntry, secret_tag
from hashdb.errors import InvalidInput, ScopeMissing, reject_field
from hashdb.service import HashDB
from hashdb.service.accounts import passwords, sessions
from hashdb.service.accounts.names import require_distinct
from hashdb.store import Transaction


def add(db: HashDB, actor: Actor, draft: UserDraft, password: str | None = None, *, local: bool = True) -> AddedUser:
    """Add a user with the given password, else with a generated one, which only the returned value has.

    With `local` false there is no password: the user signs in by the provider. Raises NameTaken, InvalidInput.
    """
    actor.require(Scope.ADMIN)
    generated = passwords.generate_password() if local and password is None else None
    if password is not None:
        _require_good(password, draft.name)
    chosen = password or generated
    hashed, now = passwords.hash_password(chosen) if chosen else None, db.now()
    with db.store.begin() as tx:
        user = tx.users.add(draft, hashed, now, provisional=generated is not None)
        details: Details = {"role": str(draft.role), "sign_in": str(user.sign_in), "password_tag": _tag(hashed)}
        tx.audit.append(now, actor, [LogEntry(Action.USER_ADDED, "user", user.id, details)])
        # The append has locked the log, so nobody else adds a name now.
        require_distinct(user.name, tx.users.names(besides=user.id), "user")
    return AddedUser(user, generated)


def get(db: HashDB, actor: Actor, user: int) -> User:
    """One user. Raises NotFound."""
    with db.read(actor, Scope.AUDIT) as tx:
        return tx.users.get(user)


def named(db: HashDB, actor: Actor, name: str) -> User:
    """The user of that name. Raises NotFound."""
    with db.read(actor, Scope.AUDIT) as tx:
        return tx.users.named(name)


def page(db: HashDB, actor: Actor, after: int, limit: int) -> tuple[User, ...]:
    """At most `limit` users with ids above `after`."""
    with db.read(actor, Scope.AUDIT) as tx:
        return tx.users.page(after, limit)


def change(db: HashDB, actor: Actor, user: int, user_change: UserChange) -> User:
    """Change a user's role, or disable or enable the user, from the next request on.

    An admin cannot take its own rights, so one admin is always left. Raises NotFound, InvalidInput, and ScopeMissing,
    also if the actor is a user that is no admin any more.
    """
    now = db.now()
    with db.begin(actor, Scope.ADMIN) as tx:
        before = _lock_with_actor(tx, actor, user)
        after = tx.users.change(user, user_change)
        if str(actor) == str(before.actor):
            reject_field("role", _OWN if after.role is not Role.ADMIN else None)
            reject_field("status", _OWN if after.status is UserStatus.DISABLED else None)
        if after.status is UserStatus.DISABLED:
            tx.sessions.end_all(user)
        if after.status is UserStatus.DISABLED or not after.actor.has(Scope.REVIEW):
            tx.mail_addresses.remove(user)
            tx.claims.release_all(str(after.actor))
        tx.audit.append(now, actor, _change_entries(before, after))
    return after


def _lock_with_actor(tx: Transaction, actor: Actor, user: int) -> User:
    """A user, locked; the actor is locked too, if it is a user, and must still be an admin.

    Otherwise two admins that change each other at the same time would leave none. Raises NotFound, ScopeMissing.
    """
    kind, _, id = actor.name.partition(":")
    own = int(id) if kind == "user" else user
    # In one order, so that two transactions cannot deadlock.
    locked = {each: tx.users.get(each, lock=True) for each in sorted({own, user})}
    if kind == "user" and (locked[own].status is UserStatus.DISABLED or not locked[own].actor.has(Scope.ADMIN)):
        raise ScopeMissing(Scope.ADMIN)
    return locked[user]


def reset(db: HashDB, actor: Actor, user: int) -> AddedUser:
    """Give a user a generated password, and delete its second factor and sessions. Raises NotFound.

    Only the returned value has the password. From now on the user signs in by it, and no longer by the provider.
    """
    actor.require(Scope.ADMIN)
    password = passwords.generate_password()
    return AddedUser(_replace_credentials(db, actor, user, passwords.hash_password(password)), password)


def use_provider(db: HashDB, actor: Actor, user: int) -> User:
    """Let a user sign in by the provider only, and delete its password, second factor and sessions. Raises NotFound.

    The next sign-in by the provider binds the user to the provider's account of the same name.
    """
    actor.require(Scope.ADMIN)
    return _replace_credentials(db, actor, user, None)


def _replace_credentials(db: HashDB, actor: Actor, user: int, hashed: str | None) -> User:
    """Give a user this hashed password, or none, and no second factor; end its sessions."""
    now = db.now()
    with db.store.begin() as tx:
        before = tx.users.get(user, lock=True)
        after = tx.users.clear_credentials(user)
        if hashed is not None:
            after = tx.users.set_password(user, hashed, provisional=True)
        tx.sessions.end_all(user)
        sign_in = {} if before.sign_in is after.sign_in else {"sign_in": str(after.sign_in)}
        tags = {"password_tag": _tag(hashed), "second_factor_tag": None}
        tx.audit.append(now, actor, [_amended(user, "password", "second_factor", **tags, **sign_in)])
    return after


def choose_password(db: HashDB, session: Session, present: str, password: str) -> User:
    """Set the password that a user chose and end its other sessions.

    Raises InvalidInput, and as `require_password` and `lock_user`.
    """
    user, now = session.user, db.now()
    sessions.require_password(db, session, present)
    reject_field("password", "must differ from the present password" if password == present else None)
    _require_good(password, user.name)
    hashed = passwords.hash_password(password)
    with db.store.begin() as tx:
        # The user may have been reset while the password was checked: that took long.
        sessions.lock_user(tx, session)
        changed = tx.users.set_password(user.id, hashed, provisional=False)
        tx.sessions.end_all(user.id, besides=session.id)
        tx.audit.append(now, user.actor, [_amended(user.id, "password", password_tag=_tag(hashed), kept=session.tag)])
    return changed


def add_factor(db: HashDB, session: Session, present: str, secret: str, code: str) -> tuple[str, ...]:
    """Require codes of `secret` at each sign-in from now on, if `code` is one; return new recovery codes.

    Only the returned value has the recovery codes. Raises InvalidInput, and as `require_password` and `lock_user`.
    """
    user, now = session.user, db.now()
    sessions.require_password(db, session, present)
    step = passwords.code_step(secret, code, now, after=0) if passwords.is_secret(secret) else None
    if step is None:
        raise InvalidInput.at_field("code", "is not the code that the authenticator shows now")
    codes = passwords.new_codes()
    with db.store.begin() as tx:
        sessions.lock_user(tx, session)
        tx.users.set_factor(user.id, secret, step, tuple(map(passwords.recovery_digest, codes)))
        tx.sessions.end_all(user.id, besides=session.id)
        entry = _amended(user.id, "second_factor", second_factor_tag=_tag(secret), kept=session.tag)
        tx.audit.append(now, user.actor, [entry])
    return codes


def remove_factor(db: HashDB, session: Session, present: str) -> User:
    """Require only the password from now on. Raises as `require_password` and `lock_user`."""
    user, now = session.user, db.now()
    sessions.require_password(db, session, present)
    with db.store.begin() as tx:
        sessions.lock_user(tx, session)
        changed = tx.users.set_factor(user.id, secret=None, step=0, recovery=())
        tx.audit.append(now, user.actor, [_amended(user.id, "second_factor", second_factor_tag=None)])
    return changed


_OWN = "is your own account; only another admin can change it, so that at least one admin remains"


def _change_entries(before: User, after: User) -> list[LogEntry]:
    entries = [_amended(after.id, "role", role=str(after.role))] if before.role is not after.role else []
    if before.status is not after.status:
        disabled = after.status is UserStatus.DISABLED
        entries.append(LogEntry(Action.USER_DISABLED if disabled else Action.USER_ENABLED, "user", after.id, {}))
    return entries


def _tag(text: str | None) -> str | None:
    """What the log has of a secret, to tell whether it was changed."""
    return None if text is None else secret_tag(text.encode())


def _amended(user: int, *fields: str, **more: str | None) -> LogEntry:
    details: Details = {"fields": list(fields), **more}
    return LogEntry(Action.USER_AMENDED, "user", user, details)


def _require_good(password: str, name: str) -> None:
    reject_field("password", password_fault(password, name))
