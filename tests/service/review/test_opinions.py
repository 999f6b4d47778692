"""Opinions: which members may give them, what they change, and how a suspension affects them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hashdb.domain.accounts.members import COMMAND_LINE, SYSTEM, Actor, MemberChange, MemberStatus, Scope
from hashdb.domain.contributions import Contribution, IdempotencyKey, Standing
from hashdb.domain.review.cases import Case, CaseState, Decision, OpinionDraft, Stance
from hashdb.domain.sharing.feed import Gone
from hashdb.errors import (
    IdempotencyKeyReused,
    InvalidInput,
    MemberSuspended,
    NotActive,
    NotFound,
    OwnContribution,
    ScopeMissing,
)
from hashdb.service import HashDB
from hashdb.service.accounts import members
from hashdb.service.contributions import contributions
from hashdb.service.matching import matches
from hashdb.service.review import cases, opinions
from hashdb.service.sharing import feed
from tests.builders import NOON, Clock, contributed, draft, member_with, query, with_new_key
from tests.service.concurrently import run_concurrently

CONFIRMS = OpinionDraft(Stance.CONFIRMS)
DISPUTES = OpinionDraft(Stance.DISPUTES, "edsa_context", "a news report")
REVIEWS = (Scope.REVIEW, Scope.MATCH)


@pytest.fixture
def contribution(db: HashDB, actor: Actor) -> Contribution:
    """A contribution of the actor, about which others give opinions."""
    return contributed(db, actor, draft(1))[0]


def standing(db: HashDB, id: int) -> Standing:
    return contributions.get(db, COMMAND_LINE, id).standing


def set_status(db: HashDB, actor: Actor, status: MemberStatus) -> None:
    assert actor.member is not None
    members.change(db, COMMAND_LINE, actor.member.id, MemberChange(status=status))


def logged(db: HashDB, after: int = 0) -> list[tuple[str, str, object]]:
    with db.store.read() as tx:
        events = tx.audit.since(after, 1_000)
    return [(event.action, event.subject, event.details) for event in events]


def head(db: HashDB) -> int:
    return db.store.head().seq


def test_a_confirmation_changes_the_standing_to_confirmed(db: HashDB, other: Actor, contribution: Contribution) -> None:
    after = head(db)
    opinion = opinions.give(db, other, contribution.id, CONFIRMS)
    assert (opinion.contribution, opinion.stance, opinion.case, opinion.counts) == (
        contribution.id,
        Stance.CONFIRMS,
        None,
        True,
    )
    assert other.member is not None
    assert (opinion.member, opinion.member_name, opinion.given_at) == (other.member.id, other.member.name, NOON)
    assert standing(db, contribution.id) is Standing.CONFIRMED
    assert logged(db, after) == [
        (
            "opinion.given",
            f"opinion:{opinion.id}",
            {"contribution": contribution.id, "opinion": "confirms", "reason": None, "case": None},
        ),
        ("contribution.confirmed", f"contribution:{contribution.id}", {"before": "unreviewed", "reason": None}),
    ]


def test_a_dispute_opens_a_case_that_later_opinions_join(db: HashDB, other: Actor, contribution: Contribution) -> None:
    after = head(db)
    first = opinions.give(db, other, contribution.id, DISPUTES)
    assert standing(db, contribution.id) is Standing.DISPUTED
    assert logged(db, after) == [
        (
            "opinion.given",
            f"opinion:{first.id}",
            {"contribution": contribution.id, "opinion": "disputes", "reason": "edsa_context", "case": first.case},
        ),
        (
            "case.opened",
            f"case:{first.case}",
            {"contribution": contribution.id, "reason": "edsa_context", "holds": "no"},
        ),
        (
            "contribution.disputed",
            f"contribution:{contribution.id}",
            {"before": "unreviewed", "reason": "edsa_context"},
        ),
    ]
    after = head(db)
    second = opinions.give(db, member_with(db), contribution.id, OpinionDraft(Stance.DISPUTES, "wrong_label"))
    third = opinions.give(db, member_with(db), contribution.id, CONFIRMS)
    assert first.case == second.case == third.case
    assert not [action for action, _, _ in logged(db, after) if action.startswith(("case.", "contribution."))]
    (case,) = cases.page(db, COMMAND_LINE, None, 0, 10)
    assert (case.reason, case.opinions, case.state) == ("edsa_context", (first, second, third), CaseState.OPEN)
    assert case.due_at == NOON + db.rules.time_to_decide


def test_events_contain_no_note_and_no_member(db: HashDB, other: Actor, contribution: Contribution) -> None:
    after = head(db)
    case = opinions.give(db, other, contribution.id, replace(DISPUTES, note="Jane confirmed it")).case
    assert case is not None
    cases.decide(db, COMMAND_LINE, case, Decision.RETIRE, "John agrees")
    assert not {"member", "note"} & {name for _, _, details in logged(db, after) for name in dict(details)}  # type: ignore[call-overload]
    assert "Jane" not in str(logged(db, after)) and "John" not in str(logged(db, after))


def test_the_last_opinion_of_a_member_counts(db: HashDB, other: Actor, contribution: Contribution) -> None:
    for opinion_draft, expected in (
        (CONFIRMS, Standing.CONFIRMED),
        (DISPUTES, Standing.DISPUTED),
        (CONFIRMS, "confirmed"),
    ):
        opinions.give(db, other, contribution.id, opinion_draft)
        assert standing(db, contribution.id) == expected
    listed = opinions.page(db, other, contribution.id, 0, 10)
    assert [(opinion.stance, opinion.counts) for opinion in listed] == [
        (Stance.CONFIRMS, False),
        (Stance.DISPUTES, False),
        (Stance.CONFIRMS, True),
    ]
    # The case stays open until a reviewer decides it.
    assert [case.state for case in cases.page(db, COMMAND_LINE, None, 0, 10)] == [CaseState.OPEN]


@pytest.mark.parametrize("opinion", [CONFIRMS, DISPUTES])
def test_repeating_the_same_opinion_changes_nothing(
    db: HashDB, other: Actor, contribution: Contribution, opinion: OpinionDraft
) -> None:
    first = opinions.give(db, other, contribution.id, opinion)
    after = head(db)
    assert opinions.give(db, with_new_key(db, other), contribution.id, opinion) == first
    assert not [action for action, _, _ in logged(db, after) if not action.startswith("key.")]
    assert opinions.give(db, other, contribution.id, replace(opinion, note="on second thoughts")).id != first.id


def test_a_member_cannot_give_an_opinion_on_its_own_contribution(
    db: HashDB, actor: Actor, contribution: Contribution
) -> None:
    for opinion in (CONFIRMS, DISPUTES):
        with pytest.raises(OwnContribution, match=rf"^contribution {contribution.id} is your own: "):
            opinions.give(db, with_new_key(db, actor, *Scope), contribution.id, opinion)
    contributions.withdraw(db, actor, contribution.id, "other")
    with pytest.raises(OwnContribution):
        opinions.give(db, actor, contribution.id, CONFIRMS)


@pytest.mark.parametrize(
    "opinion",
    [
        OpinionDraft(Stance.DISPUTES),
        OpinionDraft(Stance.CONFIRMS, "other"),
        OpinionDraft(Stance.DISPUTES, "boredom"),
    ],
)
def test_an_opinion_with_a_wrong_or_missing_reason_is_rejected(
    db: HashDB, other: Actor, contribution: Contribution, opinion: OpinionDraft
) -> None:
    after = head(db)
    with pytest.raises(InvalidInput) as caught:
        opinions.give(db, other, contribution.id, opinion)
    assert [fault.at for fault in caught.value.faults] == ["reason"]
    assert head(db) == after


def test_an_opinion_needs_the_match_scope_and_an_active_member(
    db: HashDB, other: Actor, contribution: Contribution
) -> None:
    with pytest.raises(ScopeMissing):
        opinions.give(db, member_with(db, Scope.FEED, Scope.REVIEW), contribution.id, CONFIRMS)
    with pytest.raises(ScopeMissing):
        opinions.give(db, SYSTEM, contribution.id, CONFIRMS)
    set_status(db, other, MemberStatus.SUSPENDED)
    suspended = with_new_key(db, other)
    with pytest.raises(MemberSuspended):
        opinions.give(db, suspended, contribution.id, CONFIRMS)
    with pytest.raises(MemberSuspended):
        opinions.page(db, suspended, contribution.id, 0, 10)


def test_opinions_on_an_unknown_or_invisible_contribution_are_rejected(
    db: HashDB, other: Actor, contribution: Contribution
) -> None:
    with pytest.raises(NotFound, match=r"^contribution 99 does not exist$"):
        opinions.give(db, other, 99, CONFIRMS)
    case = opinions.give(db, other, contribution.id, DISPUTES).case
    assert case is not None
    cases.decide(db, COMMAND_LINE, case, Decision.QUARANTINE)
    for verb in (
        lambda: opinions.give(db, other, contribution.id, CONFIRMS),
        lambda: opinions.page(db, other, contribution.id, 0, 10),
        lambda: opinions.page(db, other, 99, 0, 10),
    ):
        with pytest.raises(NotFound):
            verb()


def test_opinions_on_inactive_contributions_are_rejected(db: HashDB, actor: Actor, other: Actor, clock: Clock) -> None:
    withdrawn, expired, suspended = contributed(
        db, actor, draft(1), draft(2, expires_at=NOON.replace(hour=13)), draft(3)
    )
    contributions.withdraw(db, actor, withdrawn.id, "other")
    clock.advance(hours=1)
    set_status(db, actor, MemberStatus.SUSPENDED)
    for id, status in ((withdrawn.id, "withdrawn"), (expired.id, "expired"), (suspended.id, "suspended")):
        with pytest.raises(
            NotActive, match=rf"^contribution {id} is {status}: it cannot be changed, confirmed or disputed$"
        ):
            opinions.give(db, other, id, CONFIRMS)
    set_status(db, actor, MemberStatus.ACTIVE)
    assert opinions.give(db, other, suspended.id, CONFIRMS).counts


def test_only_the_author_the_contributor_reviewers_and_auditors_see_notes(
    db: HashDB, actor: Actor, other: Actor, contribution: Contribution
) -> None:
    opinion = opinions.give(db, other, contribution.id, DISPUTES)
    without_note = replace(opinion, note=None, hidden=frozenset({"note"}))
    for reader, expected in (
        (actor, opinion),
        (other, opinion),
        (member_with(db, Scope.REVIEW), opinion),
        (member_with(db, Scope.AUDIT), opinion),
        (COMMAND_LINE, opinion),
        (member_with(db), without_note),
    ):
        assert opinions.page(db, reader, contribution.id, 0, 10) == (expected,)


def test_erasing_a_contribution_deletes_the_notes(
    db: HashDB, actor: Actor, other: Actor, contribution: Contribution
) -> None:
    opinion = opinions.give(db, other, contribution.id, DISPUTES)
    assert opinion.case is not None
    contributions.erase(db, actor, contribution.id)
    assert opinions.page(db, COMMAND_LINE, contribution.id, 0, 10) == (replace(opinion, note=None),)
    with pytest.raises(NotActive):
        opinions.give(db, other, contribution.id, CONFIRMS)
    decided = cases.decide(db, COMMAND_LINE, opinion.case, Decision.RETIRE, "this note must not be stored")
    assert isinstance(decided, Case)
    assert (decided.decision, decided.note) == (Decision.RETIRE, None)


class TestIdempotency:
    """A request that is repeated with its idempotency key."""

    ONCE = IdempotencyKey("a", b"digest" * 4)

    def test_a_repeated_opinion_is_recorded_once_and_answered_as_before(
        self, db: HashDB, actor: Actor, other: Actor, contribution: Contribution
    ) -> None:
        first = opinions.give(db, other, contribution.id, DISPUTES, self.ONCE)
        opinions.give(db, other, contribution.id, CONFIRMS)
        repeated = opinions.give(db, other, contribution.id, DISPUTES, self.ONCE)
        assert repeated == replace(first, counts=False)
        assert standing(db, contribution.id) is Standing.CONFIRMED
        contributions.withdraw(db, actor, contribution.id, "other")
        assert opinions.give(db, other, contribution.id, DISPUTES, self.ONCE).id == first.id

    def test_another_request_with_the_same_key_is_rejected(
        self, db: HashDB, other: Actor, contribution: Contribution
    ) -> None:
        opinions.give(db, other, contribution.id, DISPUTES, self.ONCE)
        with pytest.raises(IdempotencyKeyReused):
            opinions.give(db, other, contribution.id, CONFIRMS, replace(self.ONCE, digest=b"another" * 4))

    def test_an_idempotency_key_expires_after_a_day(
        self, db: HashDB, other: Actor, contribution: Contribution, clock: Clock
    ) -> None:
        first = opinions.give(db, other, contribution.id, DISPUTES, self.ONCE)
        opinions.give(db, other, contribution.id, CONFIRMS)
        clock.advance(hours=24)
        assert opinions.give(db, other, contribution.id, DISPUTES, self.ONCE).id != first.id

    def test_concurrent_repetitions_record_one_opinion(
        self, db: HashDB, other: Actor, contribution: Contribution
    ) -> None:
        recorded = run_concurrently([lambda: opinions.give(db, other, contribution.id, DISPUTES, self.ONCE)] * 4)
        assert len({opinion.id for opinion in recorded}) == 1
        assert len(opinions.page(db, other, contribution.id, 0, 10)) == 1


def test_concurrent_disputes_open_one_case(db: HashDB, contribution: Contribution) -> None:
    others = [member_with(db) for _ in range(4)]
    run_concurrently([lambda member=member: opinions.give(db, member, contribution.id, DISPUTES) for member in others])  # type: ignore[misc]
    (case,) = cases.page(db, COMMAND_LINE, None, 0, 10)
    assert len(case.opinions) == 4
    assert [action for action, _, _ in logged(db)].count("contribution.disputed") == 1


class TestSuspension:
    """The opinions of a suspended member do not count."""

    def test_opinions_do_not_count_until_the_member_is_reinstated(
        self, db: HashDB, other: Actor, contribution: Contribution
    ) -> None:
        opinions.give(db, other, contribution.id, CONFIRMS)
        for status, expected, action in (
            (MemberStatus.SUSPENDED, Standing.UNREVIEWED, "contribution.cleared"),
            (MemberStatus.ACTIVE, Standing.CONFIRMED, "contribution.confirmed"),
        ):
            set_status(db, other, status)
            after = head(db)
            assert [opinion.counts for opinion in opinions.page(db, COMMAND_LINE, contribution.id, 0, 9)] == [
                status is MemberStatus.ACTIVE
            ]
            assert opinions.recount(db) == 1
            assert standing(db, contribution.id) is expected
            assert [event[:2] for event in logged(db, after)] == [(action, f"contribution:{contribution.id}")]
            assert opinions.recount(db) == 0
            assert head(db) == after + 1

    def test_opinions_of_other_members_still_count(self, db: HashDB, other: Actor, contribution: Contribution) -> None:
        opinions.give(db, member_with(db), contribution.id, CONFIRMS)
        opinions.give(db, other, contribution.id, DISPUTES)
        set_status(db, other, MemberStatus.SUSPENDED)
        opinions.recount(db)
        assert standing(db, contribution.id) is Standing.CONFIRMED

    def test_recount_works_in_batches_and_logs_each_contribution_once(
        self, db: HashDB, actor: Actor, other: Actor
    ) -> None:
        ids = [added.id for added in contributed(db, actor, *[draft(seed) for seed in range(5)])]
        for id in ids:
            opinions.give(db, other, id, DISPUTES)
        set_status(db, other, MemberStatus.SUSPENDED)
        after = head(db)
        assert [opinions.recount(db, 2) for _ in range(4)] == [2, 2, 1, 0]
        assert sorted(subject for _, subject, _ in logged(db, after)) == [f"contribution:{id}" for id in ids]

    def test_a_suspension_that_ended_before_the_recount_is_not_logged(
        self, db: HashDB, other: Actor, contribution: Contribution
    ) -> None:
        opinions.give(db, other, contribution.id, DISPUTES)
        set_status(db, other, MemberStatus.SUSPENDED)
        set_status(db, other, MemberStatus.ACTIVE)
        assert opinions.recount(db) == 0

    def test_concurrent_recounts_log_each_change_once(self, db: HashDB, actor: Actor, other: Actor) -> None:
        ids = [added.id for added in contributed(db, actor, *[draft(seed) for seed in range(9)])]
        for id in ids:
            opinions.give(db, other, id, CONFIRMS)
        set_status(db, other, MemberStatus.SUSPENDED)
        after = head(db)
        run_concurrently([lambda: opinions.recount(db, 2)] * 4)
        while opinions.recount(db):
            pass
        assert sorted(subject for _, subject, _ in logged(db, after)) == [f"contribution:{id}" for id in ids]


class TestMatches:
    """How opinions show in matches and in the feed."""

    def test_each_confirming_member_is_counted_once(self, db: HashDB, actor: Actor, other: Actor) -> None:
        third = member_with(db)
        contribution, two = contributed(db, actor, draft(1), draft(1, 2))
        opinions.give(db, other, contribution.id, CONFIRMS)
        for id in (contribution.id, two.id):
            opinions.give(db, third, id, CONFIRMS)
        contributed(db, third, draft(1, 3))
        first, nothing = matches.match(db, other, [query(1), query(9)]).results
        assert (len(first.matches), first.members, nothing.members) == (3, 3, 0)
        opinions.give(db, other, contribution.id, DISPUTES)
        assert matches.match(db, other, [query(1)]).results[0].members == 2
        set_status(db, third, MemberStatus.SUSPENDED)
        (result,) = matches.match(db, other, [query(1)]).results
        assert ([match.contribution for match in result.matches], result.members) == ([contribution.id, two.id], 1)

    def test_matches_and_the_feed_show_the_standing(self, db: HashDB, other: Actor, contribution: Contribution) -> None:
        for opinion, expected in ((CONFIRMS, Standing.CONFIRMED), (DISPUTES, Standing.DISPUTED)):
            after = head(db)
            opinions.give(db, other, contribution.id, opinion)
            (result,) = matches.match(db, other, [query(1)]).results
            assert [match.standing for match in result.matches] == [expected]
            (change,) = feed.read(db, SYSTEM, after, 10).changes
            assert change.what == replace(contribution, standing=expected).shown(signals=True, reference=False)

    def test_a_quarantined_or_retired_item_leaves_and_returns_if_upheld(
        self, db: HashDB, other: Actor, contribution: Contribution
    ) -> None:
        reviewer = member_with(db, *REVIEWS)
        for decision, reason in ((Decision.QUARANTINE, "quarantined"), (Decision.RETIRE, "retired")):
            case = opinions.give(db, other, contribution.id, DISPUTES).case
            assert case is not None
            after = head(db)
            cases.decide(db, reviewer, case, decision)
            assert matches.match(db, other, [query(1)]).results[0].matches == ()
            assert [change.what for change in feed.read(db, SYSTEM, after, 10).changes] == [
                Gone(contribution.id, reason)
            ]
            contested = opinions.give(db, reviewer, contribution.id, replace(CONFIRMS, note=reason)).case
            assert contested is not None and contested != case
            assert cases.get(db, reviewer, contested).reason == "contested"
            after = head(db)
            cases.decide(db, reviewer, contested, Decision.UPHOLD)
            (result,) = matches.match(db, other, [query(1)]).results
            assert [match.standing for match in result.matches] == [Standing.CONFIRMED]
            (change,) = feed.read(db, SYSTEM, after, 10).changes
            assert change.what == replace(contribution, standing=Standing.CONFIRMED).shown(
                signals=True, reference=False
            )
