"""What one may do. HashDB = store + views of its log + clock; each verb reads `verb(db, actor, value) -> value`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, date, datetime
from pathlib import Path

from hashdb.domain.accounts.budgets import amounts
from hashdb.domain.rules import Rules
from hashdb.domain.stats.counts import MatchLog
from hashdb.domain.turns import Turns
from hashdb.errors import StoreBusy
from hashdb.index import OpenEngine
from hashdb.index.follower import LogFollower, LogSnapshot
from hashdb.index.segments import SegmentStore
from hashdb.service.accounts.limits import Budgets, Places, Suspicions
from hashdb.service.background import Background
from hashdb.service.index_view import IndexView
from hashdb.service.ledger.signing import Signing
from hashdb.service.stats.buffer import StatsBuffer
from hashdb.service.views import IntakeCache, KeyCache, Kinds, RetiredSignals
from hashdb.store import Store

__all__ = ["HashDB", "open_hashdb", "system_clock"]


def system_clock() -> datetime:
    """The time of this machine, in UTC."""
    return datetime.now(UTC)


class HashDB:
    """A service of one process: the store, its view of the log, and the rules in force."""

    def __init__(
        self,
        store: Store,
        rules: Rules,
        clock: Callable[[], datetime] = system_clock,
        index: Path | None = None,
        signing: Signing | None = None,
        match_log: MatchLog = MatchLog.HITS,
        engine: OpenEngine = SegmentStore,
    ) -> None:
        """Over an open store with a current schema; the index fills at the first `index.catch_up`.

        `index` is the folder of the engine's files (None: all is kept in memory). Without `signing` no checkpoint is
        signed. What is counted of matches and refusals is durable with the next `counts.flush`.
        """
        self.store = store
        self.rules = rules
        self.now = clock
        self.signing = signing
        # Segments are cut for the radius of nearly all queries; a wider one is answered as exactly, only slower.
        radii = {one: one.radius for one in rules.algorithms}
        self.keys = KeyCache(store)
        self.intake = IntakeCache(store)
        self.retired = RetiredSignals(store, radii)
        self.follower = LogFollower(store.head, self._tail, (self.keys, self.intake, self.retired))
        # This has a follower of its own: what needs no search does not wait while the index is built.
        self.index = IndexView(store, radii, index, engine)
        self.places = Places()
        # Large requests to match: a process answers one at a time, so that single ones pass them.
        self.batches = Turns()
        self.match_log = match_log
        self.stats = StatsBuffer()
        self.background = Background(store, clock)
        self.suspicions = Suspicions()
        self.budgets = Budgets(amounts(rules.budgets))
        # Seconds within which other processes have stored the hits that they answered: whoever serves says how many.
        self.hits_within = 0.0
        self.feed_read_on: dict[int, date] = {}
        self.listing_read_on: dict[int, date] = {}
        # Whether this process is about to end: whoever can is to ask another. Whether it ends now.
        self.leaving: Callable[[], bool] = lambda: False
        self.stopping: Callable[[], bool] = lambda: False
        # Told how many seconds of a match went into the search and into the store: who serves may count it.
        self.timed: Callable[[tuple[float, float]], None] = lambda seconds: None

    def _tail(self, after: int | None) -> AbstractContextManager[LogSnapshot[Kinds]]:
        tail = self.store.tail(after)
        return nullcontext(LogSnapshot(tail.head, lambda seq: tail.leaves.get(seq, ""), tail.kinds))

    def close(self) -> None:
        """Close the store's connections."""
        self.store.close()


def open_hashdb(
    url: str,
    rules: Rules,
    *,
    busy_seconds: float = 10.0,
    clock: Callable[[], datetime] = system_clock,
    index: Path | None = None,
    signing: Signing | None = None,
    match_log: MatchLog = MatchLog.HITS,
    may_be_away: bool = False,
    engine: OpenEngine = SegmentStore,
) -> HashDB:
    """Open the database at `url`: SQLite is made or brought up, PostgreSQL must be current.

    `index` is the folder of the engine's files (None: all is kept in memory). A database that `may_be_away` has been
    seen to be current before: if it does not answer now, every verb says so until it does.

    Raises BadSetting, SchemaOutdated, StoreBusy.
    """
    store = Store(url, busy_seconds)
    try:
        if store.embedded:
            store.migrate()
        else:
            store.require_current()
    except StoreBusy:
        if not may_be_away:
            store.close()
            raise
    except BaseException:
        store.close()
        raise
    return HashDB(store, rules, clock, index, signing, match_log, engine)
