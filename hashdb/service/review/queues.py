"""Queues: the open cases by order and filter, how many there are, and what waits for a second person."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from itertools import groupby
from operator import attrgetter

from hashdb.domain.accounts.members import Actor, Scope
from hashdb.domain.review.cases import CaseState, Decision
from hashdb.domain.review.proposals import REVIEWER_ACTIONS
from hashdb.domain.review.queues import ProposedCase, Queue, QueueCounts, QueueQuery, WaitingCase
from hashdb.service import HashDB
from hashdb.service.contributions.sight import visible_fields
from hashdb.service.review.cases import decided_entry, settle
from hashdb.service.review.claims import current_claims, taken_by_others
from hashdb.store import Transaction

_PAGE = 50
_MOST_COUNTED = 10_000
"""The most cases that are counted; beyond, a page says "more than"."""
_MOST_UPHELD = 1_000
"""The most cases of a pile that are upheld at once."""
_MOST_PROPOSED = 500
_ANY = QueueQuery()


def queue(
    db: HashDB,
    actor: Actor,
    query: QueueQuery = _ANY,
    *,
    after: int | None = None,
    before: int | None = None,
    limit: int = _PAGE,
) -> Queue:
    """A page of the open cases that fit a filter, with who has taken them; the piles follow the last page.

    The page begins after the case `after`, or ends before the case `before`. Cases in a pile have no rows of their own,
    unless the filter names the pile.
    """
    backwards = before is not None
    with db.read(actor, Scope.REVIEW, Scope.AUDIT) as tx:
        now = db.now()
        pile_openers = tx.queues.openers_of_piles(query, now)
        start = before if backwards else after
        # One more than the limit shows whether another page follows in this direction.
        page = tx.queues.page(query, now, limit + 1, without_openers=pile_openers, start=start, backwards=backwards)
        ids = page[:limit][::-1] if backwards else page[:limit]
        more = len(page) > limit
        has_previous = more if backwards else after is not None
        has_next = True if backwards else more
        return Queue(
            _with_contributions(tx, db, actor, ids, now),
            piles=() if has_next else tx.queues.piles(query, now, pile_openers),
            before=ids[0] if has_previous and ids else None,
            after=ids[-1] if has_next and ids else None,
        )


def count(db: HashDB, actor: Actor, query: QueueQuery = _ANY) -> QueueCounts:
    """How many open cases fit a filter, in all and by field: at most 10,000."""
    with db.read(actor, Scope.REVIEW, Scope.AUDIT) as tx:
        return tx.queues.count(query, db.now(), _MOST_COUNTED)


def neighbors_in_queue(db: HashDB, actor: Actor, case: int, query: QueueQuery) -> tuple[int | None, int | None]:
    """The ids of the cases before and after one in a queue; None if there is none.

    If the case is no longer there, the first case is the next one.
    """
    with db.read(actor, Scope.REVIEW, Scope.AUDIT) as tx:
        now = db.now()
        pile_openers = tx.queues.openers_of_piles(query, now)
        here = tx.queues.has(query, now, case)
        before: tuple[int, ...] = ()
        if here:
            before = tx.queues.page(query, now, 1, without_openers=pile_openers, start=case, backwards=True)
        after = tx.queues.page(query, now, 1, without_openers=pile_openers, start=case if here else None)
    return next(iter(before), None), next(iter(after), None)


def count_proposed(db: HashDB, actor: Actor) -> int:
    """How many open cases wait for a second person."""
    with db.read(actor, Scope.REVIEW, Scope.AUDIT) as tx:
        return tx.queues.count_proposed(db.now())


def list_proposed(db: HashDB, actor: Actor) -> tuple[ProposedCase, ...]:
    """The open cases that wait for a second person, with who proposed what and why, the first to expire first."""
    with db.read(actor, Scope.REVIEW, Scope.AUDIT) as tx:
        now = db.now()
        page = tx.proposals.page(0, _MOST_PROPOSED, now, REVIEWER_ACTIONS)
        by_case = {proposal.request.id: proposal for proposal in page}
        waiting = _with_contributions(tx, db, actor, list(by_case), now)
        reasons = {(note.case, note.proposal): note for note in tx.case_notes.on_cases(by_case)}
    proposed = [
        ProposedCase(proposal, row, reasons.get((row.case.id, proposal.id)))
        for row in waiting
        for proposal in [by_case[row.case.id]]
        if row.case.state is CaseState.OPEN
    ]
    return tuple(sorted(proposed, key=lambda row: (row.proposal.expires_at, row.proposal.id)))


def _with_contributions(
    tx: Transaction, db: HashDB, actor: Actor, ids: Sequence[int], now: datetime
) -> tuple[WaitingCase, ...]:
    cases, claims = tx.cases.get(ids), current_claims(tx, db.rules, ids, now)
    stored = tx.contributions.get([case.contribution for case in cases.values()], now)
    visible = {id: visible_fields(actor, contribution) for id, contribution in stored.items()}
    return tuple(WaitingCase(cases[id], visible[cases[id].contribution], claims.get(id)) for id in ids if id in cases)


def uphold_pile(db: HashDB, actor: Actor, pile: int, upto: int, note: str, query: QueueQuery) -> int:
    """Uphold cases of a member's pile, all with the same note; return how many, at most 1,000.

    `pile` is the member, and `query` is the filter that the cases fit. Cases with ids above `upto` are left out,
    because the reviewer has not seen them, and so are those that another reviewer has taken.
    """
    query = replace(query, pile=pile)
    with db.begin(actor, Scope.REVIEW) as tx:
        now = db.now()
        ids = tx.queues.page(query, now, _MOST_UPHELD)
        tx.contributions.lock({case.contribution for case in tx.cases.get(ids).values() if case.id <= upto})
        # Read again: now that they are locked, nobody else decides on them.
        taken = taken_by_others(tx, db.rules, actor, ids, now)
        cases = [
            case
            for id, case in tx.cases.get(ids).items()
            if id <= upto and id not in taken and case.state is CaseState.OPEN
        ]
        contributions = tx.contributions.get([case.contribution for case in cases], now)
        entries = []
        for case in cases:
            # The erasure has already deleted the notes: one that is stored now would stay.
            stored_note = None if contributions[case.contribution].erased else note
            tx.cases.decide(case.id, Decision.UPHOLD, stored_note, str(actor), now)
            entries.append(decided_entry(case, Decision.UPHOLD, now))
        for reason, group in groupby(sorted(cases, key=attrgetter("reason")), key=attrgetter("reason")):
            entries += settle(tx, [contributions[case.contribution] for case in group], reason)
        tx.audit.append(now, actor, entries)
    return len(cases)
