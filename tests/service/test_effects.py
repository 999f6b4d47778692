"""What a decision would do, said before it is done."""

from __future__ import annotations

import pytest

from hashdb.domain.cases import Decision
from hashdb.domain.contributions import Standing
from hashdb.domain.effects import Effect, Outcome
from hashdb.domain.members import COMMAND_LINE, Actor
from hashdb.domain.opinions import OpinionDraft, Stance
from hashdb.errors import NotFound, ScopeMissing
from hashdb.service import HashDB, cases, changes, contributions, counts, effects, matches, opinions
from tests.builders import contributed, draft, member_with, query

DISPUTE, CONFIRM = OpinionDraft(Stance.DISPUTES, "other"), OpinionDraft(Stance.CONFIRMS)


@pytest.mark.parametrize("confirmed", [False, True])
@pytest.mark.parametrize("held", [False, True])
@pytest.mark.parametrize("decision", Decision)
def test_what_is_foretold_of_a_decision_comes_true(
    db: HashDB, actor: Actor, other: Actor, decision: Decision, confirmed: bool, held: bool
) -> None:
    (one,) = contributed(db, actor, draft(1))
    if held:
        case = cases.bring(db, COMMAND_LINE, one.id, "other", holds=True)
        assert db.store.head()
    else:
        opinions.give(db, other, one.id, DISPUTE)
        (case,) = cases.page(db, COMMAND_LINE, None, 0, 9)
    if confirmed and not held:
        opinions.give(db, member_with(db), one.id, CONFIRM)
    before = contributions.get(db, COMMAND_LINE, one.id).standing
    foretold = effects.outcomes(db, COMMAND_LINE, case.id)[decision]
    cases.decide(db, COMMAND_LINE, case.id, decision)
    assert foretold == Outcome(before, contributions.get(db, COMMAND_LINE, one.id).standing)
    assert before is (Standing.QUARANTINED if held else Standing.DISPUTED)


def test_the_effect_tells_who_would_match_it_no_longer(db: HashDB, actor: Actor, other: Actor) -> None:
    one, same = contributed(db, actor, draft(1, 2), draft(2, 3))
    contributed(db, other, draft(1))
    changes.read(db, other, 0, 10)
    matches.match(db, other, [query(2), query(2)])
    counts.flush(db)
    effect = effects.of(db, COMMAND_LINE, one.id)
    assert effect == Effect(matches=True, members=1, times=2, equal=2, readers=1)
    contributions.withdraw(db, actor, same.id, "other")
    assert effects.of(db, COMMAND_LINE, one.id).equal == 1
    assert not effects.of(db, COMMAND_LINE, same.id).matches


def test_effects_are_for_who_audits_or_reviews(db: HashDB, actor: Actor) -> None:
    (one,) = contributed(db, actor, draft(1))
    with pytest.raises(ScopeMissing):
        effects.of(db, actor, one.id)
    with pytest.raises(ScopeMissing):
        effects.outcomes(db, actor, 1)
    with pytest.raises(NotFound):
        effects.outcomes(db, COMMAND_LINE, 1)
