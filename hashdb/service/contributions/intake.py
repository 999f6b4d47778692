"""Intake: a change that was checked against the intake rules is written only if these have not changed since."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import TypeVar

from hashdb.domain.accounts.members import Actor
from hashdb.domain.ledger.events import Entry
from hashdb.service import HashDB
from hashdb.service.views import INTAKE, IntakeRules
from hashdb.store import Transaction

_Done = TypeVar("_Done")


class StaleRead(Exception):
    """What a change was checked against has changed before the change was written: check it again."""


def with_intake(db: HashDB, verb: Callable[[IntakeRules, int], _Done]) -> _Done:
    """What a verb returns that is given the intake rules and the seq that they are of, and ends in `append`.

    It is called again after a StaleRead.
    """
    while True:
        seq = db.follower.catch_up().seq
        with suppress(StaleRead):
            return verb(db.intake.rules(), seq)


def append(tx: Transaction, now: datetime, actor: Actor, entries: Sequence[Entry], read_seq: int) -> int:
    """Append to the log what was checked against the intake rules of `read_seq`, and return the seq.

    Raises StaleRead where these have changed since, or where something was retired near which the change may be.
    Whoever appends is alone until its transaction ends, so nothing comes in between from here on.
    """
    seq = tx.audit.append(now, actor, entries)
    before = seq - len(entries)
    if before > read_seq and tx.audit.kinds(read_seq, before) & {*INTAKE, "retired"}:
        raise StaleRead
    return seq
