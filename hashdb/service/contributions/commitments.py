"""Commitments: contributions that have none get one, and those whose signals changed get a new one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from hashdb.domain.accounts.members import SYSTEM
from hashdb.domain.contributions import Contribution
from hashdb.domain.ledger.commitments import Commitment
from hashdb.domain.ledger.events import Action, Details, LogEntry
from hashdb.service import HashDB
from hashdb.store import Transaction


def recommit(tx: Transaction, changed: Iterable[Contribution]) -> Mapping[int, Commitment]:
    """Store commitments to the signals that locked contributions have now, under their salts; return them by id.

    The caller logs them.
    """
    salts = {contribution.id: contribution.salt for contribution in changed}
    commitments = {id: Commitment.new(lines, salts[id]) for id, lines in tx.commitments.lines(salts).items()}
    tx.commitments.store(commitments)
    return commitments


def commit(db: HashDB, limit: int = 500) -> int:
    """Commit to at most `limit` contributions that have no commitment, each with an event; return how many there were.

    Version 0.1.0 recorded them, or a version before commitments. Call again until there are none.
    """
    with db.store.read() as tx:
        ids = tx.commitments.lacking(limit)
        if not ids:
            return 0
        # Computed before the transaction that writes. If signals change in between, that change stores a commitment,
        # and `lacking_of` leaves the contribution out.
        commitments = {id: Commitment.new(lines) for id, lines in tx.commitments.lines(ids).items()}
    with db.store.begin() as tx:
        lacking = tx.commitments.lacking_of(ids)
        tx.commitments.store({id: commitments[id] for id in lacking})
        # With the log locked, a signal that is suppressed or restored from here on has a later event.
        tx.audit.lock()
        masked = tx.commitments.count_suppressed(lacking)
        tx.audit.append(db.now(), SYSTEM, [_entry(id, commitments[id], masked.get(id, 0)) for id in lacking])
    return len(ids)


def _entry(id: int, commitment: Commitment, masked: int) -> LogEntry:
    """The event of a first commitment; `masked` of the signals that it commits to are suppressed."""
    details: Details = {"commitment": commitment.hash.hex(), **({"masked": masked} if masked else {})}
    return LogEntry(Action.CONTRIBUTION_COMMITTED, "contribution", id, details)
