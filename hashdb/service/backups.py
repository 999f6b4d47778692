"""Backups: the events of making, verifying and restoring one; and the move to another database."""

from __future__ import annotations

from dataclasses import dataclass

from hashdb.domain.accounts.members import Actor, Scope
from hashdb.domain.ledger.events import Action, Details, LogEntry
from hashdb.domain.stats.counts import number_of_day
from hashdb.service import HashDB
from hashdb.service.ledger.verification import Verdict, verify
from hashdb.store import Store
from hashdb.store.moves import Advance, Moved


def log_backup(db: HashDB, actor: Actor, *, with_key: bool) -> tuple[str, int]:
    """Log a backup before it is made, so that the copy has the event too.

    Returns the leaf of the log's first event, which identifies the log, and the seq of the new event.
    """
    return _log(db, actor, Action.BACKUP_MADE, {"with_key": "yes" if with_key else "no"})


def log_verified(db: HashDB, actor: Actor, events: int) -> None:
    """Log that a backup was restored into a scratch database, and its `events` were verified there."""
    _log(db, actor, Action.BACKUP_VERIFIED, {"events": events})


def _log(db: HashDB, actor: Actor, action: Action, details: Details) -> tuple[str, int]:
    """Log an event about the backup of today, whose id is the number of the day; return as `log_backup`."""
    now = db.now()
    with db.begin(actor, Scope.ADMIN) as tx:
        seq = tx.audit.append(now, actor, [LogEntry(action, "backup", number_of_day(now.date()), details)])
        return tx.audit.leaf(1), seq


def log_restored(db: HashDB, actor: Actor) -> int:
    """Give a restored log a new epoch, so that each reader starts over, and log that; return how many events it had.

    Before the restore, the next seqs may have been those of other events. Who kept a later checkpoint can prove that.
    """
    with db.begin(actor, Scope.ADMIN) as tx:
        size = tx.audit.head().seq
        epoch = tx.audit.renew_epoch()
        tx.audit.append(db.now(), actor, [LogEntry(Action.LOG_RESTORED, "log", 1, {"events": size, "epoch": epoch})])
    return size


@dataclass(frozen=True, slots=True)
class Move:
    """How many rows were moved up to which head, and the verification of the target (None: it was not verified)."""

    moved: Moved
    verdict: Verdict | None


def move(db: HashDB, actor: Actor, target: Store, advance: Advance, *, last: bool) -> Move:
    """Copy every row of the service's database as of now to a target, and compare all rows.

    `last` requires that nothing writes any more: the target is verified, and may be served from then on.
    `advance` is called with the number of rows copied or compared since the last call. Raises MoveFailed, StoreBusy.
    """
    actor.require(Scope.ADMIN)
    log_backup(db, actor, with_key=False)
    moved = db.store.move_to(target, advance)
    if not last:
        return Move(moved, None)
    verdict = verify(HashDB(target, db.rules, db.now, signing=db.signing), actor)
    db.store.finish_move_to(target, moved.head)
    return Move(moved, verdict)
