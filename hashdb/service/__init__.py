"""What members, users and operators may do: functions `verb(db, actor, value) -> value` over one HashDB."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from hashdb.domain.accounts.budgets import budget_amounts
from hashdb.domain.accounts.members import Actor, Scope
from hashdb.domain.contributions import Receipt
from hashdb.domain.rules import Rules
from hashdb.domain.stats.counts import MatchLog
from hashdb.domain.turns import BatchTurns, GroupedRequests
from hashdb.errors import StoreBusy
from hashdb.index import OpenEngine
from hashdb.index.follower import LogFollower, LogSnapshot
from hashdb.index.segment_store import SegmentStore
from hashdb.service.accounts.limits import Budgets, RequestSlots
from hashdb.service.accounts.suspicions import Suspicions
from hashdb.service.background import Background
from hashdb.service.index_view import IndexView
from hashdb.service.ledger.signing import Signing
from hashdb.service.stats.buffer import StatsBuffer
from hashdb.service.views import INTAKE, CachedRead, KeyCache, Kinds, RetiredSignals, read_intake_rules
from hashdb.store import Store, Transaction

if TYPE_CHECKING:
    from hashdb.service.contributions.recording import Request

__all__ = ["HashDB", "open_hashdb", "system_clock"]


def system_clock() -> datetime:
    """The time of this machine, in UTC."""
    return datetime.now(UTC)


class HashDB:
    """The service of one process: the store, the views of its log, and the rules in force."""

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
        """Serve an open store with a current schema; the first `index.catch_up` fills the index.

        `index` is the folder of the engine's files (None: all is kept in memory). Without `signing` no checkpoint is
        signed. The next `counts.flush` makes the counts of matches and refusals durable.
        """
        self.store = store
        self.rules = rules
        self.now = clock
        self.signing = signing
        # Segments are built for the radius of nearly all queries. A wider query is as exact, only slower.
        radii = {algorithm: algorithm.radius for algorithm in rules.searched_algorithms}
        self.keys = KeyCache(store)
        self.retired = RetiredSignals(store, radii)
        self.intake_rules = CachedRead(store, INTAKE, read_intake_rules)
        self.seeds_in_use = CachedRead(store, frozenset({"seed"}), lambda tx: tx.seeds.in_use())  # Newest first.
        self.upstream_member_ids = CachedRead(store, frozenset({"upstream"}), lambda tx: tx.upstreams.members())
        views = self.keys, self.retired, self.intake_rules, self.seeds_in_use, self.upstream_member_ids
        self.follower = LogFollower(store.head, self._tail, views)
        # It has its own follower: a request that needs no search does not wait while the index is built.
        self.index = IndexView(store, radii, index, engine)
        self.request_slots = RequestSlots()
        # A process answers one large match request at a time, so that single matches overtake it.
        self.batches = BatchTurns()
        # Contributions that arrive together, or while others are written, share a commit.
        self.recording: GroupedRequests[Request, Receipt] = GroupedRequests(most=1_000, turn=store.turn)
        self.match_log = match_log
        self.stats = StatsBuffer()
        self.background = Background(store, clock)
        self.suspicions = Suspicions()
        self.budgets = Budgets(budget_amounts(rules.budgets))
        # Seconds within which other processes store the hits that they answered; `hashdb serve` sets it.
        self.hits_within = 0.0
        # By key id: the last day on which a read of the feed, or of the listing of contributions, was logged.
        self.feed_read_on: dict[int, date] = {}
        self.listing_read_on: dict[int, date] = {}
        # `leaving`: the process will end soon, so clients should ask another. `stopping`: it ends now.
        self.leaving: Callable[[], bool] = lambda: False
        self.stopping: Callable[[], bool] = lambda: False
        # Called after each match with the seconds that the search and the store took.
        self.on_match_timed: Callable[[tuple[float, float]], None] = lambda seconds: None

    def read(self, actor: Actor, *scopes: Scope) -> AbstractContextManager[Transaction]:
        """A snapshot of the store, as `Store.read`, for an actor with one of the scopes.

        Raises MemberSuspended, ScopeMissing, StoreBusy.
        """
        actor.require(*scopes)
        return self.store.read()

    def begin(self, actor: Actor, *scopes: Scope) -> AbstractContextManager[Transaction]:
        """A unit of work that may write, as `Store.begin`, for an actor with one of the scopes; raises as `read`."""
        actor.require(*scopes)
        return self.store.begin()

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
    """Open the database at `url`: SQLite is created or upgraded, PostgreSQL must have the current schema.

    `busy_seconds`: how long a write waits for others. `index`, `signing`, `match_log`, `engine`: see HashDB.
    `may_be_away`: the schema is known to be current, so a database that does not answer now is no error here; each
    function raises StoreBusy until it answers. Raises BadSetting, SchemaOutdated, StoreBusy.
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
