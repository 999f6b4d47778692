"""Rate limits: for each key (in total and by scope), for each address, and for requests without a valid key.

All addresses of an IPv6 /64 count as one.
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

from hashdb.domain.accounts.budgets import MATCH_BUDGETS, Budget, BudgetLeft
from hashdb.domain.accounts.members import Actor, Scope
from hashdb.domain.addresses import network_of
from hashdb.errors import BadSetting, ExtraMissing, LimitReached
from hashdb.settings import Settings

log = logging.getLogger("hashdb.limits")

if TYPE_CHECKING:
    from limits import RateLimitItem
    from limits.strategies import FixedWindowRateLimiter

FAILURES = "100/minute"
"""How many requests of one address without a valid key get a 401; more get a 429. Valid keys are not affected."""

_REDIS = ("redis", "rediss", "redis+unix", "valkey", "valkeys", "valkey+unix")
_TIMEOUTS = {"socket_timeout": 0.5, "socket_connect_timeout": 0.5}
"""In seconds: a request waits at most so long for the shared storage."""
RETRY_SECONDS = 5.0
"""After a failure, the worker does not use the shared storage for so long."""

_CONTRIBUTIONS = (Budget.CONTRIBUTIONS,)
_BUDGETS: dict[str, tuple[Budget, ...]] = {
    "matches.match_signals": MATCH_BUDGETS,
    "matches.match_pictures": MATCH_BUDGETS,
    "hma.look_up": MATCH_BUDGETS,
    "hma.lookup_upload": MATCH_BUDGETS,
    "hma.look_up_raw": MATCH_BUDGETS,
    "contributions.create_contributions": _CONTRIBUTIONS,
    "contributions.contribute_pictures": _CONTRIBUTIONS,
    "contributions.add_signals": _CONTRIBUTIONS,
    "contributions.add_signals_to_many": _CONTRIBUTIONS,
    "hma.add_content": _CONTRIBUTIONS,
    "hma.add_signal": _CONTRIBUTIONS,
    "stopncii.submit": _CONTRIBUTIONS,
    "threatexchange.describe": _CONTRIBUTIONS,
    # These POST requests write nothing.
    "contributions.look_up_contributions": (),
    "signals.hash_pictures": (),
    "hma.hash_upload": (),
    "hma.compare": (),
    "tat.log_in": (),
    "opinions.give_opinion": (Budget.CHANGES, Budget.OPINIONS, Budget.DISPUTES),
    "stopncii.submit_feedback": (Budget.CHANGES, Budget.OPINIONS, Budget.DISPUTES),
    "threatexchange.react": (Budget.CHANGES, Budget.OPINIONS, Budget.DISPUTES),
}
"""The budgets of views, by endpoint. Any other view uses one change if its method writes, else none."""
_CHANGES = (Budget.CHANGES,)


def budgets_of(method: str, endpoint: str | None) -> tuple[Budget, ...]:
    """The budgets that a request of this method and endpoint uses."""
    return _BUDGETS.get(endpoint or "", () if method in ("GET", "HEAD", "OPTIONS") else _CHANGES)


_STATE_BEGINNINGS = {budget: f'"{budget}";r=' for budget in Budget}
"""How the state of each budget begins in the header RateLimit.

Made once: to format the name of an Enum takes longer than to make the rest of the header.
"""


def budget_headers(left: Sequence[BudgetLeft], now: datetime) -> list[tuple[str, str]]:
    """The headers RateLimit-Policy and RateLimit of draft-ietf-httpapi-ratelimit-headers-11."""
    epoch = int(now.timestamp())
    states = ", ".join(
        [f"{_STATE_BEGINNINGS[budget]}{remaining};t={until - epoch}" for budget, _, remaining, until in left]
    )
    limits = tuple([(budget, limit) for budget, limit, _, _ in left])
    return [("RateLimit-Policy", _policy(limits)), ("RateLimit", states)]


@cache
def _policy(limits: tuple[tuple[Budget, int], ...]) -> str:
    """The value of the header RateLimit-Policy for these budgets, each with its limit."""
    return ", ".join(f'"{budget}";q={limit};w={budget.seconds}' for budget, limit in limits)


class RateLimits:
    """Counts recent requests in the configured storage, or in this process while that is unreachable."""

    def __init__(self, settings: Settings) -> None:
        """Counts nothing yet. Raises BadSetting if the storage cannot be used, ExtraMissing without its client."""
        from limits import parse
        from limits.errors import ConfigurationError
        from limits.storage import MemoryStorage, storage_from_string
        from limits.strategies import FixedWindowRateLimiter

        scheme = settings.rate_limit_storage.partition("://")[0]
        if scheme.startswith("redis") and find_spec("redis") is None:
            raise ExtraMissing("HASHDB_RATE_LIMIT_STORAGE", "redis")
        try:
            if scheme.startswith("async"):
                raise ValueError("a storage for asyncio")
            options = _TIMEOUTS if scheme in _REDIS else {}
            storage = storage_from_string(settings.rate_limit_storage, wrap_exceptions=True, **options)
        except (ConfigurationError, ImportError, ValueError):
            # The text of these errors may have the address, and so a password.
            reason = "must be memory:// or an address of Redis, like redis://127.0.0.1:6379"
            raise BadSetting("HASHDB_RATE_LIMIT_STORAGE", reason) from None
        # The rate of each scope; that of None is for all requests of a key.
        self._rates = {scope: parse(rate) for scope, rate in settings.rate_limit.items()}
        self._address = None if settings.rate_limit_address is None else parse(settings.rate_limit_address)
        self._failure = parse(FAILURES)
        self._shared = FixedWindowRateLimiter(storage)
        self._local = FixedWindowRateLimiter(MemoryStorage())
        self.retry_at = 0.0  # until this time of the monotonic clock, the shared storage is not used

    def count_address(self, address: str) -> None:
        """Count a request of an address, with or without a key. Raises LimitReached."""
        if self._address is not None:
            self._count(self._address, "address", network_of(address))

    def count_key(self, actor: Actor) -> None:
        """Count a request of a key. Raises LimitReached."""
        if actor.key is not None and None in self._rates:
            self._count(self._rates[None], "key", str(actor.key.id))

    def count_scope(self, actor: Actor, scopes: Sequence[Scope]) -> None:
        """Count a request that needs one of these scopes, for the limit of the first one that its key has.

        Raises LimitReached.
        """
        if actor.key is None or not self._rates:
            return
        used = next((scope for scope in scopes if actor.has(scope)), None)
        if used is not None and used in self._rates:
            self._count(self._rates[used], used, str(actor.key.id))

    def count_failure(self, address: str) -> None:
        """Count a request without a valid key. Raises LimitReached."""
        self._count_or_raise(self._local, self._failure, "failed", network_of(address))

    def _count(self, rate: RateLimitItem, counter: str, client: str) -> None:
        """Count a request in the shared storage, or in this process if that does not answer. Raises LimitReached.

        `counter` names what is limited: `address`, `key` or a scope. `client` is the network, or the id of the key.
        """
        from limits.errors import StorageError

        if time.monotonic() >= self.retry_at:
            try:
                self._count_or_raise(self._shared, rate, counter, client)
                return
            except StorageError:
                # Otherwise each request would wait for the timeout and write a log line.
                self.retry_at = time.monotonic() + RETRY_SECONDS
                log.warning(
                    "the storage of HASHDB_RATE_LIMIT_STORAGE does not answer: this worker counts requests by itself"
                )
        # Better that each worker counts alone than that all requests fail, or that nothing is limited.
        self._count_or_raise(self._local, rate, counter, client)

    @staticmethod
    def _count_or_raise(limiter: FixedWindowRateLimiter, rate: RateLimitItem, counter: str, client: str) -> None:
        if not limiter.hit(rate, counter, client):
            seconds = limiter.get_window_stats(rate, counter, client).reset_time - time.time()
            unit = rate.GRANULARITY.name
            raise LimitReached(f"{rate.amount} requests a {unit}", max(1, math.ceil(seconds)))
