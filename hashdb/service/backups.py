"""Backups: that one is made, and what is done to a log that was set back by one."""

from __future__ import annotations

from dataclasses import dataclass

from hashdb.domain.accounts.members import Actor, Scope
from hashdb.domain.ledger.events import Action, Entry
from hashdb.service import HashDB, backups
from hashdb.service.ledger.verification import Verdict, verify
from hashdb.store import Store
from hashdb.store.moves import Advance, Moved


def made(db: HashDB, actor: Actor, *, with_key: bool) -> tuple[str, int]:
    """Write into the log that all of it is taken away, before it is: the copy has that event too.

    Returns the leaf of the log's first event, by which the log is known from others, and the number of this event.
    """
    actor.require(Scope.ADMIN)
    now, details = db.now(), {"with_key": "yes" if with_key else "no"}
    with db.store.begin() as tx:
        seq = tx.audit.append(now, actor, [Entry(Action.BACKUP_MADE, "backup", int(f"{now:%Y%m%d}"), details)])
        return tx.audit.leaf(1), seq


def verified(db: HashDB, actor: Actor, events: int) -> None:
    """Write into the log that a backup was restored into a scratch database, where its `events` were verified."""
    actor.require(Scope.ADMIN)
    now = db.now()
    with db.store.begin() as tx:
        tx.audit.append(now, actor, [Entry(Action.BACKUP_VERIFIED, "backup", int(f"{now:%Y%m%d}"), {"events": events})])


def restored(db: HashDB, actor: Actor) -> int:
    """Have every reader of a restored log start over, and write into it that it was; return how many events it had.

    The numbers after that may have been given to other events before: who kept a later checkpoint finds out by it.
    """
    actor.require(Scope.ADMIN)
    with db.store.begin() as tx:
        size = tx.audit.head().seq
        epoch = tx.audit.renew_epoch()
        tx.audit.append(db.now(), actor, [Entry(Action.LOG_RESTORED, "log", 1, {"events": size, "epoch": epoch})])
    return size


@dataclass(frozen=True, slots=True)
class Move:
    """What was moved, and what verifying the target found; None where the service may still write."""

    moved: Moved
    verdict: Verdict | None


def move(db: HashDB, actor: Actor, target: Store, advance: Advance, *, last: bool) -> Move:
    """Make a target hold every row that the service's database holds at this moment, and compare them all.

    With `last`, for which nothing may write any more, the target is verified, and may be served from then on.
    `advance` is told of rows. Raises MoveFailed, StoreBusy.
    """
    actor.require(Scope.ADMIN)
    backups.made(db, actor, with_key=False)
    moved = db.store.move_to(target, advance)
    if not last:
        return Move(moved, None)
    verdict = verify(HashDB(target, db.rules, db.now, signing=db.signing), actor)
    db.store.finish_move_to(target, moved.head)
    return Move(moved, verdict)
