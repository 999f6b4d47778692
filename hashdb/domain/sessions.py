"""Sessions: a user who is signed in, how long that lasts, and how long who guesses has to wait."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from hashdb.domain.users import User

HALF_OPEN = timedelta(minutes=5)
"""The time that a user has for the second factor."""
LONGEST = timedelta(days=30)
"""No session lasts longer, whatever is set."""
_FREE_TRIES = {"user": 5, "address": 20}
_FIRST_DELAY = timedelta(seconds=30)
_LONGEST_DELAY = timedelta(minutes=15)
FORGOTTEN_AFTER = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Lifetime:
    """How long a session lasts without a request, and in all."""

    idle: timedelta
    whole: timedelta


@dataclass(frozen=True, slots=True)
class Session:
    """A browser in which a user signed in."""

    id: int
    user: User
    created_at: datetime
    seen_at: datetime
    complete: bool
    """False while the second factor is outstanding."""
    tag: str
    """By which events name it."""

    def valid(self, now: datetime, lifetime: Lifetime) -> bool:
        """Whether it still opens anything at `now`."""
        if not self.complete:
            return now < self.created_at + HALF_OPEN
        return now < self.seen_at + lifetime.idle and now < self.created_at + lifetime.whole


@dataclass(frozen=True, slots=True)
class Opened:
    """A session just begun, with the secret that the browser keeps."""

    session: Session
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Tries:
    """How often signing in failed lately, for a user or from an address, and when last."""

    kind: str
    count: int
    last: datetime

    def wait(self, now: datetime) -> timedelta:
        """How long until the next try: twice as long after each failure past the first few."""
        beyond = self.count - _FREE_TRIES[self.kind]
        if beyond < 0:
            return timedelta(0)
        delay = min(_FIRST_DELAY * int(2 ** min(beyond, 10)), _LONGEST_DELAY)
        return max(timedelta(0), self.last + delay - now)
