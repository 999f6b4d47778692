"""Limits on the rate of requests: of each key, and of those who have none that is valid."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from hashdb.domain.members import Actor
from hashdb.errors import BadSetting, LimitReached
from hashdb.settings import Settings

if TYPE_CHECKING:
    from limits import RateLimitItem
    from limits.strategies import FixedWindowRateLimiter

FAILURES = "100/minute"
"""Requests without a valid key, of one address, that are answered 401; more are 429. Valid keys are not held up."""


class RateLimits:
    """What was counted lately, in this process or where all processes count together."""

    def __init__(self, settings: Settings) -> None:
        """Nothing yet. Raises BadSetting where the storage cannot be had."""
        from limits import parse
        from limits.errors import ConfigurationError
        from limits.storage import MemoryStorage, storage_from_string
        from limits.strategies import FixedWindowRateLimiter

        try:
            storage = storage_from_string(settings.rate_limit_storage)
        except (ConfigurationError, ImportError) as error:
            raise BadSetting("HASHDB_RATE_LIMIT_STORAGE", str(error).lower()) from None
        self._rate = None if settings.rate_limit is None else parse(settings.rate_limit)
        self._keys = FixedWindowRateLimiter(storage)
        self._failures = FixedWindowRateLimiter(MemoryStorage())
        self._failure = parse(FAILURES)

    def count(self, actor: Actor) -> None:
        """Count a request of a key. Raises LimitReached."""
        if self._rate is None or actor.key is None:
            return
        self._hit(self._keys, self._rate, "key", str(actor.key.id))

    def failed(self, address: str) -> None:
        """Count a request without a valid key. Raises LimitReached."""
        self._hit(self._failures, self._failure, "failed", address)

    @staticmethod
    def _hit(limiter: FixedWindowRateLimiter, rate: RateLimitItem, *who: str) -> None:
        if not limiter.hit(rate, *who):
            seconds = limiter.get_window_stats(rate, *who).reset_time - time.time()
            unit = rate.GRANULARITY.name
            raise LimitReached(f"{rate.amount:,} requests a {unit}", max(1, math.ceil(seconds)))
