"""Limits on the rate of requests: of each key, in all and by scope, of each address, and of who has no valid key.

An IPv6 address counts as its /64.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING

from hashdb.domain.accounts.budgets import MATCHING, Budget, BudgetLeft
from hashdb.domain.accounts.members import Actor, Scope
from hashdb.domain.addresses import network_of
from hashdb.errors import BadSetting, LimitReached
from hashdb.settings import Settings

log = logging.getLogger("hashdb.limits")

if TYPE_CHECKING:
    from limits import RateLimitItem
    from limits.strategies import FixedWindowRateLimiter

FAILURES = "100/minute"
"""Requests without a valid key, of one address, that are answered 401; more are 429. Valid keys are not held up."""


_REDIS = ("redis", "rediss", "redis+unix", "valkey", "valkeys", "valkey+unix")
_PATIENCE = {"socket_timeout": 0.5, "socket_connect_timeout": 0.5}
"""Seconds that a request waits for what counts."""
_AWAY = 5.0
"""Seconds for which that is not asked again after it has failed."""


_SENT = (Budget.CONTRIBUTIONS,)
_BUDGETS: dict[str, tuple[Budget, ...]] = {
    "matches.match": MATCHING,
    "matches.match_media": MATCHING,
    "hma.look_up": MATCHING,
    "hma.lookup_upload": MATCHING,
    "hma.look_up_raw": MATCHING,
    "contributions.contribute": _SENT,
    "contributions.contribute_media": _SENT,
    "hma.add_content": _SENT,
    "hma.add_signal": _SENT,
    "stopncii.submit": _SENT,
    "threatexchange.describe": _SENT,
    # These write nothing.
    "signals.hash_media": (),
    "hma.hash_upload": (),
    "hma.compare": (),
    "tat.log_in": (),
    "opinions.give": (Budget.CHANGES, Budget.OPINIONS, Budget.DISPUTES),
    "stopncii.feed_back": (Budget.CHANGES, Budget.OPINIONS, Budget.DISPUTES),
    "threatexchange.react": (Budget.CHANGES, Budget.OPINIONS, Budget.DISPUTES),
}
"""The budgets of views that use others than one of changes for a method that is not only for reading."""
_A_CHANGE = (Budget.CHANGES,)


def budgets_of(method: str, endpoint: str | None) -> tuple[Budget, ...]:
    """The budgets that a request uses."""
    return _BUDGETS.get(endpoint or "", () if method in ("GET", "HEAD", "OPTIONS") else _A_CHANGE)


_STATES = {budget: f'"{budget}";r=' for budget in Budget}
"""Made once: to write the name of an Enum takes longer than all the rest of a header."""


def budget_headers(left: Sequence[BudgetLeft], now: datetime) -> list[tuple[str, str]]:
    """What tells a client of its budgets: the headers of draft-ietf-httpapi-ratelimit-headers-11."""
    at = int(now.timestamp())
    states = ", ".join([f"{_STATES[budget]}{left};t={until - at}" for budget, _, left, until in left])
    return [("RateLimit-Policy", _policy(tuple([one[:2] for one in left]))), ("RateLimit", states)]


@cache
def _policy(limits: tuple[tuple[Budget, int], ...]) -> str:
    return ", ".join(f'"{budget}";q={limit};w={budget.seconds}' for budget, limit in limits)


class RateLimits:
    """What was counted lately, in this process or where all processes count together."""

    def __init__(self, settings: Settings) -> None:
        """Nothing yet. Raises BadSetting where the storage cannot be had."""
        from limits import parse
        from limits.errors import ConfigurationError
        from limits.storage import MemoryStorage, storage_from_string
        from limits.strategies import FixedWindowRateLimiter

        scheme = settings.rate_limit_storage.partition("://")[0]
        if scheme.startswith("redis") and find_spec("redis") is None:
            raise BadSetting("HASHDB_RATE_LIMIT_STORAGE", "redis is missing: pip install 'hashdb[redis]'")
        try:
            options = _PATIENCE if scheme in _REDIS else {}
            storage = storage_from_string(settings.rate_limit_storage, wrap_exceptions=True, **options)
        except (ConfigurationError, ImportError, ValueError) as error:
            raise BadSetting("HASHDB_RATE_LIMIT_STORAGE", str(error).lower()) from None
        self._rates = {scope: parse(rate) for scope, rate in settings.rate_limit.items()}
        self._address = None if settings.rate_limit_address is None else parse(settings.rate_limit_address)
        self._failure = parse(FAILURES)
        self._together = FixedWindowRateLimiter(storage)
        self._here = FixedWindowRateLimiter(MemoryStorage())
        self._again = 0.0

    def visit(self, address: str) -> None:
        """Count a request of an address, whoever makes it. Raises LimitReached."""
        if self._address is not None:
            self._hit(self._address, "address", network_of(address))

    def count(self, actor: Actor) -> None:
        """Count a request of a key. Raises LimitReached."""
        if actor.key is not None and None in self._rates:
            self._hit(self._rates[None], "key", str(actor.key.id))

    def use(self, actor: Actor, scopes: Sequence[Scope]) -> None:
        """Count a request of a key that needs one of these scopes, by the first that it has. Raises LimitReached."""
        if actor.key is None or not self._rates:
            return
        used = next((scope for scope in scopes if actor.has(scope)), None)
        if used is not None and used in self._rates:
            self._hit(self._rates[used], used, str(actor.key.id))

    def failed(self, address: str) -> None:
        """Count a request without a valid key. Raises LimitReached."""
        self._tell(self._here, self._failure, "failed", network_of(address))

    def _hit(self, rate: RateLimitItem, *who: str) -> None:
        from limits.errors import StorageError

        if time.monotonic() >= self._again:
            try:
                self._tell(self._together, rate, *who)
                return
            except StorageError:
                # Not each request is to wait for it, nor to write a line.
                self._again = time.monotonic() + _AWAY
                log.warning("the storage of HASHDB_RATE_LIMIT_STORAGE does not answer: this worker counts alone")
        # What counts is away: better that each worker counts alone than that nobody matches, or nobody counts.
        self._tell(self._here, rate, *who)

    @staticmethod
    def _tell(limiter: FixedWindowRateLimiter, rate: RateLimitItem, *who: str) -> None:
        if not limiter.hit(rate, *who):
            seconds = limiter.get_window_stats(rate, *who).reset_time - time.time()
            unit = rate.GRANULARITY.name
            raise LimitReached(f"{rate.amount:,} requests a {unit}", max(1, math.ceil(seconds)))
