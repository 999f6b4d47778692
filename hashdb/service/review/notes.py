"""Notes: what reviewers note on a case for each other. No member sees them, and the log has no text of them."""

from __future__ import annotations

from datetime import datetime

from hashdb.domain.accounts.members import Actor, Scope
from hashdb.domain.contributions import Contribution
from hashdb.domain.ledger.events import Action, Details, LogEntry
from hashdb.domain.review.incidents import Proposal
from hashdb.domain.review.queues import CaseNote
from hashdb.errors import reject_field
from hashdb.service import HashDB
from hashdb.store import Transaction

MOST_NOTES = 200
"""The most notes of a case."""


def add(db: HashDB, actor: Actor, case: int, text: str) -> CaseNote:
    """Note something on a case, open or decided. Raises InvalidInput, NotFound."""
    with db.begin(actor, Scope.REVIEW) as tx:
        now = db.now()
        item = tx.contributions.one(tx.cases.one(case).contribution, now, lock=True)
        # An erasure that is done would not remove a note of today.
        reject_field("text", "is not stored: the contribution is erased" if item.erased else None)
        many = len(tx.case_notes.on_cases([case])) >= MOST_NOTES
        reject_field("text", f"is not stored: a case has at most {MOST_NOTES} notes" if many else None)
        return _record(tx, actor, item.id, case, text, now, None)


def list_on(db: HashDB, actor: Actor, case: int) -> tuple[CaseNote, ...]:
    """The notes on a case, the oldest first."""
    with db.read(actor, Scope.REVIEW, Scope.AUDIT) as tx:
        return tx.case_notes.on_cases([case])


def note_reason(
    tx: Transaction, actor: Actor, contribution: Contribution, proposal: Proposal, reason: str | None, now: datetime
) -> None:
    """Keep the reason of a proposal about a case for the second person, and release the first person's claim."""
    case = proposal.request.id
    tx.claims.release(case, str(actor))
    known = (note.text for note in tx.case_notes.on_cases([case]) if note.proposal == proposal.id)
    if reason and not contribution.erased and reason not in known:
        _record(tx, actor, contribution.id, case, reason, now, proposal.id)


def _record(
    tx: Transaction, actor: Actor, contribution: int, case: int, text: str, now: datetime, proposal: int | None
) -> CaseNote:
    note = tx.case_notes.add(case, str(actor), text, now, proposal)
    details: Details = {"contribution": contribution, "note": note.id}
    if proposal is not None:
        details = {**details, "proposal": proposal}
    tx.audit.append(now, actor, [LogEntry(Action.CASE_NOTED, "case", case, details)])
    return note
