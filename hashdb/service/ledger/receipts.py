"""Receipts: an event with the proof that it is in the log, which its reader keeps and verifies offline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from hashdb.domain.accounts.members import Actor, Scope
from hashdb.domain.ledger import merkle
from hashdb.domain.ledger.checkpoints import parse_checkpoint
from hashdb.domain.ledger.events import Action, Event
from hashdb.domain.ledger.notes import split_note
from hashdb.domain.ledger.receipts import Receipt
from hashdb.errors import NotCosigned, NotFound, reject_field
from hashdb.service import HashDB
from hashdb.service.ledger import checkpoints, witnesses
from hashdb.store import Transaction

_SHOWN_TO_CONTRIBUTOR: Final = (Action.CASE_OPENED, Action.CASE_HELD, Action.CASE_DECIDED)
"""The events on cases that the contributor may know; the others are between reviewers."""


@dataclass(frozen=True, slots=True)
class ChosenEvent:
    """One event: the one with `seq`, or the last one on `subject`."""

    seq: int | None = None
    subject: tuple[str, int] | None = None
    """The kind and the id."""
    action: Action | None = None
    """With a subject: the last event of this action on it."""


def receipt(db: HashDB, actor: Actor, chosen: ChosenEvent, *, witnessed: bool = False) -> Receipt:
    """The receipt of an event: the event, and the proof that it is in the log of a signed checkpoint.

    The checkpoint is the newest one that the quorum of witnesses cosigned, if it includes the event. Otherwise it is
    one that is signed now; with `witnessed`, NotCosigned is raised instead.

    With the scope `audit`, an actor may have the receipt of any event. Other members may have those of events on their
    contributions, of their opinions, and of events on cases about their contributions. Raises InvalidInput, NotFound,
    Unavailable if the signing key is not here.
    """
    actor.require_not_suspended()
    if (chosen.seq is None) == (chosen.subject is None):
        reject_field("seq", "give either seq or subject")
    if chosen.action is not None and chosen.subject is None:
        reject_field("action", "needs subject")
    with db.store.read() as tx:
        event = _find(tx, actor, chosen)
    try:
        note = _cosigned(db, event.seq)
    except NotCosigned:
        if witnessed:
            raise
        note = checkpoints.latest(db)
    index, size = event.seq - 1, parse_checkpoint(split_note(note)[0]).size
    with db.store.read() as tx:
        hashes = tx.tree.proof(merkle.inclusion(index, size))
    return Receipt(event.text, index, hashes, note)


def _cosigned(db: HashDB, seq: int) -> str:
    """The newest cosigned checkpoint, if it has the event with this seq. Raises NotCosigned."""
    stored = witnesses.cosigned(db)
    if stored.size < seq:
        raise NotCosigned(
            f"no checkpoint that has event {seq} has the cosignatures of the quorum yet", checkpoints.RETRY_AFTER
        )
    return stored.note


def _find(tx: Transaction, actor: Actor, chosen: ChosenEvent) -> Event:
    """The chosen event. Raises NotFound, also for one that the actor may not know."""
    if chosen.seq is not None:
        is_written = 0 < chosen.seq <= tx.audit.head().seq
        what, event = f"event {chosen.seq}", tx.audit.event(chosen.seq) if is_written else None
    else:
        assert chosen.subject is not None
        kind, id = chosen.subject
        of_action = f" {chosen.action}" if chosen.action else ""
        what, event = f"an event{of_action} of {kind} {id}", tx.audit.newest(kind, id, chosen.action)
    if event is None or not _may_know(tx, actor, event):
        raise NotFound(what)
    return event


def _may_know(tx: Transaction, actor: Actor, event: Event) -> bool:
    """Whether the actor may have the receipt of an event."""
    if actor.has(Scope.AUDIT):
        return True
    if actor.member is None:
        return False
    # `event.id` is the id of the subject, and `event.kind` its kind.
    contribution = event.id if event.kind == "contribution" else None
    if event.kind == "opinion":
        return tx.opinions.one(event.id).member == actor.member.id
    if event.kind == "case" and event.action in _SHOWN_TO_CONTRIBUTOR:
        contribution = tx.cases.one(event.id).contribution
    if contribution is None:
        return False
    return tx.contributions.contributor(contribution) == actor.member.id
