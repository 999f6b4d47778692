"""Claims: one reviewer at a time has a case, and an idle reviewer loses it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from hashdb.domain.accounts.members import COMMAND_LINE, Actor, Scope
from hashdb.domain.accounts.users import Role, UserChange, UserDraft, UserStatus
from hashdb.domain.review.cases import Case, Decision, OpinionDraft, Stance
from hashdb.domain.review.queues import MOST_WITHOUT_PILE, Claim, QueueOrder, QueueQuery
from hashdb.errors import AlreadyDecided, CaseTaken, NotFound, ScopeMissing
from hashdb.service import HashDB
from hashdb.service.accounts import users
from hashdb.service.ledger import events
from hashdb.service.ledger.events import EventFilter
from hashdb.service.review import cases, claims, opinions, queues
from tests.builders import Clock, contributed, draft, hashdb, member_with
from tests.postgres import on_postgres
from tests.service.concurrently import run_concurrently

ALL_CASES = QueueQuery()
BY_SEVERITY = QueueQuery(order=QueueOrder.SEVERITY)


@on_postgres
def test_a_case_may_be_taken_over_while_its_reviewer_proposes_to_retire_it(
    db: HashDB, waiting: list[int], rosa: Actor, lin: Actor
) -> None:
    db.rules = replace(db.rules, two_persons=True)
    claims.take(db, rosa, waiting[0])
    with ThreadPoolExecutor(2) as pool:
        with db.store.begin() as tx:
            tx.audit.lock()
            proposing = pool.submit(cases.decide, db, rosa, waiting[0], Decision.RETIRE, "a reason")
            with pytest.raises(TimeoutError):
                proposing.result(0.5)
            taking = pool.submit(claims.take, db, lin, waiting[0], from_others=True)
            with pytest.raises(TimeoutError):
                taking.result(0.5)
        proposing.result()
        taking.result()
    assert holder(db, waiting[0]) == str(lin)


@on_postgres
@pytest.mark.parametrize("decision", [Decision.UPHOLD, Decision.RETIRE])
def test_a_case_may_be_decided_while_it_is_taken_over(
    db: HashDB, waiting: list[int], rosa: Actor, lin: Actor, decision: Decision
) -> None:
    """Both lock the case before the log: in another order, each could wait for the other."""
    claims.take(db, rosa, waiting[0])
    with ThreadPoolExecutor(2) as pool:
        with db.store.begin() as tx:
            tx.audit.lock()
            taking = pool.submit(claims.take, db, lin, waiting[0], from_others=True)
            with pytest.raises(TimeoutError):
                taking.result(0.5)
            deciding = pool.submit(cases.decide, db, rosa, waiting[0], decision, "a reason")
            with pytest.raises(TimeoutError):
                deciding.result(0.5)
        taking.result()
        decided = deciding.result()
    assert isinstance(decided, Case)
    assert decided.decision is decision


@on_postgres
def test_a_case_that_is_taken_by_two_at_once_is_not_taken_over_without_an_event(
    db: HashDB, waiting: list[int], rosa: Actor, lin: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    taking: list[Future[None]] = []
    read_claims = claims.current_claims
    with ThreadPoolExecutor(1) as pool:

        def read_then_take(*arguments: Any) -> Mapping[int, Claim]:
            current = read_claims(*arguments)
            if not taking:
                taking.append(pool.submit(claims.take, db, rosa, waiting[0]))
                wait(taking, 0.5)
            return current

        monkeypatch.setattr(claims, "current_claims", read_then_take)
        claims.take(db, lin, waiting[0], from_others=True)
        with pytest.raises(CaseTaken):
            taking[0].result()
    assert holder(db, waiting[0]) == str(lin)


@pytest.fixture
def rosa(db: HashDB) -> Actor:
    return member_with(db, Scope.REVIEW)


@pytest.fixture
def lin(db: HashDB) -> Actor:
    return member_with(db, Scope.REVIEW)


@pytest.fixture
def waiting(db: HashDB, actor: Actor) -> list[int]:
    """Four open cases; the last has the highest severity."""
    items = contributed(db, actor, *(draft(seed, severity=seed) for seed in range(4)))
    return [cases.open_case(db, COMMAND_LINE, item.id, "other", holds=False).id for item in items]


def holder(db: HashDB, id: int) -> str | None:
    claim = claims.find(db, COMMAND_LINE, id)
    return None if claim is None else claim.actor


def test_each_reviewer_gets_the_next_unclaimed_case(db: HashDB, waiting: list[int], rosa: Actor, lin: Actor) -> None:
    assert claims.take_next(db, rosa, BY_SEVERITY) == waiting[3]
    assert claims.take_next(db, lin, BY_SEVERITY) == waiting[2]
    assert claims.take_next(db, rosa, ALL_CASES, after=waiting[0]) == waiting[1]
    assert claims.take_next(db, lin, ALL_CASES, after=waiting[1]) == waiting[0], "it continues with the first case"
    assert claims.take_next(db, lin, ALL_CASES) is None
    assert [claim.case for claim in claims.list_own(db, rosa)] == [waiting[1], waiting[3]]
    shown = {each.case.id: each.claim and each.claim.actor for each in queues.queue(db, lin).waiting}
    assert shown == dict(zip(waiting, map(str, (lin, rosa, lin, rosa)), strict=True))


def test_the_next_case_obeys_the_filter_and_piles_come_last(
    db: HashDB, actor: Actor, other: Actor, waiting: list[int], rosa: Actor
) -> None:
    dispute = OpinionDraft(Stance.DISPUTES, "other")
    items = contributed(db, actor, *(draft(seed, severity=1) for seed in range(10, 11 + MOST_WITHOUT_PILE)))
    piled = [opinions.give(db, other, item.id, dispute).case for item in items]
    filtered = QueueQuery(severity=1, order=QueueOrder.OPENED, reverse=True)
    assert claims.take_next(db, rosa, filtered) == waiting[1], "the newest are in a pile"
    assert claims.take_next(db, rosa, filtered) == piled[-1]
    pile = QueueQuery(pile=other.require_member(Scope.MATCH).id)
    assert claims.take_next(db, rosa, pile) == piled[0]


def test_release_idleness_or_a_decision_frees_a_claimed_case(
    db: HashDB, waiting: list[int], rosa: Actor, lin: Actor, clock: Clock
) -> None:
    first = claims.take_next(db, rosa, ALL_CASES)
    assert first is not None
    with pytest.raises(CaseTaken):
        claims.take(db, lin, first)
    clock.advance(minutes=14)
    assert claims.renew(db, rosa, first)
    clock.advance(minutes=14)
    with pytest.raises(CaseTaken):
        cases.decide(db, lin, first, Decision.UPHOLD, "it stands", unless_taken=True)
    clock.advance(minutes=1)
    assert holder(db, first) is None
    claims.take(db, lin, first)
    assert (holder(db, first), claims.renew(db, rosa, first)) == (str(lin), False)
    claims.release(db, rosa, first)
    assert holder(db, first) == str(lin), "only the reviewer who has a case can release it"
    claims.release(db, lin, first)
    assert holder(db, first) is None
    claims.take(db, rosa, first)
    clock.advance(minutes=15)
    assert claims.renew(db, rosa, first), "no other reviewer took it in between"
    cases.decide(db, rosa, first, Decision.UPHOLD, "it stands", unless_taken=True)
    assert (holder(db, first), claims.list_own(db, rosa)) == (None, ())
    assert not claims.renew(db, rosa, first)
    with pytest.raises(AlreadyDecided):
        claims.take(db, lin, first)
    with pytest.raises(NotFound):
        claims.take(db, lin, 99)


@pytest.mark.parametrize("change", [UserChange(status=UserStatus.DISABLED), UserChange(role=Role.AUDITOR)])
def test_a_user_who_may_no_longer_decide_loses_its_cases(
    db: HashDB, waiting: list[int], lin: Actor, change: UserChange
) -> None:
    ada = users.add(db, COMMAND_LINE, UserDraft("ada", Role.REVIEWER), local=False).user
    claims.take(db, ada.actor, waiting[0])
    claims.take(db, lin, waiting[1])
    users.change(db, COMMAND_LINE, ada.id, change)
    assert (holder(db, waiting[0]), holder(db, waiting[1])) == (None, str(lin))


def test_taking_a_case_over_is_logged_and_the_first_reviewer_cannot_decide(
    db: HashDB, waiting: list[int], rosa: Actor, lin: Actor
) -> None:
    claims.take(db, rosa, waiting[0])
    seq_before = db.store.head().seq
    claims.take(db, rosa, waiting[0], from_others=True)
    assert db.store.head().seq == seq_before, "a reviewer does not take over its own case"
    claims.take(db, lin, waiting[0], from_others=True)
    (event,) = events.page(db, COMMAND_LINE, EventFilter(), seq_before, 9)
    assert (event.action, event.subject, event.actor) == ("case.taken-over", f"case:{waiting[0]}", str(lin))
    assert event.details == {"contribution": 1, "from": str(rosa)}
    with pytest.raises(CaseTaken):
        cases.decide(db, rosa, waiting[0], Decision.UPHOLD, "it stands", unless_taken=True)
    # Claims do not bind programs: without `unless_taken`, the decision is accepted.
    cases.decide(db, rosa, waiting[0], Decision.UPHOLD, "it stands")
    assert holder(db, waiting[0]) is None


def test_the_first_of_two_deciding_reviewers_loses_the_claim(
    db: HashDB, waiting: list[int], rosa: Actor, lin: Actor
) -> None:
    db.rules = replace(db.rules, two_persons=True)
    first = claims.take_next(db, rosa, ALL_CASES)
    assert first is not None
    cases.decide(db, rosa, first, Decision.RETIRE, "a news report", unless_taken=True)
    assert (holder(db, first), claims.take_next(db, rosa, ALL_CASES)) == (None, waiting[1])
    cases.decide(db, lin, first, Decision.RETIRE, "so it is", unless_taken=True)
    assert cases.get(db, lin, first).decision is Decision.RETIRE


def test_only_reviewers_may_claim_cases(db: HashDB, waiting: list[int], actor: Actor) -> None:
    auditor = member_with(db, Scope.AUDIT)
    for verb in (
        lambda: claims.take_next(db, auditor, ALL_CASES),
        lambda: claims.take(db, auditor, 1),
        lambda: claims.renew(db, auditor, 1),
        lambda: claims.release(db, auditor, 1),
        lambda: claims.find(db, actor, 1),
        lambda: claims.list_own(db, actor),
    ):
        with pytest.raises(ScopeMissing):
            verb()


@pytest.fixture
def workers(db: HashDB, database_url: str, clock: Clock) -> Iterator[list[HashDB]]:
    """Four services on one database, like four processes."""
    more = [hashdb(database_url, clock) for _ in range(3)]
    yield [db, *more]
    for worker in more:
        worker.close()


def test_concurrent_reviewers_get_different_cases_until_all_are_decided(
    db: HashDB, actor: Actor, workers: list[HashDB]
) -> None:
    reviewers = [member_with(db, Scope.REVIEW) for _ in workers]
    items = contributed(db, actor, *(draft(seed, severity=seed % 5) for seed in range(24)))
    waiting = {cases.open_case(db, COMMAND_LINE, item.id, "other", holds=False).id for item in items}

    def review_all(number: int) -> list[int]:
        """Take and decide cases until none is left; return their ids."""
        worker, reviewer, decided_cases = workers[number], reviewers[number], []
        query = QueueQuery(order=list(QueueOrder)[number % 3])
        while (case := claims.take_next(worker, reviewer, query)) is not None:
            cases.decide(worker, reviewer, case, Decision.UPHOLD, "it stands", unless_taken=True)
            decided_cases.append(case)
        return decided_cases

    decided_cases = run_concurrently([partial(review_all, number) for number in range(len(workers))])
    decided = [case for cases_of_one in decided_cases for case in cases_of_one]
    assert sorted(decided) == sorted(waiting)
    reviewer_of = {
        id: str(reviewer)
        for reviewer, cases_of_one in zip(reviewers, decided_cases, strict=True)
        for id in cases_of_one
    }
    assert {id: cases.get(db, COMMAND_LINE, id).decided_by for id in reviewer_of} == reviewer_of
