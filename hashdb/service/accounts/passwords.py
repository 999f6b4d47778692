"""Passwords, codes of a second factor, and recovery codes: made, hashed and compared."""

from __future__ import annotations

import hashlib
import re
import secrets
from datetime import datetime
from functools import cache

import pyotp
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from hashdb.domain.accounts.users import Credentials, normalized_password

_RECOVERY_CODES = 10
_STEP_SECONDS = 30
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
"""Without characters that look alike."""
HASHER = PasswordHasher()
"""Argon2id with the costs of RFC 9106's second choice: 64 MiB, three passes."""


def hash_password(password: str) -> str:
    """The password hashed by Argon2id: a text with parameters, salt and digest."""
    return HASHER.hash(normalized_password(password))


def verify_password(password: str, hashed: str | None) -> bool:
    """Whether a password has this hash. Without a hash it is false, and takes as long."""
    try:
        return HASHER.verify(hashed or _decoy(), normalized_password(password)) and hashed is not None
    except (VerificationError, InvalidHashError):
        return False


def generate_password() -> str:
    """A password of 98 random bits, in four groups."""
    return "-".join(_word(5) for _ in range(4))


def new_secret() -> str:
    """The secret of a second factor, in base32."""
    return pyotp.random_base32()


def is_secret(text: str) -> bool:
    """Whether `new_secret` could have returned this text."""
    return re.fullmatch("[A-Z2-7]{32}", text) is not None


def new_codes() -> tuple[str, ...]:
    """New recovery codes of 49 random bits, each for one use."""
    return tuple("-".join((_word(5), _word(5))) for _ in range(_RECOVERY_CODES))


def recovery_digest(code: str) -> str:
    """SHA-256 of a recovery code in hex; spaces and hyphens do not matter."""
    return hashlib.sha256("".join(code.lower().replace("-", " ").split()).encode()).hexdigest()


def code_step(secret: str, code: str, now: datetime, after: int) -> int | None:
    """The number of the 30-second step that has this code: the current one, the last or the next.

    It must be above `after`, the step of the last code that was used. None if there is none.
    """
    digits = "".join(code.split())
    current = int(now.timestamp()) // _STEP_SECONDS
    for step in (current, current - 1, current + 1):
        expected = pyotp.TOTP(secret).at(step * _STEP_SECONDS)
        if step > after and secrets.compare_digest(expected.encode(), digits.encode()):
            return step
    return None


def remaining_codes(code: str, credentials: Credentials) -> tuple[str, ...] | None:
    """The digests of the other recovery codes, if this is one of them; else None."""
    used = recovery_digest(code)
    if used not in credentials.recovery:
        return None
    return tuple(digest for digest in credentials.recovery if digest != used)


def provisioning(secret: str, user: str, service: str) -> str:
    """The `otpauth:` URI that an authenticator reads from a QR code."""
    return pyotp.TOTP(secret).provisioning_uri(name=user, issuer_name=service)


def _word(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


@cache
def _decoy() -> str:
    """A hash that no known password has."""
    return hash_password(secrets.token_urlsafe())
