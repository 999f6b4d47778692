"""Health: whether this process answers, and the figures by which an operator sees how the service does."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from hashdb.domain.accounts.members import SYSTEM, Actor, Scope
from hashdb.domain.ledger.events import Action, Details, Entry, type_of_detail
from hashdb.domain.signals import Algorithm
from hashdb.domain.stats.counts import MatchLog
from hashdb.errors import Unavailable
from hashdb.service import HashDB
from hashdb.service.index_view import Size
from hashdb.store import Transaction
from hashdb.store.connections import Server
from hashdb.store.stats.counts import Total

_RETRY_AFTER = 5


@dataclass(frozen=True, slots=True)
class Vitals:
    """Of the store, and of this process's index.

    `signed` is how many events the last signed checkpoint covers, `level` the number that the index is level with;
    `readers` are the keys that are valid and have read the feed, each with the event up to which it has; `backed_up` is
    when a backup was last verified, `server` is of PostgreSQL only.
    """

    head: int
    signed: int
    level: int
    sizes: Mapping[Algorithm, Size]
    totals: tuple[Total, ...]
    open_cases: int
    late_cases: int
    retrying: int
    readers: tuple[tuple[int, int], ...]
    backed_up: datetime | None
    server: Server | None


def ready(db: HashDB) -> int:
    """The number of the log that this process answers from, once it is level.

    Raises StoreBusy, IndexNotReady, and Unavailable where the process is about to end.
    """
    if db.leaving():
        raise Unavailable(_RETRY_AFTER)
    return db.index.catch_up().seq


def vitals(db: HashDB, actor: Actor) -> Vitals:
    """The figures of this moment. Raises StoreBusy."""
    actor.require(Scope.ADMIN)
    level = db.index.head
    with db.store.read() as tx:
        head, totals, (waiting, late) = tx.audit.head(), tx.counts.totals(), tx.cases.waiting(db.now())
        last, retrying, readers = tx.checkpoints.last(), tx.deliveries.retrying(), tx.uses.readers(db.now())
        backed_up, server = tx.audit.last("backup", Action.BACKUP_VERIFIED), tx.server()
    signed, here = 0 if last is None else last.size, 0 if level is None else level.seq
    return Vitals(head.seq, signed, here, db.index.sizes(), totals, waiting, late, retrying, readers, backed_up, server)


def sizes(db: HashDB, algorithms: Collection[Algorithm]) -> tuple[dict[Algorithm, int], int]:
    """How many values of each algorithm this process's index holds, and the second of the last event that it has."""
    level = db.index.catch_up()
    return {one: len(db.index.index(one)) for one in algorithms}, int(level.at.timestamp())


_SUBJECT = ("safeguards", 1)
_DEFAULT: Details = {
    "two_persons": "no",
    "flood_cap": None,
    "match_log": str(MatchLog.HITS),
    "max_radius": [],
    "budgets": [],
}
"""What holds of a log that says nothing of it."""


def start(db: HashDB) -> None:
    """Write into the log which of the safeguards' settings are others than it last said, and what they were."""
    chosen = _chosen(db)
    with db.store.read() as tx:
        if _told(tx) == chosen:
            return
    with db.store.begin() as tx:
        tx.audit.hold()
        told = _told(tx)
        if told != chosen:
            before = [f"{name}={_word(told[name])}" for name in sorted(chosen) if told[name] != chosen[name]]
            details: Details = {**chosen, "before": before}
            tx.audit.append(db.now(), SYSTEM, [Entry(Action.SETTINGS_CHANGED, *_SUBJECT, details)])


def _chosen(db: HashDB) -> Details:
    return {
        "two_persons": "yes" if db.rules.two_persons else "no",
        "flood_cap": db.rules.flood_cap,
        "match_log": str(db.match_log),
        "max_radius": [f"{algorithm}={bits}" for algorithm, bits in sorted(db.rules.max_radius.items())],
        "budgets": [f"{budget}={amount}" for budget, amount in sorted(db.rules.budgets.items())],
    }


def _told(tx: Transaction) -> Details:
    events = tx.audit.between(0, tx.audit.head().seq + 1, 1, None, Action.SETTINGS_CHANGED, _SUBJECT)
    return {name: events[0].details.get(name, default) for name, default in _DEFAULT.items()} if events else _DEFAULT


def _word(value: type_of_detail) -> str:
    return (",".join(value) if isinstance(value, list) else str(value or "")) or "none"
