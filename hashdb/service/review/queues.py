"""Queues: the open cases by order and filter, how many there are, and what waits for a second person."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from itertools import groupby

from hashdb.domain.accounts.members import Actor, Scope
from hashdb.domain.review.cases import CaseState, Decision
from hashdb.domain.review.incidents import REVIEWER_ACTIONS
from hashdb.domain.review.queues import (
    PILE,
    ProposedCase,
    Queue,
    QueueCounts,
    QueueQuery,
    WaitingCase,
)
from hashdb.service import HashDB
from hashdb.service.contributions.sight import visible_fields
from hashdb.service.review.cases import decided_entry, settle
from hashdb.service.review.claims import current
from hashdb.store import Transaction

PAGE = 50
LONGEST_COUNT = 10_000
"""The most cases that are counted; beyond, a page says "more than"."""
MOST_UPHELD = 1_000
"""The most cases of a pile that are upheld at once."""
_MOST_PROPOSED = 500
_ANY = QueueQuery()


def queue(
    db: HashDB,
    actor: Actor,
    asked: QueueQuery = _ANY,
    *,
    after: int | None = None,
    before: int | None = None,
    limit: int = PAGE,
) -> Queue:
    """A page of the open cases that fit a filter, with who has taken them; the piles follow the last page.

    The page begins after the case `after`, or ends before the case `before`. Cases of the same pile are no rows of
    their own, unless the filter names the pile.
    """
    actor.require(Scope.REVIEW, Scope.AUDIT)
    backwards = before is not None
    with db.store.read() as tx:
        now = db.now()
        crowded = tx.queues.crowded(asked, now, PILE) if asked.pile is None else ()
        start = before if backwards else after
        found = tx.queues.page(asked, now, limit + 1, without=crowded, start=start, backwards=backwards)
        ids = found[:limit][::-1] if backwards else found[:limit]
        more = len(found) > limit
        ahead = more if backwards else after is not None
        follow = True if backwards else more
        return Queue(
            _with_contributions(tx, db, actor, ids, now),
            () if follow else tx.queues.piles(asked, now, crowded),
            ids[0] if ahead and ids else None,
            ids[-1] if follow and ids else None,
        )


def count(db: HashDB, actor: Actor, asked: QueueQuery = _ANY) -> QueueCounts:
    """How many open cases fit a filter, in all and by field: at most `LONGEST_COUNT`."""
    actor.require(Scope.REVIEW, Scope.AUDIT)
    with db.store.read() as tx:
        return tx.queues.count(asked, db.now(), LONGEST_COUNT)


def neighbors_in_queue(db: HashDB, actor: Actor, case: int, asked: QueueQuery = _ANY) -> tuple[int | None, int | None]:
    """The ids of the cases before and after one in a queue; None if there is none.

    If the case is no longer there, the first case is the next one.
    """
    actor.require(Scope.REVIEW, Scope.AUDIT)
    with db.store.read() as tx:
        now = db.now()
        without = tx.queues.crowded(asked, now, PILE) if asked.pile is None else ()
        here = tx.queues.has(asked, now, case)
        after = tx.queues.page(asked, now, 1, without=without, start=case if here else None)
        before = tx.queues.page(asked, now, 1, without=without, start=case, backwards=True) if here else ()
    return next(iter(before), None), next(iter(after), None)


def count_proposed(db: HashDB, actor: Actor) -> int:
    """How many open cases wait for a second person."""
    actor.require(Scope.REVIEW, Scope.AUDIT)
    with db.store.read() as tx:
        return tx.queues.count_proposed(db.now())


def list_proposed(db: HashDB, actor: Actor) -> tuple[ProposedCase, ...]:
    """The open cases that wait for a second person, with who proposed what and why, the first to expire first."""
    actor.require(Scope.REVIEW, Scope.AUDIT)
    with db.store.read() as tx:
        now = db.now()
        proposals = {each.request.id: each for each in tx.proposals.page(0, _MOST_PROPOSED, now, REVIEWER_ACTIONS)}
        waiting = _with_contributions(tx, db, actor, list(proposals), now)
        reasons = {(note.case, note.proposal): note for note in tx.case_notes.on(proposals)}
    found = [
        ProposedCase(proposal, each, reasons.get((each.case.id, proposal.id)))
        for each in waiting
        for proposal in [proposals[each.case.id]]
        if each.case.state is CaseState.OPEN
    ]
    return tuple(sorted(found, key=lambda each: (each.proposal.expires_at, each.proposal.id)))


def _with_contributions(
    tx: Transaction, db: HashDB, actor: Actor, ids: Sequence[int], now: datetime
) -> tuple[WaitingCase, ...]:
    cases, claims = tx.cases.get(ids), current(tx, db.rules, ids, now)
    about = tx.contributions.get([case.contribution for case in cases.values()], now)
    shown = {id: visible_fields(actor, contribution) for id, contribution in about.items()}
    return tuple(WaitingCase(cases[id], shown[cases[id].contribution], claims.get(id)) for id in ids if id in cases)


def uphold_pile(db: HashDB, actor: Actor, pile: int, upto: int, note: str, asked: QueueQuery = _ANY) -> int:
    """Uphold the cases of a member's pile that fit a filter with one note; return how many, at most `MOST_UPHELD`.

    Cases with ids above `upto` are left out, because the reviewer has not seen them, and so are those that another
    reviewer has taken.
    """
    actor.require(Scope.REVIEW)
    asked = replace(asked, pile=pile)
    with db.store.begin() as tx:
        now = db.now()
        ids = tx.queues.page(asked, now, MOST_UPHELD)
        tx.contributions.lock({case.contribution for case in tx.cases.get(ids).values() if case.id <= upto})
        # Read again: now that they are locked, nobody else decides on them.
        claims = current(tx, db.rules, ids, now)
        taken = {id for id, claim in claims.items() if claim.actor != str(actor)}
        cases = [
            case
            for id, case in tx.cases.get(ids).items()
            if id <= upto and id not in taken and case.state is CaseState.OPEN
        ]
        about = tx.contributions.get([case.contribution for case in cases], now)
        entries = []
        for case in cases:
            kept = None if about[case.contribution].erased else note
            tx.cases.decide(case.id, Decision.UPHOLD, kept, str(actor), now)
            entries.append(decided_entry(case, Decision.UPHOLD, now))
        for reason, group in groupby(sorted(cases, key=lambda case: case.reason), key=lambda case: case.reason):
            entries += settle(tx, [about[case.contribution] for case in group], reason)
        tx.audit.append(now, actor, entries)
    return len(cases)
