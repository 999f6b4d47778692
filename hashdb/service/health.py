"""Health: whether this process is ready, the figures for the metrics, and the events that log changed safeguards."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from hashdb.domain.accounts.members import SYSTEM, Actor, Scope
from hashdb.domain.ledger.events import Action, Detail, Details, LogEntry
from hashdb.domain.ledger.policies import Witness
from hashdb.domain.sharing.upstreams import Upstream
from hashdb.domain.signals import Algorithm
from hashdb.domain.stats.counts import MatchLog
from hashdb.errors import Unavailable
from hashdb.service import HashDB
from hashdb.service.index_view import Size
from hashdb.service.ledger import witnesses
from hashdb.store import Transaction
from hashdb.store.connections import Server
from hashdb.store.ledger.witnesses import WitnessState
from hashdb.store.stats.counts import CountTotal

_RETRY_AFTER = 5
"""Seconds after which a client should repeat a request that a process refuses because it is about to end."""


@dataclass(frozen=True, slots=True)
class Vitals:
    """What the metrics report of the database and of this process's index."""

    head_seq: int
    """The seq of the last event of the log."""
    signed_seq: int
    """The seq of the last event that the last signed checkpoint covers; 0 if there is no checkpoint."""
    index_seq: int
    """The seq of the last event that the index has read; 0 if it has read none."""
    index_sizes: Mapping[Algorithm, Size]
    """The number of values in memory and in files."""
    count_totals: tuple[CountTotal, ...]
    open_cases: int
    overdue_cases: int
    """The open cases whose decision is overdue."""
    retrying_deliveries: int
    """Deliveries to webhooks that failed and will be retried."""
    feed_readers: tuple[tuple[int, int], ...]
    """The id of each valid key that has read the feed, and the seq up to which it has read."""
    backup_verified_at: datetime | None
    """When a backup was last verified; None if never."""
    postgresql: Server | None
    """The connections, standbys and lag of PostgreSQL; None with SQLite."""
    upstreams: tuple[Upstream, ...]
    """The upstreams that are not paused."""
    witnesses: tuple[tuple[Witness, WitnessState], ...]
    """The witnesses that are asked for cosignatures."""
    uncosigned_time: timedelta
    """How long the oldest checkpoint has waited for the cosignatures of the quorum; 0 without witnesses."""


def require_ready(db: HashDB) -> int:
    """Let the index catch up with the log, and return the seq up to which it has read.

    Raises StoreBusy, IndexNotReady, and Unavailable if this process is about to end.
    """
    if db.leaving():
        raise Unavailable(_RETRY_AFTER)
    return db.index.catch_up().seq


def read_vitals(db: HashDB, actor: Actor) -> Vitals:
    """Read the current figures. Raises StoreBusy."""
    index_head, now = db.index.head, db.now()
    with db.read(actor, Scope.ADMIN) as tx:
        checkpoint, (open_cases, overdue_cases) = tx.checkpoints.last(), tx.cases.count_open(now)
        return Vitals(
            head_seq=tx.audit.head().seq,
            signed_seq=0 if checkpoint is None else checkpoint.size,
            index_seq=0 if index_head is None else index_head.seq,
            index_sizes=db.index.sizes(),
            count_totals=tx.counts.totals(),
            open_cases=open_cases,
            overdue_cases=overdue_cases,
            retrying_deliveries=tx.deliveries.count_retrying(),
            feed_readers=tx.uses.feed_readers(now),
            backup_verified_at=tx.audit.last_time("backup", Action.BACKUP_VERIFIED),
            postgresql=tx.server_state(),
            upstreams=tuple(upstream for upstream in tx.upstreams.all() if not upstream.paused),
            witnesses=witnesses.states(db, tx),
            uncosigned_time=witnesses.uncosigned_time(db, tx),
        )


def index_sizes(db: HashDB, algorithms: Collection[Algorithm]) -> tuple[dict[Algorithm, int], int]:
    """Let the index catch up; return how many values of each algorithm it has, and the Unix time of its last event.

    Raises StoreBusy, IndexNotReady.
    """
    head = db.index.catch_up()
    return {algorithm: len(db.index.index(algorithm)) for algorithm in algorithms}, int(head.at.timestamp())


_SUBJECT = ("safeguards", 1)
"""The kind and the id of the subject of the events that log safeguards."""
_DEFAULTS: Details = {
    "two_persons": "no",
    "flood_cap": None,
    "match_log": str(MatchLog.HITS),
    "max_radius": [],
    "budgets": [],
}
"""What applies where the log has no such event, or only one of an older version that lacks a setting."""


def log_safeguards(db: HashDB) -> None:
    """Log the settings of the safeguards, with their earlier values, if they differ from the settings logged last.

    The service calls this when it starts.
    """
    settings = _configured(db)
    with db.store.read() as tx:
        if _logged(tx) == settings:
            return
    with db.store.begin() as tx:
        tx.audit.lock()
        logged = _logged(tx)
        if logged != settings:
            before = [f"{name}={_format(logged[name])}" for name in sorted(settings) if logged[name] != settings[name]]
            details: Details = {**settings, "before": before}
            tx.audit.append(db.now(), SYSTEM, [LogEntry(Action.SETTINGS_CHANGED, *_SUBJECT, details)])


def _configured(db: HashDB) -> Details:
    """The safeguards with which this process runs."""
    return {
        "two_persons": "yes" if db.rules.two_persons else "no",
        "flood_cap": db.rules.flood_cap,
        "match_log": str(db.match_log),
        "max_radius": [f"{algorithm}={bits}" for algorithm, bits in sorted(db.rules.max_radius.items())],
        "budgets": [f"{budget}={amount}" for budget, amount in sorted(db.rules.budgets.items())],
    }


def _logged(tx: Transaction) -> Details:
    """The safeguards of the last event that logs them."""
    event = tx.audit.newest(*_SUBJECT, Action.SETTINGS_CHANGED)
    return {name: event.details.get(name, default) for name, default in _DEFAULTS.items()} if event else _DEFAULTS


def _format(value: Detail) -> str:
    """A setting in the list of earlier values; `none` if it is empty or not set."""
    return (",".join(value) if isinstance(value, list) else str(value or "")) or "none"
