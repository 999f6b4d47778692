"""Passwords and second factors: made, and recognised."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterator
from datetime import datetime
from functools import cache

import pyotp
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from hashdb.domain.users import Credentials, normal

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
