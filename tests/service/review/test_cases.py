"""Cases: every row of the table of standings, and who may see and decide what."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from hashdb.domain.accounts.members import COMMAND_LINE, Actor, Member, MemberChange, MemberStatus, Scope
from hashdb.domain.contributions import Contribution, Filter, Standing
from hashdb.domain.listings import Place, Total
from hashdb.domain.review.cases import (
    Case,
    CaseSort,
    CaseState,
    Cause,
    Decision,
    OpinionDraft,
    Stance,
    StandingChange,
)
from hashdb.domain.review.incidents import Proposal
from hashdb.errors import (
    AlreadyDecided,
    AlreadyOpen,
    InvalidInput,
    MemberSuspended,
    NotActive,
    NotFound,
    ScopeMissing,
)
from hashdb.service import HashDB
from hashdb.service.accounts import members
from hashdb.service.contributions import contributions
from hashdb.service.matching import matches
from hashdb.service.review import cases, impacts, opinions
from tests.builders import NOON, Clock, contributed, draft, hashdb, member_with, query
from tests.service.concurrently import run_concurrently

CONFIRMS = OpinionDraft(Stance.CONFIRMS)
DISPUTES = OpinionDraft(Stance.DISPUTES, "edsa_context", "a news report")


class Hand:
    """One contribution, and what is done to it step by step."""

    def __init__(self, db: HashDB) -> None:
        self.db = db
        self.one = contributed(db, member_with(db), draft(1))[0].id
        self.members = [member_with(db, Scope.MATCH, Scope.REVIEW) for _ in range(2)]
        for member in self.members:
            matches.match(db, member, [query(1)])

    def confirms(self, who: int = 0) -> None:
        opinions.give(self.db, self.members[who], self.one, CONFIRMS)

    def disputes(self, who: int = 0) -> None:
        opinions.give(self.db, self.members[who], self.one, DISPUTES)

    def decides(self, decision: str) -> None:
        (case,) = cases.page(self.db, COMMAND_LINE, CaseState.OPEN, 0, 10)
        cases.decide(self.db, COMMAND_LINE, case.id, Decision(decision))

    def holds(self) -> None:
        with self.db.store.begin() as tx:
            found = tx.contributions.one(self.one, NOON, lock=True)
            told = cases.hold(tx, self.db.rules, [found], Cause.FLOOD, NOON)
            tx.audit.append(NOON, COMMAND_LINE, told)

    def suspends(self, who: int = 0, status: MemberStatus = MemberStatus.SUSPENDED) -> None:
        member = self.members[who].member
        assert member is not None
        members.change(self.db, COMMAND_LINE, member.id, MemberChange(status=status))
        opinions.recount(self.db)

    def reinstates(self, who: int = 0) -> None:
        self.suspends(who, MemberStatus.ACTIVE)


Step = Callable[[Hand], None]


def step(name: str, *said: object) -> Step:
    return lambda hand: getattr(hand, name)(*said)


C, D, C2, D2 = step("confirms"), step("disputes"), step("confirms", 1), step("disputes", 1)
UPHOLD, QUARANTINE, RETIRE = (step("decides", str(decision)) for decision in Decision)
HOLD, SUSPEND, REINSTATE = step("holds"), step("suspends"), step("reinstates")

ROWS: list[tuple[list[Step], str]] = [
    # Nothing counts.
    ([], "unreviewed"),
    ([C, SUSPEND], "unreviewed"),
    ([D, SUSPEND], "unreviewed"),
    ([D, UPHOLD], "unreviewed"),
    # A confirmation counts, and no dispute.
    ([C], "confirmed"),
    ([C, SUSPEND, REINSTATE], "confirmed"),
    ([D, C], "confirmed"),
    ([C, D2, UPHOLD], "confirmed"),
    ([D, UPHOLD, C2], "confirmed"),
    ([HOLD, C, UPHOLD], "confirmed"),
    # A dispute counts, whoever confirms.
    ([D], "disputed"),
    ([C, D], "disputed"),
    ([C, D2], "disputed"),
    ([D, SUSPEND, REINSTATE], "disputed"),
    ([D, UPHOLD, D], "disputed"),
    ([D, UPHOLD, D2], "disputed"),
    # Held by a case that the service opened, whatever is said.
    ([HOLD], "quarantined"),
    ([HOLD, C], "quarantined"),
    ([C, HOLD], "quarantined"),
    ([D, UPHOLD, HOLD], "quarantined"),
    ([D, HOLD], "quarantined"),
    ([HOLD, UPHOLD], "unreviewed"),
    ([D, HOLD, UPHOLD], "unreviewed"),
    # Ruled out, until another decision, whatever is said.
    ([D, QUARANTINE], "quarantined"),
    ([C, D2, QUARANTINE], "quarantined"),
    ([D, QUARANTINE, C], "quarantined"),
    ([HOLD, QUARANTINE], "quarantined"),
    ([D, RETIRE], "retired"),
    ([D, RETIRE, C], "retired"),
    ([D, RETIRE, HOLD], "retired"),
    ([D, QUARANTINE, C, RETIRE], "retired"),
    ([D, QUARANTINE, C, UPHOLD], "confirmed"),
    ([D, RETIRE, C, UPHOLD], "confirmed"),
    ([D, RETIRE, D2, UPHOLD], "unreviewed"),
]


@pytest.mark.parametrize(("steps", "expected"), ROWS)
def test_each_row_of_the_table_can_be_produced(db: HashDB, steps: list[Step], expected: str) -> None:
    hand = Hand(db)
    for each in steps:
        each(hand)
    assert contributions.get(db, COMMAND_LINE, hand.one).standing == expected
    (result,) = matches.match(db, hand.members[0] if SUSPEND not in steps else member_with(db), [query(1)]).results
    assert [match.standing for match in result.matches] == (
        [] if expected in ("quarantined", "retired") else [expected]
    )
    found = contributions.page(db, COMMAND_LINE, Filter(standing=Standing(expected)), 0, 10)
    assert [one.id for one in found] == [hand.one]


@pytest.fixture
def one(db: HashDB, actor: Actor) -> Contribution:
    return contributed(db, actor, draft(1))[0]


@pytest.fixture
def case(db: HashDB, other: Actor, one: Contribution) -> int:
    """A case that the other member opened on it."""
    id = opinions.give(db, other, one.id, DISPUTES).case
    assert id is not None
    return id


@pytest.fixture
def reviewer(db: HashDB) -> Actor:
    return member_with(db, Scope.REVIEW)


def head(db: HashDB) -> int:
    return db.store.head().seq


def test_a_decision_is_told_and_acts_at_once_in_every_process(
    db: HashDB, clock: Clock, database_url: str, other: Actor, reviewer: Actor, one: Contribution, case: int
) -> None:
    elsewhere = hashdb(database_url, clock)
    assert len(matches.match(elsewhere, other, [query(1)]).results[0].matches) == 1
    clock.go(hours=73)
    after = head(db)
    decided = cases.decide(db, reviewer, case, Decision.RETIRE, "a news report, indeed")
    assert isinstance(decided, Case)
    assert (decided.state, decided.decision, decided.note) == (
        (CaseState.DECIDED, Decision.RETIRE, "a news report, indeed")
    )
    assert (decided.decided_at, decided.decided_by) == (clock(), str(reviewer))
    assert matches.match(elsewhere, other, [query(1)]).results[0].matches == ()
    elsewhere.close()
    with db.store.read() as tx:
        events = tx.audit.since(after, 10)
    assert [(event.actor, event.action, event.subject, event.details) for event in events] == [
        (
            str(reviewer),
            "case.decided",
            f"case:{case}",
            {
                "contribution": one.id,
                "decision": "retire",
                "reason": "edsa_context",
                "seconds_to_decide": 73 * 3600,
                "seconds_late": 3600,
                "shadow": ["0"],
            },
        ),
        (
            str(reviewer),
            "contribution.retired",
            f"contribution:{one.id}",
            {"before": "disputed", "reason": "edsa_context"},
        ),
    ]


def test_auditors_that_ask_are_answered_what_is_out(db: HashDB, reviewer: Actor, one: Contribution, case: int) -> None:
    auditor = member_with(db, Scope.MATCH, Scope.AUDIT)
    cases.decide(db, reviewer, case, Decision.RETIRE)
    (result,) = matches.match(db, auditor, [query(1)], quarantined=True).results
    assert [(match.contribution, match.standing) for match in result.matches] == [(one.id, Standing.RETIRED)]


def test_a_case_is_decided_once(db: HashDB, reviewer: Actor, case: int) -> None:
    decided = cases.decide(db, reviewer, case, Decision.UPHOLD)
    after = head(db)
    for decision in Decision:
        with pytest.raises(AlreadyDecided, match=rf"^case {case} is already decided$"):
            cases.decide(db, reviewer, case, decision, "another")
    assert cases.get(db, reviewer, case) == decided
    assert head(db) == after


def test_of_decisions_at_once_one_counts(db: HashDB, reviewer: Actor, one: Contribution, case: int) -> None:
    def decide(decision: Decision) -> Case | Proposal | None:
        try:
            return cases.decide(db, reviewer, case, decision)
        except AlreadyDecided:
            return None

    answers = run_concurrently([lambda decision=decision: decide(decision) for decision in Decision])  # type: ignore[misc]
    (made,) = [answer for answer in answers if answer is not None]
    assert cases.get(db, reviewer, case) == made
    assert made.decision is not None
    expected = made.decision.ruling or Standing.UNREVIEWED
    assert contributions.get(db, COMMAND_LINE, one.id).standing is expected
    with db.store.read() as tx:
        assert [event.action for event in tx.audit.since(0, 100)].count("case.decided") == 1


def test_a_case_of_what_was_withdrawn_can_still_be_decided(
    db: HashDB, actor: Actor, reviewer: Actor, one: Contribution, case: int
) -> None:
    contributions.withdraw(db, actor, one.id, "other")
    cases.decide(db, reviewer, case, Decision.RETIRE)
    assert contributions.get(db, actor, one.id).standing is Standing.RETIRED


def test_only_reviewers_decide(db: HashDB, actor: Actor, other: Actor, case: int) -> None:
    for who in (actor, other, member_with(db, *(set(Scope) - {Scope.REVIEW, Scope.ADMIN}))):
        with pytest.raises(ScopeMissing):
            cases.decide(db, who, case, Decision.UPHOLD)
    cases.decide(db, member_with(db, Scope.ADMIN), case, Decision.UPHOLD)
    assert cases.get(db, COMMAND_LINE, case).state is CaseState.DECIDED
    with pytest.raises(NotFound, match=r"^case 99 does not exist$"):
        cases.decide(db, COMMAND_LINE, 99, Decision.UPHOLD)


def test_the_parties_see_the_outcome_and_its_reason_and_others_nothing(
    db: HashDB, actor: Actor, other: Actor, reviewer: Actor, case: int
) -> None:
    confirming, stranger = member_with(db), member_with(db)
    opinions.give(db, confirming, cases.get(db, reviewer, case).contribution, replace(CONFIRMS, note="seen too"))
    decided = cases.decide(db, reviewer, case, Decision.RETIRE, "a news report")
    for who in (reviewer, member_with(db, Scope.AUDIT), COMMAND_LINE):
        assert cases.get(db, who, case) == decided
        assert cases.page(db, who, None, 0, 10) == (decided,)
    for who, notes in ((actor, ["a news report", "seen too"]), (other, ["a news report", None])):
        seen = cases.get(db, who, case)
        assert (seen.reason, seen.decision, seen.note) == ("edsa_context", Decision.RETIRE, "a news report")
        assert seen.decided_by is None
        assert seen.hidden == {"decided_by"}
        assert [said.note for said in seen.opinions] == notes
        assert cases.page(db, who, CaseState.DECIDED, 0, 10) == (seen,)
        assert cases.page(db, who, CaseState.OPEN, 0, 10) == ()
    for who in (confirming, stranger):
        assert cases.page(db, who, None, 0, 10) == ()
        with pytest.raises(NotFound, match=rf"^case {case} does not exist$"):
            cases.get(db, who, case)


def test_a_suspended_member_sees_no_cases(db: HashDB, other: Actor, case: int) -> None:
    assert other.member is not None
    suspended = members.change(db, COMMAND_LINE, other.member.id, MemberChange(status=MemberStatus.SUSPENDED))
    assert isinstance(suspended, Member)
    for verb in (lambda who: cases.page(db, who, None, 0, 10), lambda who: cases.get(db, who, case)):
        with pytest.raises(MemberSuspended):
            verb(replace(other, member=suspended))


def test_who_reviews_sees_what_there_is_a_case_on(
    db: HashDB, reviewer: Actor, other: Actor, one: Contribution, case: int
) -> None:
    cases.decide(db, reviewer, case, Decision.QUARANTINE)
    seen = contributions.get(db, reviewer, one.id)
    assert seen == replace(one, standing=Standing.QUARANTINED).shown(signals=False, reference=False)
    assert len(opinions.page(db, reviewer, one.id, 0, 10)) == 1
    with pytest.raises(NotFound):
        contributions.get(db, other, one.id)
    (two,) = contributed(db, other, draft(2))
    with pytest.raises(NotFound):
        contributions.get(db, reviewer, two.id)
    with pytest.raises(NotFound):
        opinions.page(db, reviewer, two.id, 0, 10)


def test_what_the_service_holds_is_quarantined_until_it_is_decided(db: HashDB, reviewer: Actor) -> None:
    hand = Hand(db)
    before = head(db)
    hand.holds()
    hand.holds()
    with db.store.read() as tx:
        assert [(event.action, event.details) for event in tx.audit.since(before, 10)] == [
            ("case.opened", {"contribution": hand.one, "reason": "flood", "holds": "yes"}),
            ("contribution.quarantined", {"before": "unreviewed", "reason": "flood"}),
        ]
    (case,) = cases.page(db, reviewer, None, 0, 10)
    assert (case.holds, case.reason, case.due_at) == (True, "flood", NOON + timedelta(hours=72))


def test_a_reviewer_who_doubts_opens_a_case_and_may_hold_the_contribution(db: HashDB, actor: Actor) -> None:
    one, two = contributed(db, actor, draft(1), draft(2))
    case = cases.open_case(db, COMMAND_LINE, one.id, "edsa_context", holds=True)
    assert (case.contribution, case.reason, case.holds, case.state) == (one.id, "edsa_context", True, CaseState.OPEN)
    assert contributions.get(db, COMMAND_LINE, one.id).standing is Standing.QUARANTINED
    cases.open_case(db, COMMAND_LINE, two.id, "other", holds=False)
    assert contributions.get(db, COMMAND_LINE, two.id).standing is Standing.UNREVIEWED
    with db.store.read() as tx:
        actions = [event.action for event in tx.audit.events(0, 100, str(COMMAND_LINE), None, None)]
    assert actions[-3:] == ["case.opened", "contribution.quarantined", "case.opened"]


def test_a_case_is_opened_on_what_is_active_once_with_a_reason_by_a_reviewer(db: HashDB, actor: Actor) -> None:
    one, two = contributed(db, actor, draft(1), draft(2))
    cases.open_case(db, COMMAND_LINE, one.id, "other", holds=False)
    contributions.withdraw(db, actor, two.id, "other")
    head = db.store.head()
    refused = [
        (COMMAND_LINE, one.id, "other", AlreadyOpen),
        (COMMAND_LINE, two.id, "other", NotActive),
        (COMMAND_LINE, 99, "other", NotFound),
        (COMMAND_LINE, one.id, "whim", InvalidInput),
        (actor, one.id, "other", ScopeMissing),
    ]
    for who, id, reason, error in refused:
        with pytest.raises(error):
            cases.open_case(db, who, id, reason, holds=True)
    assert db.store.head() == head


DISPUTE, CONFIRM = OpinionDraft(Stance.DISPUTES, "other"), OpinionDraft(Stance.CONFIRMS)


@pytest.mark.parametrize("confirmed", [False, True])
@pytest.mark.parametrize("held", [False, True])
@pytest.mark.parametrize("decision", Decision)
def test_what_is_foretold_of_a_decision_comes_true(
    db: HashDB, actor: Actor, other: Actor, decision: Decision, confirmed: bool, held: bool
) -> None:
    (one,) = contributed(db, actor, draft(1))
    if held:
        case = cases.open_case(db, COMMAND_LINE, one.id, "other", holds=True)
        assert db.store.head()
    else:
        opinions.give(db, other, one.id, DISPUTE)
        (case,) = cases.page(db, COMMAND_LINE, None, 0, 9)
    if confirmed and not held:
        opinions.give(db, member_with(db), one.id, CONFIRM)
    before = contributions.get(db, COMMAND_LINE, one.id).standing
    foretold = cases.preview_decisions(db, COMMAND_LINE, case.id)[decision]
    cases.decide(db, COMMAND_LINE, case.id, decision)
    assert foretold == StandingChange(before, contributions.get(db, COMMAND_LINE, one.id).standing)
    assert before is (Standing.QUARANTINED if held else Standing.DISPUTED)


def test_effects_are_for_who_audits_or_reviews(db: HashDB, actor: Actor) -> None:
    (one,) = contributed(db, actor, draft(1))
    with pytest.raises(ScopeMissing):
        impacts.impact(db, actor, one.id)
    with pytest.raises(ScopeMissing):
        cases.preview_decisions(db, actor, 1)
    with pytest.raises(NotFound):
        cases.preview_decisions(db, COMMAND_LINE, 1)


def test_decided_cases_are_for_who_reviews_or_audits(db: HashDB, actor: Actor, reviewer: Actor, case: int) -> None:
    cases.decide(db, reviewer, case, Decision.UPHOLD)
    for sort in CaseSort:
        decided = cases.decided(db, COMMAND_LINE, sort, Place(), 9)
        assert ([one.id for one in decided.rows], decided.next, decided.total) == ([case], None, Total(1))
    with pytest.raises(ScopeMissing):
        cases.decided(db, actor, CaseSort.CASE, Place(), 1)
    with pytest.raises(ScopeMissing):
        cases.list_on_contribution(db, actor, 1)
