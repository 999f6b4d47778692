"""Notes: what reviewers write on a case for each other. No member sees them, and their text is not in the log."""

from __future__ import annotations

from datetime import datetime

from hashdb.domain.accounts.members import Actor, Scope
from hashdb.domain.contributions import Contribution
from hashdb.domain.ledger.events import Action, Details, LogEntry
from hashdb.domain.review.proposals import Proposal
from hashdb.domain.review.queues import CaseNote
from hashdb.errors import reject_field
from hashdb.service import HashDB
from hashdb.store import Transaction

MOST_NOTES = 200
"""The most notes of a case."""


def add(db: HashDB, actor: Actor, case: int, text: str) -> CaseNote:
    """Add a note to a case, open or decided. Raises InvalidInput, NotFound."""
    with db.begin(actor, Scope.REVIEW) as tx:
        now = db.now()
        item = tx.contributions.one(tx.cases.one(case).contribution, now, lock=True)
        # The erasure has already deleted the notes: one that is stored now would stay.
        reject_field("text", "is rejected: the contribution is erased" if item.erased else None)
        many = len(tx.case_notes.on_cases([case])) >= MOST_NOTES
        reject_field("text", f"is rejected: a case can have at most {MOST_NOTES} notes" if many else None)
        return _record(tx, actor, item.id, case, text, now)


def list_on(db: HashDB, actor: Actor, case: int) -> tuple[CaseNote, ...]:
    """The notes on a case, the oldest first."""
    with db.read(actor, Scope.REVIEW, Scope.AUDIT) as tx:
        return tx.case_notes.on_cases([case])


def note_reason(
    tx: Transaction, actor: Actor, contribution: Contribution, proposal: Proposal, reason: str | None, now: datetime
) -> None:
    """Store the reason of a proposal about a case as a note for the second person, and release the actor's claim."""
    case = proposal.request.id
    tx.claims.release(case, str(actor))
    stored = (note.text for note in tx.case_notes.on_cases([case]) if note.proposal == proposal.id)
    if reason and not contribution.erased and reason not in stored:
        _record(tx, actor, contribution.id, case, reason, now, proposal.id)


def _record(
    tx: Transaction, actor: Actor, contribution: int, case: int, text: str, now: datetime, proposal: int | None = None
) -> CaseNote:
    """Store a note with its event; with `proposal`, the note is the reason of that proposal."""
    note = tx.case_notes.add(case, str(actor), text, now, proposal)
    details: Details = {"contribution": contribution, "note": note.id}
    if proposal is not None:
        details = {**details, "proposal": proposal}
    tx.audit.append(now, actor, [LogEntry(Action.CASE_NOTED, "case", case, details)])
    return note
