"""Intake: a change that was checked against the intake rules is written only if the rules are still the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import TypeVar

from hashdb.domain.accounts.members import Actor
from hashdb.domain.ledger.events import LogEntry
from hashdb.service import HashDB
from hashdb.service.views import INTAKE, IntakeRules
from hashdb.store import Transaction

_Result = TypeVar("_Result")


class StaleRead(Exception):
    """The intake rules changed between the check of a change and its writing: check it again."""


def with_intake(db: HashDB, change: Callable[[IntakeRules, int], _Result]) -> _Result:
    """Call `change` with the intake rules and the last seq that they include, and return its result.

    It is called again each time it raises StaleRead. `change` ends its transaction with `append_checked`.
    """
    while True:
        seq = db.follower.catch_up().seq
        with suppress(StaleRead):
            return change(db.intake_rules(), seq)


def append_checked(tx: Transaction, now: datetime, actor: Actor, entries: Sequence[LogEntry], read_seq: int) -> int:
    """Append entries of one actor as `append_all_checked` does."""
    return append_all_checked(tx, now, [(actor, entry) for entry in entries], read_seq)


def append_all_checked(tx: Transaction, now: datetime, entries: Sequence[tuple[Actor, LogEntry]], read_seq: int) -> int:
    """Append entries of several actors that were checked against the intake rules of `read_seq`; return the last seq.

    Raises StaleRead if the rules have changed since, or if a contribution was retired since: the change may be near it.
    The append locks the log until the transaction ends, so nothing can change between this check and the commit.
    """
    seq = tx.audit.append_all(now, entries)
    before = seq - len(entries)
    if before > read_seq and tx.audit.subject_kinds(read_seq, before) & {*INTAKE, "retired"}:
        raise StaleRead
    return seq
