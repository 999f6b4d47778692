"""Sessions: signing in and out of the console, in as many steps as the user asks for."""

from __future__ import annotations

import hashlib
import math
import re
import secrets
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import cache

import pyotp
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from hashdb.domain.accounts.members import SYSTEM
from hashdb.domain.accounts.users import (
    LONGEST,
    Credentials,
    Identity,
    Lifetime,
    OpenedSession,
    Session,
    SignIn,
    User,
    UserStatus,
    normal,
)
from hashdb.domain.addresses import network_of
from hashdb.domain.ledger.events import Action, Details, Entry
from hashdb.domain.stats.counts import Reason
from hashdb.errors import Fault, InvalidInput, LimitReached, NotAuthenticated, NotFound, SignInRefused
from hashdb.service import HashDB
from hashdb.service.stats.buffer import Refusal
from hashdb.store import Transaction

_SEEN_EVERY = timedelta(minutes=1)
Counted = dict[str, bytes]


def sign_in(db: HashDB, name: str, password: str, address: str) -> OpenedSession:
    """Begin a session by a password; it is half open where the user has a second factor.

    Raises SignInRefused, or LimitReached after many failures, of the user or from the address.
    """
    counted = _digests(name, address)
    with db.store.begin() as tx:
        # Counted before it is tried, so that many at a time are as many as one after the other.
        _take_turn(tx, counted, db.now())
        user = _found(tx, name)
        kept = tx.users.credentials(user.id).password if user else None
    right = recognised(password, kept)
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


def confirm(db: HashDB, token: str, code: str, address: str) -> OpenedSession:
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


def admit(db: HashDB, name: str, identity: Identity, address: str) -> OpenedSession:
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
    right = recognised(present, kept)
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


def of_user(db: HashDB, session: Session) -> tuple[Session, ...]:
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
    if step := code_step(known.secret, code, now, known.step):
        tx.users.set_factor(user.id, known.secret, step, known.recovery)
        return "code"
    if (left := left_without(code, known)) is not None:
        tx.users.set_factor(user.id, known.secret, known.step, left)
        return "recovery"
    return None


def _signed_in(tx: Transaction, user: User, now: datetime, details: Details) -> OpenedSession:
    tx.sessions.forget_tries(_digests(user.name)["user"])
    opened = _open(tx, user, now, complete=True)
    told: Details = {**details, "session": opened.session.tag}
    tx.audit.append(now, user.actor, [Entry(Action.USER_SIGNED_IN, "user", user.id, told)])
    return opened


def _open(tx: Transaction, user: User, now: datetime, *, complete: bool) -> OpenedSession:
    tx.sessions.end_old(now - LONGEST)
    token = secrets.token_urlsafe(32)
    return OpenedSession(tx.sessions.add(user, _digest(token), now, complete=complete), token)


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


RECOVERY_CODES = 10
_STEP = 30
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
"""Without those that are taken for each other."""
HASHER = PasswordHasher()
"""Argon2id with the costs of RFC 9106's second choice: 64 MiB, three passes."""


def hashed(password: str) -> str:
    """Argon2's text of salt, costs and digest."""
    return HASHER.hash(normal(password))


def recognised(password: str, kept: str | None) -> bool:
    """Whether it is the password; takes as long where there is none."""
    try:
        return HASHER.verify(kept or _nobodys(), normal(password)) and kept is not None
    except (VerificationError, InvalidHashError):
        return False


def generated() -> str:
    """A password of 98 random bits, in four groups."""
    return "-".join(_word(5) for _ in range(4))


def new_secret() -> str:
    """The secret of a second factor, in base32."""
    return pyotp.random_base32()


def is_secret(text: str) -> bool:
    """Whether it is one that `new_secret` could have made."""
    return re.fullmatch("[A-Z2-7]{32}", text) is not None


def new_codes() -> tuple[str, ...]:
    """Recovery codes of 49 random bits, each for one use."""
    return tuple("-".join((_word(5), _word(5))) for _ in range(RECOVERY_CODES))


def recovery_digest(code: str) -> str:
    """SHA-256 of a recovery code however it is spaced, in hex."""
    return hashlib.sha256("".join(code.lower().replace("-", " ").split()).encode()).hexdigest()


def code_step(secret: str, code: str, now: datetime, after: int) -> int | None:
    """The step (of thirty seconds, this one or a neighbour) whose code this is and that lies after one, or None."""
    wanted = "".join(code.split())
    for step in _around(now):
        if step > after and secrets.compare_digest(_code(secret, step).encode(), wanted.encode()):
            return step
    return None


def left_without(code: str, credentials: Credentials) -> tuple[str, ...] | None:
    """The digests of the other recovery codes, where this is one of them; else None."""
    used = recovery_digest(code)
    if used not in credentials.recovery:
        return None
    return tuple(one for one in credentials.recovery if one != used)


def provisioning(secret: str, user: str, service: str) -> str:
    """The address that an authenticator reads from a QR code."""
    return pyotp.TOTP(secret).provisioning_uri(name=user, issuer_name=service)


def _around(now: datetime) -> Iterator[int]:
    step = int(now.timestamp()) // _STEP
    yield from (step, step - 1, step + 1)


def _code(secret: str, step: int) -> str:
    return pyotp.TOTP(secret).at(step * _STEP)


def _word(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


@cache
def _nobodys() -> str:
    return hashed(secrets.token_urlsafe())
