"""Moves: a service goes on over another database, with the same log, the same keys and the same ids."""

from __future__ import annotations

from dataclasses import dataclass

from hashdb.domain.members import Actor, Scope
from hashdb.service import HashDB, backups
from hashdb.service.verification import Verdict, verify
from hashdb.store import Store
from hashdb.store.moves import Advance, Moved


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
