"""Returns: what was retired does not come back unseen, through another member or another crop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from hashdb.domain.accounts.members import COMMAND_LINE, SYSTEM, Actor
from hashdb.domain.contributions import Contribution, Draft, IdempotencyKey, Standing
from hashdb.domain.matching.benign import BenignDraft, BenignEntry
from hashdb.domain.matching.matches import Query
from hashdb.domain.review.cases import OF_FRAMES, Case, CaseState, Decision, OpinionDraft, Stance
from hashdb.domain.sharing.feed import Gone
from hashdb.domain.signals import Algorithm
from hashdb.errors import InvalidInput, RetiredKept
from hashdb.service import HashDB
from hashdb.service.contributions import contributions
from hashdb.service.ledger.verification import verify
from hashdb.service.matching import benign, matches
from hashdb.service.review import cases, opinions
from hashdb.service.sharing import feed
from hashdb.service.views import IntakeRules
from tests.builders import Clock, contributed, draft, hashdb, near, query, signal, video

PHASH = Algorithm.PHASH


def retire(db: HashDB, by: Actor, id: int) -> None:
    case = opinions.give(db, by, id, OpinionDraft(Stance.DISPUTES, "not_terrorist_content")).case
    assert case is not None
    cases.decide(db, COMMAND_LINE, case, Decision.RETIRE)


@pytest.fixture
def retired(db: HashDB, actor: Actor, other: Actor) -> Contribution:
    """What the first member contributed, and a reviewer retired."""
    (one,) = contributed(db, actor, draft(signal(1), signal(1, PHASH)))
    retire(db, other, one.id)
    return one


def found(db: HashDB, asked: Query) -> list[int]:
    (result,) = matches.match(db, SYSTEM, [asked]).results
    return [match.contribution for match in result.matches]


def waiting(db: HashDB) -> list[Case]:
    return list(cases.page(db, COMMAND_LINE, CaseState.OPEN, 0, 100))


def test_what_is_near_a_retired_one_waits_for_a_reviewer_whoever_contributes_it(
    db: HashDB, actor: Actor, other: Actor, retired: Contribution
) -> None:
    (crop,) = contributed(db, other, draft(signal(7), near(signal(1, PHASH), 6), 8))
    (own,) = contributed(db, actor, draft(near(signal(1), 31)))
    assert [crop.standing, own.standing] == [Standing.QUARANTINED] * 2
    assert contributions.get(db, other, crop.id).standing is Standing.QUARANTINED
    assert found(db, query(7)) == found(db, query(1)) == []
    assert [(case.contribution, case.reason, case.holds) for case in waiting(db)] == [
        (crop.id, "near_retired", True),
        (own.id, "near_retired", True),
    ]
    with db.store.read() as tx:
        told = [(one.action, one.actor, one.details) for one in tx.audit.events(0, 99, None, None, None)][-6:-3]
    assert [action for action, _, _ in told] == ["contribution.added", "case.opened", "contribution.quarantined"]
    assert told[2][2] == {"before": "unreviewed", "reason": "near_retired", "near": retired.id}


def test_it_is_not_in_the_feed_until_it_is_upheld(db: HashDB, other: Actor, retired: Contribution) -> None:
    (one,) = contributed(db, other, draft(1))
    page = feed.read(db, SYSTEM, 0, 100)
    assert Gone(one.id, "quarantined") in [change.what for change in page.changes]
    (case,) = waiting(db)
    assert case.id in [one.id for one in cases.page(db, other, None, 0, 10)]
    cases.decide(db, COMMAND_LINE, case.id, Decision.UPHOLD)
    assert found(db, query(1)) == [one.id]
    (change,) = feed.read(db, SYSTEM, page.checkpoint, 100).changes
    assert isinstance(change.what, Contribution) and change.what.standing is Standing.UNREVIEWED


def test_what_is_farther_away_is_as_any_other(db: HashDB, other: Actor, retired: Contribution) -> None:
    far = draft(near(signal(1), 32), near(signal(1, PHASH), 7))
    assert [one.standing for one in contributed(db, other, far, draft(2))] == [Standing.UNREVIEWED] * 2
    assert waiting(db) == []


def test_it_holds_when_the_retired_one_is_withdrawn_or_erased_until_its_signals_are_kept_no_longer(
    db: HashDB, actor: Actor, other: Actor, clock: Clock, retired: Contribution
) -> None:
    contributions.withdraw(db, actor, retired.id, "other")
    db.index.maintain(at_once=True)
    assert contributed(db, other, draft(near(signal(1), 2)))[0].standing is Standing.QUARANTINED
    contributions.erase(db, actor, retired.id)
    assert contributed(db, actor, draft(near(signal(1), 4)))[0].standing is Standing.QUARANTINED
    clock.go(days=90)
    contributions.purge(db)
    assert contributed(db, other, draft(near(signal(1), 6)))[0].standing is Standing.UNREVIEWED


def test_its_contributor_cannot_erase_it_at_once_and_the_operator_can(
    db: HashDB, actor: Actor, other: Actor, retired: Contribution
) -> None:
    for _ in range(2):
        with pytest.raises(RetiredKept, match="erase it without now=1, or ask the operator"):
            contributions.erase(db, actor, retired.id, at_once=True)
        assert contributed(db, actor, draft(near(signal(1), 2)))[0].standing is Standing.QUARANTINED
        contributions.erase(db, actor, retired.id)
    contributions.erase(db, COMMAND_LINE, retired.id, at_once=True)
    with db.store.read() as tx:
        last = tx.audit.events(0, 99, None, "contribution.erased", None)[-1]
    assert (last.actor, last.id) == (str(COMMAND_LINE), retired.id)
    assert contributed(db, other, draft(near(signal(1), 4)))[0].standing is Standing.UNREVIEWED


def test_it_holds_no_longer_when_the_retired_one_is_upheld_after_all(db: HashDB, actor: Actor, other: Actor) -> None:
    (two,) = contributed(db, actor, draft(2))
    retire(db, other, two.id)
    opinions.give(db, replace(other, scopes=COMMAND_LINE.scopes), two.id, OpinionDraft(Stance.CONFIRMS))
    cases.decide(db, COMMAND_LINE, waiting(db)[-1].id, Decision.UPHOLD)
    assert contributed(db, other, draft(near(signal(2), 4)))[0].standing is Standing.UNREVIEWED


def test_of_one_request_only_what_is_near_waits_and_it_is_answered_again_as_it_is(
    db: HashDB, other: Actor, retired: Contribution
) -> None:
    drafts, once = [draft(2), draft(1), draft(1)], IdempotencyKey("a", b"body")
    receipt = contributions.contribute(db, other, drafts, once)
    expected = [(Standing.UNREVIEWED, False), (Standing.QUARANTINED, False), (Standing.QUARANTINED, True)]
    for answer in (receipt, contributions.contribute(db, other, drafts, once)):
        assert [(one.contribution.standing, one.known) for one in answer.recorded] == expected
    (again,) = contributions.contribute(db, other, [draft(1)]).recorded
    assert (again.known, again.contribution.standing) == (True, Standing.QUARANTINED)
    assert len(waiting(db)) == 1


def test_what_is_retired_while_a_contribution_is_under_way_is_noticed(
    db: HashDB, database_url: str, clock: Clock, actor: Actor, other: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    (one,) = contributed(db, actor, draft(1))
    elsewhere = hashdb(database_url, clock)
    check, left = contributions.check, [1]

    def retire_and_check(
        db: HashDB, drafts: Sequence[Draft], now: datetime, rules: IntakeRules, *, checked: bool
    ) -> None:
        if left and left.pop():
            retire(elsewhere, other, one.id)
        check(db, drafts, now, rules, checked=checked)

    monkeypatch.setattr(contributions, "check", retire_and_check)
    (two,) = contributed(db, other, draft(near(signal(1), 3)))
    assert two.standing is Standing.QUARANTINED
    assert [case.contribution for case in waiting(db)] == [two.id]
    elsewhere.close()


def test_a_process_that_starts_later_knows_what_was_retired(
    db: HashDB, database_url: str, clock: Clock, other: Actor, retired: Contribution
) -> None:
    elsewhere = hashdb(database_url, clock)
    assert contributed(elsewhere, other, draft(near(signal(1), 5)))[0].standing is Standing.QUARANTINED
    elsewhere.close()


def test_a_masked_signal_of_a_retired_one_counts_once_it_is_unmasked(
    db: HashDB, other: Actor, retired: Contribution
) -> None:
    entry = benign.add(db, COMMAND_LINE, BenignDraft((signal(1),), {Algorithm.PDQ: 0}))
    assert isinstance(entry, BenignEntry)
    assert contributed(db, other, draft(near(signal(1), 4)))[0].standing is Standing.UNREVIEWED
    benign.delete(db, COMMAND_LINE, entry.id)
    assert contributed(db, other, draft(near(signal(1), 6)))[0].standing is Standing.QUARANTINED


def test_a_second_member_with_the_same_signals_corroborates(db: HashDB, actor: Actor, other: Actor) -> None:
    (one,) = contributed(db, actor, draft(1))
    (two,) = contributed(db, other, draft(1))
    (result,) = matches.match(db, SYSTEM, [query(1)]).results
    assert ([match.contribution for match in result.matches], result.members) == ([one.id, two.id], 2)
    contributions.withdraw(db, other, two.id, "other")
    (result,) = matches.match(db, SYSTEM, [query(1)]).results
    assert result.members == 1


PLANTED = tuple(signal(seed) for seed in range(100, 163))


def test_planted_signals_of_a_retired_contribution_hold_no_contribution_of_others(
    db: HashDB, actor: Actor, other: Actor
) -> None:
    (one,) = contributed(db, actor, draft(signal(1), *PLANTED))
    retire(db, other, one.id)
    true = contributed(db, other, *map(draft, PLANTED))
    assert {contribution.standing for contribution in true} == {Standing.UNREVIEWED}
    assert contributed(db, other, draft(near(signal(1), 8)))[0].standing is Standing.QUARANTINED


def test_a_reviewer_names_the_signals_that_hold_others(db: HashDB, actor: Actor, other: Actor) -> None:
    (one,) = contributed(db, actor, draft(signal(1), *PLANTED))
    dispute = opinions.give(db, other, one.id, OpinionDraft(Stance.DISPUTES, "other")).case
    assert dispute is not None
    with pytest.raises(InvalidInput, match="no signal at place 64"):
        cases.decide(db, COMMAND_LINE, dispute, Decision.RETIRE, signals=[64])
    with pytest.raises(InvalidInput, match="is for the decision retire"):
        cases.decide(db, COMMAND_LINE, dispute, Decision.UPHOLD, signals=[1])
    decided = cases.decide(db, COMMAND_LINE, dispute, Decision.RETIRE, signals=[2, 1, 2])
    assert isinstance(decided, Case) and decided.shadow == (1, 2)
    found = contributed(db, other, *map(draft, (signal(1), *PLANTED[:3])))
    held = [contribution.standing is Standing.QUARANTINED for contribution in found]
    assert held == [False, True, True, False]


def test_a_reviewer_may_let_a_retired_contribution_hold_nothing(db: HashDB, actor: Actor, other: Actor) -> None:
    (one,) = contributed(db, actor, draft(1))
    dispute = opinions.give(db, other, one.id, OpinionDraft(Stance.DISPUTES, "other")).case
    assert dispute is not None
    cases.decide(db, COMMAND_LINE, dispute, Decision.RETIRE, signals=[])
    assert contributed(db, other, draft(1))[0].standing is Standing.UNREVIEWED


def test_the_last_decision_to_retire_says_which_signals_hold_others(db: HashDB, actor: Actor, other: Actor) -> None:
    (one,) = contributed(db, actor, draft(1, 2))
    retire(db, other, one.id)
    opinions.give(db, replace(other, scopes=COMMAND_LINE.scopes), one.id, OpinionDraft(Stance.CONFIRMS))
    cases.decide(db, COMMAND_LINE, waiting(db)[-1].id, Decision.RETIRE, signals=[1])
    found = contributed(db, other, draft(1), draft(2))
    assert [contribution.standing for contribution in found] == [Standing.UNREVIEWED, Standing.QUARANTINED]


def test_the_frames_of_a_retired_video_hold_what_shows_several_of_them(db: HashDB, actor: Actor, other: Actor) -> None:
    (retired,) = contributed(db, actor, video(*range(100, 120), signals=(signal(1, Algorithm.MD5),)))
    retire(db, other, retired.id)
    with db.store.read() as tx:
        assert tx.retired.shadow_positions([retired.id]) == {retired.id: {0, OF_FRAMES}}
    held = contributed(
        db,
        other,
        video(*range(500, 505), *range(110, 113)),
        draft(near(signal(105), 31)),
        draft(signal(1, Algorithm.MD5)),
        video(100),
    )
    # A title card that stands for five seconds is one shot.
    free = contributed(db, other, video(100, 101, *range(600, 610)), video(*[100] * 5, 601, 602))
    assert [one.standing for one in held] == [Standing.QUARANTINED] * 4
    assert [one.standing for one in free] == [Standing.UNREVIEWED] * 2


def test_a_retired_video_is_recognised_though_another_one_shows_some_of_it(
    db: HashDB, actor: Actor, other: Actor
) -> None:
    first, second = contributed(db, actor, video(100, 101, 200, 201), video(100, 101, 300))
    retire(db, other, first.id)
    retire(db, other, second.id)
    (again,) = contributed(db, other, video(100, 101, 300))
    assert again.standing is Standing.QUARANTINED


def test_a_reviewer_may_let_the_frames_of_a_video_hold_nothing(db: HashDB, actor: Actor, other: Actor) -> None:
    (retired,) = contributed(db, actor, video(*range(100, 120), signals=(signal(1, Algorithm.MD5),)))
    case = opinions.give(db, other, retired.id, OpinionDraft(Stance.DISPUTES, "other")).case
    assert case is not None
    assert [choice.place for choice in cases.list_shadow_choices(db, COMMAND_LINE, case)] == [0, OF_FRAMES]
    cases.decide(db, COMMAND_LINE, case, Decision.RETIRE, signals=[0])
    same, copy = contributed(db, other, video(*range(100, 120)), draft(signal(1, Algorithm.MD5)))
    assert (same.standing, copy.standing) == (Standing.UNREVIEWED, Standing.QUARANTINED)


def test_what_0_1_0_retired_holds_by_the_usual_signals(db: HashDB, actor: Actor, other: Actor) -> None:
    (one,) = contributed(db, actor, draft(signal(1), *PLANTED))
    retire(db, other, one.id)
    with db.store.begin() as tx:
        tx.cases.decide(1, Decision.RETIRE, None, str(COMMAND_LINE), db.now())
    found = contributed(db, other, draft(PLANTED[0]), draft(near(signal(1), 8)))
    assert [contribution.standing for contribution in found] == [Standing.UNREVIEWED, Standing.QUARANTINED]


def test_the_log_tells_which_places_hold_others_and_no_value(db: HashDB, actor: Actor, other: Actor) -> None:
    (one,) = contributed(db, actor, draft(signal(1), signal(1, PHASH), *PLANTED[1:]))
    retire(db, other, one.id)
    with db.store.read() as tx:
        (decided,) = tx.audit.events(0, 99, None, "case.decided", None)
    assert decided.details["shadow"] == ["0", "1"]
    assert verify(db, COMMAND_LINE).findings == ()


def disputed(db: HashDB, by: Actor, id: int) -> int:
    case = opinions.give(db, by, id, OpinionDraft(Stance.DISPUTES, "edsa_context", "a news report")).case
    assert case is not None
    return case


def test_a_dispute_goes_on_with_what_its_member_withdraws_and_contributes_again(
    db: HashDB, actor: Actor, other: Actor, clock: Clock
) -> None:
    (one,) = contributed(db, actor, draft(signal(1), signal(1, PHASH)))
    first = disputed(db, other, one.id)
    contributions.withdraw(db, actor, one.id, "other")
    clock.go(hours=5)
    again, copy, else_ = contributed(
        db, actor, draft(signal(1, PHASH), signal(1)), draft(near(signal(1), 8)), draft(near(signal(1), 40))
    )
    assert [again.standing, copy.standing, else_.standing] == [
        Standing.DISPUTED,
        Standing.DISPUTED,
        Standing.UNREVIEWED,
    ]
    assert contributions.get(db, actor, again.id).standing is Standing.DISPUTED
    assert found(db, query(1)) == [again.id, copy.id]
    before, *after = waiting(db)
    assert before.id == first
    assert [(case.contribution, case.reason, case.holds, case.follows) for case in after] == [
        (again.id, "edsa_context", False, first),
        (copy.id, "edsa_context", False, first),
    ]
    assert {case.due_at for case in after} == {before.due_at}, "its clock goes on"
    with db.store.read() as tx:
        told = tx.audit.events(0, 99, None, None, ("contribution", again.id))[-1]
    assert (told.action, told.details) == ("contribution.disputed", {"before": "unreviewed", "reason": "edsa_context"})
    # Who disputed is a party to what goes on, and what was said is there.
    seen = cases.get(db, other, after[0].id)
    assert [opinion.note for opinion in seen.opinions] == ["a news report"]
    assert verify(db, COMMAND_LINE).findings == ()
    cases.decide(db, COMMAND_LINE, after[0].id, Decision.UPHOLD)
    assert contributions.get(db, actor, again.id).standing is Standing.UNREVIEWED


def test_a_confirmation_does_not_answer_a_dispute_that_goes_on(db: HashDB, actor: Actor, other: Actor) -> None:
    (one,) = contributed(db, actor, draft(1))
    disputed(db, other, one.id)
    contributions.withdraw(db, actor, one.id, "other")
    (again,) = contributed(db, actor, draft(1))
    opinions.give(db, other, again.id, OpinionDraft(Stance.CONFIRMS))
    assert contributions.get(db, actor, again.id).standing is Standing.DISPUTED


def test_it_goes_on_however_often_and_after_an_expiry_or_an_erasure(
    db: HashDB, actor: Actor, other: Actor, clock: Clock
) -> None:
    (one,) = contributed(db, actor, draft(1, expires_at=clock() + timedelta(hours=1)))
    first = disputed(db, other, one.id)
    clock.go(hours=2)
    for _ in range(2):
        (one,) = contributed(db, actor, draft(1))
        assert (one.standing, waiting(db)[-1].follows) == (Standing.DISPUTED, first)
        contributions.erase(db, actor, one.id)
    clock.go(days=90)
    contributions.purge(db)


def test_what_was_quarantined_is_quarantined_when_it_is_contributed_again(
    db: HashDB, actor: Actor, other: Actor
) -> None:
    (one,) = contributed(db, actor, draft(1))
    case = disputed(db, other, one.id)
    cases.decide(db, COMMAND_LINE, case, Decision.QUARANTINE)
    contributions.withdraw(db, actor, one.id, "other")
    (again,) = contributed(db, actor, draft(near(signal(1), 4)))
    assert (again.standing, found(db, query(1))) == (Standing.QUARANTINED, [])
    (waits,) = waiting(db)
    assert (waits.contribution, waits.holds, waits.follows) == (again.id, True, case)


def test_a_dispute_that_was_answered_does_not_go_on_and_none_follows_another_member(
    db: HashDB, actor: Actor, other: Actor
) -> None:
    one, two = contributed(db, actor, draft(1), draft(2))
    cases.decide(db, COMMAND_LINE, disputed(db, other, one.id), Decision.UPHOLD)
    disputed(db, other, two.id)
    for id in (one.id, two.id):
        contributions.withdraw(db, actor, id, "other")
    assert contributed(db, actor, draft(1))[0].standing is Standing.UNREVIEWED
    assert contributed(db, other, draft(2))[0].standing is Standing.UNREVIEWED


def test_the_contributor_cannot_erase_at_once_what_is_before_a_reviewer(db: HashDB, actor: Actor, other: Actor) -> None:
    one, two = contributed(db, actor, draft(1), draft(2))
    disputed(db, other, one.id)
    cases.decide(db, COMMAND_LINE, disputed(db, other, two.id), Decision.QUARANTINE)
    for id in (one.id, two.id):
        with pytest.raises(RetiredKept):
            contributions.erase(db, actor, id, at_once=True)
    contributions.erase(db, COMMAND_LINE, one.id, at_once=True)
