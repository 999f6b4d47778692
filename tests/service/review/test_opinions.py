"""Opinions: who may give which, what they change, and what a suspension takes away."""

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
from tests.builders import NOON, Clock, again, contributed, draft, member_with, query
from tests.service.concurrently import run_concurrently

CONFIRMS = OpinionDraft(Stance.CONFIRMS)
DISPUTES = OpinionDraft(Stance.DISPUTES, "edsa_context", "a news report")
REVIEWS = (Scope.REVIEW, Scope.MATCH)


@pytest.fixture
def one(db: HashDB, actor: Actor) -> Contribution:
    """A contribution of the actor, on which others have an opinion."""
    return contributed(db, actor, draft(1))[0]


def standing(db: HashDB, id: int) -> Standing:
    return contributions.get(db, COMMAND_LINE, id).standing


def set_status(db: HashDB, actor: Actor, status: MemberStatus) -> None:
    assert actor.member is not None
    members.change(db, COMMAND_LINE, actor.member.id, MemberChange(status=status))


def told(db: HashDB, after: int = 0) -> list[tuple[str, str, object]]:
    with db.store.read() as tx:
        events = tx.audit.since(after, 1_000)
    return [(event.action, event.subject, event.details) for event in events]


def head(db: HashDB) -> int:
    return db.store.head().seq


def test_a_confirmation_confirms(db: HashDB, other: Actor, one: Contribution) -> None:
    after = head(db)
    given = opinions.give(db, other, one.id, CONFIRMS)
    assert (given.contribution, given.stance, given.case, given.counts) == (one.id, Stance.CONFIRMS, None, True)
    assert other.member is not None
    assert (given.member, given.member_name, given.given_at) == (other.member.id, other.member.name, NOON)
    assert standing(db, one.id) is Standing.CONFIRMED
    assert told(db, after) == [
        (
            "opinion.given",
            f"opinion:{given.id}",
            {"contribution": one.id, "opinion": "confirms", "reason": None, "case": None},
        ),
        ("contribution.confirmed", f"contribution:{one.id}", {"before": "unreviewed", "reason": None}),
    ]


def test_a_dispute_opens_a_case_and_others_join_it(db: HashDB, other: Actor, one: Contribution) -> None:
    after = head(db)
    first = opinions.give(db, other, one.id, DISPUTES)
    assert standing(db, one.id) is Standing.DISPUTED
    assert told(db, after) == [
        (
            "opinion.given",
            f"opinion:{first.id}",
            {"contribution": one.id, "opinion": "disputes", "reason": "edsa_context", "case": first.case},
        ),
        ("case.opened", f"case:{first.case}", {"contribution": one.id, "reason": "edsa_context", "holds": "no"}),
        ("contribution.disputed", f"contribution:{one.id}", {"before": "unreviewed", "reason": "edsa_context"}),
    ]
    after = head(db)
    second = opinions.give(db, member_with(db), one.id, OpinionDraft(Stance.DISPUTES, "wrong_label"))
    third = opinions.give(db, member_with(db), one.id, CONFIRMS)
    assert first.case == second.case == third.case
    assert not [action for action, _, _ in told(db, after) if action.startswith(("case.", "contribution."))]
    (case,) = cases.page(db, COMMAND_LINE, None, 0, 10)
    assert (case.reason, case.opinions, case.state) == ("edsa_context", (first, second, third), CaseState.OPEN)
    assert case.due_at == NOON + db.rules.time_to_decide


def test_events_have_no_note_and_no_member(db: HashDB, other: Actor, one: Contribution) -> None:
    after = head(db)
    case = opinions.give(db, other, one.id, replace(DISPUTES, note="Jane said so")).case
    assert case is not None
    cases.decide(db, COMMAND_LINE, case, Decision.RETIRE, "John agrees")
    assert not {"member", "note"} & {name for _, _, details in told(db, after) for name in dict(details)}  # type: ignore[call-overload]
    assert "Jane" not in str(told(db, after)) and "John" not in str(told(db, after))


def test_the_last_opinion_of_a_member_counts(db: HashDB, other: Actor, one: Contribution) -> None:
    for said, expected in ((CONFIRMS, Standing.CONFIRMED), (DISPUTES, Standing.DISPUTED), (CONFIRMS, "confirmed")):
        opinions.give(db, other, one.id, said)
        assert standing(db, one.id) == expected
    listed = opinions.page(db, other, one.id, 0, 10)
    assert [(said.stance, said.counts) for said in listed] == [
        (Stance.CONFIRMS, False),
        (Stance.DISPUTES, False),
        (Stance.CONFIRMS, True),
    ]
    # A case that was opened is not closed by itself.
    assert [case.state for case in cases.page(db, COMMAND_LINE, None, 0, 10)] == [CaseState.OPEN]


@pytest.mark.parametrize("said", [CONFIRMS, DISPUTES])
def test_the_same_opinion_again_changes_nothing(
    db: HashDB, other: Actor, one: Contribution, said: OpinionDraft
) -> None:
    first = opinions.give(db, other, one.id, said)
    after = head(db)
    assert opinions.give(db, again(db, other), one.id, said) == first
    assert not [action for action, _, _ in told(db, after) if not action.startswith("key.")]
    assert opinions.give(db, other, one.id, replace(said, note="on second thoughts")).id != first.id


def test_nobody_judges_its_own(db: HashDB, actor: Actor, one: Contribution) -> None:
    for said in (CONFIRMS, DISPUTES):
        with pytest.raises(OwnContribution, match=rf"^contribution {one.id} is your own: "):
            opinions.give(db, again(db, actor, *Scope), one.id, said)
    contributions.withdraw(db, actor, one.id, "other")
    with pytest.raises(OwnContribution):
        opinions.give(db, actor, one.id, CONFIRMS)


@pytest.mark.parametrize(
    "said",
    [
        OpinionDraft(Stance.DISPUTES),
        OpinionDraft(Stance.CONFIRMS, "other"),
        OpinionDraft(Stance.DISPUTES, "boredom"),
    ],
)
def test_an_opinion_that_is_none_is_refused(db: HashDB, other: Actor, one: Contribution, said: OpinionDraft) -> None:
    after = head(db)
    with pytest.raises(InvalidInput) as caught:
        opinions.give(db, other, one.id, said)
    assert [fault.at for fault in caught.value.faults] == ["reason"]
    assert head(db) == after


def test_who_may_not_match_has_no_opinion(db: HashDB, other: Actor, one: Contribution) -> None:
    with pytest.raises(ScopeMissing):
        opinions.give(db, member_with(db, Scope.FEED, Scope.REVIEW), one.id, CONFIRMS)
    with pytest.raises(ScopeMissing):
        opinions.give(db, SYSTEM, one.id, CONFIRMS)
    set_status(db, other, MemberStatus.SUSPENDED)
    suspended = again(db, other)
    with pytest.raises(MemberSuspended):
        opinions.give(db, suspended, one.id, CONFIRMS)
    with pytest.raises(MemberSuspended):
        opinions.page(db, suspended, one.id, 0, 10)


def test_there_must_be_something_that_one_may_see(db: HashDB, other: Actor, one: Contribution) -> None:
    with pytest.raises(NotFound, match=r"^contribution 99 does not exist$"):
        opinions.give(db, other, 99, CONFIRMS)
    case = opinions.give(db, other, one.id, DISPUTES).case
    assert case is not None
    cases.decide(db, COMMAND_LINE, case, Decision.QUARANTINE)
    for verb in (
        lambda: opinions.give(db, other, one.id, CONFIRMS),
        lambda: opinions.page(db, other, one.id, 0, 10),
        lambda: opinions.page(db, other, 99, 0, 10),
    ):
        with pytest.raises(NotFound):
            verb()


def test_what_has_ended_takes_no_opinion(db: HashDB, actor: Actor, other: Actor, clock: Clock) -> None:
    one, two, three = contributed(db, actor, draft(1), draft(2, expires_at=NOON.replace(hour=13)), draft(3))
    contributions.withdraw(db, actor, one.id, "other")
    clock.go(hours=1)
    set_status(db, actor, MemberStatus.SUSPENDED)
    for id, status in ((one.id, "withdrawn"), (two.id, "expired"), (three.id, "suspended")):
        with pytest.raises(
            NotActive, match=rf"^contribution {id} is {status}: it cannot be changed, confirmed or disputed$"
        ):
            opinions.give(db, other, id, CONFIRMS)
    set_status(db, actor, MemberStatus.ACTIVE)
    assert opinions.give(db, other, three.id, CONFIRMS).counts


def test_notes_are_for_their_author_the_contributor_and_who_reviews(
    db: HashDB, actor: Actor, other: Actor, one: Contribution
) -> None:
    given = opinions.give(db, other, one.id, DISPUTES)
    hidden = replace(given, note=None, hidden=frozenset({"note"}))
    for reader, expected in (
        (actor, given),
        (other, given),
        (member_with(db, Scope.REVIEW), given),
        (member_with(db, Scope.AUDIT), given),
        (COMMAND_LINE, given),
        (member_with(db), hidden),
    ):
        assert opinions.page(db, reader, one.id, 0, 10) == (expected,)


def test_erasure_takes_the_notes(db: HashDB, actor: Actor, other: Actor, one: Contribution) -> None:
    given = opinions.give(db, other, one.id, DISPUTES)
    assert given.case is not None
    contributions.erase(db, actor, one.id)
    assert opinions.page(db, COMMAND_LINE, one.id, 0, 10) == (replace(given, note=None),)
    with pytest.raises(NotActive):
        opinions.give(db, other, one.id, CONFIRMS)
    decided = cases.decide(db, COMMAND_LINE, given.case, Decision.RETIRE, "it would be here for ever")
    assert isinstance(decided, Case)
    assert (decided.decision, decided.note) == (Decision.RETIRE, None)


class TestOnce:
    """A request that is repeated with its key."""

    ONCE = IdempotencyKey("a", b"digest" * 4)

    def test_it_is_recorded_once_and_answered_as_it_was(
        self, db: HashDB, actor: Actor, other: Actor, one: Contribution
    ) -> None:
        first = opinions.give(db, other, one.id, DISPUTES, self.ONCE)
        opinions.give(db, other, one.id, CONFIRMS)
        repeated = opinions.give(db, other, one.id, DISPUTES, self.ONCE)
        assert repeated == replace(first, counts=False)
        assert standing(db, one.id) is Standing.CONFIRMED
        contributions.withdraw(db, actor, one.id, "other")
        assert opinions.give(db, other, one.id, DISPUTES, self.ONCE).id == first.id

    def test_another_request_with_its_key_is_refused(self, db: HashDB, other: Actor, one: Contribution) -> None:
        opinions.give(db, other, one.id, DISPUTES, self.ONCE)
        with pytest.raises(IdempotencyKeyReused):
            opinions.give(db, other, one.id, CONFIRMS, replace(self.ONCE, digest=b"another" * 4))

    def test_after_a_day_it_is_forgotten(self, db: HashDB, other: Actor, one: Contribution, clock: Clock) -> None:
        first = opinions.give(db, other, one.id, DISPUTES, self.ONCE)
        opinions.give(db, other, one.id, CONFIRMS)
        clock.go(hours=24)
        assert opinions.give(db, other, one.id, DISPUTES, self.ONCE).id != first.id

    def test_at_once_it_is_one(self, db: HashDB, other: Actor, one: Contribution) -> None:
        given = run_concurrently([lambda: opinions.give(db, other, one.id, DISPUTES, self.ONCE)] * 4)
        assert len({said.id for said in given}) == 1
        assert len(opinions.page(db, other, one.id, 0, 10)) == 1


def test_opinions_given_at_once_open_one_case(db: HashDB, one: Contribution) -> None:
    others = [member_with(db) for _ in range(4)]
    run_concurrently([lambda who=who: opinions.give(db, who, one.id, DISPUTES) for who in others])  # type: ignore[misc]
    (case,) = cases.page(db, COMMAND_LINE, None, 0, 10)
    assert len(case.opinions) == 4
    assert [action for action, _, _ in told(db)].count("contribution.disputed") == 1


class TestSuspension:
    """While a member is suspended, what it said does not count."""

    def test_its_opinions_do_not_count_and_then_count_again(self, db: HashDB, other: Actor, one: Contribution) -> None:
        opinions.give(db, other, one.id, CONFIRMS)
        for status, expected, action in (
            (MemberStatus.SUSPENDED, Standing.UNREVIEWED, "contribution.cleared"),
            (MemberStatus.ACTIVE, Standing.CONFIRMED, "contribution.confirmed"),
        ):
            set_status(db, other, status)
            after = head(db)
            assert [said.counts for said in opinions.page(db, COMMAND_LINE, one.id, 0, 9)] == [
                status is MemberStatus.ACTIVE
            ]
            assert opinions.recount(db) == 1
            assert standing(db, one.id) is expected
            assert [event[:2] for event in told(db, after)] == [(action, f"contribution:{one.id}")]
            assert opinions.recount(db) == 0
            assert head(db) == after + 1

    def test_what_others_say_goes_on_counting(self, db: HashDB, other: Actor, one: Contribution) -> None:
        opinions.give(db, member_with(db), one.id, CONFIRMS)
        opinions.give(db, other, one.id, DISPUTES)
        set_status(db, other, MemberStatus.SUSPENDED)
        opinions.recount(db)
        assert standing(db, one.id) is Standing.CONFIRMED

    def test_the_log_is_told_in_batches_and_goes_on_where_it_was(self, db: HashDB, actor: Actor, other: Actor) -> None:
        ids = [made.id for made in contributed(db, actor, *[draft(seed) for seed in range(5)])]
        for id in ids:
            opinions.give(db, other, id, DISPUTES)
        set_status(db, other, MemberStatus.SUSPENDED)
        after = head(db)
        assert [opinions.recount(db, 2) for _ in range(4)] == [2, 2, 1, 0]
        assert sorted(subject for _, subject, _ in told(db, after)) == [f"contribution:{id}" for id in ids]

    def test_a_suspension_that_ended_before_it_was_told_is_not(
        self, db: HashDB, other: Actor, one: Contribution
    ) -> None:
        opinions.give(db, other, one.id, DISPUTES)
        set_status(db, other, MemberStatus.SUSPENDED)
        set_status(db, other, MemberStatus.ACTIVE)
        assert opinions.recount(db) == 0

    def test_at_once_everything_is_told_once(self, db: HashDB, actor: Actor, other: Actor) -> None:
        ids = [made.id for made in contributed(db, actor, *[draft(seed) for seed in range(9)])]
        for id in ids:
            opinions.give(db, other, id, CONFIRMS)
        set_status(db, other, MemberStatus.SUSPENDED)
        after = head(db)
        run_concurrently([lambda: opinions.recount(db, 2)] * 4)
        while opinions.recount(db):
            pass
        assert sorted(subject for _, subject, _ in told(db, after)) == [f"contribution:{id}" for id in ids]


class TestMatches:
    """What a match and the feed tell of opinions."""

    def test_confirming_members_are_counted_once(self, db: HashDB, actor: Actor, other: Actor) -> None:
        third = member_with(db)
        one, two = contributed(db, actor, draft(1), draft(1, 2))
        opinions.give(db, other, one.id, CONFIRMS)
        for id in (one.id, two.id):
            opinions.give(db, third, id, CONFIRMS)
        contributed(db, third, draft(1, 3))
        first, nothing = matches.match(db, other, [query(1), query(9)]).results
        assert (len(first.matches), first.members, nothing.members) == (3, 3, 0)
        opinions.give(db, other, one.id, DISPUTES)
        assert matches.match(db, other, [query(1)]).results[0].members == 2
        set_status(db, third, MemberStatus.SUSPENDED)
        (result,) = matches.match(db, other, [query(1)]).results
        assert ([match.contribution for match in result.matches], result.members) == ([one.id, two.id], 1)

    def test_the_standing_is_shown_and_comes_by_the_feed(self, db: HashDB, other: Actor, one: Contribution) -> None:
        for said, expected in ((CONFIRMS, Standing.CONFIRMED), (DISPUTES, Standing.DISPUTED)):
            after = head(db)
            opinions.give(db, other, one.id, said)
            (result,) = matches.match(db, other, [query(1)]).results
            assert [match.standing for match in result.matches] == [expected]
            (change,) = feed.read(db, SYSTEM, after, 10).changes
            assert change.what == replace(one, standing=expected).shown(signals=True, reference=False)

    def test_what_was_ruled_out_is_gone_and_comes_again_whole(
        self, db: HashDB, other: Actor, one: Contribution
    ) -> None:
        reviewer = member_with(db, *REVIEWS)
        for decision, reason in ((Decision.QUARANTINE, "quarantined"), (Decision.RETIRE, "retired")):
            case = opinions.give(db, other, one.id, DISPUTES).case
            assert case is not None
            after = head(db)
            cases.decide(db, reviewer, case, decision)
            assert matches.match(db, other, [query(1)]).results[0].matches == ()
            assert [change.what for change in feed.read(db, SYSTEM, after, 10).changes] == [Gone(one.id, reason)]
            again = opinions.give(db, reviewer, one.id, replace(CONFIRMS, note=reason)).case
            assert again is not None and again != case
            assert cases.get(db, reviewer, again).reason == "contested"
            after = head(db)
            cases.decide(db, reviewer, again, Decision.UPHOLD)
            (result,) = matches.match(db, other, [query(1)]).results
            assert [match.standing for match in result.matches] == [Standing.CONFIRMED]
            (change,) = feed.read(db, SYSTEM, after, 10).changes
            assert change.what == replace(one, standing=Standing.CONFIRMED).shown(signals=True, reference=False)
