"""Backups: that one is made, and what is done to a log that was set back by one."""

from __future__ import annotations

from hashdb.domain.audit import Action, Entry
from hashdb.domain.members import Actor, Scope
from hashdb.service import HashDB


def made(db: HashDB, actor: Actor, *, with_key: bool) -> None:
    """Write into the log that all of it is taken away, before it is: the copy has that event too."""
    actor.require(Scope.ADMIN)
    now, details = db.now(), {"with_key": "yes" if with_key else "no"}
    with db.store.begin() as tx:
        tx.audit.append(now, actor, [Entry(Action.BACKUP_MADE, "backup", int(f"{now:%Y%m%d}"), details)])


def restored(db: HashDB, actor: Actor) -> int:
    """Have every reader of a restored log start over, and write into it that it was; return how many events it had.

    The numbers after that may have been given to other events before: who kept a later checkpoint finds out by it.
    """
    actor.require(Scope.ADMIN)
    with db.store.begin() as tx:
        size = tx.audit.head().seq
        tx.audit.renew_epoch()
        tx.audit.append(db.now(), actor, [Entry(Action.LOG_RESTORED, "log", 1, {"events": size})])
    return size
