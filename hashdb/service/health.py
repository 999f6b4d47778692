"""Health: whether this process is ready, the figures for the metrics, and the log of changed safeguards."""

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


@dataclass(frozen=True, slots=True)
class Vitals:
    """Figures of the store and of this process's index.

    `signed` is how many events the last signed checkpoint covers; `index_seq` is the event up to which the index has
    read; `readers` are the valid keys that have read the feed, each with the seq up to which it has; `backed_up` is
    when a backup was last verified; `server` is for PostgreSQL only; `upstreams` are those that are not paused;
    `witnesses` are those that are asked; `uncosigned` is how long the oldest checkpoint has waited for their quorum.
    """

    head: int
    signed: int
    index_seq: int
    sizes: Mapping[Algorithm, Size]
    totals: tuple[CountTotal, ...]
    open_cases: int
    late_cases: int
    retrying: int
    readers: tuple[tuple[int, int], ...]
    backed_up: datetime | None
    server: Server | None
    upstreams: tuple[Upstream, ...]
    witnesses: tuple[tuple[Witness, WitnessState], ...]
    uncosigned: timedelta


def ready(db: HashDB) -> int:
    """Let the index catch up, and return its seq.

    Raises StoreBusy, IndexNotReady, and Unavailable if the process is about to end.
    """
    if db.leaving():
        raise Unavailable(_RETRY_AFTER)
    return db.index.catch_up().seq


def vitals(db: HashDB, actor: Actor) -> Vitals:
    """The figures of now. Raises StoreBusy."""
    index_head, now = db.index.head, db.now()
    with db.read(actor, Scope.ADMIN) as tx:
        last, (open_cases, late_cases) = tx.checkpoints.last(), tx.cases.waiting(now)
        return Vitals(
            head=tx.audit.head().seq,
            signed=0 if last is None else last.size,
            index_seq=0 if index_head is None else index_head.seq,
            sizes=db.index.sizes(),
            totals=tx.counts.totals(),
            open_cases=open_cases,
            late_cases=late_cases,
            retrying=tx.deliveries.retrying(),
            readers=tx.uses.readers(now),
            backed_up=tx.audit.last("backup", Action.BACKUP_VERIFIED),
            server=tx.server(),
            upstreams=tuple(upstream for upstream in tx.upstreams.every() if not upstream.paused),
            witnesses=witnesses.states(db, tx),
            uncosigned=witnesses.uncosigned_time(db, tx),
        )


def sizes(db: HashDB, algorithms: Collection[Algorithm]) -> tuple[dict[Algorithm, int], int]:
    """The number of values of each algorithm in this process's index, and the Unix time of its last event."""
    head = db.index.catch_up()
    return {algorithm: len(db.index.index(algorithm)) for algorithm in algorithms}, int(head.at.timestamp())


_SUBJECT = ("safeguards", 1)
_DEFAULT: Details = {
    "two_persons": "no",
    "flood_cap": None,
    "match_log": str(MatchLog.HITS),
    "max_radius": [],
    "budgets": [],
}
"""The settings of a log that has no such event."""


def start(db: HashDB) -> None:
    """Log the settings of the safeguards if they differ from those last logged, with the earlier values."""
    settings = _settings(db)
    with db.store.read() as tx:
        if _logged(tx) == settings:
            return
    with db.store.begin() as tx:
        tx.audit.lock()
        logged = _logged(tx)
        if logged != settings:
            before = [f"{name}={_text(logged[name])}" for name in sorted(settings) if logged[name] != settings[name]]
            details: Details = {**settings, "before": before}
            tx.audit.append(db.now(), SYSTEM, [LogEntry(Action.SETTINGS_CHANGED, *_SUBJECT, details)])


def _settings(db: HashDB) -> Details:
    return {
        "two_persons": "yes" if db.rules.two_persons else "no",
        "flood_cap": db.rules.flood_cap,
        "match_log": str(db.match_log),
        "max_radius": [f"{algorithm}={bits}" for algorithm, bits in sorted(db.rules.max_radius.items())],
        "budgets": [f"{budget}={amount}" for budget, amount in sorted(db.rules.budgets.items())],
    }


def _logged(tx: Transaction) -> Details:
    last = tx.audit.newest(*_SUBJECT, Action.SETTINGS_CHANGED)
    return {name: last.details.get(name, default) for name, default in _DEFAULT.items()} if last else _DEFAULT


def _text(value: Detail) -> str:
    return (",".join(value) if isinstance(value, list) else str(value or "")) or "none"
