"""Effects: what a decision, or the end of a contribution, would do, before it is done."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from hashdb.domain.cases import Case, Decision, ruling
from hashdb.domain.contributions import Standing, Status
from hashdb.domain.effects import Effect, Outcome
from hashdb.domain.members import Actor, Scope
from hashdb.domain.opinions import Stance, standing
from hashdb.service import HashDB
from hashdb.store import Transaction

LATELY = timedelta(days=90)
_READ_LATELY = timedelta(days=30)
_MATCHING = tuple(one for one in Standing if one.matches)


def of(db: HashDB, actor: Actor, contribution: int) -> Effect:
    """What ends when a contribution matches no longer. Raises NotFound."""
    actor.require(Scope.AUDIT, Scope.REVIEW)
    with db.store.read() as tx:
        now = db.now()
        found = tx.contributions.one(contribution, now)
        holders = tx.matches.holders(found.signals, now, _MATCHING, 1_000)
        members, times = tx.effects.hits(contribution, (now - LATELY).date())
        return Effect(
            matches=found.status is Status.ACTIVE and found.standing.matches,
            members=members,
            times=times,
            equal=len({one.contribution for one in holders} - {contribution}),
            readers=tx.effects.readers((now - _READ_LATELY).date()),
        )


def outcomes(db: HashDB, actor: Actor, case: int) -> dict[Decision, Outcome]:
    """What each decision on a case would make of its contribution. Raises NotFound."""
    actor.require(Scope.AUDIT, Scope.REVIEW)
    with db.store.read() as tx:
        asked = tx.cases.one(case)
        before = tx.contributions.one(asked.contribution, db.now()).standing
        return {decision: Outcome(before, _after(tx, asked, decision)) for decision in Decision}


def _after(tx: Transaction, asked: Case, decision: Decision) -> Standing:
    """The standing that opinions and cases would add up to."""
    on = asked.contribution
    cases = [replace(one, decision=decision) if one.id == asked.id else one for one in tx.cases.of([on]).get(on, ())]
    opinions = [
        replace(one, counts=one.counts and not (one.stance is Stance.DISPUTES and one.case == asked.id))
        for one in tx.opinions.of([on]).get(on, ())
    ]
    return standing(opinions, ruling(cases))
