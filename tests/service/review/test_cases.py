"""Cases: every row of the table of standings, and which actors may see and decide them."""

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
from hashdb.domain.review.proposals import Proposal
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


class Scenario:
    """One contribution, and the steps that change its standing."""

    def __init__(self, db: HashDB) -> None:
        self.db = db
        self.contribution = contributed(db, member_with(db), draft(1))[0].id
        self.members = [member_with(db, Scope.MATCH, Scope.REVIEW) for _ in range(2)]
        for member in self.members:
            matches.match(db, member, [query(1)])

    def confirms(self, number: int = 0) -> None:
        opinions.give(self.db, self.members[number], self.contribution, CONFIRMS)

    def disputes(self, number: int = 0) -> None:
        opinions.give(self.db, self.members[number], self.contribution, DISPUTES)

    def decides(self, decision: str) -> None:
        (case,) = cases.page(self.db, COMMAND_LINE, CaseState.OPEN, 0, 10)
        cases.decide(self.db, COMMAND_LINE, case.id, Decision(decision))

    def holds(self) -> None:
        with self.db.store.begin() as tx:
            contribution = tx.contributions.one(self.contribution, NOON, lock=True)
            changes = cases.hold(tx, self.db.rules, [contribution], Cause.FLOOD, NOON)
            tx.audit.append(NOON, COMMAND_LINE, changes)

    def suspends(self, number: int = 0, status: MemberStatus = MemberStatus.SUSPENDED) -> None:
        member = self.members[number].member
        assert member is not None
        members.change(self.db, COMMAND_LINE, member.id, MemberChange(status=status))
        opinions.recount(self.db)

    def reinstates(self, number: int = 0) -> None:
        self.suspends(number, MemberStatus.ACTIVE)


Step = Callable[[Scenario], None]


def step_of(name: str, *arguments: object) -> Step:
    return lambda scenario: getattr(scenario, name)(*arguments)


C, D, C2, D2 = step_of("confirms"), step_of("disputes"), step_of("confirms", 1), step_of("disputes", 1)
UPHOLD, QUARANTINE, RETIRE = (step_of("decides", str(decision)) for decision in Decision)
HOLD, SUSPEND, REINSTATE = step_of("holds"), step_of("suspends"), step_of("reinstates")

ROWS: list[tuple[list[Step], str]] = [
    # Neither an opinion nor a decision counts.
    ([], "unreviewed"),
    ([C, SUSPEND], "unreviewed"),
    ([D, SUSPEND], "unreviewed"),
    ([D, UPHOLD], "unreviewed"),
    # A confirmation counts, and no dispute does.
    ([C], "confirmed"),
    ([C, SUSPEND, REINSTATE], "confirmed"),
    ([D, C], "confirmed"),
    ([C, D2, UPHOLD], "confirmed"),
    ([D, UPHOLD, C2], "confirmed"),
    ([HOLD, C, UPHOLD], "confirmed"),
    # A dispute counts, also beside confirmations.
    ([D], "disputed"),
    ([C, D], "disputed"),
    ([C, D2], "disputed"),
    ([D, SUSPEND, REINSTATE], "disputed"),
    ([D, UPHOLD, D], "disputed"),
    ([D, UPHOLD, D2], "disputed"),
    # A case that the service opened holds the contribution, whatever the opinions are.
    ([HOLD], "quarantined"),
    ([HOLD, C], "quarantined"),
    ([C, HOLD], "quarantined"),
    ([D, UPHOLD, HOLD], "quarantined"),
    ([D, HOLD], "quarantined"),
    ([HOLD, UPHOLD], "unreviewed"),
    ([D, HOLD, UPHOLD], "unreviewed"),
    # A decision rules the contribution out until another decision, whatever the opinions are.
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
def test_the_steps_of_each_row_lead_to_its_standing(db: HashDB, steps: list[Step], expected: str) -> None:
    scenario = Scenario(db)
    for step in steps:
        step(scenario)
    assert contributions.get(db, COMMAND_LINE, scenario.contribution).standing == expected
    (result,) = matches.match(db, scenario.members[0] if SUSPEND not in steps else member_with(db), [query(1)]).results
    assert [match.standing for match in result.matches] == (
        [] if expected in ("quarantined", "retired") else [expected]
    )
    listed = contributions.page(db, COMMAND_LINE, Filter(standing=Standing(expected)), 0, 10)
    assert [each.id for each in listed] == [scenario.contribution]


@pytest.fixture
def contribution(db: HashDB, actor: Actor) -> Contribution:
    return contributed(db, actor, draft(1))[0]


@pytest.fixture
def case(db: HashDB, other: Actor, contribution: Contribution) -> int:
    """A case that the other member opened on the contribution."""
    id = opinions.give(db, other, contribution.id, DISPUTES).case
    assert id is not None
    return id


@pytest.fixture
def reviewer(db: HashDB) -> Actor:
    return member_with(db, Scope.REVIEW)


def head(db: HashDB) -> int:
    return db.store.head().seq


def test_a_decision_is_logged_and_takes_effect_in_every_process(
    db: HashDB, clock: Clock, database_url: str, other: Actor, reviewer: Actor, contribution: Contribution, case: int
) -> None:
    other_process = hashdb(database_url, clock)
    assert len(matches.match(other_process, other, [query(1)]).results[0].matches) == 1
    clock.advance(hours=73)
    after = head(db)
    decided = cases.decide(db, reviewer, case, Decision.RETIRE, "a news report, indeed")
    assert isinstance(decided, Case)
    assert (decided.state, decided.decision, decided.note) == (
        (CaseState.DECIDED, Decision.RETIRE, "a news report, indeed")
    )
    assert (decided.decided_at, decided.decided_by) == (clock(), str(reviewer))
    assert matches.match(other_process, other, [query(1)]).results[0].matches == ()
    other_process.close()
    with db.store.read() as tx:
        events = tx.audit.since(after, 10)
    assert [(event.actor, event.action, event.subject, event.details) for event in events] == [
        (
            str(reviewer),
            "case.decided",
            f"case:{case}",
            {
                "contribution": contribution.id,
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
            f"contribution:{contribution.id}",
            {"before": "disputed", "reason": "edsa_context"},
        ),
    ]


def test_auditors_that_ask_also_get_retired_matches(
    db: HashDB, reviewer: Actor, contribution: Contribution, case: int
) -> None:
    auditor = member_with(db, Scope.MATCH, Scope.AUDIT)
    cases.decide(db, reviewer, case, Decision.RETIRE)
    (result,) = matches.match(db, auditor, [query(1)], quarantined=True).results
    assert [(match.contribution, match.standing) for match in result.matches] == [(contribution.id, Standing.RETIRED)]


def test_a_decided_case_cannot_be_decided_again(db: HashDB, reviewer: Actor, case: int) -> None:
    decided = cases.decide(db, reviewer, case, Decision.UPHOLD)
    after = head(db)
    for decision in Decision:
        with pytest.raises(AlreadyDecided, match=rf"^case {case} is already decided$"):
            cases.decide(db, reviewer, case, decision, "another")
    assert cases.get(db, reviewer, case) == decided
    assert head(db) == after


def test_one_of_several_concurrent_decisions_is_stored(
    db: HashDB, reviewer: Actor, contribution: Contribution, case: int
) -> None:
    def decide(decision: Decision) -> Case | Proposal | None:
        try:
            return cases.decide(db, reviewer, case, decision)
        except AlreadyDecided:
            return None

    answers = run_concurrently([lambda decision=decision: decide(decision) for decision in Decision])  # type: ignore[misc]
    (stored,) = [answer for answer in answers if answer is not None]
    assert cases.get(db, reviewer, case) == stored
    assert stored.decision is not None
    expected = stored.decision.ruling or Standing.UNREVIEWED
    assert contributions.get(db, COMMAND_LINE, contribution.id).standing is expected
    with db.store.read() as tx:
        assert [event.action for event in tx.audit.since(0, 100)].count("case.decided") == 1


def test_the_case_of_a_withdrawn_contribution_can_be_decided(
    db: HashDB, actor: Actor, reviewer: Actor, contribution: Contribution, case: int
) -> None:
    contributions.withdraw(db, actor, contribution.id, "other")
    cases.decide(db, reviewer, case, Decision.RETIRE)
    assert contributions.get(db, actor, contribution.id).standing is Standing.RETIRED


def test_only_reviewers_and_administrators_may_decide(db: HashDB, actor: Actor, other: Actor, case: int) -> None:
    for member in (actor, other, member_with(db, *(set(Scope) - {Scope.REVIEW, Scope.ADMIN}))):
        with pytest.raises(ScopeMissing):
            cases.decide(db, member, case, Decision.UPHOLD)
    cases.decide(db, member_with(db, Scope.ADMIN), case, Decision.UPHOLD)
    assert cases.get(db, COMMAND_LINE, case).state is CaseState.DECIDED
    with pytest.raises(NotFound, match=r"^case 99 does not exist$"):
        cases.decide(db, COMMAND_LINE, 99, Decision.UPHOLD)


def test_contributor_and_disputer_see_the_decision_and_others_see_nothing(
    db: HashDB, actor: Actor, other: Actor, reviewer: Actor, case: int
) -> None:
    confirming, stranger = member_with(db), member_with(db)
    opinions.give(db, confirming, cases.get(db, reviewer, case).contribution, replace(CONFIRMS, note="seen too"))
    decided = cases.decide(db, reviewer, case, Decision.RETIRE, "a news report")
    for reader in (reviewer, member_with(db, Scope.AUDIT), COMMAND_LINE):
        assert cases.get(db, reader, case) == decided
        assert cases.page(db, reader, None, 0, 10) == (decided,)
    for reader, notes in ((actor, ["a news report", "seen too"]), (other, ["a news report", None])):
        shown = cases.get(db, reader, case)
        assert (shown.reason, shown.decision, shown.note) == ("edsa_context", Decision.RETIRE, "a news report")
        assert shown.decided_by is None
        assert shown.hidden == {"decided_by"}
        assert [opinion.note for opinion in shown.opinions] == notes
        assert cases.page(db, reader, CaseState.DECIDED, 0, 10) == (shown,)
        assert cases.page(db, reader, CaseState.OPEN, 0, 10) == ()
    for reader in (confirming, stranger):
        assert cases.page(db, reader, None, 0, 10) == ()
        with pytest.raises(NotFound, match=rf"^case {case} does not exist$"):
            cases.get(db, reader, case)


def test_a_suspended_member_cannot_read_cases(db: HashDB, other: Actor, case: int) -> None:
    assert other.member is not None
    suspended = members.change(db, COMMAND_LINE, other.member.id, MemberChange(status=MemberStatus.SUSPENDED))
    assert isinstance(suspended, Member)
    for verb in (lambda reader: cases.page(db, reader, None, 0, 10), lambda reader: cases.get(db, reader, case)):
        with pytest.raises(MemberSuspended):
            verb(replace(other, member=suspended))


def test_reviewers_see_contributions_that_have_a_case(
    db: HashDB, reviewer: Actor, other: Actor, contribution: Contribution, case: int
) -> None:
    cases.decide(db, reviewer, case, Decision.QUARANTINE)
    shown = contributions.get(db, reviewer, contribution.id)
    assert shown == replace(contribution, standing=Standing.QUARANTINED).shown(signals=False, reference=False)
    assert len(opinions.page(db, reviewer, contribution.id, 0, 10)) == 1
    with pytest.raises(NotFound):
        contributions.get(db, other, contribution.id)
    (without_case,) = contributed(db, other, draft(2))
    with pytest.raises(NotFound):
        contributions.get(db, reviewer, without_case.id)
    with pytest.raises(NotFound):
        opinions.page(db, reviewer, without_case.id, 0, 10)


def test_a_held_contribution_is_quarantined_and_its_case_opened_once(db: HashDB, reviewer: Actor) -> None:
    scenario = Scenario(db)
    seq_before = head(db)
    scenario.holds()
    scenario.holds()
    with db.store.read() as tx:
        assert [(event.action, event.details) for event in tx.audit.since(seq_before, 10)] == [
            ("case.opened", {"contribution": scenario.contribution, "reason": "flood", "holds": "yes"}),
            ("contribution.quarantined", {"before": "unreviewed", "reason": "flood"}),
        ]
    (case,) = cases.page(db, reviewer, None, 0, 10)
    assert (case.holds, case.reason, case.due_at) == (True, "flood", NOON + timedelta(hours=72))


def test_a_reviewer_can_open_a_case_and_hold_the_contribution(db: HashDB, actor: Actor) -> None:
    held, not_held = contributed(db, actor, draft(1), draft(2))
    case = cases.open_case(db, COMMAND_LINE, held.id, "edsa_context", holds=True)
    assert (case.contribution, case.reason, case.holds, case.state) == (held.id, "edsa_context", True, CaseState.OPEN)
    assert contributions.get(db, COMMAND_LINE, held.id).standing is Standing.QUARANTINED
    cases.open_case(db, COMMAND_LINE, not_held.id, "other", holds=False)
    assert contributions.get(db, COMMAND_LINE, not_held.id).standing is Standing.UNREVIEWED
    with db.store.read() as tx:
        actions = [event.action for event in tx.audit.events(0, 100, str(COMMAND_LINE), None, None)]
    assert actions[-3:] == ["case.opened", "contribution.quarantined", "case.opened"]


def test_open_case_rejects_open_inactive_and_unknown_items_and_bad_reasons(db: HashDB, actor: Actor) -> None:
    with_case, withdrawn = contributed(db, actor, draft(1), draft(2))
    cases.open_case(db, COMMAND_LINE, with_case.id, "other", holds=False)
    contributions.withdraw(db, actor, withdrawn.id, "other")
    head = db.store.head()
    rejected = [
        (COMMAND_LINE, with_case.id, "other", AlreadyOpen),
        (COMMAND_LINE, withdrawn.id, "other", NotActive),
        (COMMAND_LINE, 99, "other", NotFound),
        (COMMAND_LINE, with_case.id, "whim", InvalidInput),
        (actor, with_case.id, "other", ScopeMissing),
    ]
    for opener, id, reason, error in rejected:
        with pytest.raises(error):
            cases.open_case(db, opener, id, reason, holds=True)
    assert db.store.head() == head


DISPUTE, CONFIRM = OpinionDraft(Stance.DISPUTES, "other"), OpinionDraft(Stance.CONFIRMS)


@pytest.mark.parametrize("confirmed", [False, True])
@pytest.mark.parametrize("held", [False, True])
@pytest.mark.parametrize("decision", Decision)
def test_a_decision_changes_the_standing_as_its_preview_says(
    db: HashDB, actor: Actor, other: Actor, decision: Decision, confirmed: bool, held: bool
) -> None:
    (contribution,) = contributed(db, actor, draft(1))
    if held:
        case = cases.open_case(db, COMMAND_LINE, contribution.id, "other", holds=True)
    else:
        opinions.give(db, other, contribution.id, DISPUTE)
        (case,) = cases.page(db, COMMAND_LINE, None, 0, 9)
    if confirmed and not held:
        opinions.give(db, member_with(db), contribution.id, CONFIRM)
    standing_before = contributions.get(db, COMMAND_LINE, contribution.id).standing
    preview = cases.preview_decisions(db, COMMAND_LINE, case.id)[decision]
    cases.decide(db, COMMAND_LINE, case.id, decision)
    assert preview == StandingChange(standing_before, contributions.get(db, COMMAND_LINE, contribution.id).standing)
    assert standing_before is (Standing.QUARANTINED if held else Standing.DISPUTED)


def test_only_reviewers_and_auditors_read_impacts_and_previews(db: HashDB, actor: Actor) -> None:
    (contribution,) = contributed(db, actor, draft(1))
    with pytest.raises(ScopeMissing):
        impacts.impact(db, actor, contribution.id)
    with pytest.raises(ScopeMissing):
        cases.preview_decisions(db, actor, 1)
    with pytest.raises(NotFound):
        cases.preview_decisions(db, COMMAND_LINE, 1)


def test_only_reviewers_and_auditors_list_decided_cases(db: HashDB, actor: Actor, reviewer: Actor, case: int) -> None:
    cases.decide(db, reviewer, case, Decision.UPHOLD)
    for sort in CaseSort:
        decided = cases.page_of_decided(db, COMMAND_LINE, sort, Place(), 9)
        assert ([each.id for each in decided.rows], decided.next, decided.total) == ([case], None, Total(1))
    with pytest.raises(ScopeMissing):
        cases.page_of_decided(db, actor, CaseSort.CASE, Place(), 1)
    with pytest.raises(ScopeMissing):
        cases.list_on_contribution(db, actor, 1)
