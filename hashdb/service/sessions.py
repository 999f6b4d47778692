"""Sessions: signing in and out of the console, in as many steps as the user asks for."""

from __future__ import annotations

import hashlib
import math
import secrets
from datetime import datetime, timedelta

from hashdb.domain.addresses import network_of
from hashdb.domain.audit import Action, Details, Entry
from hashdb.domain.counts import Reason
from hashdb.domain.members import SYSTEM
from hashdb.domain.sessions import LONGEST, Lifetime, Opened, Session
from hashdb.domain.users import Identity, SignIn, User, UserStatus
from hashdb.errors import Fault, InvalidInput, LimitReached, NotAuthenticated, NotFound, SignInRefused
from hashdb.service import HashDB, passwords
from hashdb.service.stats_buffer import Refusal
from hashdb.store import Transaction

_SEEN_EVERY = timedelta(minutes=1)
Counted = dict[str, bytes]


def sign_in(db: HashDB, name: str, password: str, address: str) -> Opened:
    """Begin a session by a password; it is half open where the user has a second factor.

    Raises SignInRefused, or LimitReached after many failures, of the user or from the address.
    """
    counted = _digests(name, address)
    with db.store.begin() as tx:
        # Counted before it is tried, so that many at a time are as many as one after the other.
        _take_turn(tx, counted, db.now())
        user = _found(tx, name)
        kept = tx.users.credentials(user.id).password if user else None
    right = passwords.recognised(password, kept)
    now = db.now()
    with db.store.begin() as tx:
        user = tx.users.get(user.id, lock=True) if user else None
        if user is not None and right and user.status is UserStatus.ACTIVE:
            tx.sessions.uncount_try(counted["address"])
            if user.second_factor:
                return _open(tx, user, now, complete=False)
            return _signed_in(tx, user, now, {"by": "password"})
        _refuse(db, tx, user, now, "password", counted)
    raise SignInRefused("the name or the password is not right")


def confirm(db: HashDB, token: str, code: str, address: str) -> Opened:
    """Complete a half-open session by a code of the second factor, or a recovery code; under a new secret.

    Raises SignInRefused, LimitReached, or NotAuthenticated where there is no such session.
    """
    now = db.now()
    with db.store.begin() as tx:
        session = tx.sessions.with_digest(_digest(token))
        if session is None or session.complete or not session.valid(now, _NO_LIFETIME):
            raise NotAuthenticated()
        user = tx.users.get(session.user.id, lock=True)
        counted = _digests(user.name, address)
        _take_turn(tx, counted, now)
        if by := _used(tx, user, code, now):
            tx.sessions.uncount_try(counted["address"])
            tx.sessions.end(session.id)
            return _signed_in(tx, user, now, {"by": "password", "second": by})
        _refuse(db, tx, user, now, "code", counted)
    raise SignInRefused("the code is not right")


def approach(db: HashDB, address: str) -> None:
    """Count an attempt to sign in by the provider, before the provider is asked; `admit` takes it back.

    Raises LimitReached after many failures from the address.
    """
    with db.store.begin() as tx:
        _take_turn(tx, _by_address(address), db.now())


def admit(db: HashDB, name: str, identity: Identity, address: str) -> Opened:
    """Begin a session of a person whom the provider recognised, as the user of that name who signs in by the provider.

    The first sign-in binds the user to the identity. Raises SignInRefused.
    """
    now, counted = db.now(), _by_address(address)
    with db.store.begin() as tx:
        user = _found(tx, name)
        if user is not None and user.status is UserStatus.ACTIVE and user.sign_in is SignIn.PROVIDER:
            known = tx.users.identity(user.id)
            if known is None or known.is_same(identity):
                tx.users.set_identity(user.id, identity)
                tx.sessions.uncount_try(counted["address"])
                return _signed_in(tx, user, now, {"by": "provider"})
        _refuse(db, tx, user, now, "provider", counted)
    raise SignInRefused(
        "no user who signs in by the provider has the name that it sent, or that user is another account there"
    )


def require_password(db: HashDB, session: Session, present: str) -> None:
    """Make sure that who uses a session knows the password of its user.

    Failures count for the user, apart from failed sign-ins, so that nobody without a session can block this. The
    session ends with the failure after which the user has to wait. Raises InvalidInput, SignInRefused, LimitReached.
    """
    user, now = session.user, db.now()
    counted = {"user": _digest(f"password within a session of {user.id}")}
    with db.store.begin() as tx:
        _take_turn(tx, counted, now)
        kept = tx.users.credentials(user.id).password
    right = passwords.recognised(present, kept)
    with db.store.begin() as tx:
        if right:
            tx.sessions.forget_tries(counted["user"])
            return
        _refuse(db, tx, user, now, "present", counted)
        ended = _waits(tx, counted, now) > timedelta(0)
        if ended:
            tx.sessions.end(session.id)
            tx.audit.append(now, SYSTEM, [_signed_out(session, 1, session=session.tag)])
    if ended:
        raise SignInRefused("too many wrong passwords: this session has ended, sign in again")
    raise InvalidInput((Fault("present", "is not your password"),))


def who(db: HashDB, token: str, lifetime: Lifetime, *, in_use: bool = True) -> Session:
    """The session of this secret, complete or half open, which counts as used. Raises NotAuthenticated."""
    now = db.now()
    with db.store.read() as tx:
        session = tx.sessions.with_digest(_digest(token))
    if session is None or session.user.status is not UserStatus.ACTIVE or not session.valid(now, lifetime):
        raise NotAuthenticated()
    if in_use and session.complete and now - session.seen_at >= _SEEN_EVERY:
        with db.store.begin() as tx:
            tx.sessions.see(session.id, now)
    return session


def sign_out(db: HashDB, session: Session) -> None:
    """End this session."""
    with db.store.begin() as tx:
        if tx.sessions.end(session.id) and session.complete:
            tx.audit.append(db.now(), session.user.actor, [_signed_out(session, 1, session=session.tag)])


def of(db: HashDB, session: Session) -> tuple[Session, ...]:
    """The sessions of the same user, the one seen last first."""
    with db.store.read() as tx:
        return tx.sessions.of(session.user.id)


def end_others(db: HashDB, session: Session) -> int:
    """End every other session of the same user; how many there were."""
    with db.store.begin() as tx:
        ended = tx.sessions.end_all(session.user.id, besides=session.id)
        if ended:
            tx.audit.append(db.now(), session.user.actor, [_signed_out(session, ended, kept=session.tag)])
    return ended


_NO_LIFETIME = Lifetime(timedelta(0), timedelta(0))


def _take_turn(tx: Transaction, counted: Counted, now: datetime) -> None:
    tx.sessions.hold_tries(counted, now)
    if longest := _waits(tx, counted, now):
        raise LimitReached("failed sign-ins", math.ceil(longest.total_seconds()))
    tx.sessions.count_try(counted, now)


def _waits(tx: Transaction, counted: Counted, now: datetime) -> timedelta:
    return max((tries.wait(now) for tries in tx.sessions.tries(counted)), default=timedelta(0))


def _found(tx: Transaction, name: str) -> User | None:
    # No user has such a name, and PostgreSQL takes no text with a NUL.
    if not name.isprintable():
        return None
    try:
        return tx.users.named(name)
    except NotFound:
        return None


def _used(tx: Transaction, user: User, code: str, now: datetime) -> str | None:
    """Which kind of code this is, which is used up by it; None where it is not right."""
    known = tx.users.credentials(user.id)
    if known.secret is None:
        return None
    if step := passwords.code_step(known.secret, code, now, known.step):
        tx.users.set_factor(user.id, known.secret, step, known.recovery)
        return "code"
    if (left := passwords.left_without(code, known)) is not None:
        tx.users.set_factor(user.id, known.secret, known.step, left)
        return "recovery"
    return None


def _signed_in(tx: Transaction, user: User, now: datetime, details: Details) -> Opened:
    tx.sessions.forget_tries(_digests(user.name)["user"])
    opened = _open(tx, user, now, complete=True)
    told: Details = {**details, "session": opened.session.tag}
    tx.audit.append(now, user.actor, [Entry(Action.USER_SIGNED_IN, "user", user.id, told)])
    return opened


def _open(tx: Transaction, user: User, now: datetime, *, complete: bool) -> Opened:
    tx.sessions.end_old(now - LONGEST)
    token = secrets.token_urlsafe(32)
    return Opened(tx.sessions.add(user, _digest(token), now, complete=complete), token)


def _refuse(db: HashDB, tx: Transaction, user: User | None, now: datetime, what: str, counted: Counted) -> None:
    """Tell of a failure: an event where there is such a user; else it is gathered, or anybody could fill the log."""
    if user is None:
        db.stats.turn_away(now, 0, Refusal(None, Reason.UNKNOWN_USER))
        # Something is written here, too, so that it takes as long as for a name that exists.
        tx.sessions.hold_tries(counted, now)
        return
    reason = "disabled" if user.status is UserStatus.DISABLED else what
    tx.audit.append(now, SYSTEM, [Entry(Action.USER_REFUSED, "user", user.id, {"reason": reason})])


def _signed_out(own: Session, sessions: int, **which: str) -> Entry:
    """What the log tells of sessions that a user ended: which one, or which one it kept."""
    return Entry(Action.USER_SIGNED_OUT, "user", own.user.id, {"sessions": sessions, **which})


def _digests(name: str, address: str = "") -> Counted:
    return {"user": _digest(f"user {name}"), "address": _digest(f"address {network_of(address)}")}


def _by_address(address: str) -> Counted:
    return {"address": _digests("", address)["address"]}


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
