"""Sessions of the console: sign in by password, second factor or provider; sign out."""

from __future__ import annotations

import hashlib
import math
import secrets
from datetime import datetime, timedelta

from hashdb.domain.accounts.members import SYSTEM
from hashdb.domain.accounts.users import (
    LONGEST_SESSION,
    OpenedSession,
    ProviderIdentity,
    Session,
    SessionLifetime,
    SignIn,
    User,
    UserStatus,
)
from hashdb.domain.addresses import network_of
from hashdb.domain.ledger.events import Action, Details, LogEntry
from hashdb.domain.stats.counts import AccessRefusal
from hashdb.errors import InvalidInput, LimitReached, NotAuthenticated, NotFound, SignInRefused
from hashdb.service import HashDB
from hashdb.service.accounts.passwords import code_step, remaining_codes, verify_password
from hashdb.service.stats.buffer import Refusal
from hashdb.store import Transaction

_SEEN_EVERY = timedelta(minutes=1)
"""The use of a session is stored at most this often."""
Counted = dict[str, bytes]
"""What failed sign-ins are counted by: digests under the keys `user` and `address`, or one of them."""


def sign_in(db: HashDB, name: str, password: str, address: str) -> OpenedSession:
    """Begin a session by a password; it is half open if the user has a second factor.

    Raises SignInRefused, or LimitReached after many failures of the user or from the address.
    """
    counted = {"user": _user_digest(name), "address": _address_digest(address)}
    with db.store.begin() as tx:
        # Counted before the check, so that parallel attempts count like successive ones.
        _count_attempt(tx, counted, db.now())
        user = _find_user(tx, name)
        hashed_password = tx.users.credentials(user.id).password if user else None
    is_right = verify_password(password, hashed_password)
    now = db.now()
    with db.store.begin() as tx:
        user = tx.users.get(user.id, lock=True) if user else None
        # The password may have been replaced while it was checked: that took long.
        is_right = is_right and user is not None and tx.users.credentials(user.id).password == hashed_password
        if user is not None and is_right and user.status is UserStatus.ACTIVE:
            tx.sessions.uncount_try(counted["address"])
            if user.second_factor:
                return _open(tx, user, now, complete=False)
            return _open_complete(tx, user, now, {"by": "password"})
        _log_refusal(db, tx, user, now, "password", counted)
    raise SignInRefused("the name or the password is wrong")


def confirm(db: HashDB, token: str, code: str, address: str) -> OpenedSession:
    """Complete a half-open session by a code of the second factor or a recovery code; it gets a new secret.

    Raises SignInRefused, LimitReached, or NotAuthenticated if there is no such session.
    """
    now = db.now()
    with db.store.begin() as tx:
        session = tx.sessions.with_digest(_digest(token))
        if session is None or session.complete or not session.valid(now, _NO_LIFETIME):
            raise NotAuthenticated()
        user = tx.users.get(session.user.id, lock=True)
        counted = {"user": _user_digest(user.name), "address": _address_digest(address)}
        _count_attempt(tx, counted, now)
        if by := _use_code(tx, user, code, now):
            if not tx.sessions.end(session.id):
                # It was ended, or completed, until the user was locked.
                raise NotAuthenticated()
            tx.sessions.uncount_try(counted["address"])
            return _open_complete(tx, user, now, {"by": "password", "second": by})
        _log_refusal(db, tx, user, now, "code", counted)
    raise SignInRefused("the code is wrong")


def count_provider_attempt(db: HashDB, address: str) -> None:
    """Count an attempt to sign in by the provider before the provider is asked; `sign_in_by_provider` uncounts it.

    Raises LimitReached after many failures from the address.
    """
    with db.store.begin() as tx:
        _count_attempt(tx, {"address": _address_digest(address)}, db.now())


def sign_in_by_provider(db: HashDB, name: str, identity: ProviderIdentity, address: str) -> OpenedSession:
    """Begin a session of a person whom the provider has authenticated, as the user of that name.

    The user must be one that signs in by the provider. Its first sign-in binds it to the identity.
    Raises SignInRefused.
    """
    now, counted = db.now(), {"address": _address_digest(address)}
    with db.store.begin() as tx:
        found = _find_user(tx, name)
        user = tx.users.get(found.id, lock=True) if found else None
        if user is not None and user.status is UserStatus.ACTIVE and user.sign_in is SignIn.PROVIDER:
            bound = tx.users.identity(user.id)
            if bound is None or bound.is_same(identity):
                tx.users.set_identity(user.id, identity)
                tx.sessions.uncount_try(counted["address"])
                return _open_complete(tx, user, now, {"by": "provider"})
        _log_refusal(db, tx, user, now, "provider", counted)
    raise SignInRefused(
        "no user who signs in with the provider has this name, or the name belongs to another account of the provider"
    )


def require_password(db: HashDB, session: Session, present: str) -> None:
    """Check the password of the signed-in user again; `present` is what the user typed.

    Failures count for the user, separately from failed sign-ins, so nobody without a session can block this. The
    session ends with the failure after which the user must wait. Raises InvalidInput, SignInRefused, LimitReached.
    """
    user, now = session.user, db.now()
    counted = {"user": _digest(f"password within a session of {user.id}")}
    with db.store.begin() as tx:
        _count_attempt(tx, counted, now)
        hashed_password = tx.users.credentials(user.id).password
    is_right = verify_password(present, hashed_password)
    with db.store.begin() as tx:
        if is_right:
            tx.sessions.forget_tries(counted["user"])
            return
        ended = _remaining_wait(tx, counted, now) > timedelta(0)
        # Sessions before the log, as where others are ended, so that two transactions cannot deadlock.
        was_open = ended and tx.sessions.end(session.id)
        _log_refusal(db, tx, user, now, "present", counted)
        if was_open:
            tx.audit.append(now, SYSTEM, [_sign_out_entry(session, count=1, session=session.tag)])
    if ended:
        raise SignInRefused("too many wrong passwords: this session has ended, sign in again")
    raise InvalidInput.at_field("present", "is wrong")


def find_session(db: HashDB, token: str, lifetime: SessionLifetime, *, in_use: bool = True) -> Session:
    """The session of this secret, complete or half open; `in_use` extends it. Raises NotAuthenticated."""
    now = db.now()
    with db.store.read() as tx:
        session = tx.sessions.with_digest(_digest(token))
    if session is None or session.user.status is not UserStatus.ACTIVE or not session.valid(now, lifetime):
        raise NotAuthenticated()
    if in_use and session.complete and now - session.seen_at >= _SEEN_EVERY:
        with db.store.begin() as tx:
            tx.sessions.mark_used(session.id, now)
    return session


def sign_out(db: HashDB, session: Session) -> None:
    """End this session, and release the cases that its user has taken."""
    with db.store.begin() as tx:
        # Sessions before claims, as where a user is disabled, so that two transactions cannot deadlock.
        was_open = tx.sessions.end(session.id)
        tx.claims.release_all(str(session.user.actor))
        if was_open and session.complete:
            entry = _sign_out_entry(session, count=1, session=session.tag)
            tx.audit.append(db.now(), session.user.actor, [entry])


def list_of_user(db: HashDB, session: Session) -> tuple[Session, ...]:
    """The sessions of the same user, the most recently used first."""
    with db.store.read() as tx:
        return tx.sessions.complete_sessions(session.user.id)


def end_others(db: HashDB, session: Session) -> int:
    """End every other session of the same user; return how many there were. Raises NotAuthenticated."""
    with db.store.begin() as tx:
        lock_user(tx, session)
        ended = tx.sessions.end_all(session.user.id, besides=session.id)
        if ended:
            tx.audit.append(db.now(), session.user.actor, [_sign_out_entry(session, count=ended, kept=session.tag)])
    return ended


def lock_user(tx: Transaction, session: Session) -> User:
    """The user of a session as it is now, locked until the transaction ends: so no other session of it begins.

    Raises NotAuthenticated if the session has ended since it was found.
    """
    user = tx.users.get(session.user.id, lock=True)
    if session.id not in {other.id for other in tx.sessions.complete_sessions(session.user.id)}:
        raise NotAuthenticated()
    return user


_NO_LIFETIME = SessionLifetime(timedelta(0), timedelta(0))
"""A half-open session does not depend on the lifetime: it always ends after minutes."""


def _count_attempt(tx: Transaction, counted: Counted, now: datetime) -> None:
    """Count an attempt as failed; `uncount_try` takes that back. Raises LimitReached while the user must wait."""
    tx.sessions.lock_tries(counted, now)
    if wait := _remaining_wait(tx, counted, now):
        raise LimitReached("failed sign-ins", math.ceil(wait.total_seconds()))
    tx.sessions.count_try(counted, now)


def _remaining_wait(tx: Transaction, counted: Counted, now: datetime) -> timedelta:
    return max((tries.wait(now) for tries in tx.sessions.tries(counted)), default=timedelta(0))


def _find_user(tx: Transaction, name: str) -> User | None:
    # No user has such a name, and PostgreSQL rejects text with a NUL.
    if not name.isprintable():
        return None
    try:
        return tx.users.named(name)
    except NotFound:
        return None


def _use_code(tx: Transaction, user: User, code: str, now: datetime) -> str | None:
    """Use up a code, and return its kind: `code` for one of the authenticator, or `recovery`. None if it is wrong."""
    credentials = tx.users.credentials(user.id)
    if credentials.secret is None:
        return None
    if step := code_step(credentials.secret, code, now, credentials.step):
        tx.users.set_factor(user.id, credentials.secret, step, credentials.recovery)
        return "code"
    if (left := remaining_codes(code, credentials)) is not None:
        tx.users.set_factor(user.id, credentials.secret, credentials.step, left)
        return "recovery"
    return None


def _open_complete(tx: Transaction, user: User, now: datetime, details: Details) -> OpenedSession:
    tx.sessions.forget_tries(_user_digest(user.name))
    opened = _open(tx, user, now, complete=True)
    entry = LogEntry(Action.USER_SIGNED_IN, "user", user.id, {**details, "session": opened.session.tag})
    tx.audit.append(now, user.actor, [entry])
    return opened


def _open(tx: Transaction, user: User, now: datetime, *, complete: bool) -> OpenedSession:
    tx.sessions.end_old(now - LONGEST_SESSION)
    token = secrets.token_urlsafe(32)
    return OpenedSession(tx.sessions.add(user, _digest(token), now, complete=complete), token)


def _log_refusal(db: HashDB, tx: Transaction, user: User | None, now: datetime, wrong: str, counted: Counted) -> None:
    """Log a failed sign-in of a user, and what was wrong.

    One with an unknown name is only counted: otherwise anybody could fill the log.
    """
    if user is None:
        db.stats.note_refused_request(now, 0, Refusal(None, AccessRefusal.UNKNOWN_USER))
        # This writes too, so that the response takes as long as for a name that exists.
        tx.sessions.lock_tries(counted, now)
        return
    reason = "disabled" if user.status is UserStatus.DISABLED else wrong
    tx.audit.append(now, SYSTEM, [LogEntry(Action.USER_REFUSED, "user", user.id, {"reason": reason})])


def _sign_out_entry(own: Session, *, count: int, **tags: str) -> LogEntry:
    """The event of `count` sessions of a user that ended, with the tag of the one that ended or that was kept."""
    return LogEntry(Action.USER_SIGNED_OUT, "user", own.user.id, {"sessions": count, **tags})


def _user_digest(name: str) -> bytes:
    return _digest(f"user {name}")


def _address_digest(address: str) -> bytes:
    return _digest(f"address {network_of(address)}")


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
