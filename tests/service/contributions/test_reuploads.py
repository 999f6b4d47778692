"""Re-uploads: retired content does not return unnoticed, neither through another member nor in another crop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from hashdb.domain.accounts.members import COMMAND_LINE, SYSTEM, Actor
from hashdb.domain.contributions import Contribution, Draft, IdempotencyKey, Standing
from hashdb.domain.matching.benign import BenignDraft, BenignEntry
from hashdb.domain.matching.matches import Query
from hashdb.domain.review.cases import Case, CaseState, Decision, OpinionDraft, Stance
from hashdb.domain.review.shadows import FRAMES_PLACE
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


def retire(db: HashDB, disputer: Actor, id: int) -> None:
    """Let a member dispute a contribution and the operator retire it."""
    case = opinions.give(db, disputer, id, OpinionDraft(Stance.DISPUTES, "not_terrorist_content")).case
    assert case is not None
    cases.decide(db, COMMAND_LINE, case, Decision.RETIRE)


@pytest.fixture
def retired(db: HashDB, actor: Actor, other: Actor) -> Contribution:
    """A contribution of the first member that was retired."""
    (contribution,) = contributed(db, actor, draft(signal(1), signal(1, PHASH)))
    retire(db, other, contribution.id)
    return contribution


def matched_ids(db: HashDB, queried: Query) -> list[int]:
    (result,) = matches.match(db, SYSTEM, [queried]).results
    return [match.contribution for match in result.matches]


def open_cases(db: HashDB) -> list[Case]:
    return list(cases.page(db, COMMAND_LINE, CaseState.OPEN, 0, 100))


def test_a_contribution_of_any_member_near_a_retired_one_is_quarantined(
    db: HashDB, actor: Actor, other: Actor, retired: Contribution
) -> None:
    (crop,) = contributed(db, other, draft(signal(7), near(signal(1, PHASH), 6), 8))
    (own,) = contributed(db, actor, draft(near(signal(1), 31)))
    assert [crop.standing, own.standing] == [Standing.QUARANTINED] * 2
    assert contributions.get(db, other, crop.id).standing is Standing.QUARANTINED
    assert matched_ids(db, query(7)) == matched_ids(db, query(1)) == []
    assert [(case.contribution, case.reason, case.holds) for case in open_cases(db)] == [
        (crop.id, "near_retired", True),
        (own.id, "near_retired", True),
    ]
    with db.store.read() as tx:
        logged = tx.audit.events(0, 99, None, None, None)[-6:-3]
    assert [event.action for event in logged] == ["contribution.added", "case.opened", "contribution.quarantined"]
    assert logged[2].details == {"before": "unreviewed", "reason": "near_retired", "near": retired.id}


def test_a_quarantined_reupload_is_not_in_the_feed_until_it_is_upheld(
    db: HashDB, other: Actor, retired: Contribution
) -> None:
    (quarantined,) = contributed(db, other, draft(1))
    page = feed.read(db, SYSTEM, 0, 100)
    assert Gone(quarantined.id, "quarantined") in [change.what for change in page.changes]
    (case,) = open_cases(db)
    assert case.id in [shown.id for shown in cases.page(db, other, None, 0, 10)]
    cases.decide(db, COMMAND_LINE, case.id, Decision.UPHOLD)
    assert matched_ids(db, query(1)) == [quarantined.id]
    (change,) = feed.read(db, SYSTEM, page.checkpoint, 100).changes
    assert isinstance(change.what, Contribution) and change.what.standing is Standing.UNREVIEWED


def test_a_contribution_outside_the_radius_is_not_quarantined(db: HashDB, other: Actor, retired: Contribution) -> None:
    far = draft(near(signal(1), 32), near(signal(1, PHASH), 7))
    assert [item.standing for item in contributed(db, other, far, draft(2))] == [Standing.UNREVIEWED] * 2
    assert open_cases(db) == []


def test_reuploads_are_quarantined_as_long_as_the_retired_signals_are_kept(
    db: HashDB, actor: Actor, other: Actor, clock: Clock, retired: Contribution
) -> None:
    contributions.withdraw(db, actor, retired.id, "other")
    db.index.maintain(at_once=True)
    assert contributed(db, other, draft(near(signal(1), 2)))[0].standing is Standing.QUARANTINED
    contributions.erase(db, actor, retired.id)
    assert contributed(db, actor, draft(near(signal(1), 4)))[0].standing is Standing.QUARANTINED
    clock.advance(days=90)
    contributions.purge(db)
    assert contributed(db, other, draft(near(signal(1), 6)))[0].standing is Standing.UNREVIEWED


def test_only_the_operator_can_erase_a_retired_contribution_at_once(
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


def test_reuploads_are_accepted_again_when_the_retired_one_is_upheld(db: HashDB, actor: Actor, other: Actor) -> None:
    (retired,) = contributed(db, actor, draft(2))
    retire(db, other, retired.id)
    opinions.give(db, replace(other, scopes=COMMAND_LINE.scopes), retired.id, OpinionDraft(Stance.CONFIRMS))
    cases.decide(db, COMMAND_LINE, open_cases(db)[-1].id, Decision.UPHOLD)
    assert contributed(db, other, draft(near(signal(2), 4)))[0].standing is Standing.UNREVIEWED


def test_only_the_reupload_in_a_request_is_quarantined(db: HashDB, other: Actor, retired: Contribution) -> None:
    drafts, idempotency_key = [draft(2), draft(1), draft(1)], IdempotencyKey("a", b"body")
    receipt = contributions.contribute(db, other, drafts, idempotency_key)
    expected = [(Standing.UNREVIEWED, False), (Standing.QUARANTINED, False), (Standing.QUARANTINED, True)]
    for answer in (receipt, contributions.contribute(db, other, drafts, idempotency_key)):
        assert [(item.contribution.standing, item.known) for item in answer.recorded] == expected
    (again,) = contributions.contribute(db, other, [draft(1)]).recorded
    assert (again.known, again.contribution.standing) == (True, Standing.QUARANTINED)
    assert len(open_cases(db)) == 1


def test_a_retirement_during_a_contribution_request_is_noticed(
    db: HashDB, database_url: str, clock: Clock, actor: Actor, other: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    (retired,) = contributed(db, actor, draft(1))
    other_process = hashdb(database_url, clock)
    check, retirements = contributions.check, [1]

    def retire_and_check(
        db: HashDB, drafts: Sequence[Draft], now: datetime, rules: IntakeRules, *, checked: bool
    ) -> None:
        if retirements and retirements.pop():
            retire(other_process, other, retired.id)
        check(db, drafts, now, rules, checked=checked)

    monkeypatch.setattr(contributions, "check", retire_and_check)
    (contribution,) = contributed(db, other, draft(near(signal(1), 3)))
    assert contribution.standing is Standing.QUARANTINED
    assert [case.contribution for case in open_cases(db)] == [contribution.id]
    other_process.close()


def test_a_process_that_starts_later_knows_the_retired_signals(
    db: HashDB, database_url: str, clock: Clock, other: Actor, retired: Contribution
) -> None:
    other_process = hashdb(database_url, clock)
    assert contributed(other_process, other, draft(near(signal(1), 5)))[0].standing is Standing.QUARANTINED
    other_process.close()


def test_a_retired_signal_quarantines_nothing_while_it_is_suppressed(
    db: HashDB, other: Actor, retired: Contribution
) -> None:
    entry = benign.add(db, COMMAND_LINE, BenignDraft((signal(1),), {Algorithm.PDQ: 0}))
    assert isinstance(entry, BenignEntry)
    assert contributed(db, other, draft(near(signal(1), 4)))[0].standing is Standing.UNREVIEWED
    benign.delete(db, COMMAND_LINE, entry.id)
    assert contributed(db, other, draft(near(signal(1), 6)))[0].standing is Standing.QUARANTINED


def test_a_match_counts_each_member_with_the_same_signals(db: HashDB, actor: Actor, other: Actor) -> None:
    (first,) = contributed(db, actor, draft(1))
    (second,) = contributed(db, other, draft(1))
    (result,) = matches.match(db, SYSTEM, [query(1)]).results
    assert ([match.contribution for match in result.matches], result.members) == ([first.id, second.id], 2)
    contributions.withdraw(db, other, second.id, "other")
    (result,) = matches.match(db, SYSTEM, [query(1)]).results
    assert result.members == 1


PLANTED = tuple(signal(seed) for seed in range(100, 163))
"""Signals of other items that a member adds to its contribution so that they are retired with it."""


def test_planted_signals_of_a_retired_contribution_quarantine_nothing(db: HashDB, actor: Actor, other: Actor) -> None:
    (contribution,) = contributed(db, actor, draft(signal(1), *PLANTED))
    retire(db, other, contribution.id)
    legitimate = contributed(db, other, *map(draft, PLANTED))
    assert {contribution.standing for contribution in legitimate} == {Standing.UNREVIEWED}
    assert contributed(db, other, draft(near(signal(1), 8)))[0].standing is Standing.QUARANTINED


def test_a_reviewer_chooses_the_signals_that_quarantine_reuploads(db: HashDB, actor: Actor, other: Actor) -> None:
    (contribution,) = contributed(db, actor, draft(signal(1), *PLANTED))
    dispute = opinions.give(db, other, contribution.id, OpinionDraft(Stance.DISPUTES, "other")).case
    assert dispute is not None
    with pytest.raises(InvalidInput, match="no signal at place 64"):
        cases.decide(db, COMMAND_LINE, dispute, Decision.RETIRE, shadow_places=[64])
    with pytest.raises(InvalidInput, match="is only for the decision retire"):
        cases.decide(db, COMMAND_LINE, dispute, Decision.UPHOLD, shadow_places=[1])
    decided = cases.decide(db, COMMAND_LINE, dispute, Decision.RETIRE, shadow_places=[2, 1, 2])
    assert isinstance(decided, Case) and decided.shadow == (1, 2)
    later = contributed(db, other, *map(draft, (signal(1), *PLANTED[:3])))
    quarantined = [contribution.standing is Standing.QUARANTINED for contribution in later]
    assert quarantined == [False, True, True, False]


def test_a_reviewer_can_choose_that_no_signal_quarantines_reuploads(db: HashDB, actor: Actor, other: Actor) -> None:
    (contribution,) = contributed(db, actor, draft(1))
    dispute = opinions.give(db, other, contribution.id, OpinionDraft(Stance.DISPUTES, "other")).case
    assert dispute is not None
    cases.decide(db, COMMAND_LINE, dispute, Decision.RETIRE, shadow_places=[])
    assert contributed(db, other, draft(1))[0].standing is Standing.UNREVIEWED


def test_the_last_retirement_sets_the_signals_that_quarantine_reuploads(db: HashDB, actor: Actor, other: Actor) -> None:
    (contribution,) = contributed(db, actor, draft(1, 2))
    retire(db, other, contribution.id)
    opinions.give(db, replace(other, scopes=COMMAND_LINE.scopes), contribution.id, OpinionDraft(Stance.CONFIRMS))
    cases.decide(db, COMMAND_LINE, open_cases(db)[-1].id, Decision.RETIRE, shadow_places=[1])
    later = contributed(db, other, draft(1), draft(2))
    assert [item.standing for item in later] == [Standing.UNREVIEWED, Standing.QUARANTINED]


def test_the_frames_of_a_retired_video_quarantine_items_that_show_them(db: HashDB, actor: Actor, other: Actor) -> None:
    (retired,) = contributed(db, actor, video(*range(100, 120), signals=(signal(1, Algorithm.MD5),)))
    retire(db, other, retired.id)
    with db.store.read() as tx:
        assert tx.shadows.shadow_positions([retired.id]) == {retired.id: {0, FRAMES_PLACE}}
    quarantined = contributed(
        db,
        other,
        video(*range(500, 505), *range(110, 113)),
        draft(near(signal(105), 31)),
        draft(signal(1, Algorithm.MD5)),
        video(100),
    )
    # A title card that is shown for five seconds is one shot.
    accepted = contributed(db, other, video(100, 101, *range(600, 610)), video(*[100] * 5, 601, 602))
    assert [contribution.standing for contribution in quarantined] == [Standing.QUARANTINED] * 4
    assert [contribution.standing for contribution in accepted] == [Standing.UNREVIEWED] * 2


def test_a_retired_video_is_recognised_even_if_another_shares_its_frames(
    db: HashDB, actor: Actor, other: Actor
) -> None:
    first, second = contributed(db, actor, video(100, 101, 200, 201), video(100, 101, 300))
    retire(db, other, first.id)
    retire(db, other, second.id)
    (again,) = contributed(db, other, video(100, 101, 300))
    assert again.standing is Standing.QUARANTINED


def test_a_reviewer_can_choose_that_frames_quarantine_nothing(db: HashDB, actor: Actor, other: Actor) -> None:
    (retired,) = contributed(db, actor, video(*range(100, 120), signals=(signal(1, Algorithm.MD5),)))
    case = opinions.give(db, other, retired.id, OpinionDraft(Stance.DISPUTES, "other")).case
    assert case is not None
    assert [choice.place for choice in cases.list_shadow_choices(db, COMMAND_LINE, case)] == [0, FRAMES_PLACE]
    cases.decide(db, COMMAND_LINE, case, Decision.RETIRE, shadow_places=[0])
    same, copy = contributed(db, other, video(*range(100, 120)), draft(signal(1, Algorithm.MD5)))
    assert (same.standing, copy.standing) == (Standing.UNREVIEWED, Standing.QUARANTINED)


def test_a_retirement_by_version_0_1_0_uses_the_default_signals(db: HashDB, actor: Actor, other: Actor) -> None:
    (contribution,) = contributed(db, actor, draft(signal(1), *PLANTED))
    retire(db, other, contribution.id)
    with db.store.begin() as tx:
        tx.cases.decide(1, Decision.RETIRE, None, str(COMMAND_LINE), db.now())
    later = contributed(db, other, draft(PLANTED[0]), draft(near(signal(1), 8)))
    assert [item.standing for item in later] == [Standing.UNREVIEWED, Standing.QUARANTINED]


def test_the_log_has_the_places_of_the_chosen_signals_and_no_values(db: HashDB, actor: Actor, other: Actor) -> None:
    (contribution,) = contributed(db, actor, draft(signal(1), signal(1, PHASH), *PLANTED[1:]))
    retire(db, other, contribution.id)
    with db.store.read() as tx:
        (decided,) = tx.audit.events(0, 99, None, "case.decided", None)
    assert decided.details["shadow"] == ["0", "1"]
    assert verify(db, COMMAND_LINE).findings == ()


def dispute_case(db: HashDB, disputer: Actor, id: int) -> int:
    """Let a member dispute a contribution; return the id of the case."""
    case = opinions.give(db, disputer, id, OpinionDraft(Stance.DISPUTES, "edsa_context", "a news report")).case
    assert case is not None
    return case


def test_an_open_dispute_continues_when_a_member_withdraws_and_contributes_again(
    db: HashDB, actor: Actor, other: Actor, clock: Clock
) -> None:
    (contribution,) = contributed(db, actor, draft(signal(1), signal(1, PHASH)))
    first = dispute_case(db, other, contribution.id)
    contributions.withdraw(db, actor, contribution.id, "other")
    clock.advance(hours=5)
    again, copy, far = contributed(
        db, actor, draft(signal(1, PHASH), signal(1)), draft(near(signal(1), 8)), draft(near(signal(1), 40))
    )
    assert [again.standing, copy.standing, far.standing] == [
        Standing.DISPUTED,
        Standing.DISPUTED,
        Standing.UNREVIEWED,
    ]
    assert contributions.get(db, actor, again.id).standing is Standing.DISPUTED
    assert matched_ids(db, query(1)) == [again.id, copy.id]
    before, *after = open_cases(db)
    assert before.id == first
    assert [(case.contribution, case.reason, case.holds, case.follows) for case in after] == [
        (again.id, "edsa_context", False, first),
        (copy.id, "edsa_context", False, first),
    ]
    assert {case.due_at for case in after} == {before.due_at}, "a continued case must keep its due time"
    with db.store.read() as tx:
        event = tx.audit.events(0, 99, None, None, ("contribution", again.id))[-1]
    assert (event.action, event.details) == (
        "contribution.disputed",
        {"before": "unreviewed", "reason": "edsa_context"},
    )
    # The disputer is a party to the continued case, and the case shows the note of the dispute.
    seen = cases.get(db, other, after[0].id)
    assert [opinion.note for opinion in seen.opinions] == ["a news report"]
    assert verify(db, COMMAND_LINE).findings == ()
    cases.decide(db, COMMAND_LINE, after[0].id, Decision.UPHOLD)
    assert contributions.get(db, actor, again.id).standing is Standing.UNREVIEWED


def test_a_confirmation_does_not_close_a_continued_dispute(db: HashDB, actor: Actor, other: Actor) -> None:
    (contribution,) = contributed(db, actor, draft(1))
    dispute_case(db, other, contribution.id)
    contributions.withdraw(db, actor, contribution.id, "other")
    (again,) = contributed(db, actor, draft(1))
    opinions.give(db, other, again.id, OpinionDraft(Stance.CONFIRMS))
    assert contributions.get(db, actor, again.id).standing is Standing.DISPUTED


def test_a_dispute_continues_repeatedly_and_after_an_expiry_or_an_erasure(
    db: HashDB, actor: Actor, other: Actor, clock: Clock
) -> None:
    (contribution,) = contributed(db, actor, draft(1, expires_at=clock() + timedelta(hours=1)))
    first = dispute_case(db, other, contribution.id)
    clock.advance(hours=2)
    for _ in range(2):
        (contribution,) = contributed(db, actor, draft(1))
        assert (contribution.standing, open_cases(db)[-1].follows) == (Standing.DISPUTED, first)
        contributions.erase(db, actor, contribution.id)
    clock.advance(days=90)
    contributions.purge(db)


def test_a_quarantined_contribution_is_quarantined_when_contributed_again(
    db: HashDB, actor: Actor, other: Actor
) -> None:
    (contribution,) = contributed(db, actor, draft(1))
    case = dispute_case(db, other, contribution.id)
    cases.decide(db, COMMAND_LINE, case, Decision.QUARANTINE)
    contributions.withdraw(db, actor, contribution.id, "other")
    (again,) = contributed(db, actor, draft(near(signal(1), 4)))
    assert (again.standing, matched_ids(db, query(1))) == (Standing.QUARANTINED, [])
    (open_case,) = open_cases(db)
    assert (open_case.contribution, open_case.holds, open_case.follows) == (again.id, True, case)


def test_a_closed_dispute_or_one_of_another_member_does_not_continue(db: HashDB, actor: Actor, other: Actor) -> None:
    first, second = contributed(db, actor, draft(1), draft(2))
    cases.decide(db, COMMAND_LINE, dispute_case(db, other, first.id), Decision.UPHOLD)
    dispute_case(db, other, second.id)
    for id in (first.id, second.id):
        contributions.withdraw(db, actor, id, "other")
    assert contributed(db, actor, draft(1))[0].standing is Standing.UNREVIEWED
    assert contributed(db, other, draft(2))[0].standing is Standing.UNREVIEWED


def test_a_contributor_cannot_erase_a_contribution_under_review_at_once(db: HashDB, actor: Actor, other: Actor) -> None:
    disputed, quarantined = contributed(db, actor, draft(1), draft(2))
    dispute_case(db, other, disputed.id)
    cases.decide(db, COMMAND_LINE, dispute_case(db, other, quarantined.id), Decision.QUARANTINE)
    for id in (disputed.id, quarantined.id):
        with pytest.raises(RetiredKept):
            contributions.erase(db, actor, id, at_once=True)
    contributions.erase(db, COMMAND_LINE, disputed.id, at_once=True)
